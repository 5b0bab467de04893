#include "detection.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "real.h"

/* Compiled without contraction of products and sums (-ffp-contract=off), so that all machines compute the same bits. */

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exact_exp(-x));
}

void detection_free(struct detector *d)
{
    free(d->anchor);
    free(d->candidate);
}

void detection_lay(struct detection_part *part, enum detection_order order)
{
    size_t columns = part->columns, cells = part->cells;
    part->column = order == ORDER_COLUMNS ? cells : 1;
    part->row = order == ORDER_ROWS ? columns * part->anchors : order == ORDER_COLUMNS ? 1 : columns;
    part->anchor = order == ORDER_ROWS ? columns : columns * cells;
}

/* A row, to read numbers from. */
struct row {
    const struct detection_output *output;
    size_t at, column;
};

static struct row row_of(const struct detection_part *part, const struct detection_output *outputs, uint32_t row)
{
    uint32_t cell = row / part->anchors, anchor = row % part->anchors;
    return (struct row){outputs + part->output, cell * part->row + anchor * part->anchor, part->column};
}

static double number(const struct row *row, uint32_t column)
{
    return real_value(row->output->tensor, row->output->data, row->at + column * row->column);
}

/* The best class, and its score; false where the row has no number. */
static bool rate(const struct detector *d, const struct row *row, struct detection_candidate *c)
{
    uint32_t every = d->first_score + d->objectness, first = every + d->background;
    double best = -INFINITY, there = d->objectness ? number(row, d->first_score) : 1;
    for (uint32_t i = 0; i < d->classes; i++) {
        double value = number(row, first + i);
        if (value > best) {
            best = value;
            c->number = i;
        }
    }
    if (best == -INFINITY || isnan(there))
        return false;
    if (d->scores == SCORE_LOGITS) {
        best = sigmoid(best);
    } else if (d->scores == SCORE_SOFTMAX) {
        double sum = 0;
        for (uint32_t i = 0; i < d->background + d->classes; i++)
            sum += exact_exp(number(row, every + i) - best);
        best = 1.0 / sum;
    }
    if (d->objectness)
        best *= d->scores == SCORE_PROBABILITIES ? there : sigmoid(there);
    c->score = best;
    return best >= d->least;
}

/* The mean of a distribution over 0, 1, 2, ... given as logits; of one bin, its value. */
static double expected(const struct row *row, uint32_t first, uint32_t bins)
{
    double highest = number(row, first), sum = 0, mean = 0;
    if (bins == 1)
        return highest;
    for (uint32_t i = 1; i < bins; i++) {
        double value = number(row, first + i);
        highest = isnan(value) || value > highest ? value : highest;
    }
    for (uint32_t i = 0; i < bins; i++) {
        double power = exact_exp(number(row, first + i) - highest);
        sum += power;
        mean += power * i;
    }
    return mean / sum;
}

static void corners(struct detection_candidate *c, double left, double top, double right, double bottom)
{
    c->box[0] = left;
    c->box[1] = top;
    c->box[2] = right;
    c->box[3] = bottom;
}

static void decode(const struct detector *d, const struct row *row, struct detection_candidate *c)
{
    double v[4], x, y, w, h;
    for (uint32_t i = 0; i < 4; i++) /* with yx, x is the second */
        v[d->yx ? i ^ 1 : i] = d->coding == CODE_DISTANCES ? expected(row, i * d->bins, d->bins) : number(row, i);
    if (d->coding == CODE_CORNERS) {
        corners(c, v[0] * d->unit[0], v[1] * d->unit[1], v[2] * d->unit[0], v[3] * d->unit[1]);
        return;
    }
    if (d->coding == CODE_CENTER) {
        x = v[0] * d->unit[0], y = v[1] * d->unit[1];
        w = v[2] * d->unit[0], h = v[3] * d->unit[1];
    } else {
        const struct detection_anchor *a = d->anchor + c->row;
        x = a->x, y = a->y, w = a->width, h = a->height;
        if (d->coding == CODE_DISTANCES) {
            corners(c, x - v[0] * a->step_x, y - v[1] * a->step_y, x + v[2] * a->step_x, y + v[3] * a->step_y);
            return;
        }
        if (d->coding == CODE_YOLO5) {
            x = x + (sigmoid(v[0]) * 2.0 - 1.0) * a->step_x;
            y = y + (sigmoid(v[1]) * 2.0 - 1.0) * a->step_y;
            v[2] = sigmoid(v[2]) * 2.0;
            v[3] = sigmoid(v[3]) * 2.0;
            w = v[2] * v[2] * w;
            h = v[3] * v[3] * h;
        } else {
            x = x + v[0] * d->variance[0] * w;
            y = y + v[1] * d->variance[1] * h;
            v[2] *= d->variance[2];
            v[3] *= d->variance[3];
            w = (d->coding == CODE_SSD ? exact_exp(v[2]) : v[2]) * w;
            h = (d->coding == CODE_SSD ? exact_exp(v[3]) : v[3]) * h;
        }
    }
    corners(c, x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0);
}

