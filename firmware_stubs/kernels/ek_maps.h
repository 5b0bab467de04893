/* Functions of one element: tables, conversions between real values and stored integers, functions of float32. */
#ifndef EK_MAPS_H
#define EK_MAPS_H

#include "ek_math.h"

/* Results by the bits of the element. */
struct ek_table_data {
    const uint8_t *values;
};

EK_INLINE void ek_table_8(const struct ek_walk2 *w, const struct ek_table_data *d, const void *va, void *vy)
{
    EK_EACH(ek_u8, ek_u8, d->values[a])
}

struct ek_scale_data {
    float scale;
    int32_t zero;
};

EK_INLINE void ek_dequantize_s8(const struct ek_walk2 *w, const struct ek_scale_data *d, const void *va,
                                void *vy){EK_EACH(ek_s8, ek_f32, d -> scale *(float)(a - d->zero))}

EK_INLINE void ek_dequantize_u8(const struct ek_walk2 *w, const struct ek_scale_data *d, const void *va,
                                void *vy){EK_EACH(ek_u8, ek_f32, d->scale *(float)(a - d->zero))}

EK_INLINE void ek_dequantize_s16(const struct ek_walk2 *w, const struct ek_scale_data *d, const void *va,
                                 void *vy){EK_EACH(ek_s16, ek_f32, d->scale *(float)(a - d->zero))}

/* Rounded to nearest, halves away from zero; what does not fit is the end of the range, NaN the least. */
EK_INLINE int32_t ek_quantized(const struct ek_scale_data *d, float x, int32_t low, int32_t high)
{
    const float scaled = x / d->scale;
    if (!(scaled > -1048576.0f))
        return low;
    if (scaled > 1048576.0f)
        return high;
    int32_t whole = (int32_t)scaled;
    const float rest = scaled - (float)whole;
    whole += rest >= 0.5f ? 1 : rest <= -0.5f ? -1 : 0;
    return ek_clamp(whole + d->zero, low, high);
}

EK_INLINE void ek_quantize_s8(const struct ek_walk2 *w, const struct ek_scale_data *d, const void *va,
                              void *vy){EK_EACH(ek_f32, ek_s8, ek_quantized(d, a, INT8_MIN, INT8_MAX))}

EK_INLINE void ek_quantize_u8(const struct ek_walk2 *w, const struct ek_scale_data *d, const void *va,
                              void *vy){EK_EACH(ek_f32, ek_u8, ek_quantized(d, a, 0, UINT8_MAX))}

EK_INLINE void ek_quantize_s16(const struct ek_walk2 *w, const struct ek_scale_data *d, const void *va, void *vy)
{
    EK_EACH(ek_f32, ek_s16, ek_quantized(d, a, INT16_MIN, INT16_MAX))
}

struct ek_requantize_data {
    int32_t x_zero, y_zero, multiplier, shift;
};

#define EK_REQUANTIZE(from, to, ta, ty, low, high)                                                              \
    EK_INLINE void ek_requantize_##from##_##to(const struct ek_walk2 *w, const struct ek_requantize_data *d,    \
                                               const void *va, void *vy)                                        \
    {                                                                                                           \
        EK_EACH(ta, ty, ek_clamp(ek_requantize(a - d->x_zero, d->multiplier, d->shift) + d->y_zero, low, high)) \
    }

EK_REQUANTIZE(s8, s16, ek_s8, ek_s16, INT16_MIN, INT16_MAX)
EK_REQUANTIZE(s16, s8, ek_s16, ek_s8, INT8_MIN, INT8_MAX)
EK_REQUANTIZE(s16, s16, ek_s16, ek_s16, INT16_MIN, INT16_MAX)

/* Functions of float32; of the C library where there is no short way. */
struct ek_map_data {
    float alpha;
};

EK_INLINE void ek_leaky_relu_f32(const struct ek_walk2 *w, const struct ek_map_data *d, const void *va,
                                 void *vy){EK_EACH(ek_f32, ek_f32, a >= 0.0f ? a : a * d -> alpha)}

EK_INLINE float ek_within(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

#define EK_MAP(name, value)                                                            \
    EK_INLINE void ek_##name##_f32(const struct ek_walk2 *w, const void *va, void *vy) \
    {                                                                                  \
        EK_EACH(ek_f32, ek_f32, value)                                                 \
    }

EK_MAP(relu, a < 0.0f ? 0.0f : a)
EK_MAP(relu6, ek_within(a, 0.0f, 6.0f))
EK_MAP(relu_n1_to_1, ek_within(a, -1.0f, 1.0f))
EK_MAP(relu_0_to_1, ek_within(a, 0.0f, 1.0f))
EK_MAP(hard_swish, a *ek_within(a + 3.0f, 0.0f, 6.0f) * (1.0f / 6.0f))
EK_MAP(logistic, 1.0f / (1.0f + __builtin_expf(-a)))
EK_MAP(tanh, __builtin_tanhf(a))
EK_MAP(elu, a < 0.0f ? __builtin_expm1f(a) : a)
EK_MAP(gelu, 0.5f * a * (1.0f + __builtin_erff(a * 0.70710678118654752f)))
EK_MAP(gelu_tanh, 0.5f * a * (1.0f + __builtin_tanhf(0.79788456080286536f * (a + 0.044715f * a * a * a))))
EK_MAP(exp, __builtin_expf(a))
EK_MAP(log, __builtin_logf(a))
EK_MAP(sqrt, __builtin_sqrtf(a))
EK_MAP(rsqrt, 1.0f / __builtin_sqrtf(a))
EK_MAP(abs, __builtin_fabsf(a))
EK_MAP(neg, -a)
EK_MAP(square, a *a)
EK_MAP(sin, __builtin_sinf(a))
EK_MAP(cos, __builtin_cosf(a))
EK_MAP(floor, __builtin_floorf(a))
EK_MAP(ceil, __builtin_ceilf(a))
EK_MAP(round, __builtin_rintf(a))

#define EK_MAP_WHOLE(suffix, type, wide)                                                                             \
    EK_INLINE void ek_abs_##suffix(const struct ek_walk2 *w, const void *va, void *vy){                              \
        EK_EACH(type, type, a < 0 ? 0 - (wide)a : (wide)a)} EK_INLINE void ek_neg_##suffix(const struct ek_walk2 *w, \
                                                                                           const void *va, void *vy) \
    {                                                                                                                \
        EK_EACH(type, type, 0 - (wide)a)                                                                             \
    }

EK_MAP_WHOLE(s32, ek_s32, uint32_t)
EK_MAP_WHOLE(s64, ek_s64, uint64_t)

#endif
