/* Products of int8 columns with int8 weights by SMLAD, two multiplications per instruction.

   Values are expanded to halfwords, weights are not quite: a halfword is 256 * a + b, where a and b are the weights of
   two output channels. Its product sums are 256 * A + B, and those of its lower byte, sign-extended, are B; so one
   SXTB16 expands four weights. 256 * A + B may overflow, as long as A fits 24 bits: A = (256 * A + B - B) / 256.

   A step is two values k and k + 2 of a chunk of four, so that SXTB16 expands values, too: steps 0, 1 of a chunk are
   values (0, 2), (1, 3). Weights: blocks of four output channels a, b, c, d, padded with zeros, one after the other;
   in a block, for each step a word of channels a, b and a word of c, d; each with value k in its lower halfword.
   Columns: for each step a word of each of two pixels.

   EK_INT4: a byte is 16 * a + b, its lower half alone is b. A step is a word: a, b and c, d of value k, then of k + 2.
   Sums are 16 * A + B and 16 * B. */
#ifndef EK_PAIRS_H
#define EK_PAIRS_H

#include "ek_dot.h"

/* Expands 4 * chunks bytes; `columns` is that of the pixel. */
EK_INLINE void ek_expand(ek_u32 *columns, const int8_t *x, int32_t chunks)
{
    EK_UNROLL
    for (int32_t i = 0; i < chunks; i++) {
        const uint32_t word = ek_load_word(x + 4 * i);
        columns[4 * i] = ek_even_bytes(word);
        columns[4 * i + 2] = ek_odd_bytes(word);
    }
}

/* A, of 256 * A + B and B. */
EK_INLINE int32_t ek_upper(int32_t ab, int32_t b)
{
    return (int32_t)((uint32_t)ab - (uint32_t)b) >> 8;
}

/* Four lower halves of bytes, moved to the upper ones. */
EK_INLINE uint32_t ek_lower_halves(uint32_t x)
{
    return x << 4 & 0xF0F0F0F0u;
}

/* A, of 16 * A + B and 16 * B. */
EK_INLINE int32_t ek_upper_s4(int32_t ab, int32_t b)
{
    return (int32_t)((uint32_t)ab - (uint32_t)(b >> 4)) >> 4;
}

/* Stores a channel of two pixels, the second one first; sums without bias. */
EK_INLINE void ek_pair_store(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32_t first,
                             int32_t second, int8_t *y, int32_t stride)
{
    y[channel + stride] = ek_product_stored_s8(d, flags, channel, second);
    y[channel] = ek_product_stored_s8(d, flags, channel, first);
}

/* Sums A, B, C, D of both pixels for a block; the weights behind it. */
EK_INLINE const int8_t *ek_pair_sums(const ek_u32 *columns, const int8_t *weights, int32_t steps, int32_t sums[4][2])
{
    for (int32_t i = 0; i < steps; i++, weights += 8) {
        const uint32_t ab = ek_load_word(weights), cd = ek_load_word(weights + 4);
        for (int32_t p = 0; p < 2; p++) {
            const uint32_t x = columns[2 * i + p];
            sums[0][p] = ek_dual_mac(x, ab, sums[0][p]);
            sums[1][p] = ek_dual_mac(x, ek_even_bytes(ab), sums[1][p]);
            sums[2][p] = ek_dual_mac(x, cd, sums[2][p]);
            sums[3][p] = ek_dual_mac(x, ek_even_bytes(cd), sums[3][p]);
        }
    }
    for (int32_t p = 0; p < 2; p++) {
        sums[0][p] = ek_upper(sums[0][p], sums[1][p]);
        sums[2][p] = ek_upper(sums[2][p], sums[3][p]);
    }
    return weights;
}

