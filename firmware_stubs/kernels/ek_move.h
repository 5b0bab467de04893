/* Elements that move; their size is all that matters. */
#ifndef EK_MOVE_H
#define EK_MOVE_H

#include "ek_base.h"

#define EK_MOVE(bits)                                                                 \
    EK_INLINE void ek_move_##bits(const struct ek_walk2 *w, const void *va, void *vy) \
    {                                                                                 \
        EK_EACH(ek_u##bits, ek_u##bits, a)                                            \
    }

EK_MOVE(8)
EK_MOVE(16)
EK_MOVE(32)
EK_MOVE(64)

/* The same where rows lie together on both sides: a walk over bytes. */
EK_INLINE void ek_move_rows(const struct ek_walk2 *w, const void *x, void *y)
{
    EK_FOR_ROWS(w)
    ek_copy((uint8_t *)y + EK_AT(w, 1, i0, i1, i2, i3, i4), (const uint8_t *)x + EK_AT(w, 0, i0, i1, i2, i3, i4),
            w->size[5]);
}

/* A feature map on a larger one that holds `zero` elsewhere: padding, and pixels apart. `pixel`: its bytes. */
struct ek_place_shape {
    int32_t in_h, in_w, pixel, out_h, out_w, top, left, stride_h, stride_w, zero;
};

EK_INLINE void ek_place(const struct ek_place_shape *s, const void *x, void *y)
{
    const uint8_t *from = x;
    uint8_t *to = y;
    for (int32_t r = 0; r < s->out_h; r++) {
        const int32_t row = r - s->top;
        const int32_t has_row = row >= 0 && row % s->stride_h == 0 && row / s->stride_h < s->in_h;
        for (int32_t q = 0; q < s->out_w; q++, to += s->pixel) {
            const int32_t at = q - s->left;
            if (has_row && at >= 0 && at % s->stride_w == 0 && at / s->stride_w < s->in_w)
                ek_copy(to, from + (row / s->stride_h * s->in_w + at / s->stride_w) * s->pixel, s->pixel);
            else
                ek_fill(to, s->zero, s->pixel);
        }
    }
}

#endif
