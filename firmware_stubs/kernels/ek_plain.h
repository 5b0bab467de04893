/* Elements without a scale: arithmetic of float32, int32 and int64, comparisons, choices, truth values, conversions. */
#ifndef EK_PLAIN_H
#define EK_PLAIN_H

#include "ek_base.h"

/* What a fused activation leaves. */
struct ek_limits_f32 {
    float low, high;
};

EK_INLINE float ek_clamp_f32(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

#define EK_FLOAT2(name, value)                                                                              \
    EK_INLINE void ek_##name##_f32(const struct ek_walk3 *w, const struct ek_limits_f32 *d, const void *va, \
                                   const void *vb, void *vy)                                                \
    {                                                                                                       \
        EK_EACH2(ek_f32, ek_f32, ek_f32, ek_clamp_f32(value, d->low, d->high))                              \
    }

EK_FLOAT2(add, a + b)
EK_FLOAT2(sub, a - b)
EK_FLOAT2(mul, a *b)
EK_FLOAT2(div, a / b)
EK_FLOAT2(squared_difference, (a - b) * (a - b))
EK_FLOAT2(prelu, a >= 0.0f ? a : a * b)
EK_FLOAT2(pow, __builtin_powf(a, b))
EK_FLOAT2(floor_div, __builtin_floorf(a / b))
EK_FLOAT2(floor_mod, a - __builtin_floorf(a / b) * b)
EK_FLOAT2(maximum, a > b ? a : b)
EK_FLOAT2(minimum, a < b ? a : b)

