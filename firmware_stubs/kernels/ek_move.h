/* Copies between views; the element's size is all that matters. */
#ifndef EK_MOVE_H
#define EK_MOVE_H

#include "ek_base.h"

#define EK_MOVE(bits)                                                                                                  \
    EK_INLINE void ek_move_##bits(const struct ek_walk2 *w, const void *x, void *y)                                    \
    {                                                                                                                  \
        EK_FOR_ROWS(w)                                                                                                 \
        {                                                                                                              \
            const uint##bits##_t *from = (const uint##bits##_t *)x + EK_AT(w, 0, i0, i1, i2, i3, i4);                  \
            uint##bits##_t *to = (uint##bits##_t *)y + EK_AT(w, 1, i0, i1, i2, i3, i4);                                \
            for (int32_t i = 0; i < w->size[5]; i++)                                                                   \
                to[i * w->step[1][5]] = from[i * w->step[0][5]];                                                       \
        }                                                                                                              \
    }

EK_MOVE(8)
EK_MOVE(16)
EK_MOVE(32)
EK_MOVE(64)

#endif
