/* Convolutions, dense layers and pools of float32, for what is not quantized. */
#ifndef EK_FLOATS_H
#define EK_FLOATS_H

#include "ek_plain.h"
#include "ek_pool.h"
#include "ek_sums_f32.h"
#include "ek_types.h"

struct ek_conv_data_f32 {
    const float *weights, *bias;
    float low, high;
};

EK_INLINE void ek_store_f32(const struct ek_conv_data_f32 *d, const float *sums, int32_t channels, ek_f32 *y)
{
    for (int32_t i = 0; i < channels; i++)
        y[i] = ek_clamp_f32(sums[i], d->low, d->high);
}

/* weights: of each group, blocks of channels (see ek_block_f32) of [k_h][k_w][in_c / groups][channels]. */
EK_INLINE void ek_conv2d_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *vx, void *vy)
{
    const int32_t depth = s->in_c / s->groups, units = s->out_c / s->groups;
    const int joined = s->dilation_w == 1 && s->groups == 1; /* a row of the window lies together */
    ek_f32 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            const int32_t top = oy * s->stride_h - s->pad_top, left = ox * s->stride_w - s->pad_left;
            int32_t r0, q0;
            const int32_t rows = ek_taps_inside(top, s->k_h, s->dilation_h, s->in_h, &r0);
            const int32_t taps = ek_taps_inside(left, s->k_w, s->dilation_w, s->in_w, &q0);
            const ek_f32 *x =
                (const ek_f32 *)vx + ((top + r0 * s->dilation_h) * s->in_w + left + q0 * s->dilation_w) * s->in_c;
            const float *weights = d->weights, *bias = d->bias;
            for (int32_t g = 0; g < s->groups; g++, x += depth)
                for (int32_t left_over = units; left_over > 0;) {
                    const int32_t channels = ek_block_f32(left_over), tap = depth * channels;
                    float sums[8];
                    for (int32_t i = 0; i < channels; i++)
                        sums[i] = bias[i];
                    for (int32_t r = 0; r < rows; r++) {
                        const ek_f32 *from = x + r * s->dilation_h * s->in_w * s->in_c;
                        const float *w = weights + ((r0 + r) * s->k_w + q0) * tap;
                        if (joined)
                            ek_scaled_f32(sums, channels, from, w, taps * depth);
                        else
                            for (int32_t q = 0; q < taps; q++)
                                ek_scaled_f32(sums, channels, from + q * s->dilation_w * s->in_c, w + q * tap, depth);
                    }
                    ek_store_f32(d, sums, channels, y);
                    left_over -= channels;
                    y += channels;
                    bias += channels;
                    weights += s->k_h * s->k_w * tap;
                }
        }
}

/* weights: [k_h][k_w][out_c] */
EK_INLINE void ek_depthwise_conv2d_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *vx,
                                       void *vy)
{
    const int32_t many = s->out_c / s->in_c;
    ek_f32 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            const int32_t top = oy * s->stride_h - s->pad_top, left = ox * s->stride_w - s->pad_left;
            int32_t r0, q0, c = 0;
            struct ek_part_f32 p;
            p.rows = ek_taps_inside(top, s->k_h, s->dilation_h, s->in_h, &r0);
            p.taps = ek_taps_inside(left, s->k_w, s->dilation_w, s->in_w, &q0);
            p.row = s->dilation_h * s->in_w * s->in_c;
            p.tap = s->dilation_w * s->in_c;
            p.weights_row = s->k_w * s->out_c;
            p.weights_tap = s->out_c;
            const ek_f32 *x =
                (const ek_f32 *)vx + ((top + r0 * s->dilation_h) * s->in_w + left + q0 * s->dilation_w) * s->in_c;
            const float *w = d->weights + (r0 * s->k_w + q0) * s->out_c;
            for (; many == 1 && c + 4 <= s->out_c; c += 4, y += 4) {
                float sums[4] = {d->bias[c], d->bias[c + 1], d->bias[c + 2], d->bias[c + 3]};
                ek_window_4(sums, &p, x + c, w + c);
                ek_store_f32(d, sums, 4, y);
            }
            for (; c < s->out_c; c++)
                *y++ = ek_clamp_f32(ek_window_1(d->bias[c], &p, x + c / many, w + c), d->low, d->high);
        }
}

/* weights: blocks of channels (see ek_block_f32) of [in][channels]. */
EK_INLINE void ek_dense_f32(const struct ek_dense_shape *s, const struct ek_conv_data_f32 *d, const void *vx, void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t r = 0; r < s->rows; r++, x += s->in) {
        const float *w = d->weights;
        for (int32_t c = 0; c < s->out;) {
            const int32_t channels = ek_block_f32(s->out - c);
            float sums[8];
            for (int32_t i = 0; i < channels; i++)
                sums[i] = d->bias[c + i];
            ek_scaled_f32(sums, channels, x, w, s->in);
            ek_store_f32(d, sums, channels, y);
            w += channels * s->in;
            y += channels;
            c += channels;
        }
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
