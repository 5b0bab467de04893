/* Other operators of int16 activations, as the reference kernels compute them. */
#ifndef EK_WORDS_H
#define EK_WORDS_H

#include "ek_conv_words.h"
#include "ek_maps.h"
#include "ek_pool.h"
#include "ek_reduce.h"
#include "ek_softmax.h"
#include "ek_transpose_conv.h"

EK_INLINE void ek_transpose_conv_s16(const struct ek_conv_shape *s, const struct ek_word_data *d, const void *vx,
                                     void *vy)
{
    const ek_s16 *x = vx;
    ek_s16 *y = vy;
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++)
            for (int32_t c = 0; c < s->out_c; c++) {
                int64_t sum = 0;
                for (int32_t r = 0; r < s->k_h; r++)
                    for (int32_t q = 0; q < s->k_w; q++) {
                        const int32_t row = ek_reaching(oy, s->pad_top, r, s->stride_h, s->in_h);
                        const int32_t at = ek_reaching(ox, s->pad_left, q, s->stride_w, s->in_w);
                        const int8_t *w = d->weights + ((c * s->k_h + r) * s->k_w + q) * s->in_c;
                        for (int32_t i = 0; row >= 0 && at >= 0 && i < s->in_c; i++)
                            sum += (x[(row * s->in_w + at) * s->in_c + i] - d->x_zero) * w[i];
                    }
                *y++ = ek_stored_s16(d, c, sum);
            }
}

/* Of each window the largest element, or the mean rounded half away from zero. */
EK_INLINE void ek_pool_s16(const struct ek_pool_shape *s, const struct ek_limits *d, const ek_s16 *x, ek_s16 *y,
                           int32_t largest)
{
    for (int32_t oy = 0; oy < s->out_h; oy++)
        for (int32_t ox = 0; ox < s->out_w; ox++) {
            int32_t rows, columns, top = ek_inside(oy, s->stride_h, s->pad_top, s->k_h, s->in_h, &rows),
                                   left = ek_inside(ox, s->stride_w, s->pad_left, s->k_w, s->in_w, &columns);
            const int32_t count = rows * columns;
            for (int32_t c = 0; c < s->channels; c++) {
                int32_t most = INT16_MIN, total = 0;
                for (int32_t r = 0; r < rows; r++)
                    for (int32_t q = 0; q < columns; q++) {
                        const int32_t value = x[((top + r) * s->in_w + left + q) * s->channels + c];
                        most = ek_max(most, value);
                        total += value;
                    }
                const int32_t mean = total > 0 ? (total + count / 2) / count : (total - count / 2) / count;
                *y++ = (int16_t)ek_clamp(largest ? most : mean, d->low, d->high);
            }
        }
}

EK_INLINE void ek_max_pool_s16(const struct ek_pool_shape *s, const struct ek_limits *d, const void *x, void *y)
{
    ek_pool_s16(s, d, x, y, 1);
}

EK_INLINE void ek_average_pool_s16(const struct ek_pool_shape *s, const struct ek_limits *d, const void *x, void *y)
{
    ek_pool_s16(s, d, x, y, 0);
}

/* LOGISTIC and TANH: (x * multiplier + half) >> shift has steps of 1 / 12288; table: sigmoid(i / 24), [256]. */
struct ek_sigmoid_data {
    const uint16_t *table;
    int32_t multiplier, shift;
};

EK_INLINE int32_t ek_sigmoid_16(const struct ek_sigmoid_data *d, int32_t x, int32_t bits, uint32_t *result)
{
    const int32_t value = (x * d->multiplier + ((1 << d->shift) >> 1)) >> d->shift;
    const uint32_t size = (uint32_t)(value < 0 ? -value : value), place = size >> bits;
    if (place >= 255)
        *result = bits == 9 ? (uint32_t)0x7FFF << 10 : (uint32_t)0xFFFF << 8;
    else
        *result = ((uint32_t)d->table[place] << bits) +
                  (size & (((uint32_t)1 << bits) - 1)) * (uint32_t)(d->table[place + 1] - d->table[place]);
    return value >= 0;
}

EK_INLINE int32_t ek_logistic_of(const struct ek_sigmoid_data *d, int32_t x)
{
    uint32_t result;
    if (ek_sigmoid_16(d, x, 9, &result))
        return (int32_t)((result + (1 << 9)) >> 10);
    return (int32_t)(((1 << 25) - result + (1 << 9) - 1) >> 10);
}

EK_INLINE int32_t ek_tanh_of(const struct ek_sigmoid_data *d, int32_t x)
{
    uint32_t result;
    const int32_t positive = ek_sigmoid_16(d, x, 8, &result), size = (int32_t)result - (1 << 23);
    return (positive ? size + (1 << 7) : -size + (1 << 7) - 1) >> 8;
}

