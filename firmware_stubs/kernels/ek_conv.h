/* Conv2D of int8: patches of the input as columns, one or two at a time, times the weights.

   Output pixels are computed in row-major order, all channels of a pixel together (of a group, where there are
   several), and a pixel's patch is read before the pixel is written: without groups, an output may lie over the input
   as far behind it as the rows of both allow. */
#ifndef EK_CONV_H
#define EK_CONV_H

#include "ek_blocks.h"
#include "ek_pairs.h"

/* Copies the patch of one output pixel, `depth` channels starting at x, taps in the order of the weights. Up to 3 bytes
   behind it are overwritten. */
EK_INLINE void ek_patch_s8(const struct ek_conv_shape *s, const int8_t *x, int32_t depth, int32_t out_y, int32_t out_x,
                           int8_t x_zero, int8_t *column)
{
    const int32_t top = out_y * s->stride_h - s->pad_top, left = out_x * s->stride_w - s->pad_left;
    EK_UNROLL
    for (int32_t r = 0; r < s->k_h; r++) {
        const int32_t row = top + r * s->dilation_h;
        const int inside = row >= 0 && row < s->in_h;
        if (inside && s->dilation_w == 1 && s->groups == 1 && left >= 0 && left + s->k_w <= s->in_w) {
            const int8_t *from = x + (row * s->in_w + left) * s->in_c;
            const int32_t count = s->k_w * depth;
            if (row + 1 < s->in_h && count >= 3)
                /* Whole words: what is too much, the next row overwrites. */
                EK_UNROLL
            for (int32_t i = 0; i < count; i += 4)
                __builtin_memcpy(column + i, from + i, 4);
            else ek_copy(column, from, count);
            column += count;
            continue;
        }
        for (int32_t q = 0; q < s->k_w; q++, column += depth) {
            const int32_t at = left + q * s->dilation_w;
            if (inside && at >= 0 && at < s->in_w)
                ek_copy(column, x + (row * s->in_w + at) * s->in_c, depth);
            else
                ek_fill(column, x_zero, depth);
        }
    }
}

EK_INLINE void ek_conv2d_rows_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                 int8_t *y, int8_t *column)
{
    const int32_t depth = s->in_c / s->groups, units = s->out_c / s->groups;
    const int32_t count = s->k_h * s->k_w * depth;
    for (int32_t g = 0; g < s->groups; g++) {
        for (int32_t out_y = 0; out_y < s->out_h; out_y++) {
            for (int32_t out_x = 0; out_x < s->out_w; out_x++) {
                int8_t *to = y + (out_y * s->out_w + out_x) * s->out_c;
                ek_patch_s8(s, x + g * depth, depth, out_y, out_x, (int8_t)d->x_zero, column);
                for (int32_t c = g * units; c < (g + 1) * units; c++)
                    to[c] = ek_product_stored_s8(d, s->flags, c, ek_dot_row(d->weights, s->flags, c, column, count));
            }
        }
    }
}

/* The patch of one output pixel, expanded into one of two interleaved columns. `stage` holds a patch of bytes where
   channels are not a multiple of four. */
EK_INLINE void ek_patch_pairs(const struct ek_conv_shape *s, const int8_t *x, int32_t depth, int32_t out_y,
                              int32_t out_x, int8_t x_zero, ek_u32 *column, int8_t *stage)
{
    const int32_t top = out_y * s->stride_h - s->pad_top, left = out_x * s->stride_w - s->pad_left;
    if (depth % 4 != 0) {
        ek_patch_s8(s, x, depth, out_y, out_x, x_zero, stage);
        ek_expand(column, stage, (s->k_h * s->k_w * depth + 3) / 4);
        return;
    }
    const uint32_t zero = ek_two_halves(x_zero, x_zero);
    for (int32_t r = 0; r < s->k_h; r++) {
        const int32_t row = top + r * s->dilation_h;
        const int inside = row >= 0 && row < s->in_h;
        if (inside && s->dilation_w == 1 && s->groups == 1 && left >= 0 && left + s->k_w <= s->in_w) {
            ek_expand(column, x + (row * s->in_w + left) * s->in_c, s->k_w * depth / 4);
            column += s->k_w * depth;
            continue;
        }
        for (int32_t q = 0; q < s->k_w; q++, column += depth) {
            const int32_t at = left + q * s->dilation_w;
            if (inside && at >= 0 && at < s->in_w)
                ek_expand(column, x + (row * s->in_w + at) * s->in_c, depth / 4);
            else
                for (int32_t i = 0; i < depth; i += 2)
                    column[i] = zero;
        }
    }
}

