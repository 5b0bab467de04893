#include "head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_fields.h"
#include "real.h"

static const char *const codings[] = {"center", "corners", "distances", "yolo5", "ssd", "blazeface"};
static const char *const orders[] = {"rows", "columns", "anchors"};
static const char *const scores[] = {"probabilities", "logits", "softmax"};

static bool from_one(const struct json *j, uint32_t object, const char *name, int64_t most, uint32_t *to)
{
    return json_whole(j, object, name, most, to) && *to > 0;
}

/* One output's rows; those of all parts are added up. */
static bool read_part(struct detection_part *part, const edgekit_instance *instance, const struct json *j, uint32_t v,
                      uint32_t least, uint32_t *rows)
{
    int order = json_choice(j, json_get(j, v, "order"), orders, 3);
    if (order < 0 || !json_whole(j, v, "output", UINT16_MAX, &part->output) ||
        !from_one(j, v, "cells", DETECTION_MAX_ROWS, &part->cells) ||
        !from_one(j, v, "anchors", DETECTION_MAX_ANCHORS, &part->anchors) ||
        !from_one(j, v, "columns", DETECTION_MAX_COLUMNS, &part->columns) ||
        part->output >= instance->engine.output_count || part->columns < least)
        return false;
    const struct edgekit_tensor *t = &instance->output[part->output].tensor;
    size_t size = t->type == EDGEKIT_FLOAT32 ? 4 : t->type == EDGEKIT_INT16 ? 2 : 1;
    uint64_t more = (uint64_t)part->cells * part->anchors;
    if (!real_known(t) || more > DETECTION_MAX_ROWS - *rows || more * part->columns != t->bytes / size)
        return false;
    *rows += (uint32_t)more;
    detection_lay(part, (enum detection_order)order);
    return true;
}

static bool read_parts(struct detection_part *parts, uint32_t *count, uint32_t *rows, const edgekit_instance *instance,
                       const struct json *j, uint32_t list, uint32_t least)
{
    *count = *rows = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i)) {
        if (*count == DETECTION_MAX_PARTS || json_kind(j, i) != JSON_OBJECT ||
            !read_part(parts + *count, instance, j, i, least, rows))
            return false;
        ++*count;
    }
    return *count > 0;
}

/* Anchors of one grid: for each cell, row by row, those of all sizes. */
static bool read_grid(struct detector *d, const struct json *j, uint32_t v, uint32_t *made)
{
    uint32_t width, height, list = json_get(j, v, "sizes"), count = 0;
    double step[2], sizes[DETECTION_MAX_ANCHORS][2];
    if (json_kind(j, v) != JSON_OBJECT || !from_one(j, v, "width", PICTURE_MAX_SIDE, &width) ||
        !from_one(j, v, "height", PICTURE_MAX_SIDE, &height) || !json_doubles(j, json_get(j, v, "step"), 2, step) ||
        !list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        if (count == DETECTION_MAX_ANCHORS || !json_doubles(j, i, 2, sizes[count++]))
            return false;
    if ((uint64_t)width * height * count > d->rows - *made)
        return false;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t k = 0; k < count; k++)
                d->anchor[(*made)++] = (struct detection_anchor){
                    (x + 0.5) * step[0], (y + 0.5) * step[1], sizes[k][0], sizes[k][1], step[0], step[1]};
    return true;
}

static bool read_grids(struct detector *d, const struct json *j, uint32_t list)
{
    uint32_t made = 0;
    bool decoded = d->coding == CODE_CENTER || d->coding == CODE_CORNERS;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    if (decoded)
        return !json_first(j, list);
    if (!(d->anchor = calloc(d->rows, sizeof *d->anchor)))
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        if (!read_grid(d, j, i, &made))
            return false;
    return made == d->rows;
}

static bool read_suppression(struct detector *d, const struct json *j, uint32_t v)
{
    return v && json_kind(j, v) == JSON_OBJECT && json_double(j, v, "score", &d->least) &&
           json_double(j, v, "overlap", &d->overlap) && d->least >= 0 && d->least <= 1 && d->overlap >= 0 &&
           d->overlap <= 1 && from_one(j, v, "most", DETECTION_MAX_FOUND, &d->most) &&
           json_flag(j, v, "agnostic", &d->agnostic) && json_flag(j, v, "weighted", &d->weighted);
}

bool head_read(struct detector *d, const edgekit_instance *instance, const struct json *j, uint32_t task)
{
    uint32_t v = json_get(j, task, "head"), scored;
    bool joint;
    if (!v || json_kind(j, v) != JSON_OBJECT || !read_suppression(d, j, json_get(j, task, "suppression")))
        return false;
    int coding = json_choice(j, json_get(j, v, "coding"), codings, 6);
    int kind = json_choice(j, json_get(j, task, "scores"), scores, 3);
    if (coding < 0 || kind < 0 || !json_flag(j, v, "yx", &d->yx) || !json_flag(j, v, "objectness", &d->objectness) ||
        !json_flag(j, v, "background", &d->background) || !json_flag(j, v, "joint", &joint) ||
        !json_doubles(j, json_get(j, v, "unit"), 2, d->unit) ||
        !json_doubles(j, json_get(j, v, "variance"), 4, d->variance) ||
        !from_one(j, v, "bins", DETECTION_MAX_BINS, &d->bins) ||
        !from_one(j, v, "classes", DETECTION_MAX_COLUMNS, &d->classes))
        return false;
    d->coding = (enum detection_coding)coding;
    d->scores = (enum detection_scores)kind;
    if (d->bins > 1 && d->coding != CODE_DISTANCES)
        return false;
    d->first_score = joint ? 4 * d->bins : 0;
    uint32_t columns = d->first_score + d->objectness + d->background + d->classes;
    if (!read_parts(d->boxes, &d->box_parts, &d->rows, instance, j, json_get(j, v, "boxes"), 4 * d->bins) ||
        !read_parts(d->scored, &d->score_parts, &scored, instance, j, json_get(j, v, "scores"), columns) ||
        scored != d->rows || !read_grids(d, j, json_get(j, v, "grids")))
        return false;
    d->candidate = calloc(d->rows, sizeof *d->candidate);
    return d->candidate != NULL;
}
