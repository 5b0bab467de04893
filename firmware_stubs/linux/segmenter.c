/* The class of each pixel. edgekit/tasks/segmentation.py is the same in Python. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "class_labels.h"
#include "exact.h"
#include "json_fields.h"
#include "picture_source.h"
#include "real.h"
#include "task.h"

enum { MAX_MASK_CLASSES = EDGEKIT_UNSEEN };
enum form { FORM_LAST, FORM_FIRST, FORM_SCORE, FORM_NUMBER };

struct segmenter {
    enum form form;
    uint32_t height, width, classes;        /* of the output */
    uint32_t network_height, network_width; /* of the network's input */
    double threshold;
    bool logits;
    struct labels labels;
    uint8_t *raster; /* [height][width]: classes */
};

static void segmenter_free(void *state)
{
    struct segmenter *s = state;
    labels_free(&s->labels);
    free(s->raster);
    free(s);
}

static bool whole_known(const struct edgekit_tensor *t)
{
    return t->type == EDGEKIT_INT8 || t->type == EDGEKIT_UINT8 || t->type == EDGEKIT_INT16 ||
           t->type == EDGEKIT_INT32 || t->type == EDGEKIT_INT64;
}

static int64_t whole_value(const struct edgekit_tensor *t, const void *data, size_t i)
{
    return t->type == EDGEKIT_INT64   ? ((const int64_t *)data)[i]
           : t->type == EDGEKIT_INT32 ? ((const int32_t *)data)[i]
           : t->type == EDGEKIT_INT16 ? ((const int16_t *)data)[i]
           : t->type == EDGEKIT_INT8  ? ((const int8_t *)data)[i]
                                      : ((const uint8_t *)data)[i];
}

/* Whether the output has as many elements as the mask needs. */
static bool fits(const struct segmenter *s, const struct edgekit_tensor *t)
{
    uint64_t count = (uint64_t)s->height * s->width, found = 1;
    if (s->form == FORM_LAST || s->form == FORM_FIRST)
        count *= s->classes;
    for (uint32_t i = 0; i < t->rank; i++)
        found *= (uint64_t)t->shape[i];
    return found == count && (s->form == FORM_NUMBER ? whole_known(t) && !(t->scale > 0) : real_known(t));
}

static bool read_mask(struct segmenter *s, const edgekit_instance *instance, const struct json *j, uint32_t v)
{
    static const char *const forms[] = {"last", "first", "score", "number"};
    static const char *const scores[] = {"probabilities", "logits"};
    const struct edgekit_tensor *input = &instance->input[0].tensor;
    uint32_t mask = json_get(j, v, "mask");
    int form = json_choice(j, json_get(j, mask, "form"), forms, 4);
    int logits = json_choice(j, json_get(j, v, "scores"), scores, 2);
    if (!mask || json_kind(j, mask) != JSON_OBJECT || form < 0 || logits < 0 || input->rank != 4 ||
        !json_whole(j, mask, "height", PICTURE_MAX_SIDE, &s->height) || !s->height ||
        !json_whole(j, mask, "width", PICTURE_MAX_SIDE, &s->width) || !s->width ||
        !json_whole(j, mask, "classes", MAX_MASK_CLASSES, &s->classes) || !s->classes ||
        !json_double(j, mask, "threshold", &s->threshold))
        return false;
    bool first = input->shape[3] != 1 && input->shape[3] != 3;
    s->network_height = (uint32_t)input->shape[first ? 2 : 1];
    s->network_width = (uint32_t)input->shape[first ? 3 : 2];
    s->form = (enum form)form;
    s->logits = logits == 1;
    return fits(s, &instance->output[0].tensor) && (s->form != FORM_SCORE || s->classes == 2) &&
           labels_read(&s->labels, j, v, s->classes) && (s->raster = malloc((size_t)s->height * s->width));
}