EK_INLINE const int8_t *ek_pair_sums_s4(const ek_u32 *columns, const int8_t *weights, int32_t steps, int32_t sums[4][2])
{
    for (int32_t i = 0; i < steps; i++, weights += 4) {
        const uint32_t both = ek_load_word(weights), lower = ek_lower_halves(both);
        for (int32_t p = 0; p < 2; p++) {
            const uint32_t x = columns[2 * i + p];
            sums[0][p] = ek_dual_mac(x, ek_even_bytes(both), sums[0][p]);
            sums[1][p] = ek_dual_mac(x, ek_even_bytes(lower), sums[1][p]);
            sums[2][p] = ek_dual_mac(x, ek_odd_bytes(both), sums[2][p]);
            sums[3][p] = ek_dual_mac(x, ek_odd_bytes(lower), sums[3][p]);
        }
    }
    for (int32_t p = 0; p < 2; p++) {
        sums[0][p] = ek_upper_s4(sums[0][p], sums[1][p]);
        sums[2][p] = ek_upper_s4(sums[2][p], sums[3][p]);
        sums[1][p] >>= 4;
        sums[3][p] >>= 4;
    }
    return weights;
}

EK_NOINLINE void ek_pairs_any_s8(const struct ek_conv_data *d, const ek_u32 *columns, const int8_t *weights,
                                 int32_t steps, int32_t channel, int32_t count, int32_t flags, int8_t *y,
                                 int32_t stride)
{
    for (const int32_t end = channel + count; channel < end; channel += 4) {
        int32_t sums[4][2] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
        if (ek_is_int4(flags))
            weights = ek_pair_sums_s4(columns, weights, steps, sums);
        else
            weights = ek_pair_sums(columns, weights, steps, sums);
        for (int32_t i = 0; i < 4 && channel + i < end; i++)
            ek_pair_store(d, flags, channel + i, sums[i][0], sums[i][1], y, stride);
    }
}

#if EK_HAS_14_REGISTERS
/* clang-format off */
/* A step: 14 instructions of 4 bytes, which EK_PAIRS_LOOP counts on. */
#define EK_STEP \
    "ldr.w %[w0], [%[w], #\\k]\n" "ldr.w %[w1], [%[w], #\\k+4]\n" \
    "ldr.w %[x0], [%[x], #\\k]\n" "ldr.w %[x1], [%[x], #\\k+4]\n" \
    "smlad %[s0], %[x0], %[w0], %[s0]\n" "smlad %[s1], %[x1], %[w0], %[s1]\n" "sxtb16 %[w0], %[w0]\n" \
    "smlad %[s4], %[x0], %[w1], %[s4]\n" "smlad %[s5], %[x1], %[w1], %[s5]\n" "sxtb16 %[w1], %[w1]\n" \
    "smlad %[s2], %[x0], %[w0], %[s2]\n" "smlad %[s3], %[x1], %[w0], %[s3]\n" \
    "smlad %[s6], %[x0], %[w1], %[s6]\n" "smlad %[s7], %[x1], %[w1], %[s7]\n"
/* The first step of a block. */
#define EK_FIRST_STEP \
    "ldr.w %[x], %[columns]\n" "ldr.w %[w0], [%[w]]\n" "ldr.w %[w1], [%[w], #4]\n" \
    "ldr.w %[x0], [%[x]]\n" "ldr.w %[x1], [%[x], #4]\n" \
    "smuad %[s0], %[x0], %[w0]\n" "smuad %[s1], %[x1], %[w0]\n" "sxtb16 %[w0], %[w0]\n" \
    "smuad %[s4], %[x0], %[w1]\n" "smuad %[s5], %[x1], %[w1]\n" "sxtb16 %[w1], %[w1]\n" \
    "smuad %[s2], %[x0], %[w0]\n" "smuad %[s3], %[x1], %[w0]\n" \
    "smuad %[s6], %[x0], %[w1]\n" "smuad %[s7], %[x1], %[w1]\n"
/* The same of EK_INT4: 17 instructions. */
#define EK_STEP_S4 \
    "ldr.w %[w0], [%[w], #\\k/2]\n" "ldr.w %[x0], [%[x], #\\k]\n" "ldr.w %[x1], [%[x], #\\k+4]\n" \
    EK_PRODUCTS_S4("smlad", ", %[s0]", ", %[s1]", ", %[s2]", ", %[s3]", ", %[s4]", ", %[s5]", ", %[s6]", ", %[s7]")
