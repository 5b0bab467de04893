/* DepthwiseConv2D of int8: one channel of a strip of rows at a time, copied with its padding into scratch.

   A strip is read before it is written, channel by channel; see depthwise_behind in
   edgekit/codegen/schedule/mcu/packing.py for how an output may lie over the input. */
#ifndef EK_DEPTHWISE_H
#define EK_DEPTHWISE_H

#include "ek_blocks.h"

/* One channel of a strip: values as halfwords where instructions take those in pairs. */
#if EK_PACKING == EK_PACKING_PAIRS
typedef ek_s16 ek_plane;
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

/* Fills a plane with one channel: rows from `top` on. Its padding is there already; `refill`: but for rows above and
   below, which earlier strips had other uses for. */
EK_INLINE void ek_plane_load(const struct ek_conv_shape *s, const int8_t *x, int32_t top, int32_t height,
                             ek_plane x_zero, int refill, ek_plane *plane)
{
    const int32_t width = ek_plane_width(s), count = ek_min(s->in_w, width - s->pad_left), step = s->in_c;
    for (int32_t r = 0; r < height; r++, plane += width) {
        const int32_t row = top + r;
        ek_plane *to = plane + s->pad_left;
        if (row < 0 || row >= s->in_h) {
            for (int32_t q = 0; refill && q < width; q++)
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
            ek_u32 *const words = (ek_u32 *)(void *)(to + q);
            words[0] = ek_two_halves(a, b);
            words[1] = ek_two_halves(c, e);
        }
#endif
        for (; q < count; q++, from += step)
            to[q] = *from;
    }
}

/* The weights of a channel; EK_INT4: as bytes, in `spare`. */
EK_INLINE const int8_t *ek_channel_taps(const struct ek_conv_shape *s, const struct ek_conv_data *d, int32_t channel,
                                        int8_t *spare)
{
    const int32_t row = ek_tap_row(s), count = s->k_h * s->k_w;
    if (!ek_is_int4(s->flags))
        return d->weights + channel * s->k_h * row;
    const int8_t *nibbles = d->weights + channel * ((count + 1) / 2);
    int8_t *to = spare;
    for (int32_t i = 0, column = 0; i < count; i++) {
        const int8_t both = nibbles[i / 2];
        *to++ = (int8_t)(i % 2 ? ek_high_nibble(both) : ek_low_nibble(both));
        if (++column == s->k_w) {
            column = 0;
            for (int32_t n = s->k_w; n < row; n++)
                *to++ = 0;
        }
    }
    return spare;
}

EK_INLINE void ek_plane_rows(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *taps,
                             const ek_plane *plane, int32_t rows, int32_t channel, int8_t *y)
{
    const int32_t width = ek_plane_width(s);
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t q = 0; q < s->out_w; q++) {
            const ek_plane *from = plane + r * s->stride_h * width + q * s->stride_w;
            const int8_t *weights = taps;
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
    EK_UNROLL
    for (int32_t i = 0; i < 3; i++, w += 4) {
        const uint32_t word = ek_load_word(w), even = ek_even_bytes(word), odd = ek_odd_bytes(word);
        t.first[i] = ek_two_halves((int32_t)(even << 1), (int32_t)(odd << 1));
        t.last[i] = ek_two_halves((int32_t)(odd << 1), (int32_t)(even >> 16 << 1));
    }
    return t;
}

#if EK_HAS_14_REGISTERS
/* clang-format off */
#define EK_WORDS \
    "ldr.w %[a], [%[x]]\n" "ldr.w %[b], [%[x], %[width]]\n" "ldr.w %[c], [%[x], %[width], lsl #1]\n"
#define EK_TAPS(multiply, sum, taps) \
    multiply " %[" sum "], %[a], %[" taps "0], %[" sum "]\n" multiply " %[" sum "], %[b], %[" taps "1], %[" sum "]\n" \
    multiply " %[" sum "], %[c], %[" taps "2], %[" sum "]\n"
#define EK_NEXT_WORD "add.w %[x], %[x], #4\n"
#define EK_ROUND "add.w %[p], %[p], %[p], asr #31\n" "add.w %[q], %[q], %[q], asr #31\n"
#define EK_ROUND_NEAR "asr.w %[a], %[p], #31\n" "add.w %[p], %[a], %[p], lsl #2\n" \
    "asr.w %[a], %[q], #31\n" "add.w %[q], %[a], %[q], lsl #2\n"
