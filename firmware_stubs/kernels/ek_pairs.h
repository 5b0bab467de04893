/* Products of int8 columns with int8 weights by SMLAD, two multiplications per instruction.

   Values are expanded to halfwords, weights are not quite: a halfword is 256 * a + b, where a and b are the weights of
   two output channels. Its product sums are 256 * A + B, and those of its lower byte, sign-extended, are B; so one
   SXTB16 expands four weights. 256 * A + B may overflow, as long as A fits 24 bits: A = (256 * A + B - B) / 256.

   A step is two values k and k + 2 of a chunk of four, so that SXTB16 expands values, too: steps 0, 1 of a chunk are
   values (0, 2), (1, 3). Weights: blocks of four output channels a, b, c, d, padded with zeros, one after the other;
   in a block, for each step a word of channels a, b and a word of c, d; each with value k in its lower halfword.
   Columns: for each step a word of each of two pixels. */
#ifndef EK_PAIRS_H
#define EK_PAIRS_H

#include "ek_dot.h"

/* What two pixels have of a block: 256 * A + B, B, 256 * C + D, D. */
struct ek_block {
    int32_t ab[2], b[2], cd[2], d[2];
};

/* Expands 4 * chunks bytes; `columns` is that of the pixel. */
EK_INLINE void ek_expand(uint32_t *columns, const int8_t *x, int32_t chunks)
{
    for (int32_t i = 0; i < chunks; i++) {
        const uint32_t word = ek_load_word(x + 4 * i);
        columns[4 * i] = ek_even_bytes(word);
        columns[4 * i + 2] = ek_odd_bytes(word);
    }
}

#if EK_HAS_DSP
/* clang-format off */
#define EK_STEP_LOAD(n) \
    "ldr.w %[w0], [%[w], #" #n "]\n" "ldr.w %[w1], [%[w], #" #n "+4]\n" \
    "ldr.w %[x0], [%[x], #" #n "]\n" "ldr.w %[x1], [%[x], #" #n "+4]\n"
#define EK_STEP(n) EK_STEP_LOAD(n) \
    "smlad %[s0], %[x0], %[w0], %[s0]\n" "smlad %[s1], %[x1], %[w0], %[s1]\n" "sxtb16.w %[w0], %[w0]\n" \
    "smlad %[s4], %[x0], %[w1], %[s4]\n" "smlad %[s5], %[x1], %[w1], %[s5]\n" "sxtb16.w %[w1], %[w1]\n" \
    "smlad %[s2], %[x0], %[w0], %[s2]\n" "smlad %[s3], %[x1], %[w0], %[s3]\n" \
    "smlad %[s6], %[x0], %[w1], %[s6]\n" "smlad %[s7], %[x1], %[w1], %[s7]\n"
/* clang-format on */
#endif
#define EK_STEPS 16 /* in the loop */