static bool is_box(const double *box)
{
    return isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) && isfinite(box[3]) && box[2] > box[0] &&
           box[3] > box[1];
}

static uint32_t collect(struct detector *d, const struct detection_output *outputs)
{
    uint32_t count = 0, p = 0, q = 0, row_p = 0, row_q = 0;
    for (uint32_t row = 0; row < d->rows; row++, row_p++, row_q++) {
        for (; row_p == d->scored[p].cells * d->scored[p].anchors; row_p = 0)
            p++;
        for (; row_q == d->boxes[q].cells * d->boxes[q].anchors; row_q = 0)
            q++;
        struct detection_candidate *c = d->candidate + count;
        struct row scores = row_of(d->scored + p, outputs, row_p), box = row_of(d->boxes + q, outputs, row_q);
        c->row = row;
        c->gone = false;
        if (!rate(d, &scores, c))
            continue;
        decode(d, &box, c);
        count += is_box(c->box);
    }
    return count;
}

static bool before(const struct detection_candidate *a, const struct detection_candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->row < b->row);
}

/* Restore the heap, whose root comes last in the order, below `at`. */
static void sink(struct detection_candidate *c, uint32_t at, uint32_t count)
{
    for (;;) {
        uint32_t last = at, left = 2 * at + 1;
        for (uint32_t child = left; child < count && child < left + 2; child++)
            if (before(c + last, c + child))
                last = child;
        if (last == at)
            return;
        struct detection_candidate other = c[at];
        c[at] = c[last];
        c[last] = other;
        at = last;
    }
}

/* Heap sort: qsort may allocate. */
static void sort(struct detection_candidate *c, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sink(c, i, count);
    for (uint32_t end = count; end-- > 1;) {
        struct detection_candidate other = c[0];
        c[0] = c[end];
        c[end] = other;
        sink(c, 0, end);
    }
}

static double area(const double *box)
{
    return (box[2] - box[0]) * (box[3] - box[1]);
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static bool same(const struct detector *d, const struct detection_candidate *a, const struct detection_candidate *b)
{
    double wide = smaller(a->box[2], b->box[2]) - larger(a->box[0], b->box[0]);
    double high = smaller(a->box[3], b->box[3]) - larger(a->box[1], b->box[1]);
    double shared = wide > 0 && high > 0 ? wide * high : 0;
    return (d->agnostic || a->number == b->number) && shared > d->overlap * (area(a->box) + area(b->box) - shared);
}

/* Mark what a better candidate, at `best`, stands for; `box` is the one that becomes of them. */
static void suppress(struct detector *d, uint32_t best, uint32_t count, double *box)
{
    const struct detection_candidate *one = d->candidate + best;
    double total = one->score, sum[4];
    for (int i = 0; i < 4; i++)
        sum[i] = one->score * one->box[i];
    for (uint32_t k = best + 1; k < count; k++) {
        struct detection_candidate *other = d->candidate + k;
        if (other->gone || !same(d, one, other))
            continue;
        other->gone = true;
        total += other->score;
        for (int i = 0; i < 4; i++)
            sum[i] += other->score * other->box[i];
    }
    for (int i = 0; i < 4; i++)
        box[i] = d->weighted ? sum[i] / total : one->box[i];
}

/* A side of the picture: from the network's input to its pixels. */
struct way {
    double shift, scale, pad, size;
};

/* A coordinate in the picture, cut at its edges. */
static double inside(double value, const struct way *way)
{
    value = (value + way->shift) * way->scale - way->pad;
    return smaller(larger(value, 0), way->size);
}

uint32_t detection_run(struct detector *d, const struct detection_output *outputs, const struct picture_place *place,
                       uint32_t width, uint32_t height, struct edgekit_detection *found, uint32_t most)
{
    uint32_t count = collect(d, outputs), written = 0;
    const struct way across = {(double)place->left - (double)place->x, (double)place->whole_x / place->width,
                               place->pad_x, width};
    const struct way down = {(double)place->top - (double)place->y, (double)place->whole_y / place->height,
                             place->pad_y, height};
    sort(d->candidate, count);
    for (uint32_t i = 0, kept = 0; i < count && kept < d->most && written < most; i++) {
        double box[4];
        const struct detection_candidate *c = d->candidate + i;
        if (c->gone)
            continue;
        kept++;
        suppress(d, i, count, box);
        double left = inside(box[0], &across), right = inside(box[2], &across);
        double top = inside(box[1], &down), bottom = inside(box[3], &down);
        if (right > left && bottom > top)
            found[written++] = (struct edgekit_detection){c->number,    (float)c->score, (float)left, (float)top,
                                                          (float)right, (float)bottom,   NULL};
    }
    return written;
}