#define EK_TAPS_LOOP(body, round) \
    __asm volatile("1:\n" "ldr.w %[p], %[bias]\n" EK_WORDS EK_NEXT_WORD "mov.w %[q], %[p]\n" body \
                   "ldr.w %[a], %[multiplier]\n" "ldr.w %[b], %[power]\n" "ldr.w %[c], %[zero]\n" \
                   "smmulr %[p], %[p], %[a]\n" "smmulr %[q], %[q], %[a]\n" round \
                   "smmlar %[p], %[p], %[b], %[c]\n" "smmlar %[q], %[q], %[b], %[c]\n" \
                   "ldr.w %[a], %[step]\n" "ldr.w %[b], %[end]\n" \
                   "ssat %[p], #8, %[p]\n" "ssat %[q], #8, %[q]\n" \
                   "strb.w %[p], [%[y]]\n" "strb.w %[q], [%[y], %[a]]\n" "add.w %[y], %[y], %[a], lsl #1\n" \
                   "cmp.w %[y], %[b]\n" "bne.w 1b\n" \
                   "ldr.w %[a], %[down]\n" "ldr.w %[b], %[after]\n" "ldr.w %[c], %[last]\n" "ldr.w %[p], %[row]\n" \
                   "add.w %[q], %[y], %[p]\n" "cmp.w %[y], %[c]\n" "beq.n 2f\n" \
                   "str.w %[q], %[end]\n" "add.w %[x], %[x], %[a]\n" "add.w %[y], %[y], %[b]\n" "b.n 1b\n" \
                   "2:\n" \
                   : [p] "=&r"(p), [q] "=&r"(q), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [x] "+r"(plane), [y] "+r"(y), \
                     [end] "+m"(end) \
                   : [f0] "r"(t->first[0]), [f1] "r"(t->first[1]), [f2] "r"(t->first[2]), [l0] "r"(t->last[0]), \
                     [l1] "r"(t->last[1]), [l2] "r"(t->last[2]), [width] "r"(4 * width), [bias] "m"(bias), \
                     [multiplier] "m"(multiplier), [power] "m"(power), [zero] "m"(zero), [step] "m"(step), [down] "m"(down), [after] "m"(after), [last] "m"(last), [row] "m"(row) \
                   : "cc", "memory")
#define EK_TAPS_STRIDE1 EK_TAPS("smlad", "p", "f") EK_TAPS("smlatb", "q", "f") EK_WORDS \
    EK_TAPS("smlabt", "p", "l") EK_TAPS("smlad", "q", "l")
#define EK_TAPS_STRIDE2 EK_TAPS("smlad", "p", "f") EK_WORDS EK_NEXT_WORD EK_TAPS("smlabt", "p", "l") \
    EK_TAPS("smlad", "q", "f") EK_WORDS EK_TAPS("smlabt", "q", "l")
/* clang-format on */

/* Rows of an even number of outputs (`pairs` of two) at stride 1 or 2, for layers that are EK_SATURATES. `down`: from
   the last word of a row to the next row, bytes; `after`: the same for y; `row`: bytes of a row of outputs. */
EK_INLINE void ek_taps_pairs(const struct ek_taps *t, const int32_t *channel, int32_t flags, int32_t zero,
                             const ek_u32 *plane, int32_t width, int32_t down, int32_t stride, int32_t rows,
                             int32_t pairs, int8_t *y, int32_t step, int32_t after)
{
    const int32_t bias = channel[0], multiplier = channel[1], power = channel[2], row = 2 * pairs * step + after;
    const int8_t *end = y + 2 * pairs * step, *const last = end + (rows - 1) * row;
    int32_t p, q;
    uint32_t a, b, c;
    if (stride == 1 && flags & EK_NARROW)
        EK_TAPS_LOOP(EK_TAPS_STRIDE1, EK_ROUND);
    else if (stride == 1)
        EK_TAPS_LOOP(EK_TAPS_STRIDE1, EK_ROUND_NEAR);
    else if (flags & EK_NARROW)
        EK_TAPS_LOOP(EK_TAPS_STRIDE2, EK_ROUND);
    else
        EK_TAPS_LOOP(EK_TAPS_STRIDE2, EK_ROUND_NEAR);
}
#endif

