#ifndef EK_MATH_H
#define EK_MATH_H
#include "ek_base.h"
EK_INLINE int32_t ek_clamp(int32_t v, int32_t low, int32_t high) { return v < low ? low : v > high ? high : v; }
EK_INLINE int32_t ek_doubling_high(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
EK_INLINE int32_t ek_divide_pot(int32_t x, int32_t e)
{
    int32_t mask = (int32_t)(((uint32_t)1 << e) - 1), rest = x & mask, t = (mask >> 1) + (x < 0);
    return (x >> e) + (rest > t);
}
EK_INLINE int32_t ek_requantize(int32_t x, int32_t m, int32_t shift)
{
    int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    return ek_divide_pot(ek_doubling_high((int32_t)((uint32_t)x << left), m), right);
}
EK_INLINE int32_t ek_requantize_once(int32_t x, int32_t m, int32_t shift)
{
    int32_t total = 31 - shift;
    return (int32_t)(((int64_t)x * m + ((int64_t)1 << (total - 1))) >> total);
}
#endif
