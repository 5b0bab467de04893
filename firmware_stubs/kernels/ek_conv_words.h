/* Convolutions and dense layers of int16 activations with int8 weights (TFLite's 16x8), as the reference kernels
   compute them: patches of the input as columns, two pixels by two channels at a time.

   Products are added up in 32 bits, EK_CHUNK of them at a time, and in 64 bits beyond. SMLAD multiplies two values with
   two weights, VMLADAV eight. Pixels are read and written in row-major order, each two of them read before they are
   written; groups read the input again. */
#ifndef EK_CONV_WORDS_H
#define EK_CONV_WORDS_H

#include "ek_blocks.h"

/* How a sum is rounded: twice or once with 32 bits, or once with 64 bits and a multiplier of 16 or 32. */
#define EK_TWICE 0
#define EK_ONCE 1
#define EK_WIDE 2
#define EK_WIDE_ONCE 3
/* Of so many products of 16 by 8 bits, every sum fits 32 bits. A multiple of eight. */
#define EK_CHUNK 496

/* weights: as EK_PACKING_ROWS [out_c][k_h][k_w][in_c / groups] or [out][in]. As EK_PACKING_PAIRS, for each two channels
   a, b and each two values k, k + 1 the bytes a, b, a, b; as EK_PACKING_BLOCKS, for each eight values eight bytes of
   the first and eight of the second channel; both padded with zeros. Depthwise without a multiplier, see
   ek_depthwise_conv2d_s16; TransposeConv has rows.
   bias: of convolutions and dense layers, less x_zero * sum(weights of the channel); padding pixels are x_zero. One
   bias, multiplier and shift per output channel. */
struct ek_word_data {
    const int8_t *weights;
    const int64_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
    int32_t rounding, x_zero, y_zero, low, high;
};

/* A multiplier of 16 bits. */
EK_INLINE int64_t ek_reduced(int32_t multiplier)
{
    return multiplier < 0x7FFF0000 ? (multiplier + (1 << 15)) >> 16 : 0x7FFF;
}

/* (x * reduced + half) >> right, for right from 1 to 31: shifts of 64 bits take longer. */
EK_INLINE int32_t ek_rounded_wide(int64_t x, int64_t reduced, uint32_t half, int32_t right)
{
    const uint64_t sum = (uint64_t)(x * reduced) + half;
    return (int32_t)((uint32_t)(sum >> 32) << (32 - right) | (uint32_t)sum >> right);
}

/* MultiplyByQuantizedMultiplier of an int64_t; shift < 15. */
EK_INLINE int32_t ek_requantize_wide(int64_t x, int32_t multiplier, int32_t shift)
{
    return (int32_t)((x * ek_reduced(multiplier) + (INT64_C(1) << (14 - shift))) >> (15 - shift));
}

/* ek_requantize_once of at most 47 bits; shift < 15. */
EK_INLINE int64_t ek_requantize_wide_once(int64_t x, int32_t multiplier, int32_t shift)
{
    const int64_t low = (x & 0xFFFF) * multiplier + (INT64_C(1) << (30 - shift)) - (x < 0 && multiplier > 0);
    return ((x >> 16) * multiplier + (low >> 16)) >> (15 - shift);
}

EK_NOINLINE int16_t ek_stored_s16(const struct ek_word_data *d, int32_t channel, int64_t sum)
{
    const int32_t m = d->multiplier[channel], shift = d->shift[channel];
    const int32_t low = d->low - d->y_zero, high = d->high - d->y_zero;
    int64_t scaled;
    sum += d->bias[channel];
    if (d->rounding == EK_WIDE)
        return (int16_t)(ek_clamp(ek_requantize_wide(sum, m, shift), low, high) + d->y_zero);
    if (d->rounding == EK_WIDE_ONCE)
        scaled = ek_requantize_wide_once(sum, m, shift);
    else if (d->rounding == EK_ONCE)
        scaled = ek_requantize_once((int32_t)sum, m, shift);
    else
        scaled = ek_requantize((int32_t)sum, m, shift);
    return (int16_t)((scaled < low ? low : scaled > high ? high : (int32_t)scaled) + d->y_zero);
}