/* Rows of output of one channel, at stride 1 or 2 along rows. `width`: of the plane in words, `down`: from one row of
   outputs to the next; `step`: from one output to the next. */
EK_INLINE void ek_taps_rows(const struct ek_conv_data *d, int32_t flags, const int8_t *taps, int32_t channel,
                            const ek_u32 *plane, int32_t width, int32_t down, int32_t stride, int32_t rows,
                            int32_t columns, int8_t *y, int32_t step)
{
    const struct ek_taps t = ek_taps_load(taps);
    const int32_t *const c = d->channels + 3 * channel;
    int32_t done = 0;
#if EK_HAS_14_REGISTERS
    if (flags & EK_SATURATES && columns > 1) {
        done = columns & ~1;
        ek_taps_pairs(&t, c, flags, d->y_zero, plane, width, 4 * (down - done / 2 * stride), stride, rows, done / 2, y,
                      step, (columns - done) * step);
    }
#endif
    for (; done < columns && rows > 0; rows--, plane += down, y += columns * step) {
        for (int32_t i = done; i < columns; i++) {
            const ek_u32 *from = plane + i * stride / 2;
            const int odd = i * stride % 2; /* the window begins in the upper half of a word */
            int32_t sum = 0;
            for (int32_t n = 0; n < 3; n++, from += width) {
                sum = ek_dual_mac(from[0], odd ? t.first[n] << 16 : t.first[n], sum);
                sum = ek_dual_mac(from[1], odd ? t.last[n] : t.last[n] >> 16, sum);
            }
            y[i * step] = ek_stored_narrow_s8(d, flags, c, sum);
        }
    }
}
#endif

/* Bytes of a row of a window, and rows of the window. */
EK_INLINE int32_t ek_window_row(const struct ek_conv_shape *s)
{
    return ((s->out_w - 1) * s->stride_w + (s->k_w - 1) * s->dilation_w + 1) * s->in_c;
}

/* A row of output for four channels (`count`, if less). `rows`: of the window. */
EK_INLINE void ek_lanes_taps(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *const *rows,
                             int32_t channel, int32_t count, int8_t *y)
{
#if EK_HAS_MVE
    const mve_pred16_t lanes = vctp32q((uint32_t)count);
    const struct ek_lanes l = ek_lanes_load(d, s->flags, channel, d->low - d->y_zero, d->high - d->y_zero);
    const int32_t up = channel & 4 ? 24 : 28; /* bits that a weight of four moves up */
    (void)up;
#endif
    const int nibbles = ek_is_int4(s->flags);
    const int32_t next = nibbles ? (s->in_c + 7) / 8 * 4 : s->in_c;
    for (int32_t out_x = 0, at = channel; out_x < s->out_w; out_x++, at += s->stride_w * s->in_c, y += s->out_c) {
        const int8_t *weights = d->weights + (nibbles ? channel / 8 * 4 : channel);
#if EK_HAS_MVE
        int32x4_t sum = vdupq_n_s32(0);
#else
        int32_t sums[4] = {0, 0, 0, 0};
#endif
        for (int32_t i = 0; i < s->k_h; i++) {
            const int8_t *from = rows[i] + at;
            EK_UNROLL
            for (int32_t j = 0; j < s->k_w; j++, weights += next, from += s->dilation_w * s->in_c) {
#if EK_HAS_MVE
                const int32x4_t x = s->in_c % 4 == 0 ? vldrbq_s32(from) : vldrbq_z_s32(from, lanes);
                int32x4_t w;
                if (nibbles)
                    w = vshrq_n_s32(vshlq_r_s32(vldrbq_s32(weights), up), 28);
                else
                    w = s->in_c % 4 == 0 ? vldrbq_s32(weights) : vldrbq_z_s32(weights, lanes);
                sum = vaddq_s32(sum, vmulq_s32(x, w));
#else
                for (int32_t n = 0; n < count; n++)
                    sums[n] += from[n] * (!nibbles      ? weights[n]
                                          : channel & 4 ? ek_high_nibble(weights[n])
                                                        : ek_low_nibble(weights[n]));
#endif
            }
        }
#if EK_HAS_MVE
        ek_lanes_finish(&l, s->flags, d->y_zero, s->in_c % 4 == 0 ? 4 : count, sum, y + channel);
#else
        for (int32_t n = 0; n < count; n++)
            y[channel + n] = ek_stored_s8(d, s->flags, channel + n, sums[n] + d->bias[channel + n]);
#endif
    }
#if EK_HAS_MVE
    (void)lanes;
#endif
}

