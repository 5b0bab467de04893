/* DepthwiseConv2D of int8: one channel of a strip of rows at a time, copied with its padding into scratch.

   A strip is read before it is written, channel by channel: an output may lie over the input where
   edgekit/codegen/schedule/mcu/packing.py says so. */
#ifndef EK_DEPTHWISE_H
#define EK_DEPTHWISE_H

#include "ek_dot.h"

/* scratch: one channel of a strip with its padding, ((strip - 1) * stride_h + (k_h - 1) * dilation_h + 1) *
   ((out_w - 1) * stride_w + (k_w - 1) * dilation_w + 1) bytes. */
EK_INLINE void ek_depthwise_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                      int8_t *y, void *scratch)
{
    const int32_t many = s->out_c / s->in_c, taps = s->k_h * s->k_w;
    const int32_t width = (s->out_w - 1) * s->stride_w + (s->k_w - 1) * s->dilation_w + 1;
    const int32_t strip = s->strip > 0 ? s->strip : s->out_h;
    int8_t *plane = scratch;
    for (int32_t first = 0; first < s->out_h; first += strip) {
        const int32_t rows = ek_min(strip, s->out_h - first);
        const int32_t height = (rows - 1) * s->stride_h + (s->k_h - 1) * s->dilation_h + 1;
        for (int32_t channel = 0; channel < s->in_c; channel++) {
            for (int32_t r = 0; r < height; r++) {
                const int32_t row = first * s->stride_h - s->pad_top + r;
                for (int32_t q = 0; q < width; q++) {
                    const int32_t at = q - s->pad_left;
                    const int inside = row >= 0 && row < s->in_h && at >= 0 && at < s->in_w;
                    plane[r * width + q] = inside ? x[(row * s->in_w + at) * s->in_c + channel] : (int8_t)d->x_zero;
                }
            }
            for (int32_t c = channel * many; c < (channel + 1) * many; c++) {
                for (int32_t r = 0; r < rows; r++) {
                    for (int32_t q = 0; q < s->out_w; q++) {
                        const int8_t *from = plane + r * s->stride_h * width + q * s->stride_w;
                        int32_t sum = d->bias[c];
                        for (int32_t i = 0; i < s->k_h; i++)
                            for (int32_t j = 0; j < s->k_w; j++)
                                sum += d->weights[c * taps + i * s->k_w + j] *
                                       from[i * s->dilation_h * width + j * s->dilation_w];
                        y[((first + r) * s->out_w + q) * s->out_c + c] = ek_stored_s8(d, s->flags, c, sum);
                    }
                }
            }
        }
    }
}

#endif