#define EK_FIRST_STEP_S4 \
    "ldr.w %[x], %[columns]\n" "ldr.w %[w0], [%[w]]\n" "ldr.w %[x0], [%[x]]\n" "ldr.w %[x1], [%[x], #4]\n" \
    EK_PRODUCTS_S4("smuad", "", "", "", "", "", "", "", "")
#define EK_PRODUCTS_S4(multiply, a0, a1, a2, a3, a4, a5, a6, a7) \
    "sxtb16 %[w1], %[w0]\n" \
    multiply " %[s0], %[x0], %[w1]" a0 "\n" multiply " %[s1], %[x1], %[w1]" a1 "\n" "sxtb16 %[w1], %[w0], ror #8\n" \
    "lsl.w %[w0], %[w0], #4\n" "and.w %[w0], %[w0], #0xF0F0F0F0\n" \
    multiply " %[s4], %[x0], %[w1]" a4 "\n" multiply " %[s5], %[x1], %[w1]" a5 "\n" "sxtb16 %[w1], %[w0]\n" \
    multiply " %[s2], %[x0], %[w1]" a2 "\n" multiply " %[s3], %[x1], %[w1]" a3 "\n" "sxtb16 %[w1], %[w0], ror #8\n" \
    multiply " %[s6], %[x0], %[w1]" a6 "\n" multiply " %[s7], %[x1], %[w1]" a7 "\n"
/* Requantizes a channel of both pixels. */
#define EK_FINISH(n, a, b, shift) \
    "ldr.w %[w0], [%[x], #" #n "]\n" "ldr.w %[w1], [%[x], #" #n "+4]\n" "ldr.w %[x0], [%[x], #" #n "+8]\n" \
    "add.w %[" a "], %[w0], %[" a "], " shift "\n" "add.w %[" b "], %[w0], %[" b "], " shift "\n" \
    "smmulr %[" a "], %[" a "], %[w1]\n" "smmulr %[" b "], %[" b "], %[w1]\n" \
    "add.w %[" a "], %[" a "], %[" a "], asr #31\n" "add.w %[" b "], %[" b "], %[" b "], asr #31\n" \
    "smmlar %[" a "], %[" a "], %[x0], %[x1]\n" "smmlar %[" b "], %[" b "], %[x0], %[x1]\n" \
    "ssat %[" a "], #8, %[" a "]\n" "ssat %[" b "], #8, %[" b "]\n"

/* Parameters: bytes of a step; the first step; a step; how the weights go forward by half of [w1] or all of it, and by
   how many bytes in a turn; A is what a sum less another one is; twice A and B of both sums. A turn of the loop has 8
   steps; the first turn of a block begins in its middle. */