/* Stores a channel of two pixels, the second one first; sums without bias. */
EK_NOINLINE void ek_store_pixels_s16(const struct ek_word_data *d, int32_t channel, int64_t first, int64_t second,
                                     ek_s16 *y, int32_t stride)
{
    const int32_t right = 15 - d->shift[channel];
    if (d->rounding == EK_WIDE && right < 32) {
        const int64_t bias = d->bias[channel], reduced = ek_reduced(d->multiplier[channel]);
        const int32_t low = d->low - d->y_zero, high = d->high - d->y_zero;
        const uint32_t half = (uint32_t)1 << (right - 1);
        const int32_t b = ek_rounded_wide(second + bias, reduced, half, right);
        y[channel + stride] = (int16_t)(ek_clamp(b, low, high) + d->y_zero);
        const int32_t a = ek_rounded_wide(first + bias, reduced, half, right);
        y[channel] = (int16_t)(ek_clamp(a, low, high) + d->y_zero);
        return;
    }
    y[channel + stride] = ek_stored_s16(d, channel, second);
    y[channel] = ek_stored_s16(d, channel, first);
}

/* Values that weights and columns are padded to. */
EK_INLINE int32_t ek_word_depth(int32_t count)
{
    return EK_PACKING == EK_PACKING_BLOCKS  ? (count + 7) & ~7
           : EK_PACKING == EK_PACKING_PAIRS ? (count + 1) & ~1
                                            : count;
}

/* Two values at any address that is a multiple of two. */
EK_INLINE uint32_t ek_load_values(const ek_s16 *x)
{
    uint32_t word;
    __builtin_memcpy(&word, x, 4);
    return word;
}

/* Up to EK_CHUNK products of the columns of two pixels with the weights of two channels: the first channel's sums of
   both pixels, then the second one's. `second`: from the first channel's weights to the second one's, of rows. */