/* Quotients of integers; a division by 0 has the dividend as its quotient, and the least number by -1 wraps. */
EK_INLINE int64_t ek_quotient(int64_t a, int64_t b)
{
    if (b == 0)
        return a;
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

EK_INLINE int64_t ek_floor_quotient(int64_t a, int64_t b)
{
    const int64_t q = ek_quotient(a, b);
    return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

EK_INLINE int64_t ek_floor_rest(int64_t a, int64_t b)
{
    if (b == 0 || b == -1)
        return 0;
    const int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

#define EK_WHOLE2(name, suffix, type, value)                                                                \
    EK_INLINE void ek_##name##_##suffix(const struct ek_walk3 *w, const void *va, const void *vb, void *vy) \
    {                                                                                                       \
        EK_EACH2(type, type, type, value)                                                                   \
    }

#define EK_WHOLE(suffix, type, wide)                                                       \
    EK_WHOLE2(add, suffix, type, (wide)a + (wide)b)                                        \
    EK_WHOLE2(sub, suffix, type, (wide)a - (wide)b)                                        \
    EK_WHOLE2(mul, suffix, type, (wide)a *(wide)b)                                         \
    EK_WHOLE2(squared_difference, suffix, type, ((wide)a - (wide)b) * ((wide)a - (wide)b)) \
    EK_WHOLE2(div, suffix, type, ek_quotient(a, b))                                        \
    EK_WHOLE2(floor_div, suffix, type, ek_floor_quotient(a, b))                            \
    EK_WHOLE2(floor_mod, suffix, type, ek_floor_rest(a, b))

EK_WHOLE(s32, ek_s32, uint32_t)
EK_WHOLE(s64, ek_s64, uint64_t)

#define EK_EXTREMES(suffix, type)                   \
    EK_WHOLE2(maximum, suffix, type, a > b ? a : b) \
    EK_WHOLE2(minimum, suffix, type, a < b ? a : b)

EK_EXTREMES(s8, ek_s8)
EK_EXTREMES(s16, ek_s16)
EK_EXTREMES(s32, ek_s32)
EK_EXTREMES(s64, ek_s64)

#define EK_COMPARE2(name, suffix, type, value)                                                              \
    EK_INLINE void ek_##name##_##suffix(const struct ek_walk3 *w, const void *va, const void *vb, void *vy) \
    {                                                                                                       \
        EK_EACH2(type, type, ek_u8, value)                                                                  \
    }

#define EK_COMPARE(suffix, type)                  \
    EK_COMPARE2(equal, suffix, type, a == b)      \
    EK_COMPARE2(not_equal, suffix, type, a != b)  \
    EK_COMPARE2(less, suffix, type, a < b)        \
    EK_COMPARE2(less_equal, suffix, type, a <= b) \
    EK_COMPARE2(greater, suffix, type, a > b)     \
    EK_COMPARE2(greater_equal, suffix, type, a >= b)

EK_COMPARE(f32, ek_f32)
EK_COMPARE(s32, ek_s32)
EK_COMPARE(s64, ek_s64)
EK_COMPARE(u8, ek_u8)

EK_COMPARE2(logical_and, u8, ek_u8, a &&b)
EK_COMPARE2(logical_or, u8, ek_u8, a || b)

EK_INLINE void ek_logical_and(const struct ek_walk3 *w, const void *va, const void *vb, void *vy)
{
    ek_logical_and_u8(w, va, vb, vy);
}

EK_INLINE void ek_logical_or(const struct ek_walk3 *w, const void *va, const void *vb, void *vy)
{
    ek_logical_or_u8(w, va, vb, vy);
}

EK_INLINE void ek_logical_not(const struct ek_walk2 *w, const void *va, void *vy){EK_EACH(ek_u8, ek_u8, !a)}

/* y = a ? b : c */
#define EK_SELECT(bits)                                                                                       \
    EK_INLINE void ek_select_##bits(const struct ek_walk4 *w, const void *va, const void *vb, const void *vc, \
                                    void *vy)                                                                 \
    {                                                                                                         \
        EK_EACH3(ek_u8, ek_u##bits, ek_u##bits, ek_u##bits, a ? b : c)                                        \
    }

EK_SELECT(8) EK_SELECT(16) EK_SELECT(32) EK_SELECT(64)

/* y = a == b ? c : e; a: indices, b: places along the new axis. */
#define EK_ONE_HOT(suffix, type, bits)                                                                    \
    EK_INLINE void ek_one_hot_##suffix##_##bits(const struct ek_walk5 *w, const void *va, const void *vb, \
                                                const void *vc, const void *ve, void *vy)                 \
    {                                                                                                     \
        EK_EACH4(type, type, ek_u##bits, ek_u##bits, a == b ? c : e)                                      \
    }

    EK_ONE_HOT(s32, ek_s32, 8) EK_ONE_HOT(s32, ek_s32, 32) EK_ONE_HOT(s32, ek_s32, 64) EK_ONE_HOT(s64, ek_s64, 8)
        EK_ONE_HOT(s64, ek_s64, 32) EK_ONE_HOT(s64, ek_s64, 64) EK_ONE_HOT(u8, ek_u8, 8) EK_ONE_HOT(u8, ek_u8, 32)
            EK_ONE_HOT(u8, ek_u8, 64)

    /* float32 to integers: truncated, what is too large is as large as can be, NaN is the least. */
    EK_INLINE int64_t ek_whole(float x, float least, int64_t low, int64_t high)
{
    if (!(x >= least))
        return low;
    return x >= -least ? high : (int64_t)x;
}

#define EK_CAST(from, to, ta, ty, value)                                                     \
    EK_INLINE void ek_cast_##from##_##to(const struct ek_walk2 *w, const void *va, void *vy) \
    {                                                                                        \
        EK_EACH(ta, ty, value)                                                               \
    }

#define EK_CASTS(from, ta)            \
    EK_CAST(from, f32, ta, ek_f32, a) \
    EK_CAST(from, s32, ta, ek_s32, a) \
    EK_CAST(from, s64, ta, ek_s64, a) \
    EK_CAST(from, u8, ta, ek_u8, a)   \
    EK_CAST(from, bool, ta, ek_u8, a != 0)

EK_CASTS(s32, ek_s32)
EK_CASTS(s64, ek_s64)
EK_CASTS(u8, ek_u8)
EK_CAST(f32, f32, ek_f32, ek_f32, a)
EK_CAST(f32, s32, ek_f32, ek_s32, ek_whole(a, -2147483648.0f, INT32_MIN, INT32_MAX))
EK_CAST(f32, s64, ek_f32, ek_s64, ek_whole(a, -9223372036854775808.0f, INT64_MIN, INT64_MAX))
EK_CAST(f32, u8, ek_f32, ek_u8, ek_whole(a, -2147483648.0f, INT32_MIN, INT32_MAX))
EK_CAST(f32, bool, ek_f32, ek_u8, a != 0.0f)

#endif
