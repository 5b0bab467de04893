/* Requantization as TFLite's reference kernels compute it, bit for bit. */
#ifndef EK_MATH_H
#define EK_MATH_H

#include "ek_types.h"

EK_INLINE int32_t ek_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

EK_INLINE int32_t ek_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

EK_INLINE int32_t ek_clamp(int32_t x, int32_t low, int32_t high)
{
    return ek_min(ek_max(x, low), high);
}

/* The taps [*first, *first + result) of `k` that lie in `size`, of a window that begins at `start`. */
EK_INLINE int32_t ek_taps_inside(int32_t start, int32_t k, int32_t dilation, int32_t size, int32_t *first)
{
    const int32_t skipped = start < 0 ? (-start + dilation - 1) / dilation : 0;
    const int32_t end = start < size ? (size - start + dilation - 1) / dilation : 0;
    *first = skipped;
    return ek_max(0, ek_min(end, k) - skipped);
}

/* x * 2^bits, wrapped to 32 bits. */
EK_INLINE int32_t ek_shift_left(int32_t x, int32_t bits)
{
    return (int32_t)((uint32_t)x << bits);
}

/* SaturatingRoundingDoublingHighMul: (2ab + 2^31) / 2^32, halves up. */
EK_INLINE int32_t ek_doubling_high(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN)
        return INT32_MAX;
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* RoundingDivideByPOT: x / 2^bits, halves away from zero. */
EK_INLINE int32_t ek_divide_pot(int32_t x, int32_t bits)
{
    const int64_t half = (INT64_C(1) << bits) >> 1;
    return (int32_t)((x + half - (bits > 0 && x < 0)) >> bits);
}

/* MultiplyByQuantizedMultiplier: x * multiplier * 2^(shift - 31), rounded twice; multiplier >= 0.

   The first rounding is floor((v * multiplier + 2^30) / 2^31), the second floor((that + half - (v < 0)) / 2^right):
   floors of quotients nest, so that one division does both. Where the first result is 0, the correction for negative
   numbers changes nothing. */
EK_INLINE int32_t ek_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t v = shift > 0 ? ek_shift_left(x, shift) : x;
    if (shift >= 0)
        return (int32_t)(((int64_t)v * multiplier + (INT64_C(1) << 30)) >> 31);
    const int64_t half = (INT64_C(1) << (30 - shift)) + (INT64_C(1) << 30) - (v < 0 ? INT64_C(1) << 31 : 0);
    return (int32_t)(((int64_t)v * multiplier + half) >> (31 - shift));
}

/* The same rounded once, halves away from zero: what FULLY_CONNECTED does. shift <= 30. */
EK_INLINE int64_t ek_requantize_once(int32_t x, int32_t multiplier, int32_t shift)
{
    const int64_t product = (int64_t)x * multiplier;
    return (product + (INT64_C(1) << (30 - shift)) - (product < 0)) >> (31 - shift);
}

EK_INLINE int32_t ek_multiplier(const struct ek_conv_data *d, int32_t flags, int32_t channel)
{
    return d->multiplier[flags & EK_PER_TENSOR ? 0 : channel];
}

EK_INLINE int32_t ek_shift(const struct ek_conv_data *d, int32_t flags, int32_t channel)
{
    return d->shift[flags & EK_PER_TENSOR ? 0 : channel];
}

/* The stored result of a convolution's sum. */
EK_INLINE int8_t ek_stored_s8(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32_t sum)
{
    const int32_t scaled = ek_requantize(sum, ek_multiplier(d, flags, channel), ek_shift(d, flags, channel));
    return (int8_t)(ek_clamp(scaled, d->low - d->y_zero, d->high - d->y_zero) + d->y_zero);
}

EK_INLINE int8_t ek_stored_once_s8(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32_t sum)
{
    const int64_t scaled = ek_requantize_once(sum, ek_multiplier(d, flags, channel), ek_shift(d, flags, channel));
    const int32_t least = d->low - d->y_zero, most = d->high - d->y_zero;
    return (int8_t)((scaled < least ? least : scaled > most ? most : (int32_t)scaled) + d->y_zero);
}

#endif