EK_INLINE void ek_word_chunk(const ek_s16 *x, const ek_s16 *z, const int8_t *w, int32_t second, int32_t count,
                             int32_t *sums)
{
    int32_t a = 0, b = 0, c = 0, e = 0;
#if EK_PACKING == EK_PACKING_BLOCKS && EK_HAS_MVE
    (void)second;
    __asm volatile("dls lr, %[n]\n"
                   "1:\n"
                   "vldrh.16 q0, [%[x]], #16\n"
                   "vldrb.s16 q2, [%[w]], #8\n"
                   "vmladava.s16 %[a], q0, q2\n"
                   "vldrh.16 q1, [%[z]], #16\n"
                   "vmladava.s16 %[b], q1, q2\n"
                   "vldrb.s16 q3, [%[w]], #8\n"
                   "vmladava.s16 %[c], q0, q3\n"
                   "vmladava.s16 %[e], q1, q3\n"
                   "le lr, 1b\n"
                   : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [e] "+Te"(e), [x] "+r"(x), [z] "+r"(z), [w] "+l"(w)
                   : [n] "r"(count / 8)
                   : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
#elif EK_PACKING == EK_PACKING_BLOCKS
    (void)second;
    for (int32_t i = 0; i < count; i++) {
        const int8_t *const at = w + i / 8 * 16 + i % 8;
        a += x[i] * at[0];
        b += z[i] * at[0];
        c += x[i] * at[8];
        e += z[i] * at[8];
    }
#elif EK_PACKING == EK_PACKING_PAIRS
    (void)second;
    EK_UNROLL
    for (int32_t i = 0; i < count; i += 2) {
        const uint32_t weights = ek_load_word(w + 2 * i), first = ek_even_bytes(weights), other = ek_odd_bytes(weights);
        const uint32_t values = ek_load_values(x + i), next = ek_load_values(z + i);
        a = ek_dual_mac(values, first, a);
        b = ek_dual_mac(next, first, b);
        c = ek_dual_mac(values, other, c);
        e = ek_dual_mac(next, other, e);
    }
#else
    for (int32_t i = 0; i < count; i++) {
        const int32_t first = w[i], other = w[second + i];
        a += x[i] * first;
        b += z[i] * first;
        c += x[i] * other;
        e += z[i] * other;
    }
#endif
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = e;
}

/* The same of one pixel: a sum of each channel. */
EK_INLINE void ek_word_chunk_one(const ek_s16 *x, const int8_t *w, int32_t second, int32_t count, int32_t *sums)
{
    int32_t a = 0, b = 0;
#if EK_PACKING == EK_PACKING_BLOCKS && EK_HAS_MVE
    (void)second;
    for (; count > 0; count -= 8, x += 8, w += 16) {
        const int16x8_t values = vldrhq_s16(x);
        a = vmladavaq_s16(a, values, vldrbq_s16(w));
        b = vmladavaq_s16(b, values, vldrbq_s16(w + 8));
    }
#elif EK_PACKING == EK_PACKING_BLOCKS
    (void)second;
    for (int32_t i = 0; i < count; i++) {
        a += x[i] * w[i / 8 * 16 + i % 8];
        b += x[i] * w[i / 8 * 16 + 8 + i % 8];
    }
#elif EK_PACKING == EK_PACKING_PAIRS
    (void)second;
    EK_UNROLL
    for (int32_t i = 0; i < count; i += 2) {
        const uint32_t weights = ek_load_word(w + 2 * i), values = ek_load_values(x + i);
        a = ek_dual_mac(values, ek_even_bytes(weights), a);
        b = ek_dual_mac(values, ek_odd_bytes(weights), b);
    }
#else
    for (int32_t i = 0; i < count; i++) {
        const int32_t value = x[i];
        a += value * w[i];
        b += value * w[second + i];
    }
#endif
    sums[0] = a;
    sums[1] = b;
}

/* `count` output channels of one pixel, from `channel` on. */
EK_NOINLINE void ek_word_pixel(const struct ek_word_data *d, const ek_s16 *x, const int8_t *weights, int32_t depth,
                               int32_t channel, int32_t count, ek_s16 *y)
{
    const int32_t width = EK_PACKING == EK_PACKING_ROWS ? 1 : 2;
    for (const int32_t end = channel + count; channel < end; channel += 2, weights += 2 * depth) {
        const int32_t both = channel + 1 < end;
        int64_t first = 0, second = 0;
        for (int32_t at = 0; at < depth; at += EK_CHUNK) {
            int32_t sums[2];
            ek_word_chunk_one(x + at, weights + width * at, both ? depth : 0, ek_min(EK_CHUNK, depth - at), sums);
            first += sums[0];
            second += sums[1];
        }
        if (both)
            y[channel + 1] = ek_stored_s16(d, channel + 1, second);
        y[channel] = ek_stored_s16(d, channel, first);
    }
}

/* `count` output channels of two pixels, from `channel` on; `depth` values in each column. The second pixel lies
   `stride` elements behind the first. */
EK_NOINLINE void ek_word_pixels(const struct ek_word_data *d, const ek_s16 *x, const ek_s16 *z, const int8_t *weights,
                                int32_t depth, int32_t channel, int32_t count, ek_s16 *y, int32_t stride)
{
    const int32_t width = EK_PACKING == EK_PACKING_ROWS ? 1 : 2; /* bytes of weights per value of two channels */
    for (const int32_t end = channel + count; channel < end; channel += 2, weights += 2 * depth) {
        const int32_t both = channel + 1 < end;
        int32_t sums[4];
        ek_word_chunk(x, z, weights, both ? depth : 0, ek_min(EK_CHUNK, depth), sums);
        int64_t total[4] = {sums[0], sums[1], sums[2], sums[3]};
        for (int32_t at = EK_CHUNK; at < depth; at += EK_CHUNK) {
            ek_word_chunk(x + at, z + at, weights + width * at, both ? depth : 0, ek_min(EK_CHUNK, depth - at), sums);
            for (int32_t i = 0; i < 4; i++)
                total[i] += sums[i];
        }
        if (both)
            ek_store_pixels_s16(d, channel + 1, total[2], total[3], y, stride);
        ek_store_pixels_s16(d, channel, total[0], total[1], y, stride);
    }
}

/* Copies the patch of one output pixel, `depth` channels from x on, and pads it with zeros. */
EK_INLINE void ek_word_patch(const struct ek_conv_shape *s, const ek_s16 *x, int32_t depth, int32_t out_y,
                             int32_t out_x, int32_t x_zero, ek_s16 *column)
{
    const int32_t top = out_y * s->stride_h - s->pad_top, left = out_x * s->stride_w - s->pad_left;
    const int32_t count = s->k_h * s->k_w * depth;
    ek_s16 *const end = column + ek_word_depth(count);
    for (int32_t r = 0; r < s->k_h; r++) {
        const int32_t row = top + r * s->dilation_h;
        const int inside = row >= 0 && row < s->in_h;
        if (inside && s->dilation_w == 1 && s->groups == 1 && left >= 0 && left + s->k_w <= s->in_w) {
            ek_copy(column, x + (row * s->in_w + left) * s->in_c, 2 * s->k_w * depth);
            column += s->k_w * depth;
            continue;
        }
        for (int32_t q = 0; q < s->k_w; q++, column += depth) {
            const int32_t at = left + q * s->dilation_w;
            if (inside && at >= 0 && at < s->in_w)
                ek_copy(column, x + (row * s->in_w + at) * s->in_c, 2 * depth);
            else
                for (int32_t i = 0; i < depth; i++)
                    column[i] = (int16_t)x_zero;
        }
    }
    while (column < end)
        *column++ = 0;
}

/* scratch: two columns; see conv_scratch in edgekit/codegen/schedule/mcu/words.py. */
EK_INLINE void ek_conv2d_s16(const struct ek_conv_shape *s, const struct ek_word_data *d, const void *vx, void *vy,
                             void *scratch)
{
    const ek_s16 *x = vx;
    ek_s16 *y = vy, *const columns = scratch;
    const int32_t inputs = s->in_c / s->groups, units = s->out_c / s->groups, pixels = s->out_h * s->out_w;
    const int32_t depth = ek_word_depth(s->k_h * s->k_w * inputs);
    /* Where a pixel is its patch, nothing is copied. */
    const int direct = s->k_h == 1 && s->k_w == 1 && s->groups == 1 && depth == inputs && s->pad_top == 0 &&
                       s->pad_left == 0 && (s->out_h - 1) * s->stride_h < s->in_h &&
                       (s->out_w - 1) * s->stride_w < s->in_w;
    for (int32_t g = 0; g < s->groups; g++) {
        const int32_t packed = EK_PACKING == EK_PACKING_ROWS ? units : (units + 1) & ~1;
        const int8_t *const weights = d->weights + g * packed * depth;
        int32_t out_y = 0, out_x = 0;
        for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
            const int32_t many = ek_min(2, pixels - pixel);
            const ek_s16 *column[2] = {columns, columns + depth};
            for (int32_t p = 0; p < many; p++) {
                if (direct)
                    column[p] = x + (out_y * s->stride_h * s->in_w + out_x * s->stride_w) * inputs;
                else
                    ek_word_patch(s, x + g * inputs, inputs, out_y, out_x, d->x_zero, columns + p * depth);
                if (++out_x == s->out_w) {
                    out_x = 0;
                    out_y++;
                }
            }
            if (many > 1)
                ek_word_pixels(d, column[0], column[1], weights, depth, g * units, units, y + pixel * s->out_c,
                               s->out_c);
            else
                ek_word_pixel(d, column[0], weights, depth, g * units, units, y + pixel * s->out_c);
        }
    }
}

