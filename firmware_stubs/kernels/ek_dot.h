/* Dot products of int8. */
#ifndef EK_DOT_H
#define EK_DOT_H

#include "ek_math.h"

EK_INLINE int32_t ek_dot_s8(const int8_t *a, const int8_t *b, int32_t count, int32_t sum)
{
    for (int32_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

EK_INLINE void ek_copy(int8_t *to, const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        to[i] = from[i];
}

EK_INLINE void ek_fill(int8_t *to, int8_t value, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        to[i] = value;
}

#endif
