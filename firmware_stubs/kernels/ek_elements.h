/* Arithmetic and comparisons of quantized elements at the same place of their operands, as TFLite's reference kernels
   compute them. Operands are read before the result at their place is written. */
#ifndef EK_ELEMENTS_H
#define EK_ELEMENTS_H

#include "ek_add.h"

struct ek_mul_data {
    int32_t a_zero, b_zero, y_zero;
    int32_t multiplier, shift;
    int32_t low, high;
};

/* PRELU: `same` for what is not negative, `slope` for products with alpha (b). */
struct ek_prelu_data {
    int32_t a_zero, b_zero, y_zero;
    int32_t same_multiplier, same_shift, slope_multiplier, slope_shift;
    int32_t low, high;
};

struct ek_compare_data {
    int32_t a_zero, a_multiplier, a_shift, b_zero, b_multiplier, b_shift;
};

EK_INLINE int32_t ek_side_a(const struct ek_add_data *d, int32_t a, int32_t bits)
{
    return ek_requantize((a - d->a_zero) * (1 << bits), d->a_multiplier, d->a_shift);
}

EK_INLINE int32_t ek_side_b(const struct ek_add_data *d, int32_t b, int32_t bits)
{
    return ek_requantize((b - d->b_zero) * (1 << bits), d->b_multiplier, d->b_shift);
}

EK_INLINE int32_t ek_sum_stored(const struct ek_add_data *d, int32_t sum)
{
    return ek_clamp(ek_requantize(sum, d->y_multiplier, d->y_shift) + d->y_zero, d->low, d->high);
}

EK_INLINE int32_t ek_square(int32_t x)
{
    return x * x;
}

EK_INLINE int32_t ek_product_stored(const struct ek_mul_data *d, int32_t product)
{
    return ek_clamp(ek_requantize(product, d->multiplier, d->shift) + d->y_zero, d->low, d->high);
}

EK_INLINE int32_t ek_prelu_stored(const struct ek_prelu_data *d, int32_t x, int32_t alpha)
{
    const int32_t scaled = x >= 0 ? ek_requantize(x, d->same_multiplier, d->same_shift)
                                  : ek_requantize(x * alpha, d->slope_multiplier, d->slope_shift);
    return ek_clamp(scaled + d->y_zero, d->low, d->high);
}

EK_INLINE int32_t ek_compared(int32_t x, int32_t zero, int32_t multiplier, int32_t shift)
{
    return ek_requantize((x - zero) * (1 << 8), multiplier, shift);
}

#define EK_QUANTIZED(name, type, data, value)                                                                          \
    EK_INLINE void ek_##name(const struct ek_walk3 *w, const struct data *d, const void *va, const void *vb, void *vy) \
    {                                                                                                                  \
        EK_EACH2(type, type, type, value)                                                                              \
    }

/* ADD (`sign` 1) and SUB (-1) of int8. */
EK_INLINE void ek_added_s8(const struct ek_walk3 *w, const struct ek_add_data *d, const void *va, const void *vb,
                           void *vy, int32_t sign)
{
    if (w->step[0][5] == 1 && w->step[1][5] == 1 && w->step[2][5] == 1 && ek_add_is_short(d)) {
        EK_FOR_ROWS(w)
        ek_add_dense_s8(d, (const int8_t *)va + EK_AT(w, 0, i0, i1, i2, i3, i4),
                        (const int8_t *)vb + EK_AT(w, 1, i0, i1, i2, i3, i4),
                        (int8_t *)vy + EK_AT(w, 2, i0, i1, i2, i3, i4), w->size[5], sign);
    } else {
        EK_EACH2(ek_s8, ek_s8, ek_s8, ek_sum_stored(d, ek_side_a(d, a, 20) + sign * ek_side_b(d, b, 20)))
    }
}

EK_INLINE void ek_add_s8(const struct ek_walk3 *w, const struct ek_add_data *d, const void *va, const void *vb,
                         void *vy)
{
    ek_added_s8(w, d, va, vb, vy, 1);
}

EK_INLINE void ek_sub_s8(const struct ek_walk3 *w, const struct ek_add_data *d, const void *va, const void *vb,
                         void *vy)
{
    ek_added_s8(w, d, va, vb, vy, -1);
}

EK_QUANTIZED(add_s16, ek_s16, ek_add_data, ek_sum_stored(d, ek_side_a(d, a, 15) + ek_side_b(d, b, 15)))
EK_QUANTIZED(sub_s16, ek_s16, ek_add_data, ek_sum_stored(d, ek_side_a(d, a, 15) - ek_side_b(d, b, 15)))
EK_QUANTIZED(squared_difference_s8, ek_s8, ek_add_data,
             ek_sum_stored(d, ek_square(ek_side_a(d, a, 7) - ek_side_b(d, b, 7))))
EK_QUANTIZED(mul_s8, ek_s8, ek_mul_data, ek_product_stored(d, (a - d->a_zero) * (b - d->b_zero)))
EK_QUANTIZED(mul_s16, ek_s16, ek_mul_data, ek_product_stored(d, (a - d->a_zero) * (b - d->b_zero)))
EK_QUANTIZED(prelu_s8, ek_s8, ek_prelu_data, ek_prelu_stored(d, a - d->a_zero, b - d->b_zero))

#define EK_COMPARED(name, operator)                                                                          \
    EK_INLINE void ek_##name##_s8(const struct ek_walk3 *w, const struct ek_compare_data *d, const void *va, \
                                  const void *vb, void *vy)                                                  \
    {                                                                                                        \
        EK_EACH2(ek_s8, ek_s8, ek_u8,                                                                        \
                 ek_compared(a, d->a_zero, d->a_multiplier,                                                  \
                             d->a_shift) operator ek_compared(b, d->b_zero, d->b_multiplier, d->b_shift))    \
    }

EK_COMPARED(equal, ==)
EK_COMPARED(not_equal, !=)
EK_COMPARED(less, <)
EK_COMPARED(less_equal, <=)
EK_COMPARED(greater, >)
EK_COMPARED(greater_equal, >=)

#endif
