/* What all kernels share: attributes, and loops over views. */
#ifndef EK_BASE_H
#define EK_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Kernels are inlined into functions that the generated network writes: one for each distinct shape, or one for all. */
#define EK_INLINE static inline __attribute__((always_inline))
#define EK_NOINLINE static __attribute__((noinline, unused))
#define EK_ALIGNED __attribute__((aligned(4)))

/* The end of a step, and the beginning of the first. */
#define EK_TICK(m)                                                                                                     \
    do {                                                                                                               \
        if ((m)->tick)                                                                                                 \
            (m)->tick((m)->context);                                                                                   \
    } while (0)

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

/* Where operand `n` of a walk is along all axes but the last. */
#define EK_AT(w, n, i0, i1, i2, i3, i4)                                                                                \
    ((w)->offset[n] + (i0) * (w)->step[n][0] + (i1) * (w)->step[n][1] + (i2) * (w)->step[n][2] +                       \
     (i3) * (w)->step[n][3] + (i4) * (w)->step[n][4])

/* Runs the statement that follows for each row along the last axis, with i0 to i4. */
#define EK_FOR_ROWS(w)                                                                                                 \
    for (int32_t i0 = 0; i0 < (w)->size[0]; i0++)                                                                      \
        for (int32_t i1 = 0; i1 < (w)->size[1]; i1++)                                                                  \
            for (int32_t i2 = 0; i2 < (w)->size[2]; i2++)                                                              \
                for (int32_t i3 = 0; i3 < (w)->size[3]; i3++)                                                          \
                    for (int32_t i4 = 0; i4 < (w)->size[4]; i4++)

#endif