EK_INLINE void ek_conv2d_pairs_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                  int8_t *y, ek_u32 *columns)
{
    const int32_t depth = s->in_c / s->groups, units = s->out_c / s->groups, pixels = s->out_h * s->out_w;
    const int32_t chunks = (s->k_h * s->k_w * depth + 3) / 4;
    int8_t *const stage = (int8_t *)(columns + 4 * chunks);
    for (int32_t g = 0; g < s->groups; g++) {
        const int8_t *weights = d->weights + g * ((units + 3) / 4) * chunks * (ek_is_int4(s->flags) ? 8 : 16);
        int32_t out_y = 0, out_x = 0;
        for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
            const int32_t many = ek_min(2, pixels - pixel);
            for (int32_t p = 0; p < many; p++) {
                ek_patch_pairs(s, x + g * depth, depth, out_y, out_x, (int8_t)d->x_zero, columns + p, stage);
                if (++out_x == s->out_w) {
                    out_x = 0;
                    out_y++;
                }
            }
            ek_pairs_s8(d, columns, weights, 2 * chunks, g * units, units, s->flags, y + pixel * s->out_c,
                        many > 1 ? s->out_c : 0);
        }
    }
}

EK_INLINE void ek_conv2d_blocks_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                   int8_t *y, int8_t *columns)
{
    const int32_t depth = s->in_c / s->groups, units = s->out_c / s->groups, pixels = s->out_h * s->out_w;
    const int32_t count = s->k_h * s->k_w * depth, steps = (count + 15) / 16;
    /* Where a pixel is its patch, nothing is copied. */
    const int direct = s->k_h == 1 && s->k_w == 1 && s->groups == 1 && depth % 16 == 0 && s->pad_top == 0 &&
                       s->pad_left == 0 && (s->out_h - 1) * s->stride_h < s->in_h &&
                       (s->out_w - 1) * s->stride_w < s->in_w;
    if (!direct) {
        ek_fill(columns + count, 0, 16 * steps - count);
        ek_fill(columns + 16 * steps + count, 0, 16 * steps - count);
    }
    for (int32_t g = 0; g < s->groups; g++) {
        const int8_t *weights = d->weights + g * ((units + 1) / 2) * steps * (ek_is_int4(s->flags) ? 16 : 32);
        int32_t out_y = 0, out_x = 0;
        for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
            const int32_t many = ek_min(2, pixels - pixel);
            const int8_t *column[2] = {columns, columns + 16 * steps};
            for (int32_t p = 0; p < many; p++) {
                if (direct)
                    column[p] = x + (out_y * s->stride_h * s->in_w + out_x * s->stride_w) * depth;
                else
                    ek_patch_s8(s, x + g * depth, depth, out_y, out_x, (int8_t)d->x_zero, columns + p * 16 * steps);
                if (++out_x == s->out_w) {
                    out_x = 0;
                    out_y++;
                }
            }
            ek_blocks_s8(d, column[0], many > 1 ? column[1] : column[0], weights, steps, g * units, units, s->flags,
                         y + pixel * s->out_c, many > 1 ? s->out_c : 0);
        }
    }
}

/* scratch, aligned to 4 bytes: see conv_scratch in edgekit/codegen/schedule/mcu/packing.py. */
EK_INLINE void ek_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y,
                            void *scratch)
{
    if (EK_PACKING == EK_PACKING_PAIRS && !(s->flags & EK_PLAIN))
        ek_conv2d_pairs_s8(s, d, x, y, scratch);
    else if (EK_PACKING == EK_PACKING_BLOCKS && !(s->flags & EK_PLAIN))
        ek_conv2d_blocks_s8(s, d, x, y, scratch);
    else
        ek_conv2d_rows_s8(s, d, x, y, scratch);
}

#endif
