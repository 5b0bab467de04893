/* FullyConnected of int8. Needs no scratch. */
#ifndef EK_DENSE_H
#define EK_DENSE_H

#include "ek_dot.h"

EK_INLINE void ek_dense_s8(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y)
{
    const int32_t row = (s->in + 3) & ~3;
    for (int32_t r = 0; r < s->rows; r++) {
        for (int32_t c = 0; c < s->out; c++) {
            const int32_t sum = ek_dot_s8(d->weights + c * row, x + r * s->in, s->in, d->bias[c]);
            y[r * s->out + c] = ek_stored_once_s8(d, s->flags, c, sum);
        }
    }
}

#endif
