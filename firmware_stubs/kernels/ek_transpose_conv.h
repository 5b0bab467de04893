/* TransposeConv: every output pixel gathers the taps that reach it. Padding is cut off the output. */
#ifndef EK_TRANSPOSE_CONV_H
#define EK_TRANSPOSE_CONV_H

#include "ek_floats.h"
#include "ek_math.h"

/* The input's row (column) whose tap `k` reaches a row of the output; -1 for none. */
EK_INLINE int32_t ek_reaching(int32_t out, int32_t pad, int32_t k, int32_t stride, int32_t size)
{
    const int32_t at = out + pad - k;
    return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
}

/* weights: [out_c][k_h][k_w][in_c]; bias: the layer's own. */
EK_INLINE void ek_transpose_conv_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                    int8_t *y)
{
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++)
            for (int32_t c = 0; c < s->out_c; c++) {
                int32_t sum = d->bias[c];
                for (int32_t r = 0; r < s->k_h; r++) {
                    const int32_t row = ek_reaching(oy, s->pad_top, r, s->stride_h, s->in_h);
                    for (int32_t q = 0; row >= 0 && q < s->k_w; q++) {
                        const int32_t at = ek_reaching(ox, s->pad_left, q, s->stride_w, s->in_w);
                        if (at < 0)
                            continue;
                        const int8_t *pixel = x + (row * s->in_w + at) * s->in_c;
                        const int8_t *w = d->weights + ((c * s->k_h + r) * s->k_w + q) * s->in_c;
                        for (int32_t i = 0; i < s->in_c; i++)
                            sum += (pixel[i] - d->x_zero) * w[i];
                    }
                }
                *y++ = ek_stored_s8(d, s->flags, c, sum);
            }
}

EK_INLINE void ek_transpose_conv_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *vx,
                                     void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++)
            for (int32_t c = 0; c < s->out_c; c++) {
                float sum = d->bias[c];
                for (int32_t r = 0; r < s->k_h; r++) {
                    const int32_t row = ek_reaching(oy, s->pad_top, r, s->stride_h, s->in_h);
                    for (int32_t q = 0; row >= 0 && q < s->k_w; q++) {
                        const int32_t at = ek_reaching(ox, s->pad_left, q, s->stride_w, s->in_w);
                        if (at < 0)
                            continue;
                        const ek_f32 *pixel = x + (row * s->in_w + at) * s->in_c;
                        const float *w = d->weights + ((c * s->k_h + r) * s->k_w + q) * s->in_c;
                        for (int32_t i = 0; i < s->in_c; i++)
                            sum += pixel[i] * w[i];
                    }
                }
                *y++ = ek_clamp_f32(sum, d->low, d->high);
            }
}

#endif
