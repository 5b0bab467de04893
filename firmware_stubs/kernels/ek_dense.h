/* FullyConnected of int8. Needs no scratch. */
#ifndef EK_DENSE_H
#define EK_DENSE_H

#include "ek_pairs.h"

EK_INLINE void ek_dense_rows_s8(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                int8_t *y)
{
    const int32_t row = (s->in + 3) & ~3;
    for (int32_t r = 0; r < s->rows; r++) {
        for (int32_t c = 0; c < s->out; c++) {
            const int32_t sum = ek_dot_s8(d->weights + c * row, x + r * s->in, s->in, d->bias[c]);
            y[r * s->out + c] = ek_stored_once_s8(d, s->flags, c, sum);
        }
    }
}

/* One vector. */
EK_NOINLINE void ek_dense_pairs_s8(const struct ek_conv_data *d, const int8_t *x, int32_t in, int32_t out,
                                   int32_t flags, int8_t *y)
{
    const int8_t *weights = d->weights;
    for (int32_t c = 0; c < out; c += 4) {
        int32_t ab = 0, b = 0, cd = 0, e = 0;
        for (int32_t i = 0; i < in; i += 4, weights += 16) {
            const uint32_t word = i + 4 <= in ? ek_load_word(x + i) : ek_load_bytes(x + i, in - i);
            const uint32_t even = ek_even_bytes(word), odd = ek_odd_bytes(word);
            const uint32_t ab0 = ek_load_word(weights), cd0 = ek_load_word(weights + 4);
            const uint32_t ab1 = ek_load_word(weights + 8), cd1 = ek_load_word(weights + 12);
            ab = ek_dual_mac(even, ab0, ab);
            cd = ek_dual_mac(even, cd0, cd);
            b = ek_dual_mac(even, ek_even_bytes(ab0), b);
            e = ek_dual_mac(even, ek_even_bytes(cd0), e);
            ab = ek_dual_mac(odd, ab1, ab);
            cd = ek_dual_mac(odd, cd1, cd);
            b = ek_dual_mac(odd, ek_even_bytes(ab1), b);
            e = ek_dual_mac(odd, ek_even_bytes(cd1), e);
        }
        const int32_t sums[4] = {ek_upper(ab, b), b, ek_upper(cd, e), e};
        for (int32_t k = 0; k < 4 && c + k < out; k++)
            y[c + k] = ek_stored_once_s8(d, flags, c + k, sums[k] + d->bias[c + k]);
    }
}

EK_INLINE void ek_dense_s8(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y)
{
    if (EK_PACKING == EK_PACKING_PAIRS && !(s->flags & EK_PLAIN))
        for (int32_t r = 0; r < s->rows; r++)
            ek_dense_pairs_s8(d, x + r * s->in, s->in, s->out, s->flags, y + r * s->out);
    else
        ek_dense_rows_s8(s, d, x, y);
}

#endif
