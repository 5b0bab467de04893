/* Rows of int8: L2_NORMALIZATION and LOG_SOFTMAX in the fixed-point arithmetic of TFLite's reference kernels. */
#ifndef EK_ROWS_H
#define EK_ROWS_H

#include "ek_math.h"
#include "ek_softmax.h"

/* 1 / sqrt(x) for x > 0: GetInvSqrtQuantizedMultiplierExp (internal/common.h). */
EK_INLINE void ek_inverse_root(int32_t x, int32_t *multiplier, int32_t *shift)
{
    *multiplier = INT32_MAX;
    *shift = 0;
    if (x <= 1)
        return;
    int32_t right = 11, room = 0;
    for (; x >= 1 << 29; right++)
        x /= 4;
    while (x < 1 << 27) {
        x *= 4;
        room++;
    }
    right -= room;
    /* three integer bits */
    const int32_t half = ek_divide_pot(x >> 1, 1);
    int32_t root = 1 << 28;
    for (int32_t n = 0; n < 5; n++) {
        const int32_t square = ek_doubling_high(root, root);
        const int32_t cube = ek_shift_saturating(ek_doubling_high(square, root), 6);
        const int32_t step = ek_doubling_high((1 << 28) + (1 << 27), root) - ek_doubling_high(half, cube);
        root = ek_shift_saturating(step, 3);
    }
    *multiplier = ek_doubling_high(root, 1518500250); /* sqrt(2) / 2 */
    if (right < 0)
        *multiplier = ek_shift_left(*multiplier, -right);
    else
        *shift = -right;
}

struct ek_norm_data {
    int32_t x_zero;
};

/* Rows divided by their norms, in steps of 1 / 128. */
EK_INLINE void ek_l2_normalization_s8(const struct ek_rows_shape *s, const struct ek_norm_data *d, const int8_t *x,
                                      int8_t *y)
{
    for (int32_t row = 0; row < s->rows; row++, x += s->depth, y += s->depth) {
        int32_t squares = 0, multiplier, shift;
        for (int32_t i = 0; i < s->depth; i++)
            squares += (x[i] - d->x_zero) * (x[i] - d->x_zero);
        ek_inverse_root(squares, &multiplier, &shift);
        for (int32_t i = 0; i < s->depth; i++)
            y[i] = (int8_t)ek_clamp(ek_requantize(x[i] - d->x_zero, multiplier, shift + 7), INT8_MIN, INT8_MAX);
    }
}

EK_INLINE int32_t ek_leading_zeros(int32_t x)
{
    int32_t count = 0;
    while (count < 32 && !((uint32_t)x << count >> 31))
        count++;
    return count;
}

EK_INLINE int32_t ek_saturated(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

/* log of a number with 12 integer bits that is at least 1, with 5: log_x_for_x_greater_than_or_equal_to_1. */
EK_INLINE int32_t ek_log(int32_t x)
{
    const int32_t quarter = 1 << 23, root_half = 1518500250, root_root_half = 1805811301;
    int32_t room = ek_leading_zeros(x);
    const int32_t first = ek_shift_saturating(ek_doubling_high(ek_shift_saturating(x, room - 1), root_half), 1);
    const int32_t first_power = ek_saturated((int64_t)(12 - room) * (1 << 25) + quarter);
    room = ek_leading_zeros(ek_doubling_high(x, root_half)) - 1;
    const int32_t second = ek_shift_saturating(x, room);
    const int32_t second_power = ek_saturated((int64_t)(12 - room) * (1 << 25) - quarter);
    const int32_t r = ek_min(first, second), power = ek_max(first_power, second_power);
    const int32_t p = (int32_t)(((int64_t)r + root_root_half + 1) >> 1), q = (r - root_root_half) * 2;
    const int32_t square = ek_doubling_high(q, q);
    const int32_t numerator = ek_doubling_high(q, r) + ek_doubling_high(ek_doubling_high(q, square), 117049297);
    const int32_t inner = 1057819769 + q + ek_doubling_high(square, 127690142);
    const int32_t denominator = ek_doubling_high(p, inner) + ek_doubling_high(q, 638450708);
    const int32_t ratio = ek_doubling_high(ek_divide_pot(numerator, 6), ek_one_over_one_plus(denominator));
    return ek_shift_saturating(ek_doubling_high(power, 1488522236) + ratio, 1);
}

struct ek_log_softmax_data {
    struct ek_softmax_data softmax;
    int32_t back_multiplier, back_shift;
};

/* Results from -255 / 16 on, in steps of 1 / 16. */
EK_INLINE void ek_log_softmax_s8(const struct ek_rows_shape *s, const struct ek_log_softmax_data *d, const int8_t *x,
                                 int8_t *y)
{
    const struct ek_softmax_data *e = &d->softmax;
    for (int32_t row = 0; row < s->rows; row++, x += s->depth, y += s->depth) {
        int32_t most = INT8_MIN, total = 0;
        for (int32_t i = 0; i < s->depth; i++)
            most = ek_max(most, x[i]);
        for (int32_t i = 0; i < s->depth; i++)
            if (x[i] - most >= e->least)
                total += ek_divide_pot(ek_share(e, x[i] - most), 12);
        const int32_t log = ek_log(total);
        const int32_t least = ek_max(e->least - 1, ek_requantize(log + INT32_MIN, d->back_multiplier, d->back_shift));
        for (int32_t i = 0; i < s->depth; i++) {
            int32_t value = INT8_MIN;
            if (x[i] - most > least)
                value = ek_divide_pot(ek_requantize(x[i] - most, e->multiplier, e->shift) - log, 22) + 127;
            y[i] = (int8_t)ek_clamp(value, INT8_MIN, INT8_MAX);
        }
    }
}

#endif
