/* What all kernels share: attributes, and loops over views. */
#ifndef EK_BASE_H
#define EK_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Kernels are inlined into functions that the generated network writes: one for each distinct shape, or one for all. */
#define EK_INLINE static inline __attribute__((always_inline))
#define EK_NOINLINE static __attribute__((noinline, unused))
#if defined(__clang__)
#define EK_UNROLL _Pragma("unroll 4")
#elif defined(__GNUC__)
#define EK_UNROLL _Pragma("GCC unroll 4") /* the loop that follows */
#else
#define EK_UNROLL
#endif
#define EK_ALIGNED __attribute__((aligned(4)))

/* The end of a step, and the beginning of the first. */
#define EK_TICK(m)                   \
    do {                             \
        if ((m)->tick)               \
            (m)->tick((m)->context); \
    } while (0)

/* Elements of buffers: other types lie in the same memory before and after. */
typedef int16_t __attribute__((may_alias)) ek_s16;
typedef int32_t __attribute__((may_alias)) ek_s32;
typedef int64_t __attribute__((may_alias)) ek_s64;
typedef uint16_t __attribute__((may_alias)) ek_u16;
typedef uint32_t __attribute__((may_alias)) ek_u32;
typedef uint64_t __attribute__((may_alias)) ek_u64;
typedef float __attribute__((may_alias)) ek_f32;
typedef int8_t ek_s8;
typedef uint8_t ek_u8;

/* Loops over views: extents from the outermost to the innermost axis, and for each operand where its first element
   is and how far it is to the next along each axis, in elements. */
#define EK_AXES 6

struct ek_walk1 {
    int32_t size[EK_AXES], offset[1], step[1][EK_AXES];
};

struct ek_walk2 {
    int32_t size[EK_AXES], offset[2], step[2][EK_AXES];
};

struct ek_walk3 {
    int32_t size[EK_AXES], offset[3], step[3][EK_AXES];
};

struct ek_walk4 {
    int32_t size[EK_AXES], offset[4], step[4][EK_AXES];
};

struct ek_walk5 {
    int32_t size[EK_AXES], offset[5], step[5][EK_AXES];
};

/* Where operand `n` of a walk is along all axes but the last. */
#define EK_AT(w, n, i0, i1, i2, i3, i4)                                                          \
    ((w)->offset[n] + (i0) * (w)->step[n][0] + (i1) * (w)->step[n][1] + (i2) * (w)->step[n][2] + \
     (i3) * (w)->step[n][3] + (i4) * (w)->step[n][4])

/* Runs the statement that follows for each row along the last axis, with i0 to i4. */
#define EK_FOR_ROWS(w)                                        \
    for (int32_t i0 = 0; i0 < (w)->size[0]; i0++)             \
        for (int32_t i1 = 0; i1 < (w)->size[1]; i1++)         \
            for (int32_t i2 = 0; i2 < (w)->size[2]; i2++)     \
                for (int32_t i3 = 0; i3 < (w)->size[3]; i3++) \
                    for (int32_t i4 = 0; i4 < (w)->size[4]; i4++)

/* For each element of a walk: `value` of a (and b, c, e) is stored in y. The pointers have elements of the types that
   come before them. */
#define EK_EACH(ta, ty, value)                                           \
    EK_FOR_ROWS(w)                                                       \
    {                                                                    \
        const ta *pa = (const ta *)va + EK_AT(w, 0, i0, i1, i2, i3, i4); \
        ty *py = (ty *)vy + EK_AT(w, 1, i0, i1, i2, i3, i4);             \
        for (int32_t i = 0; i < w->size[5]; i++) {                       \
            const ta a = pa[i * w->step[0][5]];                          \
            py[i * w->step[1][5]] = (ty)(value);                         \
        }                                                                \
    }

#define EK_EACH2(ta, tb, ty, value)                                      \
    EK_FOR_ROWS(w)                                                       \
    {                                                                    \
        const ta *pa = (const ta *)va + EK_AT(w, 0, i0, i1, i2, i3, i4); \
        const tb *pb = (const tb *)vb + EK_AT(w, 1, i0, i1, i2, i3, i4); \
        ty *py = (ty *)vy + EK_AT(w, 2, i0, i1, i2, i3, i4);             \
        for (int32_t i = 0; i < w->size[5]; i++) {                       \
            const ta a = pa[i * w->step[0][5]];                          \
            const tb b = pb[i * w->step[1][5]];                          \
            py[i * w->step[2][5]] = (ty)(value);                         \
        }                                                                \
    }

#define EK_EACH3(ta, tb, tc, ty, value)                                  \
    EK_FOR_ROWS(w)                                                       \
    {                                                                    \
        const ta *pa = (const ta *)va + EK_AT(w, 0, i0, i1, i2, i3, i4); \
        const tb *pb = (const tb *)vb + EK_AT(w, 1, i0, i1, i2, i3, i4); \
        const tc *pc = (const tc *)vc + EK_AT(w, 2, i0, i1, i2, i3, i4); \
        ty *py = (ty *)vy + EK_AT(w, 3, i0, i1, i2, i3, i4);             \
        for (int32_t i = 0; i < w->size[5]; i++) {                       \
            const ta a = pa[i * w->step[0][5]];                          \
            const tb b = pb[i * w->step[1][5]];                          \
            const tc c = pc[i * w->step[2][5]];                          \
            py[i * w->step[3][5]] = (ty)(value);                         \
        }                                                                \
    }

#define EK_EACH4(ta, tb, tc, ty, value)                                    \
    EK_FOR_ROWS(w)                                                         \
    {                                                                      \
        const ta *pa = (const ta *)va + EK_AT(w, 0, i0, i1, i2, i3, i4);   \
        const tb *pb = (const tb *)vb + EK_AT(w, 1, i0, i1, i2, i3, i4);   \
        const tc *pc = (const tc *)vc + EK_AT(w, 2, i0, i1, i2, i3, i4);   \
        const tc *pe = (const tc *)ve + EK_AT(w, 3, i0, i1, i2, i3, i4);   \
        ty *py = (ty *)vy + EK_AT(w, 4, i0, i1, i2, i3, i4);               \
        for (int32_t i = 0; i < w->size[5]; i++) {                         \
            const ta a = pa[i * w->step[0][5]];                            \
            const tb b = pb[i * w->step[1][5]];                            \
            const tc c = pc[i * w->step[2][5]], e = pe[i * w->step[3][5]]; \
            py[i * w->step[4][5]] = (ty)(value);                           \
        }                                                                  \
    }

/* `count` bytes, which do not overlap; a word at a time, at any address. */
EK_INLINE void ek_copy(void *vto, const void *vfrom, int32_t count)
{
    uint8_t *to = vto;
    const uint8_t *from = vfrom;
    int32_t i = 0;
    for (; i + 4 <= count; i += 4)
        __builtin_memcpy(to + i, from + i, 4);
    for (; i < count; i++)
        to[i] = from[i];
}

EK_INLINE void ek_fill(void *vto, int32_t value, int32_t count)
{
    uint8_t *to = vto;
    for (int32_t i = 0; i < count; i++)
        to[i] = (uint8_t)value;
}

#endif