/* Two rows are two pixels. Rows are copied into scratch where the packing pads them. */
EK_INLINE void ek_dense_s16(const struct ek_dense_shape *s, const struct ek_word_data *d, const void *vx, void *vy,
                            void *scratch)
{
    const ek_s16 *x = vx;
    ek_s16 *y = vy, *const columns = scratch;
    const int32_t depth = ek_word_depth(s->in);
    for (int32_t r = 0; r < s->rows; r += 2) {
        const int32_t many = ek_min(2, s->rows - r);
        const ek_s16 *column[2] = {x + r * s->in, x + (r + many - 1) * s->in};
        for (int32_t p = 0; p < many && depth != s->in; p++) {
            ek_copy(columns + p * depth, column[p], 2 * s->in);
            for (int32_t i = s->in; i < depth; i++)
                columns[p * depth + i] = 0;
        }
        if (depth != s->in) {
            column[0] = columns;
            column[1] = columns + (many - 1) * depth;
        }
        if (many > 1)
            ek_word_pixels(d, column[0], column[1], d->weights, depth, 0, s->out, y + r * s->out, s->out);
        else
            ek_word_pixel(d, column[0], d->weights, depth, 0, s->out, y + r * s->out);
    }
}

/* Sums of a window for four channels; `count` of the rows and columns of taps lie in the feature map. */
EK_INLINE void ek_word_window(const struct ek_conv_shape *s, const ek_s16 *x, const int8_t *w, int32_t rows,
                              int32_t taps, int32_t *sums)
{
    const int32_t next_row = s->dilation_h * s->in_w * s->in_c, next = s->dilation_w * s->in_c;
#if EK_PACKING == EK_PACKING_BLOCKS && EK_HAS_MVE
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t q = 0; q < taps; q++)
            sum = vaddq_s32(
                sum, vmulq_s32(vldrhq_s32(x + r * next_row + q * next), vldrbq_s32(w + (r * s->k_w + q) * s->out_c)));
    vstrwq_s32(sums, sum);
