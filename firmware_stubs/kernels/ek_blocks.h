/* Products of int8 columns with int8 weights by the vector extension, 16 multiplications per instruction.

   Weights: blocks of two output channels, padded with zeros, one after the other; in a block, for each 16 values 16
   bytes of the first channel and 16 of the second. Columns are padded to a multiple of 16 bytes.

   EK_INT4: for each 16 values 16 bytes, each with the first channel's weight in its upper half, the second one's in its
   lower half. */
#ifndef EK_BLOCKS_H
#define EK_BLOCKS_H

#include "ek_dot.h"

#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE && defined(__GNUC__)
#define EK_HAS_MVE 1
#include <arm_mve.h>
#else
#define EK_HAS_MVE 0
#endif

#if EK_HAS_MVE
/* Requantization of four consecutive channels. */
struct ek_lanes {
    int32x4_t bias, multiplier, left, right, low, high;
};

EK_INLINE struct ek_lanes ek_lanes_load(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32_t low,
                                        int32_t high)
{
    struct ek_lanes l;
    l.bias = vldrwq_s32(d->bias + channel);
    if (flags & EK_PER_TENSOR) {
        l.multiplier = vdupq_n_s32(d->multiplier[0]);
        l.right = vdupq_n_s32(d->shift[0]);
    } else {
        l.multiplier = vldrwq_s32(d->multiplier + channel);
        l.right = vldrbq_s32(d->shift + channel);
    }
    l.left = vdupq_n_s32(0);
    if (!(flags & (EK_NARROW | EK_NEAR))) {
        l.left = vmaxq_s32(l.right, l.left);
        l.right = vminq_s32(l.right, vdupq_n_s32(0));
    }
    l.low = vdupq_n_s32(low);
    l.high = vdupq_n_s32(high);
    return l;
}

EK_INLINE void ek_lanes_finish(const struct ek_lanes *l, int32_t flags, int32_t y_zero, int32_t count, int32x4_t sum,
                               int8_t *y)
{
    sum = vaddq_s32(sum, l->bias);
    if (!(flags & (EK_NARROW | EK_NEAR)))
        sum = vshlq_s32(sum, l->left);
    sum = vqrdmulhq_s32(sum, l->multiplier);
    /* One less where a negative number is divided: the halves go away from zero. */
    sum = vqaddq_s32(sum, vshrq_n_s32(flags & EK_NARROW ? sum : vandq_s32(sum, l->right), 31));
    sum = vrshlq_s32(sum, l->right);
    sum = vaddq_n_s32(vminq_s32(vmaxq_s32(sum, l->low), l->high), y_zero);
    if (count == 4)
        vstrbq_s32(y, sum);
    else
        vstrbq_p_s32(y, sum, vctp32q((uint32_t)count));
}
#endif

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