/* Adds the products of `steps` steps, an even number. */
EK_INLINE void ek_block_sums(struct ek_block *sums, const uint32_t *columns, const int8_t *weights, int32_t steps)
{
#if EK_HAS_DSP
    int32_t s0 = sums->ab[0], s1 = sums->ab[1], s2 = sums->b[0], s3 = sums->b[1];
    int32_t s4 = sums->cd[0], s5 = sums->cd[1], s6 = sums->d[0], s7 = sums->d[1];
    const int8_t *end = weights + 8 * steps;
    /* The first turn enters the loop in the middle where `steps` is no multiple of its length. */
    const int32_t skip = (EK_STEPS - 1) & -steps;
    uint32_t w0 = (uint32_t)skip, w1, x0, x1;
    columns -= 2 * skip;
    weights -= 8 * skip;
    /* A step takes 14 instructions of 4 bytes. */
    __asm volatile("mov.w %[x0], #56\n"
                   "adr.w %[x1], 1f\n"
                   "mla %[x0], %[w0], %[x0], %[x1]\n"
                   "orr.w %[x0], %[x0], #1\n"
                   "bx %[x0]\n"
                   ".p2align 2\n"
                   "1:\n" EK_STEP(0) EK_STEP(8) EK_STEP(16) EK_STEP(24) EK_STEP(32) EK_STEP(40) EK_STEP(48) EK_STEP(56)
                       EK_STEP(64) EK_STEP(72) EK_STEP(80) EK_STEP(88) EK_STEP(96) EK_STEP(104) EK_STEP(112)
                           EK_STEP(120) "add.w %[w], %[w], #128\n"
                                        "ldr.w %[w0], %[end]\n"
                                        "add.w %[x], %[x], #128\n"
                                        "cmp.w %[w], %[w0]\n"
                                        "bne.w 1b\n"
                   : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [s4] "+r"(s4), [s5] "+r"(s5),
                     [s6] "+r"(s6), [s7] "+r"(s7), [w] "+r"(weights), [x] "+r"(columns), [w0] "+r"(w0), [w1] "=&r"(w1),
                     [x0] "=&r"(x0), [x1] "=&r"(x1)
                   : [end] "m"(end)
                   : "cc", "memory");
    *sums = (struct ek_block){{s0, s1}, {s2, s3}, {s4, s5}, {s6, s7}};
#else
    for (int32_t i = 0; i < steps; i++) {
        const uint32_t ab = ek_load_word(weights + 8 * i), cd = ek_load_word(weights + 8 * i + 4);
        for (int32_t p = 0; p < 2; p++) {
            const uint32_t x = columns[2 * i + p];
            sums->ab[p] = ek_dual_mac(x, ab, sums->ab[p]);
            sums->b[p] = ek_dual_mac(x, ek_even_bytes(ab), sums->b[p]);
            sums->cd[p] = ek_dual_mac(x, cd, sums->cd[p]);
            sums->d[p] = ek_dual_mac(x, ek_even_bytes(cd), sums->d[p]);
        }
    }
#endif
}

/* A, of 256 * A + B and B. */
EK_INLINE int32_t ek_upper(int32_t ab, int32_t b)
{
    return (int32_t)((uint32_t)ab - (uint32_t)b) >> 8;
}

/* Stores the results of two pixels for one channel; sums without bias. */
EK_INLINE void ek_pair_store(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32_t first,
                             int32_t second, int8_t *y, int32_t stride)
{
    const int32_t bias = d->bias[channel];
    if (flags & EK_NARROW) {
        const int32_t multiplier = ek_multiplier(d, flags, channel), power = ek_power(d, flags, channel);
        int32_t a = ek_requantize_narrow(first + bias, multiplier, power, d->y_zero);
        int32_t b = ek_requantize_narrow(second + bias, multiplier, power, d->y_zero);
        if (flags & EK_SATURATES) {
            a = ek_saturate_s8(a);
            b = ek_saturate_s8(b);
        } else {
            a = ek_clamp(a, d->low, d->high);
            b = ek_clamp(b, d->low, d->high);
        }
        y[channel + stride] = (int8_t)b;
        y[channel] = (int8_t)a;
    } else {
        y[channel + stride] = ek_stored_s8(d, flags, channel, second + bias);
        y[channel] = ek_stored_s8(d, flags, channel, first + bias);
    }
}

/* `count` output channels of two pixels, from `channel` on. The second pixel lies `stride` elements behind the first;
   0: there is no second one, and what stands for it is overwritten. */
EK_NOINLINE void ek_pairs_s8(const struct ek_conv_data *d, const uint32_t *columns, const int8_t *weights,
                             int32_t steps, int32_t channel, int32_t count, int32_t flags, int8_t *y, int32_t stride)
{
    for (const int32_t end = channel + count; channel < end; channel += 4, weights += 8 * steps) {
        struct ek_block sums = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
        ek_block_sums(&sums, columns, weights, steps);
        ek_pair_store(d, flags, channel, ek_upper(sums.ab[0], sums.b[0]), ek_upper(sums.ab[1], sums.b[1]), y, stride);
        if (channel + 1 < end)
            ek_pair_store(d, flags, channel + 1, sums.b[0], sums.b[1], y, stride);
        if (channel + 2 < end)
            ek_pair_store(d, flags, channel + 2, ek_upper(sums.cd[0], sums.d[0]), ek_upper(sums.cd[1], sums.d[1]), y,
                          stride);
        if (channel + 3 < end)
            ek_pair_store(d, flags, channel + 3, sums.d[0], sums.d[1], y, stride);
    }
}

#endif
