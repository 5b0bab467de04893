/* Reductions over any axes, and products of two computed matrices. */
#ifndef EK_REDUCE_H
#define EK_REDUCE_H

#include "ek_elements.h"

/* Loops over the axes that stay, for input and output, and over those that go, for the input. */
struct ek_reduce_shape {
    struct ek_walk2 kept;
    struct ek_walk1 reduced;
};

/* For each kept element: `first` starts `total`, `join` adds the element x to it, `last` is what is stored. */
#define EK_REDUCED(tx, ty, tt, first, join, last)                                                   \
    {                                                                                               \
        const struct ek_walk2 *k = &s->kept;                                                        \
        EK_FOR_ROWS(k)                                                                              \
        for (int32_t i5 = 0; i5 < k->size[5]; i5++) {                                               \
            const tx *from = (const tx *)vx + EK_AT(k, 0, i0, i1, i2, i3, i4) + i5 * k->step[0][5]; \
            tt total = first;                                                                       \
            total = ek_joined_##join(&s->reduced, from, total);                                     \
            ((ty *)vy)[EK_AT(k, 1, i0, i1, i2, i3, i4) + i5 * k->step[1][5]] = (ty)(last);          \
        }                                                                                           \
    }

#define EK_JOIN(name, tx, tt, value)                                                  \
    EK_INLINE tt ek_joined_##name(const struct ek_walk1 *w, const tx *from, tt total) \
    {                                                                                 \
        EK_FOR_ROWS(w)                                                                \
        {                                                                             \
            const tx *p = from + EK_AT(w, 0, i0, i1, i2, i3, i4);                     \
            for (int32_t i = 0; i < w->size[5]; i++) {                                \
                const tx x = p[i * w->step[0][5]];                                    \
                total = (tt)(value);                                                  \
            }                                                                         \
        }                                                                             \
        return total;                                                                 \
    }