/* The same of EK_INT4. */
EK_INLINE void ek_block_sums_s4(const int8_t *column, const int8_t *other, const int8_t *weights, int32_t steps,
                                int32_t *first, int32_t *second)
{
    int32_t a = 0, b = 0, c = 0, e = 0;
#if EK_HAS_MVE
    __asm volatile(
        "dls lr, %[n]\n"
        "1:\n"
        "vldrb.8 q2, [%[w]], #16\n"
        "vldrb.8 q0, [%[x]], #16\n"
        "vshr.s8 q3, q2, #4\n"
        "vldrb.8 q1, [%[z]], #16\n"
        "vmladava.s8 %[a], q0, q3\n"
        "vshl.i8 q2, q2, #4\n"
        "vmladava.s8 %[c], q1, q3\n"
        "vmladava.s8 %[b], q0, q2\n"
        "vmladava.s8 %[e], q1, q2\n"
        "le lr, 1b\n"
        : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [e] "+Te"(e), [x] "+r"(column), [z] "+r"(other), [w] "+r"(weights)
        : [n] "r"(steps)
        : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
    b >>= 4;
    e >>= 4;
#else
    for (int32_t i = 0; i < 16 * steps; i++) {
        a += column[i] * ek_high_nibble(weights[i]);
        b += column[i] * ek_low_nibble(weights[i]);
        c += other[i] * ek_high_nibble(weights[i]);
        e += other[i] * ek_low_nibble(weights[i]);
    }
#endif
    first[0] = a;
    first[1] = b;
    second[0] = c;
    second[1] = e;
}

#if EK_HAS_MVE
/* clang-format off */
#define EK_BLOCK_LOOP(label) \
    "dls lr, %[n]\n" label ":\n" "vldrb.8 q0, [%[x]], #16\n" "vldrb.8 q2, [%[w]], #16\n" "vmladava.s8 %[a], q0, q2\n" \
    "vldrb.8 q1, [%[z]], #16\n" "vmladava.s8 %[c], q1, q2\n" "vldrb.8 q3, [%[w]], #16\n" \
    "vmladava.s8 %[b], q0, q3\n" "vmladava.s8 %[e], q1, q3\n" "le lr, " label "b\n"
/* clang-format on */

/* Sums of two columns for four channels; returns the weights behind them. */
EK_INLINE const int8_t *ek_block_sums_8(const int8_t *column, const int8_t *other, const int8_t *weights, int32_t steps,
                                        int32x4_t *first, int32x4_t *second)
{
    int32_t a = 0, b = 0, c = 0, e = 0;
    __asm volatile(EK_BLOCK_LOOP("1") "vmov.32 %q[f][0], %[a]\n"
                                      "vmov.32 %q[f][1], %[b]\n"
                                      "vmov.32 %q[s][0], %[c]\n"
                                      "vmov.32 %q[s][1], %[e]\n"
                                      "mov.w %[a], #0\n"
                                      "mov.w %[b], #0\n"
                                      "mov.w %[c], #0\n"
                                      "mov.w %[e], #0\n"
                                      "sub.w %[x], %[x], %[n], lsl #4\n"
                                      "sub.w %[z], %[z], %[n], lsl #4\n" EK_BLOCK_LOOP("2") "vmov.32 %q[f][2], %[a]\n"
                                                                                            "vmov.32 %q[f][3], %[b]\n"
                                                                                            "vmov.32 %q[s][2], %[c]\n"
                                                                                            "vmov.32 %q[s][3], %[e]\n"
                   : [a] "+&Te"(a), [b] "+&Te"(b), [c] "+&Te"(c), [e] "+&Te"(e), [x] "+&r"(column), [z] "+&r"(other),
                     [w] "+&r"(weights), [f] "=&w"(*first), [s] "=&w"(*second)
                   : [n] "r"(steps)
                   : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
    return weights;
}

#endif

/* `count` output channels of two pixels, from `channel` on. The second pixel lies `stride` elements behind the first;
   0: there is no second one, and what stands for it is overwritten. */
EK_NOINLINE void ek_blocks_s8(const struct ek_conv_data *d, const int8_t *column, const int8_t *other,
                              const int8_t *weights, int32_t steps, int32_t channel, int32_t count, int32_t flags,
                              int8_t *y, int32_t stride)
{
#if EK_HAS_MVE
    /* The stores might change them, for all the compiler knows. */
    const int32_t zero = d->y_zero, low = d->low - zero, high = d->high - zero;
#endif
    for (const int32_t end = channel + count; channel < end; channel += 4) {
        int32_t first[4] = {0, 0, 0, 0}, second[4] = {0, 0, 0, 0};
        const int32_t lanes = ek_min(4, end - channel);
        int8_t *const to = y + channel;
#if EK_HAS_MVE
        if (lanes > 2 && !ek_is_int4(flags)) {
            int32x4_t sums, others;
            weights = ek_block_sums_8(column, other, weights, steps, &sums, &others);
            const struct ek_lanes l = ek_lanes_load(d, flags, channel, low, high);
            ek_lanes_finish(&l, flags, zero, lanes, others, to + stride);
            ek_lanes_finish(&l, flags, zero, lanes, sums, to);
            continue;
        }
#endif
        if (ek_is_int4(flags))
            for (int32_t i = 0; i < lanes; i += 2, weights += 16 * steps)
                ek_block_sums_s4(column, other, weights, steps, first + i, second + i);
        else
            for (int32_t i = 0; i < lanes; i += 2, weights += 32 * steps)
                ek_block_sums(column, other, weights, steps, first + i, second + i);
#if EK_HAS_MVE
        const struct ek_lanes l = ek_lanes_load(d, flags, channel, low, high);
        ek_lanes_finish(&l, flags, zero, lanes, vldrwq_s32(second), to + stride);
        ek_lanes_finish(&l, flags, zero, lanes, vldrwq_s32(first), to);
#else
        for (int32_t i = 0; i < lanes; i++) {
            to[i + stride] = ek_stored_s8(d, flags, channel + i, second[i] + d->bias[channel + i]);
            to[i] = ek_stored_s8(d, flags, channel + i, first[i] + d->bias[channel + i]);
        }
#endif
    }
}

#if EK_HAS_MVE
/* Sums of one vector of `in` elements for four channels: of a block of weights and of the `next` one. */
EK_INLINE int32x4_t ek_block_sums_four(const int8_t *x, const int8_t *weights, const int8_t *next, int32_t in,
                                       int32_t flags)
{
    int32_t a = 0, b = 0, c = 0, e = 0;
    if (ek_is_int4(flags)) {
        __asm volatile(
            "dlstp.8 lr, %[n]\n"
            "1:\n"
            "vldrb.8 q0, [%[x]], #16\n"
            "vldrb.8 q1, [%[w]], #16\n"
            "vldrb.8 q2, [%[v]], #16\n"
            "vshr.s8 q3, q1, #4\n"
            "vmladava.s8 %[a], q0, q3\n"
            "vshl.i8 q1, q1, #4\n"
            "vmladava.s8 %[b], q0, q1\n"
            "vshr.s8 q3, q2, #4\n"
            "vmladava.s8 %[c], q0, q3\n"
            "vshl.i8 q2, q2, #4\n"
            "vmladava.s8 %[e], q0, q2\n"
            "letp lr, 1b\n"
            : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [e] "+Te"(e), [x] "+r"(x), [w] "+r"(weights), [v] "+r"(next)
            : [n] "r"(in)
            : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
        b >>= 4;
        e >>= 4;
    } else {
        __asm volatile(
            "dlstp.8 lr, %[n]\n"
            "1:\n"
            "vldrb.8 q0, [%[x]], #16\n"
            "vldrb.8 q1, [%[w]], #16\n"
            "vmladava.s8 %[a], q0, q1\n"
            "vldrb.8 q2, [%[w]], #16\n"
            "vmladava.s8 %[b], q0, q2\n"
            "vldrb.8 q3, [%[v]], #16\n"
            "vmladava.s8 %[c], q0, q3\n"
            "vldrb.8 q1, [%[v]], #16\n"
            "vmladava.s8 %[e], q0, q1\n"
            "letp lr, 1b\n"
            : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [e] "+Te"(e), [x] "+r"(x), [w] "+r"(weights), [v] "+r"(next)
            : [n] "r"(in)
            : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
    }
    int32x4_t sums;
    __asm("vmov %q[s][2], %q[s][0], %[a], %[c]\n"
          "vmov %q[s][3], %q[s][1], %[b], %[e]\n"
          : [s] "=&w"(sums)
          : [a] "r"(a), [b] "r"(b), [c] "r"(c), [e] "r"(e));
    return sums;
}

/* ek_stored_once_s8 of four channels, unless one of them has a shift above -2: then nothing is stored, and the result
   is 0.

   A product P has the upper half H and the lower half L. floor((P + 2^(30 + r) - (P < 0)) / 2^(31 + r)) is
   floor((H + 2^(r - 2) + (L - (P < 0)) / 2^32) / 2^(r - 1)), where the last summand is from 0 to less than 1, unless
   P < 0 and L = 0. */
EK_INLINE int ek_lanes_once(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32x4_t sum, int8_t *y)
{
    const int each = !(flags & EK_PER_TENSOR);
    const int32x4_t shift = each ? vldrbq_s32(d->shift + channel) : vdupq_n_s32(d->shift[0]);
    const int32x4_t multiplier = each ? vldrwq_s32(d->multiplier + channel) : vdupq_n_s32(d->multiplier[0]);
    if ((each ? vmaxvq_s32(-2, shift) : d->shift[0]) > -2)
        return 0;
    sum = vaddq_s32(sum, vldrwq_s32(d->bias + channel));
    int32x4_t high = vmulhq_s32(sum, multiplier);
    const int32x4_t whole = vshrq_n_s32(vclzq_s32(vmulq_s32(sum, multiplier)), 5); /* 1 where L = 0 */
    high = vsubq_s32(high, vandq_s32(vshrq_n_s32(high, 31), whole));
    high = vrshlq_s32(high, vaddq_n_s32(shift, 1));
    high = vminq_s32(vmaxq_s32(high, vdupq_n_s32(d->low - d->y_zero)), vdupq_n_s32(d->high - d->y_zero));
    vstrbq_s32(y + channel, vaddq_n_s32(high, d->y_zero));
    return 1;
}
#endif

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

EK_INLINE void ek_block_sums_one_s4(const int8_t *x, const int8_t *weights, int32_t in, int32_t *sums)
{
    int32_t a = 0, b = 0;
#if EK_HAS_MVE
    for (; in > 0; in -= 16, x += 16, weights += 16) {
        const int8x16_t values = vldrbq_z_s8(x, vctp8q((uint32_t)in)), both = vldrbq_s8(weights);
        a = vmladavaq_s8(a, values, vshrq_n_s8(both, 4));
        b = vmladavaq_s8(b, values, vshlq_n_s8(both, 4));
    }
    b >>= 4;
#else
    for (int32_t i = 0; i < in; i++) {
        a += x[i] * ek_high_nibble(weights[i]);
        b += x[i] * ek_low_nibble(weights[i]);
    }
#endif
    sums[0] = a;
    sums[1] = b;
}

#endif
