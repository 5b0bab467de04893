/* Functions of elements at the same place of their operands. */
#ifndef EK_ELEMENTS_H
#define EK_ELEMENTS_H

#include "ek_base.h"
#include "ek_math.h"

/* ADD and SUB on int8: both sides with 20 more bits at twice the larger scale, as TFLite adds them. */
struct ek_add_data {
    int32_t a_zero, b_zero, y_zero;
    int32_t a_multiplier, a_shift, b_multiplier, b_shift, y_multiplier, y_shift;
    int32_t low, high;
};

EK_INLINE int8_t ek_added_s8(const struct ek_add_data *d, int32_t a, int32_t b, int32_t sign)
{
    int32_t left = ek_requantize((a - d->a_zero) * (1 << 20), d->a_multiplier, d->a_shift);
    int32_t right = ek_requantize((b - d->b_zero) * (1 << 20), d->b_multiplier, d->b_shift);
    return (int8_t)ek_clamp(ek_requantize(left + sign * right, d->y_multiplier, d->y_shift) + d->y_zero, d->low,
                            d->high);
}

EK_INLINE void ek_added_rows_s8(const struct ek_walk3 *w, const struct ek_add_data *d, const int8_t *a, const int8_t *b,
                                int8_t *y, int32_t sign)
{
    EK_FOR_ROWS(w)
    {
        const int8_t *pa = a + EK_AT(w, 0, i0, i1, i2, i3, i4), *pb = b + EK_AT(w, 1, i0, i1, i2, i3, i4);
        int8_t *py = y + EK_AT(w, 2, i0, i1, i2, i3, i4);
        for (int32_t i = 0; i < w->size[5]; i++)
            py[i * w->step[2][5]] = ek_added_s8(d, pa[i * w->step[0][5]], pb[i * w->step[1][5]], sign);
    }
}

EK_INLINE void ek_add_s8(const struct ek_walk3 *w, const struct ek_add_data *d, const int8_t *a, const int8_t *b,
                         int8_t *y)
{
    ek_added_rows_s8(w, d, a, b, y, 1);
}

EK_INLINE void ek_sub_s8(const struct ek_walk3 *w, const struct ek_add_data *d, const int8_t *a, const int8_t *b,
                         int8_t *y)
{
    ek_added_rows_s8(w, d, a, b, y, -1);
}

#endif
