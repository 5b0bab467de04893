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

/* Bytes of a row of weights. */
EK_INLINE int32_t ek_tap_row(const struct ek_conv_shape *s)
{
    return EK_PACKING == EK_PACKING_PAIRS && s->k_w == 3 ? 4 : s->k_w;
}

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
#if EK_PACKING == EK_PACKING_PAIRS
        if (s->pad_left % 2 != 0 && count > 0) {
            to[q++] = *from;
            from += step;
        }
        for (; q + 4 <= count; q += 4, from += 4 * step) {
            const int8_t a = from[0], b = from[step], c = from[2 * step], e = from[3 * step];
            uint32_t *const words = (uint32_t *)(void *)(to + q);
            words[0] = ek_two_halves(a, b);
            words[1] = ek_two_halves(c, e);
        }
#endif
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
            const int8_t *weights = d->weights + channel * s->k_h * ek_tap_row(s);
            int32_t sum = 0;
            for (int32_t i = 0; i < s->k_h; i++, weights += ek_tap_row(s))
                for (int32_t j = 0; j < s->k_w; j++)
                    sum += weights[j] * from[i * s->dilation_h * width + j * s->dilation_w];
            y[(r * s->out_w + q) * s->out_c + channel] = ek_product_stored_s8(d, s->flags, channel, sum);
        }
    }
}

#if EK_PACKING == EK_PACKING_PAIRS
/* Twice the weights of a channel of a 3x3 convolution, in pairs (0, 1) and (1, 2) of each row. */
struct ek_taps {
    uint32_t first[3], last[3];
};

EK_INLINE struct ek_taps ek_taps_load(const int8_t *w)
{
    struct ek_taps t;
    for (int32_t i = 0; i < 3; i++, w += 4) {
        const uint32_t word = ek_load_word(w), even = ek_even_bytes(word), odd = ek_odd_bytes(word);
        t.first[i] = ek_two_halves(ek_low_half(even) * 2, ek_low_half(odd) * 2);
        t.last[i] = ek_two_halves(ek_low_half(odd) * 2, ek_high_half(even) * 2);
    }
    return t;
}

/* Rows of output of one channel, two pixels at a time at stride 1; `width`: of the plane, in words; `step`: from one
   output to the next. */
EK_INLINE void ek_taps_rows1(const struct ek_conv_data *d, int32_t flags, int32_t channel, const uint32_t *plane,
                               int32_t width, int32_t rows, int32_t columns, int8_t *y, int32_t step)
{
    const struct ek_taps t = ek_taps_load(d->weights + 12 * channel);
    const int32_t *c = d->channels + 3 * channel;
    for (; rows > 0; rows--, plane += width - columns / 2) {
        int8_t *const end = y + columns * step;
        for (;;) {
            uint32_t a = plane[0], b = plane[1];
            int32_t p = ek_dual_mac(a, t.first[0], c[0]), q = ek_dual_mac(b, t.last[0], c[0]);
            p = ek_mac_bt(b, t.last[0], p);
            q = ek_mac_tb(a, t.first[0], q);
            a = plane[width];
            b = plane[width + 1];
            p = ek_dual_mac(a, t.first[1], p);
            q = ek_dual_mac(b, t.last[1], q);
            p = ek_mac_bt(b, t.last[1], p);
            q = ek_mac_tb(a, t.first[1], q);
            a = plane[2 * width];
            b = plane[2 * width + 1];
            p = ek_dual_mac(a, t.first[2], p);
            q = ek_dual_mac(b, t.last[2], q);
            p = ek_mac_bt(b, t.last[2], p);
            q = ek_mac_tb(a, t.first[2], q);
            p = ek_requantize_narrow(p, c[1], c[2], d->y_zero);
            q = ek_requantize_narrow(q, c[1], c[2], d->y_zero);
            *y = ek_limited_s8(d, flags, p);
            if (y + step == end)
                break;
            y[step] = ek_limited_s8(d, flags, q);
            y += 2 * step;
            plane++;
            if (y == end)
                break;
        }
        y = end;
    }
}

/* The same at stride 2 along rows; `down`: from one row of outputs to the next, in words. */
EK_INLINE void ek_taps_rows2(const struct ek_conv_data *d, int32_t flags, int32_t channel, const uint32_t *plane,
                               int32_t width, int32_t down, int32_t rows, int32_t columns, int8_t *y, int32_t step)
{
    const struct ek_taps t = ek_taps_load(d->weights + 12 * channel);
    const int32_t *c = d->channels + 3 * channel;
    for (; rows > 0; rows--, plane += down - columns) {
        uint32_t e = plane[0], f = plane[width], g = plane[2 * width];
        for (int8_t *const end = y + columns * step; y != end; y += step) {
            int32_t p = ek_dual_mac(e, t.first[0], c[0]);
            p = ek_dual_mac(f, t.first[1], p);
            p = ek_dual_mac(g, t.first[2], p);
            plane++;
            e = plane[0];
            f = plane[width];
            g = plane[2 * width];
            p = ek_mac_bt(e, t.last[0], p);
            p = ek_mac_bt(f, t.last[1], p);
            p = ek_mac_bt(g, t.last[2], p);
            *y = ek_limited_s8(d, flags, ek_requantize_narrow(p, c[1], c[2], d->y_zero));
        }
    }
}
#endif

/* scratch, aligned to 4 bytes: see depthwise_scratch in edgekit/codegen/schedule/mcu/packing.py. */
EK_INLINE void ek_depthwise_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                      int8_t *y, void *scratch)
{
    const int32_t many = s->out_c / s->in_c, width = ek_plane_width(s);
    const int32_t strip = s->strip > 0 ? ek_min(s->strip, s->out_h) : s->out_h, span = (s->k_h - 1) * s->dilation_h + 1;
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
                if (s->k_h == 3 && s->k_w == 3 && s->dilation_h == 1 && s->dilation_w == 1 &&
                    (s->stride_w == 2 || (s->stride_w == 1 && s->stride_h == 1)) && s->flags & EK_NARROW) {
                    const uint32_t *from = (const uint32_t *)(const void *)plane;
                    if (s->stride_w == 1)
                        ek_taps_rows1(d, s->flags, c, from, width / 2, rows, s->out_w, y + c, s->out_c);
                    else
                        ek_taps_rows2(d, s->flags, c, from, width / 2, width / 2 * s->stride_h, rows, s->out_w, y + c,
                                      s->out_c);
                    continue;
                }
#endif
                ek_plane_rows(s, d, plane, rows, c, y);
            }
        }
    }
}

#endif
