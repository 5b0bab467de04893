/* SOFTMAX of int8 in fixed-point arithmetic: gemmlowp's exp_on_negative_values and one_over_one_plus_x, as TFLite's
   reference_ops::Softmax uses them (reference/softmax.h), with 5 integer bits for the scaled differences and 12 for
   their sum. */
#ifndef EK_SOFTMAX_H
#define EK_SOFTMAX_H

#include "ek_base.h"
#include "ek_math.h"

struct ek_rows_shape {
    int32_t rows, depth;
};

/* Differences below `least` mean 0. */
struct ek_softmax_data {
    int32_t multiplier, shift, least;
};

/* exp of a number that is not positive, with 5 integer bits; the result has none. */
EK_INLINE int32_t ek_exp(int32_t x)
{
    /* exp(-2^n) for n from -2 to 4 */
    static const int32_t power[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << 24;
    int32_t within = (int32_t)((uint32_t)x & (uint32_t)(quarter - 1)) - quarter; /* [-1/4, 0) */
    /* a Taylor polynomial about -1/8 */
    int32_t t = within * (1 << 5) + (1 << 28);
    int32_t t2 = ek_doubling_high(t, t), t3 = ek_doubling_high(t2, t), t4 = ek_divide_pot(ek_doubling_high(t2, t2), 2);
    int32_t inner = ek_divide_pot(ek_doubling_high(t4 + t3, 715827883) + t2, 1);
    int32_t result = 1895147668 + ek_doubling_high(t + inner, 1895147668);
    int32_t remainder = within - x;
    for (int32_t n = 0; n < 7; n++)
        if (remainder >> (24 + n) & 1)
            result = ek_doubling_high(result, power[n]);
    return x ? result : INT32_MAX;
}

EK_INLINE int32_t ek_shift_saturating(int32_t x, int32_t bits)
{
    int64_t wide = (int64_t)x * (1 << bits);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* 1 / (1 + x) for x in [0, 1], without integer bits. */
EK_INLINE int32_t ek_one_over_one_plus(int32_t x)
{
    int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) >> 1);
    int32_t y = 1515870810 + ek_doubling_high(half, -1010580540);
    for (int32_t n = 0; n < 3; n++) {
        int32_t error = (1 << 29) - ek_doubling_high(half, y);
        y += ek_shift_saturating(ek_doubling_high(y, error), 2);
    }
    return ek_shift_saturating(y, 1);
}

EK_INLINE int32_t ek_share(const struct ek_softmax_data *d, int32_t difference)
{
    return ek_exp(ek_doubling_high(difference * (1 << d->shift), d->multiplier));
}

/* A row: its largest value, and 1 / the sum of all shares with `headroom` bits before it. */
struct ek_softmax_row {
    int32_t most, headroom, inverse;
};

EK_INLINE struct ek_softmax_row ek_softmax_summed(const struct ek_softmax_data *d, const int8_t *x, int32_t depth)
{
    struct ek_softmax_row r = {INT8_MIN, 0, 0};
    int32_t total = 0;
    for (int32_t i = 0; i < depth; i++)
        r.most = ek_max(r.most, x[i]);
    for (int32_t i = 0; i < depth; i++)
        if (x[i] - r.most >= d->least)
            total += ek_divide_pot(ek_share(d, x[i] - r.most), 12);
    while (!((uint32_t)total << r.headroom >> 31))
        r.headroom++;
    r.inverse = ek_one_over_one_plus((int32_t)(((uint32_t)total << r.headroom) - ((uint32_t)1 << 31)));
    return r;
}

/* The share of one value, stored in `bits` bits. */
EK_INLINE int32_t ek_softmax_stored(const struct ek_softmax_data *d, const struct ek_softmax_row *r, int32_t x,
                                    int32_t bits)
{
    const int32_t low = -(1 << (bits - 1));
    if (x - r->most < d->least)
        return low;
    const int32_t share = ek_doubling_high(r->inverse, ek_share(d, x - r->most));
    return ek_clamp(low + ek_divide_pot(share, 12 - r->headroom + 31 - bits), low, -low - 1);
}

EK_INLINE void ek_softmax_s8(const struct ek_rows_shape *s, const struct ek_softmax_data *d, const int8_t *x, int8_t *y)
{
    for (int32_t row = 0; row < s->rows; row++, x += s->depth, y += s->depth) {
        const struct ek_softmax_row r = ek_softmax_summed(d, x, s->depth);
        for (int32_t i = 0; i < s->depth; i++)
            y[i] = (int8_t)ek_softmax_stored(d, &r, x[i], 8);
    }
}

/* SOFTMAX of float32. */
struct ek_softmax_data_f32 {
    float beta;
};

EK_INLINE void ek_softmax_f32(const struct ek_rows_shape *s, const struct ek_softmax_data_f32 *d, const void *vx,
                              void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t row = 0; row < s->rows; row++, x += s->depth, y += s->depth) {
        float most = x[0], total = 0.0f;
        for (int32_t i = 1; i < s->depth; i++)
            most = x[i] > most ? x[i] : most;
        for (int32_t i = 0; i < s->depth; i++) {
            y[i] = __builtin_expf((x[i] - most) * d->beta);
            total += y[i];
        }
        for (int32_t i = 0; i < s->depth; i++)
            y[i] /= total;
    }
}

#endif
