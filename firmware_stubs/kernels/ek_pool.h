/* Pools; what lies outside of the feature map does not count. */
#ifndef EK_POOL_H
#define EK_POOL_H

#include "ek_base.h"
#include "ek_math.h"

struct ek_pool_shape {
    int32_t in_h, in_w, channels, out_h, out_w, k_h, k_w, stride_h, stride_w, pad_top, pad_left;
};

struct ek_limits {
    int32_t low, high;
};

/* The rows or columns of a window that lie inside: from the first, `count` of them. */
EK_INLINE int32_t ek_inside(int32_t place, int32_t stride, int32_t pad, int32_t window, int32_t size, int32_t *count)
{
    int32_t begin = place * stride - pad, end = begin + window;
    begin = begin < 0 ? 0 : begin;
    end = end > size ? size : end;
    *count = end - begin;
    return begin;
}

EK_INLINE void ek_max_pool_s8(const struct ek_pool_shape *s, const struct ek_limits *d, const int8_t *x, int8_t *y)
{
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            int32_t rows, columns, top = ek_inside(oy, s->stride_h, s->pad_top, s->k_h, s->in_h, &rows),
                                   left = ek_inside(ox, s->stride_w, s->pad_left, s->k_w, s->in_w, &columns);
            for (int32_t c = 0; c < s->channels; c++) {
                int32_t most = INT8_MIN;
                for (int32_t r = 0; r < rows; r++)
                    for (int32_t q = 0; q < columns; q++) {
                        int32_t value = x[((top + r) * s->in_w + left + q) * s->channels + c];
                        most = value > most ? value : most;
                    }
                *y++ = (int8_t)ek_clamp(most, d->low, d->high);
            }
        }
}

EK_INLINE void ek_average_pool_s8(const struct ek_pool_shape *s, const struct ek_limits *d, const int8_t *x, int8_t *y)
{
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            int32_t rows, columns, top = ek_inside(oy, s->stride_h, s->pad_top, s->k_h, s->in_h, &rows),
                                   left = ek_inside(ox, s->stride_w, s->pad_left, s->k_w, s->in_w, &columns);
            int32_t count = rows * columns;
            for (int32_t c = 0; c < s->channels; c++) {
                int32_t total = 0;
                for (int32_t r = 0; r < rows; r++)
                    for (int32_t q = 0; q < columns; q++)
                        total += x[((top + r) * s->in_w + left + q) * s->channels + c];
                int32_t mean = total > 0 ? (total + count / 2) / count : (total - count / 2) / count;
                *y++ = (int8_t)ek_clamp(mean, d->low, d->high);
            }
        }
}

#endif