static void *segmenter_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct segmenter *s = calloc(1, sizeof *s);
    if (s && !read_mask(s, instance, j, v)) {
        segmenter_free(s);
        return NULL;
    }
    return s;
}

const struct task_decider task_segmenter = {"edgekit_mask", segmenter_read, segmenter_free};

static uint8_t best(const struct segmenter *s, const struct edgekit_tensor *t, const void *data, size_t pixel)
{
    size_t pixels = (size_t)s->height * s->width;
    size_t at = s->form == FORM_FIRST ? pixel : pixel * s->classes, step = s->form == FORM_FIRST ? pixels : 1;
    double highest = -INFINITY;
    uint32_t found = 0;
    for (uint32_t i = 0; i < s->classes; i++, at += step) {
        double value = real_value(t, data, at);
        if (value > highest) {
            highest = value;
            found = i;
        }
    }
    return (uint8_t)found;
}

static uint8_t class_of(const struct segmenter *s, const struct edgekit_tensor *t, const void *data, size_t pixel)
{
    if (s->form == FORM_NUMBER) {
        int64_t number = whole_value(t, data, pixel);
        return number >= 0 && number < s->classes ? (uint8_t)number : EDGEKIT_UNSEEN;
    }
    if (s->form == FORM_SCORE) {
        double value = real_value(t, data, pixel);
        return (s->logits ? 1.0 / (1.0 + exact_exp(-value)) : value) >= s->threshold;
    }
    return best(s, t, data, pixel);
}

/* One side of the picture: what was added before it, its size with that, its size when it was resized, where that
   begins in the network's input, and how large input and mask are. */
struct side {
    int64_t pad, whole, resized, shift, network, cells;
};

/* Which cell of the mask lies below a pixel's center; -1: none. In integers, so that all machines agree. */
static int64_t below(const struct side *side, uint32_t pixel)
{
    int64_t center = (2 * (pixel + side->pad) + 1) * side->resized + 2 * side->whole * side->shift;
    int64_t end = 2 * side->whole * side->network;
    return center < 0 || center >= end ? -1 : center * side->cells / end;
}

int edgekit_mask(edgekit_instance *instance, uint8_t *mask, size_t stride)
{
    struct segmenter *s = task_of_decider(instance, &task_segmenter);
    const struct picture_room *room = s ? picture_source_room(instance) : NULL;
    if (!room)
        return EDGEKIT_USAGE;
    if (!mask || stride < room->width)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "the mask's rows are shorter than the picture's");
    const struct edgekit_tensor *t = &instance->output[0].tensor;
    const void *data = instance->engine.output[0].data;
    for (size_t i = 0; i < (size_t)s->height * s->width; i++)
        s->raster[i] = class_of(s, t, data, i);
    const struct picture_place *p = &room->place;
    const struct side across = {p->pad_x, p->whole_x, p->width, (int64_t)p->x - p->left, s->network_width, s->width};
    const struct side down = {p->pad_y, p->whole_y, p->height, (int64_t)p->y - p->top, s->network_height, s->height};
    int64_t last = -2;
    for (uint32_t y = 0; y < room->height; y++, mask += stride) {
        int64_t row = below(&down, y);
        if (y && row == last) {
            memcpy(mask, mask - stride, room->width);
            continue;
        }
        last = row;
        for (uint32_t x = 0; x < room->width; x++) {
            int64_t column = below(&across, x);
            mask[x] = row < 0 || column < 0 ? EDGEKIT_UNSEEN : s->raster[(size_t)row * s->width + (size_t)column];
        }
    }
    return EDGEKIT_OK;
}

const char *edgekit_mask_label(edgekit_instance *instance, uint32_t number)
{
    const struct segmenter *s = task_of_decider(instance, &task_segmenter);
    return !s                         ? NULL
           : number == EDGEKIT_UNSEEN ? "unseen"
           : number < s->classes      ? labels_get(&s->labels, number)
                                      : NULL;
}
