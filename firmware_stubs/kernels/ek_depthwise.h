/* DepthwiseConv2D of int8: one channel of a strip of rows at a time, copied with its padding into scratch.

   A strip is read before it is written, channel by channel; see depthwise_behind in
   edgekit/codegen/schedule/mcu/packing.py for how an output may lie over the input. */
#ifndef EK_DEPTHWISE_H
#define EK_DEPTHWISE_H

#include "ek_dot.h"

/* One channel of a strip: values as halfwords where instructions take those in pairs. */
#if EK_PACKING == EK_PACKING_PAIRS
typedef int16_t ek_plane;
#else
typedef int8_t ek_plane;
#endif

/* Columns of a plane, a multiple of two. */
EK_INLINE int32_t ek_plane_width(const struct ek_conv_shape *s)
{
    return ((s->out_w - 1) * s->stride_w + (s->k_w - 1) * s->dilation_w + 2) & ~1;
}

/* Fills a plane with one channel: rows from `top` on. Its padding is there already, but for rows above and below. */
EK_INLINE void ek_plane_load(const struct ek_conv_shape *s, const int8_t *x, int32_t top, int32_t height,
                             ek_plane x_zero, ek_plane *plane)
{
    const int32_t width = ek_plane_width(s), count = ek_min(s->in_w, width - s->pad_left), step = s->in_c;
    for (int32_t r = 0; r < height; r++, plane += width) {
        const int32_t row = top + r;
        ek_plane *to = plane + s->pad_left;
        if (row < 0 || row >= s->in_h) {
            for (int32_t q = 0; q < width; q++)
                plane[q] = x_zero;
            continue;
        }
        const int8_t *from = x + row * s->in_w * step;
        int32_t q = 0;
        for (; q + 4 <= count; q += 4, from += 4 * step) {
            const int8_t a = from[0], b = from[step], c = from[2 * step], e = from[3 * step];
            to[q] = a;
            to[q + 1] = b;
            to[q + 2] = c;
            to[q + 3] = e;
        }
        for (; q < count; q++, from += step)
            to[q] = *from;
    }
}

EK_INLINE void ek_plane_rows(const struct ek_conv_shape *s, const struct ek_conv_data *d, const ek_plane *plane,
                             int32_t rows, int32_t channel, int8_t *y)
{
    const int32_t width = ek_plane_width(s);
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t q = 0; q < s->out_w; q++) {
            const ek_plane *from = plane + r * s->stride_h * width + q * s->stride_w;
            const int8_t *weights = d->weights + channel * s->k_h * s->k_w;
            int32_t sum = d->bias[channel];
            for (int32_t i = 0; i < s->k_h; i++)
                for (int32_t j = 0; j < s->k_w; j++)
                    sum += *weights++ * from[i * s->dilation_h * width + j * s->dilation_w];
            y[(r * s->out_w + q) * s->out_c + channel] = ek_stored_s8(d, s->flags, channel, sum);
        }
    }
}

#if EK_PACKING == EK_PACKING_PAIRS
/* What a channel of a 3x3 convolution needs: twice the weights in pairs (0, 1) and (1, 2) of each row, twice the bias,
   its requantization. */
struct ek_taps {
    uint32_t first[3], last[3];
    int32_t bias, multiplier, power, y_zero;
};

EK_INLINE struct ek_taps ek_taps_load(const struct ek_conv_data *d, int32_t flags, int32_t channel)
{
    struct ek_taps t;
    const int8_t *w = d->weights + channel * 9;
    for (int32_t i = 0; i < 3; i++, w += 3) {
        t.first[i] = ek_two_halves(w[0] * 2, w[1] * 2);
        t.last[i] = ek_two_halves(w[1] * 2, w[2] * 2);
    }
    t.bias = d->bias[channel] * 2;
    t.multiplier = ek_multiplier(d, flags, channel);
    t.power = ek_power(d, flags, channel);
    t.y_zero = d->y_zero;
    return t;
}

EK_INLINE int8_t ek_taps_stored(const struct ek_taps *t, const struct ek_conv_data *d, int32_t flags, int32_t twice)
{
    const int32_t once = ek_high_mul(twice, t->multiplier);
    const int32_t y = ek_high_mac(once + (once >> 31), t->power, t->y_zero);
    return (int8_t)(flags & EK_SATURATES ? ek_saturate_s8(y) : ek_clamp(y, d->low, d->high));
}

