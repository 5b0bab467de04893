/* Elements found by indices, indices of extremes, running sums. */
#ifndef EK_INDICES_H
#define EK_INDICES_H

#include "ek_base.h"

#define EK_COORDINATES 6

/* Loops over source, indices and output; `count` coordinates, `apart` elements from each other, of which each moves
   the source by its `step` for each number below `length`. What is out of range finds the nearest end. */
struct ek_gather_shape {
    struct ek_walk3 walk;
    int32_t count, apart, step[EK_COORDINATES], length[EK_COORDINATES];
};

#define EK_GATHER(suffix, type, bits)                                                                               \
    EK_INLINE void ek_gather_##suffix##_##bits(const struct ek_gather_shape *s, const void *vx, const void *vi,     \
                                               void *vy)                                                            \
    {                                                                                                               \
        const struct ek_walk3 *w = &s->walk;                                                                        \
        EK_FOR_ROWS(w)                                                                                              \
        for (int32_t i = 0; i < w->size[5]; i++) {                                                                  \
            int32_t at = EK_AT(w, 0, i0, i1, i2, i3, i4) + i * w->step[0][5];                                       \
            const type *index = (const type *)vi + EK_AT(w, 1, i0, i1, i2, i3, i4) + i * w->step[1][5];             \
            for (int32_t n = 0; n < s->count; n++) {                                                                \
                const type place = index[n * s->apart];                                                             \
                at += s->step[n] * (place < 0 ? 0 : place >= s->length[n] ? s->length[n] - 1 : (int32_t)place);     \
            }                                                                                                       \
            ((ek_u##bits *)vy)[EK_AT(w, 2, i0, i1, i2, i3, i4) + i * w->step[2][5]] = ((const ek_u##bits *)vx)[at]; \
        }                                                                                                           \
    }

EK_GATHER(s32, ek_s32, 8)
EK_GATHER(s32, ek_s32, 16)
EK_GATHER(s32, ek_s32, 32)
EK_GATHER(s32, ek_s32, 64)
EK_GATHER(s64, ek_s64, 8)
EK_GATHER(s64, ek_s64, 16)
EK_GATHER(s64, ek_s64, 32)
EK_GATHER(s64, ek_s64, 64)

/* Loops over the other axes; along one axis `length` elements, x_step and y_step apart. */
struct ek_line_shape {
    struct ek_walk2 kept;
    int32_t length, x_step, y_step, exclusive;
};

#define EK_ARG(kind, better, from, to, tx, ty)                                                            \
    EK_INLINE void ek_arg_##kind##_##from##_##to(const struct ek_line_shape *s, const void *vx, void *vy) \
    {                                                                                                     \
        const struct ek_walk2 *w = &s->kept;                                                              \
        EK_FOR_ROWS(w)                                                                                    \
        for (int32_t i = 0; i < w->size[5]; i++) {                                                        \
            const tx *x = (const tx *)vx + EK_AT(w, 0, i0, i1, i2, i3, i4) + i * w->step[0][5];           \
            int32_t best = 0;                                                                             \
            for (int32_t n = 1; n < s->length; n++)                                                       \
                if (x[n * s->x_step] better x[best * s->x_step])                                          \
                    best = n;                                                                             \
            ((ty *)vy)[EK_AT(w, 1, i0, i1, i2, i3, i4) + i * w->step[1][5]] = best;                       \
        }                                                                                                 \
    }

#define EK_ARGS(from, tx)                 \
    EK_ARG(max, >, from, s32, tx, ek_s32) \
    EK_ARG(max, >, from, s64, tx, ek_s64) \
    EK_ARG(min, <, from, s32, tx, ek_s32) \
    EK_ARG(min, <, from, s64, tx, ek_s64)

EK_ARGS(f32, ek_f32)
EK_ARGS(s8, ek_s8)
EK_ARGS(u8, ek_u8)
EK_ARGS(s32, ek_s32)
EK_ARGS(s64, ek_s64)

#define EK_CUMSUM(suffix, type, tt)                                                                 \
    EK_INLINE void ek_cumsum_##suffix(const struct ek_line_shape *s, const void *vx, void *vy)      \
    {                                                                                               \
        const struct ek_walk2 *w = &s->kept;                                                        \
        EK_FOR_ROWS(w)                                                                              \
        for (int32_t i = 0; i < w->size[5]; i++) {                                                  \
            const type *x = (const type *)vx + EK_AT(w, 0, i0, i1, i2, i3, i4) + i * w->step[0][5]; \
            type *y = (type *)vy + EK_AT(w, 1, i0, i1, i2, i3, i4) + i * w->step[1][5];             \
            tt total = 0;                                                                           \
            for (int32_t n = 0; n < s->length; n++) {                                               \
                const tt next = total + (tt)x[n * s->x_step];                                       \
                y[n * s->y_step] = (type)(s->exclusive ? total : next);                             \
                total = next;                                                                       \
            }                                                                                       \
        }                                                                                           \
    }

EK_CUMSUM(f32, ek_f32, float)
EK_CUMSUM(s32, ek_s32, uint32_t)
EK_CUMSUM(s64, ek_s64, uint64_t)

#endif
