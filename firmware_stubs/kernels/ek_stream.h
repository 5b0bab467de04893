/* Several layers at work row by row: each keeps the rows that its window needs, and hands every row that it makes to
   the next one. So the feature maps between them are never in memory as a whole, and no row is computed twice. */
#ifndef EK_STREAM_H
#define EK_STREAM_H

#include "ek_move.h"

/* One layer. `row` computes one row of output from a window of `rows` rows; `other` is a whole feature map of which it
   takes the row with the output's number (an addition's other side), or NULL. */
struct ek_stage {
    void (*row)(const void *data, const void *window, const void *other, void *y, void *scratch);
    const void *data;
    int32_t rows, stride, pad_top, pad_bottom; /* of the window, in rows */
    int32_t in_bytes, out_bytes;               /* of one row */
    int32_t zero;                              /* what rows of padding hold */
    int32_t window;                            /* place of the window in the scratch, bytes */
    int32_t other_bytes;                       /* of one row of `other` */
};

/* Where a layer is: rows in its window, rows that it made. */
struct ek_progress {
    int32_t filled, made;
};

/* Hands on rows from layer `l` upwards, as long as windows are full. A window never holds more rows than it needs. */
EK_INLINE void ek_stream_advance(const struct ek_stage *stages, int32_t count, struct ek_progress *at, int32_t l,
                                 const void *const *others, uint8_t *y, uint8_t *scratch, uint8_t *work)
{
    for (; l < count && at[l].filled == stages[l].rows; l++) {
        const struct ek_stage *s = &stages[l], *next = s + 1;
        uint8_t *window = scratch + s->window, *to = y + at[l].made * s->out_bytes;
        if (l + 1 < count)
            to = scratch + next->window + (at[l + 1].filled > 0 ? at[l + 1].filled : 0) * next->in_bytes;
        const uint8_t *other = others[l];
        s->row(s->data, window, other ? other + at[l].made * s->other_bytes : NULL, to, work);
        at[l].made++;
        at[l].filled -= s->stride;
        if (at[l].filled > 0)
            ek_copy(window, window + s->stride * s->in_bytes, at[l].filled * s->in_bytes);
        if (l + 1 < count)
            at[l + 1].filled++;
    }
}

/* `scratch`: the windows; `work`: scratch of the kernels; `at`: one entry per layer. */
EK_INLINE void ek_stream(const struct ek_stage *stages, int32_t count, int32_t in_rows, struct ek_progress *at,
                         const void *x, const void *const *others, void *y, uint8_t *scratch, uint8_t *work)
{
    for (int32_t l = 0; l < count; l++) {
        at[l].made = 0;
        at[l].filled = stages[l].pad_top;
        ek_fill(scratch + stages[l].window, stages[l].zero, stages[l].pad_top * stages[l].in_bytes);
    }
    const uint8_t *from = x;
    for (int32_t i = 0; i < in_rows; i++, from += stages[0].in_bytes) {
        if (at[0].filled >= 0)
            ek_copy(scratch + stages[0].window + at[0].filled * stages[0].in_bytes, from, stages[0].in_bytes);
        at[0].filled++;
        ek_stream_advance(stages, count, at, 0, others, y, scratch, work);
    }
    for (int32_t l = 0; l < count; l++)
        for (int32_t i = 0; i < stages[l].pad_bottom; i++) {
            ek_fill(scratch + stages[l].window + at[l].filled * stages[l].in_bytes, stages[l].zero, stages[l].in_bytes);
            at[l].filled++;
            ek_stream_advance(stages, count, at, l, others, y, scratch, work);
        }
}

#endif