/* One row of output: two at a time at stride 1. `width`: of the plane, in words. */
EK_NOINLINE void ek_taps_row1(const struct ek_taps *t, const struct ek_conv_data *d, int32_t flags,
                              const uint32_t *plane, int32_t width, int32_t count, int8_t *y, int32_t step)
{
    const uint32_t f0 = t->first[0], f1 = t->first[1], f2 = t->first[2];
    const uint32_t l0 = t->last[0], l1 = t->last[1], l2 = t->last[2];
    for (;;) {
        uint32_t a = plane[0], b = plane[1];
        int32_t p = ek_dual_mac(a, f0, t->bias), q = ek_dual_mac(b, l0, t->bias);
        p = ek_mac_bt(b, l0, p);
        q = ek_mac_tb(a, f0, q);
        a = plane[width];
        b = plane[width + 1];
        p = ek_dual_mac(a, f1, p);
        q = ek_dual_mac(b, l1, q);
        p = ek_mac_bt(b, l1, p);
        q = ek_mac_tb(a, f1, q);
        a = plane[2 * width];
        b = plane[2 * width + 1];
        p = ek_dual_mac(a, f2, p);
        q = ek_dual_mac(b, l2, q);
        p = ek_mac_bt(b, l2, p);
        q = ek_mac_tb(a, f2, q);
        plane++;
        *y = ek_taps_stored(t, d, flags, p);
        y += step;
        if (--count == 0)
            return;
        *y = ek_taps_stored(t, d, flags, q);
        y += step;
        if (--count == 0)
            return;
    }
}

/* The same at stride 2. */
EK_NOINLINE void ek_taps_row2(const struct ek_taps *t, const struct ek_conv_data *d, int32_t flags,
                              const uint32_t *plane, int32_t width, int32_t count, int8_t *y, int32_t step)
{
    const uint32_t f0 = t->first[0], f1 = t->first[1], f2 = t->first[2];
    const uint32_t l0 = t->last[0], l1 = t->last[1], l2 = t->last[2];
    uint32_t a = plane[0], b = plane[width], c = plane[2 * width];
    for (; count > 0; count--) {
        int32_t p = ek_dual_mac(a, f0, t->bias);
        p = ek_dual_mac(b, f1, p);
        p = ek_dual_mac(c, f2, p);
        plane++;
        a = plane[0];
        b = plane[width];
        c = plane[2 * width];
        p = ek_mac_bt(a, l0, p);
        p = ek_mac_bt(b, l1, p);
        p = ek_mac_bt(c, l2, p);
        *y = ek_taps_stored(t, d, flags, p);
        y += step;
    }
}
#endif

/* scratch, aligned to 4 bytes: see depthwise_scratch in edgekit/codegen/schedule/mcu/packing.py. */
EK_INLINE void ek_depthwise_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                      int8_t *y, void *scratch)
{
    const int32_t many = s->out_c / s->in_c, width = ek_plane_width(s);
    const int32_t strip = s->strip > 0 ? s->strip : s->out_h, span = (s->k_h - 1) * s->dilation_h + 1;
    ek_plane *plane = scratch;
    for (int32_t i = 0; i < ((strip - 1) * s->stride_h + span) * width; i++)
        plane[i] = (ek_plane)d->x_zero;
    for (int32_t first = 0; first < s->out_h; first += strip, y += strip * s->out_w * s->out_c) {
        const int32_t rows = ek_min(strip, s->out_h - first);
        for (int32_t channel = 0; channel < s->in_c; channel++) {
            ek_plane_load(s, x + channel, first * s->stride_h - s->pad_top, (rows - 1) * s->stride_h + span,
                          (ek_plane)d->x_zero, plane);
            for (int32_t c = channel * many; c < (channel + 1) * many; c++) {
#if EK_PACKING == EK_PACKING_PAIRS
                if (s->k_h == 3 && s->k_w == 3 && s->dilation_h == 1 && s->dilation_w == 1 && s->stride_w <= 2 &&
                    s->flags & EK_NARROW) {
                    const struct ek_taps t = ek_taps_load(d, s->flags, c);
                    for (int32_t r = 0; r < rows; r++) {
                        const uint32_t *from = (const uint32_t *)(const void *)(plane + r * s->stride_h * width);
                        int8_t *to = y + r * s->out_w * s->out_c + c;
                        if (s->stride_w == 1)
                            ek_taps_row1(&t, d, s->flags, from, width / 2, s->out_w, to, s->out_c);
                        else
                            ek_taps_row2(&t, d, s->flags, from, width / 2, s->out_w, to, s->out_c);
                    }
                    continue;
                }
#endif
                ek_plane_rows(s, d, plane, rows, c, y);
            }
        }
    }
}

#endif
