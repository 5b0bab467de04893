/* Products of int8 columns with int8 weights by the vector extension, 16 multiplications per instruction.

   Weights: blocks of two output channels, padded with zeros, one after the other; in a block, for each 16 values 16
   bytes of the first channel and 16 of the second. Columns are padded to a multiple of 16 bytes. */
#ifndef EK_BLOCKS_H
#define EK_BLOCKS_H

#include "ek_dot.h"

#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE && defined(__GNUC__)
#define EK_HAS_MVE 1
#include <arm_mve.h>
#else
#define EK_HAS_MVE 0
#endif

/* Stores `count` results (at most 4) of consecutive channels of one pixel; sums of products without bias. */
EK_INLINE void ek_lanes_store(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32_t count,
                              const int32_t *sums, int8_t *y)
{
#if EK_HAS_MVE
    const mve_pred16_t lanes = vctp32q((uint32_t)count);
    int32x4_t multiplier, shift;
    if (flags & EK_PER_TENSOR) {
        multiplier = vdupq_n_s32(d->multiplier[0]);
        shift = vdupq_n_s32(d->shift[0]);
    } else {
        multiplier = vldrwq_z_s32(d->multiplier + channel, lanes);
        shift = vldrbq_z_s32(d->shift + channel, lanes);
    }
    int32x4_t sum = vaddq_s32(vldrwq_s32(sums), vldrwq_z_s32(d->bias + channel, lanes));
    if (!(flags & (EK_NARROW | EK_NEAR)))
        sum = vshlq_s32(sum, vmaxq_s32(shift, vdupq_n_s32(0)));
    const int32x4_t right = vminq_s32(shift, vdupq_n_s32(0));
    int32x4_t y4 = vqrdmulhq_s32(sum, multiplier);
    /* One less where a negative number is divided: the halves go away from zero. */
    y4 = vqaddq_s32(y4, vshrq_n_s32(vandq_s32(y4, right), 31));
    y4 = vrshlq_s32(y4, right);
    y4 = vminq_s32(vmaxq_s32(y4, vdupq_n_s32(d->low - d->y_zero)), vdupq_n_s32(d->high - d->y_zero));
    vstrbq_p_s32(y + channel, vaddq_n_s32(y4, d->y_zero), lanes);
#else
    for (int32_t i = 0; i < count; i++)
        y[channel + i] = ek_stored_s8(d, flags, channel + i, sums[i] + d->bias[channel + i]);
#endif
}

/* Sums of two columns for two channels: `first` and `second` get one for each channel. */
EK_INLINE void ek_block_sums(const int8_t *column, const int8_t *other, const int8_t *weights, int32_t steps,
                             int32_t *first, int32_t *second)
{
    int32_t a = 0, b = 0, c = 0, e = 0;
#if EK_HAS_MVE
    __asm volatile(
        "dls lr, %[n]\n"
        "1:\n"
        "vldrb.8 q0, [%[x]], #16\n"
        "vldrb.8 q2, [%[w]], #16\n"
        "vmladava.s8 %[a], q0, q2\n"
        "vldrb.8 q1, [%[z]], #16\n"
        "vmladava.s8 %[c], q1, q2\n"
        "vldrb.8 q3, [%[w]], #16\n"
        "vmladava.s8 %[b], q0, q3\n"
        "vmladava.s8 %[e], q1, q3\n"
        "le lr, 1b\n"
        : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [e] "+Te"(e), [x] "+r"(column), [z] "+r"(other), [w] "+r"(weights)
        : [n] "r"(steps)
        : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
#else
    for (int32_t i = 0; i < steps; i++, weights += 32) {
        a = ek_dot_s8(column + 16 * i, weights, 16, a);
        b = ek_dot_s8(column + 16 * i, weights + 16, 16, b);
        c = ek_dot_s8(other + 16 * i, weights, 16, c);
        e = ek_dot_s8(other + 16 * i, weights + 16, 16, e);
    }
#endif
    first[0] = a;
    first[1] = b;
    second[0] = c;
    second[1] = e;
}

/* `count` output channels of two pixels, from `channel` on. The second pixel lies `stride` elements behind the first;
   0: there is no second one, and what stands for it is overwritten. */
EK_NOINLINE void ek_blocks_s8(const struct ek_conv_data *d, const int8_t *column, const int8_t *other,
                              const int8_t *weights, int32_t steps, int32_t channel, int32_t count, int32_t flags,
                              int8_t *y, int32_t stride)
{
    for (const int32_t end = channel + count; channel < end; channel += 4) {
        int32_t first[4] = {0, 0, 0, 0}, second[4] = {0, 0, 0, 0};
        const int32_t lanes = ek_min(4, end - channel);
        for (int32_t i = 0; i < lanes; i += 2, weights += 32 * steps)
            ek_block_sums(column, other, weights, steps, first + i, second + i);
        ek_lanes_store(d, flags, channel, lanes, second, y + stride);
        ek_lanes_store(d, flags, channel, lanes, first, y);
    }
}

/* Sums of one vector of `in` elements for two channels. */
EK_INLINE void ek_block_sums_one(const int8_t *x, const int8_t *weights, int32_t in, int32_t *sums)
{
    int32_t a = 0, b = 0;
#if EK_HAS_MVE
    for (; in > 0; in -= 16, x += 16, weights += 32) {
        const int8x16_t values = vldrbq_z_s8(x, vctp8q((uint32_t)in));
        a = vmladavaq_s8(a, values, vldrbq_s8(weights));
        b = vmladavaq_s8(b, values, vldrbq_s8(weights + 16));
    }
#else
    for (int32_t i = 0; i < in; i++) {
        a += x[i] * weights[i / 16 * 32 + i % 16];
        b += x[i] * weights[i / 16 * 32 + 16 + i % 16];
    }
#endif
    sums[0] = a;
    sums[1] = b;
}

#endif
