/* Convolutions, dense layers and pools of float32, for what is not quantized: plain loops, weights as TFLite has them.
 */
#ifndef EK_FLOATS_H
#define EK_FLOATS_H

#include "ek_plain.h"
#include "ek_pool.h"
#include "ek_types.h"

struct ek_conv_data_f32 {
    const float *weights, *bias;
    float low, high;
};

EK_INLINE void ek_conv2d_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *vx, void *vy)
{
    const int32_t depth = s->in_c / s->groups, units = s->out_c / s->groups;
    ek_f32 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++)
            for (int32_t c = 0; c < s->out_c; c++) {
                const ek_f32 *x = (const ek_f32 *)vx + c / units * depth;
                float sum = d->bias[c];
                for (int32_t r = 0; r < s->k_h; r++) {
                    const int32_t row = oy * s->stride_h - s->pad_top + r * s->dilation_h;
                    if (row < 0 || row >= s->in_h)
                        continue;
                    for (int32_t q = 0; q < s->k_w; q++) {
                        const int32_t at = ox * s->stride_w - s->pad_left + q * s->dilation_w;
                        if (at < 0 || at >= s->in_w)
                            continue;
                        const ek_f32 *pixel = x + (row * s->in_w + at) * s->in_c;
                        const float *w = d->weights + ((c * s->k_h + r) * s->k_w + q) * depth;
                        for (int32_t i = 0; i < depth; i++)
                            sum += pixel[i] * w[i];
                    }
                }
                y[(oy * s->out_w + ox) * s->out_c + c] = ek_clamp_f32(sum, d->low, d->high);
            }
}

EK_INLINE void ek_depthwise_conv2d_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *vx,
                                       void *vy)
{
    const int32_t many = s->out_c / s->in_c;
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++)
            for (int32_t c = 0; c < s->out_c; c++) {
                float sum = d->bias[c];
                for (int32_t r = 0; r < s->k_h; r++) {
                    const int32_t row = oy * s->stride_h - s->pad_top + r * s->dilation_h;
                    if (row < 0 || row >= s->in_h)
                        continue;
                    for (int32_t q = 0; q < s->k_w; q++) {
                        const int32_t at = ox * s->stride_w - s->pad_left + q * s->dilation_w;
                        if (at >= 0 && at < s->in_w)
                            sum += x[(row * s->in_w + at) * s->in_c + c / many] *
                                   d->weights[(r * s->k_w + q) * s->out_c + c];
                    }
                }
                y[(oy * s->out_w + ox) * s->out_c + c] = ek_clamp_f32(sum, d->low, d->high);
            }
}

EK_INLINE void ek_dense_f32(const struct ek_dense_shape *s, const struct ek_conv_data_f32 *d, const void *vx, void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t r = 0; r < s->rows; r++, x += s->in)
        for (int32_t c = 0; c < s->out; c++) {
            float sum = d->bias[c];
            for (int32_t i = 0; i < s->in; i++)
                sum += x[i] * d->weights[c * s->in + i];
            *y++ = ek_clamp_f32(sum, d->low, d->high);
        }
}

EK_INLINE void ek_max_pool_f32(const struct ek_pool_shape *s, const struct ek_limits_f32 *d, const void *vx, void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            int32_t rows, columns, top = ek_inside(oy, s->stride_h, s->pad_top, s->k_h, s->in_h, &rows),
                                   left = ek_inside(ox, s->stride_w, s->pad_left, s->k_w, s->in_w, &columns);
            for (int32_t c = 0; c < s->channels; c++) {
                float most = x[(top * s->in_w + left) * s->channels + c];
                for (int32_t r = 0; r < rows; r++)
                    for (int32_t q = 0; q < columns; q++) {
                        const float value = x[((top + r) * s->in_w + left + q) * s->channels + c];
                        most = value > most ? value : most;
                    }
                *y++ = ek_clamp_f32(most, d->low, d->high);
            }
        }
}

EK_INLINE void ek_average_pool_f32(const struct ek_pool_shape *s, const struct ek_limits_f32 *d, const void *vx,
                                   void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            int32_t rows, columns, top = ek_inside(oy, s->stride_h, s->pad_top, s->k_h, s->in_h, &rows),
                                   left = ek_inside(ox, s->stride_w, s->pad_left, s->k_w, s->in_w, &columns);
            for (int32_t c = 0; c < s->channels; c++) {
                float total = 0.0f;
                for (int32_t r = 0; r < rows; r++)
                    for (int32_t q = 0; q < columns; q++)
                        total += x[((top + r) * s->in_w + left + q) * s->channels + c];
                *y++ = ek_clamp_f32(total / (float)(rows * columns), d->low, d->high);
            }
        }
}

#endif