/* The first element of what is reduced is the start of extremes. */
#define EK_EXTREME_OF(suffix, type)                                                                              \
    EK_JOIN(max_##suffix, type, type, x > total ? x : total)                                                     \
    EK_JOIN(min_##suffix, type, type, x < total ? x : total)                                                     \
    EK_INLINE void ek_reduce_max_##suffix(const struct ek_reduce_shape *s, const void *vx, void *vy){EK_REDUCED( \
        type, type, type, from[s -> reduced.offset[0]], max_##suffix,                                            \
        total)} EK_INLINE void ek_reduce_min_##suffix(const struct ek_reduce_shape *s, const void *vx, void *vy) \
    {                                                                                                            \
        EK_REDUCED(type, type, type, from[s->reduced.offset[0]], min_##suffix, total)                            \
    }

EK_EXTREME_OF(s8, ek_s8)
EK_EXTREME_OF(s16, ek_s16)
EK_EXTREME_OF(u8, ek_u8)
EK_EXTREME_OF(s32, ek_s32)
EK_EXTREME_OF(s64, ek_s64)
EK_EXTREME_OF(f32, ek_f32)

EK_JOIN(sum_s8, ek_s8, int32_t, total + x)
EK_JOIN(sum_s16, ek_s16, int32_t, total + x)
EK_JOIN(sum_f32, ek_f32, float, total + x)
EK_JOIN(prod_f32, ek_f32, float, total *x)
EK_JOIN(sum_s32, ek_s32, uint32_t, total + (uint32_t)x)
EK_JOIN(prod_s32, ek_s32, uint32_t, total *(uint32_t)x)
EK_JOIN(sum_s64, ek_s64, uint64_t, total + (uint64_t)x)
EK_JOIN(prod_s64, ek_s64, uint64_t, total *(uint64_t)x)

#define EK_REDUCE(name, type, tt, first)                                                       \
    EK_INLINE void ek_reduce_##name(const struct ek_reduce_shape *s, const void *vx, void *vy) \
    {                                                                                          \
        EK_REDUCED(type, type, tt, first, name, total)                                         \
    }

EK_REDUCE(sum_f32, ek_f32, float, 0.0f)
EK_REDUCE(prod_f32, ek_f32, float, 1.0f)
EK_REDUCE(sum_s32, ek_s32, uint32_t, 0)
EK_REDUCE(prod_s32, ek_s32, uint32_t, 1)
EK_REDUCE(sum_s64, ek_s64, uint64_t, 0)
EK_REDUCE(prod_s64, ek_s64, uint64_t, 1)

struct ek_mean_data {
    float count;
};

EK_INLINE void ek_reduce_mean_f32(const struct ek_reduce_shape *s, const struct ek_mean_data *d, const void *vx,
                                  void *vy)
{
    EK_REDUCED(ek_f32, ek_f32, float, 0.0f, sum_f32, total / d->count)
}

/* MEAN of quantized elements: the count is part of the factor; x_zero: what zero points add to the sum. */
struct ek_scaled_mean_data {
    int32_t x_zero, y_zero, multiplier, shift, low, high;
};

EK_INLINE int32_t ek_total_stored(const struct ek_scaled_mean_data *d, int32_t total)
{
    return ek_clamp(ek_requantize(total - d->x_zero, d->multiplier, d->shift) + d->y_zero, d->low, d->high);
}

EK_INLINE void ek_reduce_mean_s8(const struct ek_reduce_shape *s, const struct ek_scaled_mean_data *d, const void *vx,
                                 void *vy){EK_REDUCED(ek_s8, ek_s8, int32_t, 0, sum_s8, ek_total_stored(d, total))}

EK_INLINE void ek_reduce_mean_s16(const struct ek_reduce_shape *s, const struct ek_scaled_mean_data *d, const void *vx,
                                  void *vy)
{
    EK_REDUCED(ek_s16, ek_s16, int32_t, 0, sum_s16, ek_total_stored(d, total))
}

/* BATCH_MATMUL: loops over the output's elements with the rows and columns that make them. */
struct ek_product_shape {
    struct ek_walk3 kept;
    int32_t depth, a_step, b_step;
};

EK_INLINE int32_t ek_products_of_s8(const struct ek_product_shape *s, const struct ek_mul_data *d, const int8_t *a,
                                    const int8_t *b)
{
    int32_t total = 0;
    for (int32_t n = 0; n < s->depth; n++)
        total += (a[n * s->a_step] - d->a_zero) * (b[n * s->b_step] - d->b_zero);
    return ek_product_stored(d, total);
}

EK_INLINE float ek_products_of_f32(const struct ek_product_shape *s, const ek_f32 *a, const ek_f32 *b)
{
    float total = 0.0f;
    for (int32_t n = 0; n < s->depth; n++)
        total += a[n * s->a_step] * b[n * s->b_step];
    return total;
}

#define EK_PRODUCTS(type, value)                                                                    \
    {                                                                                               \
        const struct ek_walk3 *k = &s->kept;                                                        \
        EK_FOR_ROWS(k)                                                                              \
        for (int32_t i = 0; i < k->size[5]; i++) {                                                  \
            const type *a = (const type *)va + EK_AT(k, 0, i0, i1, i2, i3, i4) + i * k->step[0][5]; \
            const type *b = (const type *)vb + EK_AT(k, 1, i0, i1, i2, i3, i4) + i * k->step[1][5]; \
            ((type *)vy)[EK_AT(k, 2, i0, i1, i2, i3, i4) + i * k->step[2][5]] = (type)(value);      \
        }                                                                                           \
    }

EK_INLINE void ek_products_s8(const struct ek_product_shape *s, const struct ek_mul_data *d, const void *va,
                              const void *vb, void *vy){EK_PRODUCTS(ek_s8, ek_products_of_s8(s, d, a, b))}

EK_INLINE void ek_products_f32(const struct ek_product_shape *s, const void *va, const void *vb, void *vy)
{
    EK_PRODUCTS(ek_f32, ek_products_of_f32(s, a, b))
}

#endif
