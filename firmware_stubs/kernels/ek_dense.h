/* FullyConnected of int8. Needs no scratch. */
#ifndef EK_DENSE_H
#define EK_DENSE_H

#include "ek_blocks.h"
#include "ek_pairs.h"

EK_INLINE void ek_dense_rows_s8(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                int8_t *y)
{
    for (int32_t r = 0; r < s->rows; r++) {
        for (int32_t c = 0; c < s->out; c++) {
            const int32_t product = ek_dot_row(d->weights, s->flags, c, x + r * s->in, s->in);
            y[r * s->out + c] = ek_stored_once_s8(d, s->flags, c, product + d->bias[c]);
        }
    }
}

#if EK_HAS_DSP
/* clang-format off */
#define EK_DENSE_CHUNK(n, m) \
    "ldr.w %[even], [%[x], #" #n "]\n" "ldr.w %[w0], [%[w], #" #m "]\n" "ldr.w %[w1], [%[w], #" #m "+4]\n" \
    "ldr.w %[w2], [%[w], #" #m "+8]\n" "ldr.w %[w3], [%[w], #" #m "+12]\n" \
    "sxtb16 %[odd], %[even], ror #8\n" "sxtb16 %[even], %[even]\n" \
    "smlad %[s0], %[even], %[w0], %[s0]\n" "sxtb16 %[w0], %[w0]\n" \
    "smlad %[s2], %[even], %[w1], %[s2]\n" "sxtb16 %[w1], %[w1]\n" \
    "smlad %[s0], %[odd], %[w2], %[s0]\n" "sxtb16 %[w2], %[w2]\n" \
    "smlad %[s2], %[odd], %[w3], %[s2]\n" "sxtb16 %[w3], %[w3]\n" \
    "smlad %[s1], %[even], %[w0], %[s1]\n" "smlad %[s3], %[even], %[w1], %[s3]\n" \
    "smlad %[s1], %[odd], %[w2], %[s1]\n" "smlad %[s3], %[odd], %[w3], %[s3]\n"
/* The same of EK_INT4. */
#define EK_DENSE_HALF(m, values) \
    "ldr.w %[w0], [%[w], #" #m "]\n" "sxtb16 %[w1], %[w0]\n" "sxtb16 %[w2], %[w0], ror #8\n" \
    "lsl.w %[w0], %[w0], #4\n" "and.w %[w0], %[w0], #0xF0F0F0F0\n" \
    "smlad %[s0], " values ", %[w1], %[s0]\n" "sxtb16 %[w1], %[w0]\n" \
    "smlad %[s2], " values ", %[w2], %[s2]\n" "sxtb16 %[w0], %[w0], ror #8\n" \
    "smlad %[s1], " values ", %[w1], %[s1]\n" "smlad %[s3], " values ", %[w0], %[s3]\n"
#define EK_DENSE_CHUNK_S4(n, m) \
    "ldr.w %[even], [%[x], #" #n "]\n" "sxtb16 %[odd], %[even], ror #8\n" "sxtb16 %[even], %[even]\n" \
    EK_DENSE_HALF(m, "%[even]") EK_DENSE_HALF(m + 4, "%[odd]")
/* clang-format on */
#endif

/* 256 * A + B, B, 256 * C + D, D of one vector and one block; the weights behind it. */
EK_INLINE const int8_t *ek_dense_block(const int8_t *x, const int8_t *weights, int32_t in, int32_t sums[4])
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0;
#if EK_HAS_DSP
    if (in >= 16) {
        uint32_t even, odd, w0, w1, w2, w3;
        const int8_t *const end = x + (in & ~15);
        __asm volatile(
            "1:\n" EK_DENSE_CHUNK(0, 0) EK_DENSE_CHUNK(4, 16) EK_DENSE_CHUNK(8, 32)
                EK_DENSE_CHUNK(12, 48) "add.w %[x], %[x], #16\n"
                                       "add.w %[w], %[w], #64\n"
                                       "cmp.w %[x], %[end]\n"
                                       "bne.w 1b\n"
            : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w] "+r"(weights),
              [even] "=&r"(even), [odd] "=&r"(odd), [w0] "=&r"(w0), [w1] "=&r"(w1), [w2] "=&r"(w2), [w3] "=&r"(w3)
            : [end] "r"(end)
            : "cc", "memory");
        in &= 15;
    }
#endif
    for (; i < in; i += 4, weights += 16) {
        const uint32_t word = i + 4 <= in ? ek_load_word(x + i) : ek_load_bytes(x + i, in - i);
        const uint32_t even = ek_even_bytes(word), odd = ek_odd_bytes(word);
        const uint32_t ab0 = ek_load_word(weights), cd0 = ek_load_word(weights + 4);
        const uint32_t ab1 = ek_load_word(weights + 8), cd1 = ek_load_word(weights + 12);
        s0 = ek_dual_mac(odd, ab1, ek_dual_mac(even, ab0, s0));
        s1 = ek_dual_mac(odd, ek_even_bytes(ab1), ek_dual_mac(even, ek_even_bytes(ab0), s1));
        s2 = ek_dual_mac(odd, cd1, ek_dual_mac(even, cd0, s2));
        s3 = ek_dual_mac(odd, ek_even_bytes(cd1), ek_dual_mac(even, ek_even_bytes(cd0), s3));
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    return weights;
}

