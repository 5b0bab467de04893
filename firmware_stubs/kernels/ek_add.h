/* ADD and SUB of int8 on operands that lie in memory in one order: the same results as ek_added_s8, in fewer steps.

   One operand has the larger scale, so that its factor is exactly 1/2 and takes a shift. The other factor and that of
   the sum are multiplications with two roundings (ek_requantize_narrow), by 2^-2 or less, so that powers fit 32 bits.
 */
#ifndef EK_ADD_H
#define EK_ADD_H

#include "ek_blocks.h"

/* ADD and SUB: both sides with more bits (int8: 20, int16: 15) at twice the larger scale. SQUARED_DIFFERENCE: 7. */
struct ek_add_data {
    int32_t a_zero, b_zero, y_zero;
    int32_t a_multiplier, a_shift, b_multiplier, b_shift, y_multiplier, y_shift;
    int32_t low, high;
};

EK_INLINE int ek_is_half(int32_t multiplier, int32_t shift)
{
    return multiplier == (1 << 30) && shift == 0;
}

EK_INLINE int ek_is_small(int32_t shift)
{
    return shift <= -2 && shift >= -30;
}

/* Whether the functions below take these numbers. */
EK_INLINE int ek_add_is_short(const struct ek_add_data *d)
{
    const int a = ek_is_half(d->a_multiplier, d->a_shift), b = ek_is_half(d->b_multiplier, d->b_shift);
    return ek_is_small(d->y_shift) && ((a && (b || ek_is_small(d->b_shift))) || (b && ek_is_small(d->a_shift)));
}

/* `count` results: half of a, whose factor is 1/2, plus `sign` times b; `both`: b's factor is 1/2, too. */
EK_INLINE void ek_add_line(const struct ek_add_data *d, const int8_t *a, int32_t a_zero, int32_t a_sign,
                           const int8_t *b, int32_t b_zero, int32_t b_sign, int32_t multiplier, int32_t shift,
                           const int both, int8_t *y, int32_t count)
{
    const int32_t low = d->low, high = d->high, y_zero = d->y_zero, y_multiplier = d->y_multiplier;
#if EK_HAS_MVE
    const int32x4_t right = vdupq_n_s32(shift), y_right = vdupq_n_s32(d->y_shift);
    for (int32_t i = 0; i < count; i += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)(count - i));
        int32x4_t p = vshlq_n_s32(vsubq_n_s32(vldrbq_z_s32(a + i, some), a_zero), 19);
        int32x4_t q = vsubq_n_s32(vldrbq_z_s32(b + i, some), b_zero);
        if (both) {
            q = vshlq_n_s32(q, 19);
        } else {
            q = vqrdmulhq_n_s32(vshlq_n_s32(q, 20), multiplier);
            q = vrshlq_s32(vaddq_s32(q, vshrq_n_s32(q, 31)), right);
        }
        p = a_sign < 0 ? vsubq_s32(q, p) : b_sign < 0 ? vsubq_s32(p, q) : vaddq_s32(p, q);
        p = vqrdmulhq_n_s32(p, y_multiplier);
        p = vaddq_n_s32(vrshlq_s32(vaddq_s32(p, vshrq_n_s32(p, 31)), y_right), y_zero);
        p = vminq_s32(vmaxq_s32(p, vdupq_n_s32(low)), vdupq_n_s32(high));
        vstrbq_p_s32(y + i, p, some);
    }
#else
    const int32_t power = both ? 0 : (int32_t)(UINT32_C(1) << (32 + shift));
    const int32_t y_power = (int32_t)(UINT32_C(1) << (32 + d->y_shift));
    const int wide = low == INT8_MIN && high == INT8_MAX;
    for (int32_t i = 0; i < count; i++) {
        int32_t p = (a[i] - a_zero) * (a_sign * (1 << 20)), q = (b[i] - b_zero) * (b_sign * (1 << (both ? 20 : 21)));
        if (!both) {
            q = ek_high_mul(q, multiplier);
            q = ek_high_mac(q + (q >> 31), power, 0) * 2;
        }
        p = ek_high_mul(p + q, y_multiplier);
        p = ek_high_mac(p + (p >> 31), y_power, y_zero);
        y[i] = (int8_t)(wide ? ek_saturate_s8(p) : ek_clamp(p, low, high));
    }
#endif
}

EK_NOINLINE void ek_add_dense_s8(const struct ek_add_data *d, const int8_t *a, const int8_t *b, int8_t *y,
                                 int32_t count, int32_t sign)
{
    const int first = ek_is_half(d->a_multiplier, d->a_shift), second = ek_is_half(d->b_multiplier, d->b_shift);
    if (first && second)
        ek_add_line(d, a, d->a_zero, 1, b, d->b_zero, sign, 0, 0, 1, y, count);
    else if (first)
        ek_add_line(d, a, d->a_zero, 1, b, d->b_zero, sign, d->b_multiplier, d->b_shift, 0, y, count);
    else
        ek_add_line(d, b, d->b_zero, sign, a, d->a_zero, 1, d->a_multiplier, d->a_shift, 0, y, count);
}

#endif
