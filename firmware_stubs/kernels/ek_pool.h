/* Pools; what lies outside of the feature map does not count. */
#ifndef EK_POOL_H
#define EK_POOL_H

#include "ek_blocks.h"

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

#if EK_HAS_MVE || EK_HAS_DSP
/* The sums of four channels over a window; of at most 256 pixels where halfwords hold them. */
EK_INLINE void ek_four_totals(const int8_t *x, int32_t rows, int32_t row, int32_t columns, int32_t column,
                              int32_t *totals)
{
#if EK_HAS_MVE
    int32x4_t sum = vdupq_n_s32(0);
#else
    uint32_t even = 0, odd = 0;
#endif
    for (int32_t r = 0; r < rows; r++, x += row) {
        const int8_t *from = x;
        for (int32_t q = 0; q < columns; q++, from += column) {
#if EK_HAS_MVE
            sum = vaddq_s32(sum, vldrbq_s32(from));
#else
            const uint32_t word = ek_load_word(from);
            __asm("sxtab16 %0, %0, %1" : "+r"(even) : "r"(word));
            __asm("sxtab16 %0, %0, %1, ror #8" : "+r"(odd) : "r"(word));
#endif
        }
    }
#if EK_HAS_MVE
    vstrwq_s32(totals, sum);
#else
    totals[0] = ek_low_half(even);
    totals[1] = ek_low_half(odd);
    totals[2] = ek_high_half(even);
    totals[3] = ek_high_half(odd);
#endif
}
#endif

/* Rounded half away from zero. */
EK_INLINE int8_t ek_mean_s8(const struct ek_limits *d, int32_t total, int32_t count)
{
    const int32_t mean = total > 0 ? (total + count / 2) / count : (total - count / 2) / count;
    return (int8_t)ek_clamp(mean, d->low, d->high);
}

EK_INLINE void ek_average_pool_s8(const struct ek_pool_shape *s, const struct ek_limits *d, const int8_t *x, int8_t *y)
{
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            int32_t rows, columns, top = ek_inside(oy, s->stride_h, s->pad_top, s->k_h, s->in_h, &rows),
                                   left = ek_inside(ox, s->stride_w, s->pad_left, s->k_w, s->in_w, &columns);
            const int8_t *const from = x + (top * s->in_w + left) * s->channels;
            const int32_t count = rows * columns;
            int32_t c = 0;
#if EK_HAS_MVE || EK_HAS_DSP
            for (; c + 4 <= s->channels && (EK_HAS_MVE || count <= 256); c += 4) {
                int32_t totals[4];
                ek_four_totals(from + c, rows, s->in_w * s->channels, columns, s->channels, totals);
                for (int32_t i = 0; i < 4; i++)
                    *y++ = ek_mean_s8(d, totals[i], count);
            }
#endif
            for (; c < s->channels; c++) {
                int32_t total = 0;
                for (int32_t r = 0; r < rows; r++)
                    for (int32_t q = 0; q < columns; q++)
                        total += from[(r * s->in_w + q) * s->channels + c];
                *y++ = ek_mean_s8(d, total, count);
            }
        }
}

#endif
