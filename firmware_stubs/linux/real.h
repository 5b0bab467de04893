/* The real value of a tensor's element, whose type is float32, int8, uint8 or int16. */
#ifndef EDGEKIT_REAL_H
#define EDGEKIT_REAL_H

#include <stdbool.h>

#include "edgekit.h"

static inline bool real_known(const struct edgekit_tensor *t)
{
    return t->type == EDGEKIT_FLOAT32 || t->type == EDGEKIT_INT8 || t->type == EDGEKIT_UINT8 ||
           t->type == EDGEKIT_INT16;
}

static inline double real_value(const struct edgekit_tensor *t, const void *data, size_t i)
{
    double value = t->type == EDGEKIT_FLOAT32 ? (double)((const float *)data)[i]
                   : t->type == EDGEKIT_INT16 ? ((const int16_t *)data)[i]
                   : t->type == EDGEKIT_INT8  ? ((const int8_t *)data)[i]
                                              : ((const uint8_t *)data)[i];
    return t->scale > 0 ? (value - (double)t->zero_point) * t->scale : value;
}

#endif