#if EK_HAS_MVE
/* What results are limited to, less what is added. */
struct ek_bounds {
    int16_t low, high, zero;
};

/* For 8 channels: bias, multiplier and shift of the even ones, then of the odd ones. */
struct ek_halves {
    int32_t bias[8], multiplier[8], right[8];
};

/* A vector at an offset that the instruction holds: GCC computes an address for each. */
#define EK_LOAD_AT(result, base, offset) \
    __asm("vldrw.u32 %q0, [%1, %2]" : "=w"(result) : "r"(base), "i"(offset), "m"(*(const struct ek_halves(*)[2])(base)))

/* Vectors of twice as many numbers, half as wide and saturated: those of the even lanes, then of the odd ones. */
EK_INLINE int16x8_t ek_narrowed(int32x4_t even, int32x4_t odd)
{
    __asm("vqmovnb.s32 %q0, %q0" : "+w"(even)); /* for which GCC copies the vector */
    return vqmovntq_s32(vreinterpretq_s16_s32(even), odd);
}

EK_INLINE int32x4_t ek_half_requantized(int32x4_t sum, const struct ek_halves *h, int32_t at, int32_t flags)
{
    int32x4_t multiplier, shift;
    EK_LOAD_AT(multiplier, h, at + (int32_t)offsetof(struct ek_halves, multiplier));
    EK_LOAD_AT(shift, h, at + (int32_t)offsetof(struct ek_halves, right));
    sum = vqrdmulhq_s32(sum, multiplier);
    sum = vqaddq_s32(sum, vshrq_n_s32(flags & EK_NARROW ? sum : vandq_s32(sum, shift), 31));
    return vrshlq_s32(sum, shift);
}

/* The stored results of eight channels, whose numbers lie `at` bytes from `h`: sums of the even and of the odd ones,
 * which include the bias. */
EK_INLINE void ek_halves_finish(const struct ek_halves *h, int32_t at, int32_t flags, struct ek_bounds limits,
                                int32x4_t even, int32x4_t odd, int8_t *y)
{
    even = ek_half_requantized(even, h, at, flags);
    odd = ek_half_requantized(odd, h, at + 16, flags);
    int16x8_t both = ek_narrowed(even, odd);
    if (flags & EK_SATURATES) {
        both = vqaddq_n_s16(both, limits.zero);
        __asm("vqmovnb.s16 %q0, %q0" : "+w"(both));
    } else {
        both = vminq_s16(vmaxq_s16(both, vdupq_n_s16(limits.low)), vdupq_n_s16(limits.high));
        both = vaddq_n_s16(both, limits.zero);
    }
    vstrbq_s16(y, both);
}

/* Sums of 16 channels: the even and odd ones of the first 8, and of the 8 behind them; products of the first 8 that are
   not added yet, so that loads, products and sums take turns. */
struct ek_sixteen {
    int32x4_t even, odd, next_even, next_odd, late_even, late_odd;
};

/* clang-format off */
#define EK_TAP(add_a, add_b, late, after, behind, next, step) \
    __asm volatile("vldrb.s16 q1, [%[w], #8]\n" add_a \
                   "vldrb.s16 q0, [%[x], #8]\n" add_b \
                   "vmullb.s16 %q[p], q0, q1\n" "vmullt.s16 %q[q], q0, q1\n" \
                   "vldrb.s16 q1, [%[w]]" after "\n" "vadd.i32 %q[c], %q[c], %q[p]\n" \
                   "vldrb.s16 q0, [%[x]]" behind "\n" "vadd.i32 %q[e], %q[e], %q[q]\n" \
                   "vmullb.s16 %q[p], q0, q1\n" "vmullt.s16 %q[q], q0, q1\n" \
                   : [a] "+w"(t->even), [b] "+w"(t->odd), [c] "+w"(t->next_even), [e] "+w"(t->next_odd), \
                     [p] late(t->late_even), [q] late(t->late_odd), [w] "+l"(*weights), [x] "+l"(*from) \
                   : [n] "i"(next), [s] "i"(step) \
                   : "q0", "q1", "memory")