EK_INLINE void ek_logistic_s16(const struct ek_walk2 *w, const struct ek_sigmoid_data *d, const void *va,
                               void *vy){EK_EACH(ek_s16, ek_s16, ek_logistic_of(d, a))}

EK_INLINE void ek_tanh_s16(const struct ek_walk2 *w, const struct ek_sigmoid_data *d, const void *va,
                           void *vy){EK_EACH(ek_s16, ek_s16, ek_tanh_of(d, a))}

EK_REQUANTIZE(s8, s32, ek_s8, ek_s32, INT32_MIN, INT32_MAX)
    EK_REQUANTIZE(s16, s32, ek_s16, ek_s32, INT32_MIN, INT32_MAX)

    /* SOFTMAX of int8 with results of 16 bits. */
    EK_INLINE
    void ek_softmax_s8_s16(const struct ek_rows_shape *s, const struct ek_softmax_data *d, const int8_t *x, void *vy)
{
    ek_s16 *y = vy;
    for (int32_t row = 0; row < s->rows; row++, x += s->depth, y += s->depth) {
        const struct ek_softmax_row r = ek_softmax_summed(d, x, s->depth);
        for (int32_t i = 0; i < s->depth; i++)
            y[i] = (int16_t)ek_softmax_stored(d, &r, x[i], 16);
    }
}

/* SOFTMAX of int16: exp of -10 to 0, and 1 / (1 + x) of 0 to 1, [513] each. */
struct ek_softmax_data_s16 {
    const int16_t *exp, *reciprocal;
    int32_t multiplier, shift;
};

EK_INLINE int32_t ek_interpolated(const int16_t *table, int32_t x)
{
    const int32_t place = 256 + (x >> 7);
    return table[place] + (((table[place + 1] - table[place]) * (x & 127) + 64) >> 7);
}

EK_INLINE int32_t ek_power_16(const struct ek_softmax_data_s16 *d, int32_t difference)
{
    const int32_t scaled = ek_requantize(difference, d->multiplier, d->shift);
    return ek_interpolated(d->exp, scaled < -65535 ? INT16_MIN : ek_clamp(scaled + 32767, INT16_MIN, INT16_MAX));
}

EK_INLINE void ek_softmax_s16(const struct ek_rows_shape *s, const struct ek_softmax_data_s16 *d, const void *vx,
                              void *vy)
{
    const ek_s16 *x = vx;
    ek_s16 *y = vy;
    for (int32_t row = 0; row < s->rows; row++, x += s->depth, y += s->depth) {
        int32_t most = INT16_MIN, total = 0, headroom = 0;
        for (int32_t i = 0; i < s->depth; i++)
            most = ek_max(most, x[i]);
        for (int32_t i = 0; i < s->depth; i++)
            total += ek_power_16(d, x[i] - most);
        while (!((uint32_t)total << headroom >> 31))
            headroom++;
        const int32_t shifted = (int32_t)((((int64_t)total << (headroom - 1)) + (1 << 13)) >> 14);
        const int32_t place = ek_clamp(shifted - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX);
        const int64_t inverse = ek_interpolated(d->reciprocal, place);
        for (int32_t i = 0; i < s->depth; i++) {
            const int64_t share = ek_power_16(d, x[i] - most) * inverse + (INT64_C(1) << (30 - headroom));
            y[i] = (int16_t)ek_clamp((int32_t)(share >> (31 - headroom)), 0, INT16_MAX);
        }
    }
}

/* BATCH_MATMUL with sums of 64 bits. */
EK_INLINE void ek_products_s16(const struct ek_product_shape *s, const struct ek_mul_data *d, const void *va,
                               const void *vb, void *vy)
{
    const struct ek_walk3 *w = &s->kept;
    EK_FOR_ROWS(w)
    for (int32_t i5 = 0; i5 < w->size[5]; i5++) {
        const ek_s16 *a = (const ek_s16 *)va + EK_AT(w, 0, i0, i1, i2, i3, i4) + i5 * w->step[0][5];
        const ek_s16 *b = (const ek_s16 *)vb + EK_AT(w, 1, i0, i1, i2, i3, i4) + i5 * w->step[1][5];
        int64_t sum = 0;
        for (int32_t i = 0; i < s->depth; i++)
            sum += (int64_t)(a[i * s->a_step] - d->a_zero) * (b[i * s->b_step] - d->b_zero);
        const int32_t value = ek_requantize_wide(sum, d->multiplier, d->shift) + d->y_zero;
        ((ek_s16 *)vy)[EK_AT(w, 2, i0, i1, i2, i3, i4) + i5 * w->step[2][5]] =
            (int16_t)ek_clamp(value, d->low, d->high);
    }
}

#endif