/* The same of EK_INT4: A, B, C, D. */
EK_INLINE const int8_t *ek_dense_block_s4(const int8_t *x, const int8_t *weights, int32_t in, int32_t sums[4])
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0;
#if EK_HAS_DSP
    if (in >= 16) {
        uint32_t even, odd, w0, w1, w2;
        const int8_t *const end = x + (in & ~15);
        __asm volatile("1:\n" EK_DENSE_CHUNK_S4(0, 0) EK_DENSE_CHUNK_S4(4, 8) EK_DENSE_CHUNK_S4(8, 16)
                           EK_DENSE_CHUNK_S4(12, 24) "add.w %[x], %[x], #16\n"
                                                     "add.w %[w], %[w], #32\n"
                                                     "cmp.w %[x], %[end]\n"
                                                     "bne.w 1b\n"
                       : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w] "+r"(weights),
                         [even] "=&r"(even), [odd] "=&r"(odd), [w0] "=&r"(w0), [w1] "=&r"(w1), [w2] "=&r"(w2)
                       : [end] "r"(end)
                       : "cc", "memory");
        in &= 15;
    }
#endif
    for (; i < in; i += 4) {
        const uint32_t word = i + 4 <= in ? ek_load_word(x + i) : ek_load_bytes(x + i, in - i);
        for (int32_t step = 0; step < 2; step++, weights += 4) {
            const uint32_t values = step ? ek_odd_bytes(word) : ek_even_bytes(word);
            const uint32_t both = ek_load_word(weights), lower = ek_lower_halves(both);
            s0 = ek_dual_mac(values, ek_even_bytes(both), s0);
            s1 = ek_dual_mac(values, ek_even_bytes(lower), s1);
            s2 = ek_dual_mac(values, ek_odd_bytes(both), s2);
            s3 = ek_dual_mac(values, ek_odd_bytes(lower), s3);
        }
    }
    sums[0] = ek_upper_s4(s0, s1);
    sums[1] = s1 >> 4;
    sums[2] = ek_upper_s4(s2, s3);
    sums[3] = s3 >> 4;
    return weights;
}

/* One vector. */
EK_NOINLINE void ek_dense_pairs_s8(const struct ek_conv_data *d, const int8_t *x, int32_t in, int32_t out,
                                   int32_t flags, int8_t *y)
{
    const int8_t *weights = d->weights;
    for (int32_t c = 0; c < out; c += 4) {
        int32_t sums[4];
        if (ek_is_int4(flags)) {
            weights = ek_dense_block_s4(x, weights, in, sums);
        } else {
            weights = ek_dense_block(x, weights, in, sums);
            sums[0] = ek_upper(sums[0], sums[1]);
            sums[2] = ek_upper(sums[2], sums[3]);
        }
        for (int32_t k = 0; k < 4 && c + k < out; k++)
            y[c + k] = ek_stored_once_s8(d, flags, c + k, sums[k] + d->bias[c + k]);
    }
}

/* One vector. */
EK_NOINLINE void ek_dense_blocks_s8(const struct ek_conv_data *d, const int8_t *x, int32_t in, int32_t out,
                                    int32_t flags, int8_t *y)
{
    const struct ek_conv_data own = *d; /* or the stores might change it, for all the compiler knows */
    const int8_t *weights = own.weights;
    d = &own;
    const int32_t block = (in + 15) / 16 * (ek_is_int4(flags) ? 16 : 32);
#if EK_HAS_MVE
    for (int32_t c = 0; c < out; c += 4, weights += 2 * block) {
        const int32_t lanes = ek_min(4, out - c);
        const int32x4_t sums = ek_block_sums_four(x, weights, lanes > 2 ? weights + block : weights, in, flags);
        if (lanes < 4 || !ek_lanes_once(d, flags, c, sums, y)) {
            int32_t each[4];
            vstrwq_s32(each, sums);
            for (int32_t k = 0; k < lanes; k++)
                y[c + k] = ek_stored_once_s8(d, flags, c + k, each[k] + d->bias[c + k]);
        }
    }
#else
    for (int32_t c = 0; c < out; c += 2, weights += block) {
        int32_t sums[2];
        if (ek_is_int4(flags))
            ek_block_sums_one_s4(x, weights, in, sums);
        else
            ek_block_sums_one(x, weights, in, sums);
        for (int32_t k = 0; k < 2 && c + k < out; k++)
            y[c + k] = ek_stored_once_s8(d, flags, c + k, sums[k] + d->bias[c + k]);
    }
#endif
}

EK_INLINE void ek_dense_s8(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y)
{
    if (EK_PACKING == EK_PACKING_PAIRS && !(s->flags & EK_PLAIN))
        for (int32_t r = 0; r < s->rows; r++)
            ek_dense_pairs_s8(d, x + r * s->in, s->in, s->out, s->flags, y + r * s->out);
    else if (EK_PACKING == EK_PACKING_BLOCKS && !(s->flags & EK_PLAIN))
        for (int32_t r = 0; r < s->rows; r++)
            ek_dense_blocks_s8(d, x + r * s->in, s->in, s->out, s->flags, y + r * s->out);
    else
        ek_dense_rows_s8(s, d, x, y);
}

#endif