#define EK_FIRST_TAP(...) EK_TAP("", "", "=&w", __VA_ARGS__)
#define EK_LATER_TAP(...) \
    EK_TAP("vadd.i32 %q[a], %q[a], %q[p]\n", "vadd.i32 %q[b], %q[b], %q[q]\n", "+w", __VA_ARGS__)
/* clang-format on */

/* Adds the products of a tap; before the `first` one there are none that are late. The pointers go on to the next tap:
   by constants that instructions hold, if they are small. */
EK_INLINE void ek_tap_16(const int8_t **weights, const int8_t **from, int32_t next, int32_t step, const int first,
                         struct ek_sixteen *t)
{
#if !defined(__clang__)
    if (__builtin_constant_p(next) && __builtin_constant_p(step) && next < 128 && step < 128) {
        if (first)
            EK_FIRST_TAP(", #%c[n]", ", #%c[s]", next, step);
        else
            EK_LATER_TAP(", #%c[n]", ", #%c[s]", next, step);
        return;
    }
#endif
    const int8_t *const weights_after = *weights + next, *const from_after = *from + step;
    if (first)
        EK_FIRST_TAP("", "", 0, 0);
    else
        EK_LATER_TAP("", "", 0, 0);
    *weights = weights_after;
    *from = from_after;
}

/* A row of output for 16 channels, of layers that are EK_NARROW or EK_NEAR: products of halfwords. */
EK_INLINE void ek_many_taps(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *const *rows,
                            int32_t channel, int8_t *y)
{
    const struct ek_halves *h = (const struct ek_halves *)(const void *)d->channels + channel / 8;
    const struct ek_bounds limits = {(int16_t)(d->low - d->y_zero), (int16_t)(d->high - d->y_zero), (int16_t)d->y_zero};
    const int8_t *const taps = d->weights + channel;
    __asm("" : "+r"(h) : : "memory"); /* or its address is computed for each load */
    for (int32_t out_x = 0, at = channel; out_x < s->out_w; out_x++, at += s->stride_w * s->in_c, y += s->out_c) {
        const int8_t *weights = taps;
        struct ek_sixteen t;
        EK_LOAD_AT(t.even, h, 0);
        EK_LOAD_AT(t.odd, h, 16);
        EK_LOAD_AT(t.next_even, h, sizeof *h);
        EK_LOAD_AT(t.next_odd, h, sizeof *h + 16);
        __asm("" : "=w"(t.late_even), "=w"(t.late_odd)); /* anything: the first tap sets them */
        EK_UNROLL
        for (int32_t i = 0; i < s->k_h; i++) {
            const int8_t *from = rows[i] + at;
            const int32_t next = s->in_c, step = s->dilation_w * s->in_c;
            if (i == 0)
                ek_tap_16(&weights, &from, next, step, 1, &t);
            EK_UNROLL
            for (int32_t j = i == 0; j < s->k_w; j++)
                ek_tap_16(&weights, &from, next, step, 0, &t);
        }
        t.even = vaddq_s32(t.even, t.late_even);
        t.odd = vaddq_s32(t.odd, t.late_odd);
        ek_halves_finish(h, 0, s->flags, limits, t.even, t.odd, y + channel);
        ek_halves_finish(h, sizeof *h, s->flags, limits, t.next_even, t.next_odd, y + channel + 8);
    }
}
#endif

/* Bytes that do not overlap. */
EK_INLINE void ek_copy_line(int8_t *to, const int8_t *from, int32_t count)
{
#if EK_HAS_MVE
    for (; count >= 16; count -= 16, to += 16, from += 16)
        vstrbq_s8(to, vldrbq_s8(from));
    if (count > 0) {
        const mve_pred16_t some = vctp8q((uint32_t)count);
        vstrbq_p_s8(to, vldrbq_z_s8(from, some), some);
    }
#else
    ek_copy(to, from, count);
#endif
}

