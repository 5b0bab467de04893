/* Feature maps of another size. Where each row and column of the output lies on the input stands in tables. */
#ifndef EK_RESIZE_H
#define EK_RESIZE_H

#include "ek_move.h"

/* `channels`: for the nearest pixel, its bytes. */
struct ek_resize_shape {
    int32_t in_w, channels, out_h, out_w;
};

struct ek_nearest_data {
    const int16_t *row, *column;
};

EK_INLINE void ek_nearest(const struct ek_resize_shape *s, const struct ek_nearest_data *d, const void *x, void *y)
{
    uint8_t *to = y;
    for (int32_t r = 0; r < s->out_h; r++)
        for (int32_t q = 0; q < s->out_w; q++, to += s->channels)
            ek_copy(to, (const uint8_t *)x + (d->row[r] * s->in_w + d->column[q]) * s->channels, s->channels);
}

/* Between which two rows (columns) each of the output lies, and how far it is to the second: of int8 in 1024ths
   (reference_ops::ResizeBilinearInteger). */
struct ek_bilinear_data {
    const int16_t *row_first, *row_second, *row_share, *column_first, *column_second, *column_share;
};

EK_INLINE void ek_bilinear_s8(const struct ek_resize_shape *s, const struct ek_bilinear_data *d, const int8_t *x,
                              int8_t *y)
{
    for (int32_t r = 0; r < s->out_h; r++) {
        const int8_t *upper = x + d->row_first[r] * s->in_w * s->channels;
        const int8_t *lower = x + d->row_second[r] * s->in_w * s->channels;
        const int32_t down = d->row_share[r], up = 1024 - down;
        for (int32_t q = 0; q < s->out_w; q++) {
            const int32_t left = d->column_first[q] * s->channels, right = d->column_second[q] * s->channels;
            const int32_t over = d->column_share[q], back = 1024 - over;
            for (int32_t c = 0; c < s->channels; c++) {
                const int32_t sum = upper[left + c] * up * back + lower[left + c] * down * back +
                                    upper[right + c] * up * over + lower[right + c] * down * over;
                *y++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
            }
        }
    }
}

struct ek_bilinear_data_f32 {
    const int16_t *row_first, *row_second, *column_first, *column_second;
    const float *row_share, *column_share;
};

EK_INLINE void ek_bilinear_f32(const struct ek_resize_shape *s, const struct ek_bilinear_data_f32 *d, const void *vx,
                               void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t r = 0; r < s->out_h; r++) {
        const ek_f32 *upper = x + d->row_first[r] * s->in_w * s->channels;
        const ek_f32 *lower = x + d->row_second[r] * s->in_w * s->channels;
        const float down = d->row_share[r], up = 1.0f - down;
        for (int32_t q = 0; q < s->out_w; q++) {
            const int32_t left = d->column_first[q] * s->channels, right = d->column_second[q] * s->channels;
            const float over = d->column_share[q], back = 1.0f - over;
            for (int32_t c = 0; c < s->channels; c++)
                *y++ = upper[left + c] * up * back + lower[left + c] * down * back + upper[right + c] * up * over +
                       lower[right + c] * down * over;
        }
    }
}

#endif
