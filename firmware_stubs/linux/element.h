/* Real values as elements of a tensor, as edgekit quantizes. */
#ifndef EDGEKIT_ELEMENT_H
#define EDGEKIT_ELEMENT_H

#include <math.h>
#include <string.h>

#include "edgekit.h"

/* Bytes of an element that a real value can become: float32, or an integer with a scale; 0 of others. */
static inline size_t element_size(const struct edgekit_tensor *t)
{
    if (t->type == EDGEKIT_FLOAT32)
        return 4;
    if (!(t->scale > 0))
        return 0;
    return t->type == EDGEKIT_INT16 ? 2 : t->type == EDGEKIT_INT8 || t->type == EDGEKIT_UINT8 ? 1 : 0;
}

/* Halves to the even number, saturated. */
static inline int64_t element_quantized(const struct edgekit_tensor *t, float real, int64_t low, int64_t high)
{
    double q = rint((double)real / t->scale) + (double)t->zero_point;
    return q<(double)low ? low : q>(double) high ? high : (int64_t)q;
}

/* Write a real value to element `i`, of a type that element_size knows. */
static inline void element_put(const struct edgekit_tensor *t, float real, void *data, size_t i)
{
    if (t->type == EDGEKIT_FLOAT32)
        memcpy((uint8_t *)data + i * sizeof real, &real, sizeof real);
    else if (t->type == EDGEKIT_INT16)
        ((int16_t *)data)[i] = (int16_t)element_quantized(t, real, INT16_MIN, INT16_MAX);
    else if (t->type == EDGEKIT_INT8)
        ((int8_t *)data)[i] = (int8_t)element_quantized(t, real, INT8_MIN, INT8_MAX);
    else
        ((uint8_t *)data)[i] = (uint8_t)element_quantized(t, real, 0, UINT8_MAX);
}

#endif