#define EK_MOST_ROWS 16 /* of weights that ek_depthwise_lanes_s8 takes */

/* Without a multiplier, four channels at a time: rows in order, of which the window, with its padding, is copied. */
EK_INLINE void ek_depthwise_lanes_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                     int8_t *y, int8_t *window)
{
    const int32_t bytes = ek_window_row(s), span = (s->k_h - 1) * s->dilation_h + 1;
    const int32_t left = s->pad_left * s->in_c, inside = ek_min(s->in_w * s->in_c, bytes - left);
    int32_t copied = -s->pad_top; /* the next row of the input to be copied; row r lies at (r + pad_top) % span */
    ek_fill(window, (int8_t)d->x_zero, span * bytes);
    for (int32_t out_y = 0; out_y < s->out_h; out_y++) {
        const int8_t *rows[EK_MOST_ROWS];
        const int32_t top = out_y * s->stride_h - s->pad_top;
        for (copied = ek_max(copied, top); copied < top + span; copied++) {
            int8_t *to = window + (copied + s->pad_top) % span * bytes + left;
            if (copied >= 0 && copied < s->in_h)
                ek_copy_line(to, x + copied * s->in_w * s->in_c, inside);
            else
                ek_fill(to, (int8_t)d->x_zero, inside);
        }
        for (int32_t i = 0; i < s->k_h; i++)
            rows[i] = window + (top + s->pad_top + i * s->dilation_h) % span * bytes;
        int32_t c = 0;
#if EK_HAS_MVE
        if (s->flags & (EK_NARROW | EK_NEAR) && !ek_is_int4(s->flags))
            for (; c + 16 <= s->in_c; c += 16)
                ek_many_taps(s, d, rows, c, y);
#endif
        for (; c < s->in_c; c += 4)
            ek_lanes_taps(s, d, rows, c, ek_min(4, s->in_c - c), y);
        y += s->out_w * s->out_c;
    }
}

/* scratch, aligned to 4 bytes: see depthwise_scratch in edgekit/codegen/schedule/mcu/packing.py. */
EK_INLINE void ek_depthwise_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x,
                                      int8_t *y, void *scratch)
{
    if (EK_PACKING == EK_PACKING_BLOCKS && !(s->flags & EK_PLAIN)) {
        ek_depthwise_lanes_s8(s, d, x, y, scratch);
        return;
    }
    const int32_t many = s->out_c / s->in_c, width = ek_plane_width(s);
    const int32_t strip = s->strip > 0 ? ek_min(s->strip, s->out_h) : s->out_h, span = (s->k_h - 1) * s->dilation_h + 1;
    const int32_t elements = ((strip - 1) * s->stride_h + span) * width;
    ek_plane *plane = scratch;
    int8_t *const spare = (int8_t *)(plane + elements);
    for (int32_t i = 0; i < elements; i++)
        plane[i] = (ek_plane)d->x_zero;
    for (int32_t first = 0; first < s->out_h; first += strip, y += strip * s->out_w * s->out_c) {
        const int32_t rows = ek_min(strip, s->out_h - first);
        for (int32_t channel = 0; channel < s->in_c; channel++) {
            ek_plane_load(s, x + channel, first * s->stride_h - s->pad_top, (rows - 1) * s->stride_h + span,
                          (ek_plane)d->x_zero, strip < s->out_h, plane);
            for (int32_t c = channel * many; c < (channel + 1) * many; c++) {
                const int8_t *const taps = ek_channel_taps(s, d, c, spare);
#if EK_PACKING == EK_PACKING_PAIRS
                if (s->k_h == 3 && s->k_w == 3 && s->dilation_h == 1 && s->dilation_w == 1 &&
                    (s->stride_w == 2 || (s->stride_w == 1 && s->stride_h == 1)) && s->flags & (EK_NARROW | EK_NEAR)) {
                    const ek_u32 *from = (const ek_u32 *)(const void *)plane;
                    ek_taps_rows(d, s->flags, taps, c, from, width / 2, width / 2 * s->stride_h, s->stride_w, rows,
                                 s->out_w, y + c, s->out_c);
                    continue;
                }
#endif
                ek_plane_rows(s, d, taps, plane, rows, c, y);
            }
        }
    }
}

#endif