#else
    int32_t a = 0, b = 0, c = 0, e = 0;
    for (int32_t r = 0; r < rows; r++) {
        const ek_s16 *from = x + r * next_row;
        const int8_t *weights = w + r * s->k_w * s->out_c;
        for (int32_t q = 0; q < taps; q++, from += next, weights += s->out_c) {
#if EK_PACKING == EK_PACKING_PAIRS
            const uint32_t four = ek_load_word(weights), first = ek_even_bytes(four), last = ek_odd_bytes(four);
            const uint32_t values = ek_load_values(from), others = ek_load_values(from + 2);
            a = ek_mac_bb(values, first, a);
            b = ek_mac_tt(values, first, b);
            c = ek_mac_bb(others, last, c);
            e = ek_mac_tt(others, last, e);
#else
            a += from[0] * weights[0];
            b += from[1] * weights[1];
            c += from[2] * weights[2];
            e += from[3] * weights[3];
#endif
        }
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = e;
#endif
}

/* Without a multiplier, of at most EK_CHUNK taps, x_zero = 0. weights: [k_h][k_w][out_c]; EK_PACKING_PAIRS has the
   second and third of four channels exchanged. */
EK_INLINE void ek_depthwise_conv2d_s16(const struct ek_conv_shape *s, const struct ek_word_data *d, const void *vx,
                                       void *vy)
{
    ek_s16 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            const int32_t top = oy * s->stride_h - s->pad_top, left = ox * s->stride_w - s->pad_left;
            int32_t r0, q0, c = 0;
            const int32_t rows = ek_taps_inside(top, s->k_h, s->dilation_h, s->in_h, &r0);
            const int32_t taps = ek_taps_inside(left, s->k_w, s->dilation_w, s->in_w, &q0);
            const ek_s16 *const x =
                (const ek_s16 *)vx + ((top + r0 * s->dilation_h) * s->in_w + left + q0 * s->dilation_w) * s->in_c;
            const int8_t *const w = d->weights + (r0 * s->k_w + q0) * s->out_c;
            for (; c + 4 <= s->out_c; c += 4) {
                int32_t sums[4];
                ek_word_window(s, x + c, w + c, rows, taps, sums);
                for (int32_t i = 0; i < 4; i++)
                    *y++ = ek_stored_s16(d, c + i, sums[i]);
            }
            for (; c < s->out_c; c++) {
                int32_t sum = 0;
                for (int32_t r = 0; r < rows; r++)
                    for (int32_t q = 0; q < taps; q++)
                        sum += x[(r * s->dilation_h * s->in_w + q * s->dilation_w) * s->in_c + c] *
                               w[(r * s->k_w + q) * s->out_c + c];
                *y++ = ek_stored_s16(d, c, sum);
            }
        }
}

#endif
