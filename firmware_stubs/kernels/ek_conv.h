/* Conv2D of int8: patches of the input as columns, a few at a time, times the weights.

   Output pixels are computed in row-major order, all channels of a pixel together (of a group, where there are
   several), and a pixel's patch is read before the pixel is written: an output may lie over the input where
   edgekit/codegen/schedule/mcu/packing.py says so. */
#ifndef EK_CONV_H
#define EK_CONV_H

#include "ek_dot.h"

/* Copies the patch of one output pixel, `depth` channels starting at x, taps in the order of the weights. */
EK_INLINE void ek_patch_s8(const struct ek_conv_shape *s, const int8_t *x, int32_t depth, int32_t out_y, int32_t out_x,
                           int8_t x_zero, int8_t *column)
{
    const int32_t top = out_y * s->stride_h - s->pad_top, left = out_x * s->stride_w - s->pad_left;
    for (int32_t r = 0; r < s->k_h; r++) {
        const int32_t row = top + r * s->dilation_h;
        for (int32_t q = 0; q < s->k_w; q++) {
            const int32_t at = left + q * s->dilation_w;
            if (row >= 0 && row < s->in_h && at >= 0 && at < s->in_w)
                ek_copy(column, x + (row * s->in_w + at) * s->in_c, depth);
            else
                ek_fill(column, x_zero, depth);
            column += depth;
        }
    }
}

/* scratch: k_h * k_w * in_c / groups bytes. */
EK_INLINE void ek_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y,
                            void *scratch)
{
    const int32_t depth = s->in_c / s->groups, units = s->out_c / s->groups;
    const int32_t count = s->k_h * s->k_w * depth, row = (count + 3) & ~3;
    int8_t *column = scratch;
    for (int32_t g = 0; g < s->groups; g++) {
        for (int32_t out_y = 0; out_y < s->out_h; out_y++) {
            for (int32_t out_x = 0; out_x < s->out_w; out_x++) {
                int8_t *to = y + (out_y * s->out_w + out_x) * s->out_c;
                ek_patch_s8(s, x + g * depth, depth, out_y, out_x, (int8_t)d->x_zero, column);
                for (int32_t c = g * units; c < (g + 1) * units; c++)
                    to[c] = ek_stored_s8(d, s->flags, c, ek_dot_s8(d->weights + c * row, column, count, d->bias[c]));
            }
        }
    }
}

#endif