#define EK_PAIRS_LOOP(bytes, first, step, forward_by, turn, less, twice_a, twice_b) \
    __asm volatile("adr.w %[x1], 1f\n" "mov.w %[x0], #" bytes "\n" "mla %[x0], %[w0], %[x0], %[x1]\n" \
                   "orr.w %[x0], %[x0], #1\n" "str.w %[x0], %[entry]\n" \
                   "2:\n" \
                   first \
                   "ldr.w %[w1], %[forward]\n" "ldr.w %[w0], %[entry]\n" \
                   "add.w %[w], %[w], %[w1]" forward_by "\n" "add.w %[x], %[x], %[w1]\n" \
                   "bx %[w0]\n" \
                   ".p2align 2\n" \
                   "1:\n" \
                   ".irp k, 0, 8, 16, 24, 32, 40, 48, 56\n" step ".endr\n" \
                   "ldr.w %[w0], %[last]\n" "add.w %[x], %[x], #64\n" "add.w %[w], %[w], #" turn "\n" \
                   "cmp.w %[x], %[w0]\n" "bne.w 1b\n" \
                   "ldr.w %[x], %[channels]\n" "ldr.w %[x1], %[zero]\n" \
                   "sub.w %[s0], %[s0], %[s2]" less "\n" "sub.w %[s1], %[s1], %[s3]" less "\n" \
                   "sub.w %[s4], %[s4], %[s6]" less "\n" "sub.w %[s5], %[s5], %[s7]" less "\n" \
                   EK_FINISH(0, "s0", "s1", twice_a) EK_FINISH(12, "s2", "s3", twice_b) \
                   EK_FINISH(24, "s4", "s5", twice_a) EK_FINISH(36, "s6", "s7", twice_b) \
                   "add.w %[x], %[x], #48\n" "str.w %[x], %[channels]\n" \
                   "ldr.w %[w1], %[y]\n" "ldr.w %[x0], %[stride]\n" "ldr.w %[x1], %[end]\n" \
                   "add.w %[w0], %[w1], %[x0]\n" \
                   "strb.w %[s1], [%[w0], #0]\n" "strb.w %[s3], [%[w0], #1]\n" \
                   "strb.w %[s5], [%[w0], #2]\n" "strb.w %[s7], [%[w0], #3]\n" \
                   "strb.w %[s0], [%[w1], #0]\n" "strb.w %[s2], [%[w1], #1]\n" \
                   "strb.w %[s4], [%[w1], #2]\n" "strb.w %[s6], [%[w1], #3]\n" \
                   "add.w %[w1], %[w1], #4\n" "str.w %[w1], %[y]\n" \
                   "cmp.w %[w1], %[x1]\n" "bne.w 2b\n" \
                   : [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [s4] "=&r"(s4), [s5] "=&r"(s5), \
                     [s6] "=&r"(s6), [s7] "=&r"(s7), [w] "+r"(weights), [x] "=&r"(x), [w0] "+r"(w0), [w1] "=&r"(w1), \
                     [x0] "=&r"(x0), [x1] "=&r"(x1), [entry] "=m"(entry), [channels] "+m"(channels), [y] "+m"(y) \
                   : [columns] "m"(columns), [forward] "m"(forward), [last] "m"(last), [zero] "m"(y_zero), \
                     [stride] "m"(stride), [end] "m"(end) \
                   : "cc", "memory")

/* The same for layers that are EK_NARROW and EK_SATURATES, and a multiple of four channels: one stretch of code that
   has use for every register. */
#define EK_PAIRS_BLOCKS(name, ...) \
    EK_NOINLINE void name(const int32_t *channels, int32_t y_zero, const ek_u32 *columns, const int8_t *weights, \
                          int32_t steps, int8_t *y, int32_t stride, int32_t count) \
    { \
        const int32_t skip = 7 & (1 - steps), forward = 8 - 8 * skip; \
        const ek_u32 *const last = columns + 2 * steps; \
        const int8_t *const end = y + count; \
        uint32_t w0 = (uint32_t)skip, w1, x0, x1, entry; \
        int32_t s0, s1, s2, s3, s4, s5, s6, s7; \
        const ek_u32 *x; \
        EK_PAIRS_LOOP(__VA_ARGS__); \
    }

EK_PAIRS_BLOCKS(ek_pairs_blocks_s8, "56", EK_FIRST_STEP, EK_STEP, "", "64", "", "asr #7", "lsl #1")
#if EK_HAS_INT4
EK_PAIRS_BLOCKS(ek_pairs_blocks_s4, "68", EK_FIRST_STEP_S4, EK_STEP_S4, ", asr #1", "32", ", asr #4", "asr #3", "asr #3")
#endif
/* clang-format on */
#endif

/* `count` output channels of two pixels, from `channel` on. The second pixel lies `stride` elements behind the first;
   0: there is no second one, and what stands for it is overwritten. */
EK_INLINE void ek_pairs_s8(const struct ek_conv_data *d, const ek_u32 *columns, const int8_t *weights, int32_t steps,
                           int32_t channel, int32_t count, int32_t flags, int8_t *y, int32_t stride)
{
#if EK_HAS_14_REGISTERS
    if (flags & EK_NARROW && flags & EK_SATURATES && count % 4 == 0) {
        y += channel;
#if EK_HAS_INT4
        if (flags & EK_INT4) {
            ek_pairs_blocks_s4(d->channels + 3 * channel, d->y_zero, columns, weights, steps, y, stride, count);
            return;
        }
#endif
        ek_pairs_blocks_s8(d->channels + 3 * channel, d->y_zero, columns, weights, steps, y, stride, count);
        return;
    }
#endif
    ek_pairs_any_s8(d, columns, weights, steps, channel, count, flags, y, stride);
}

#endif
