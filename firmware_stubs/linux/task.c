#include "task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detection.h"
#include "head.h"
#include "json_fields.h"
#include "picture.h"
#include "real.h"

enum { SCHEMA = 1, MAX_LABEL = 200, MAX_CLASSES = 65536 };

struct task {
    struct picture_input input;
    struct picture_room room;
    uint32_t top, classes;
    bool logits, detects;
    struct detector detector;
    struct detection_output *outputs; /* of a detector, as its parts number them */
    char **label; /* one block: the pointers, then the texts; NULL where classes have numbers only */
    char (*number)[8];
    double *score;
    bool *taken;
};

static void task_free(struct task *t)
{
    picture_free(&t->room);
    detection_free(&t->detector);
    free(t->outputs);
    free(t->input.values);
    free(t->label);
    free(t->number);
    free(t->score);
    free(t->taken);
    free(t);
}

static bool floats(const struct json *j, uint32_t object, const char *name, uint32_t count, float *to)
{
    uint32_t list = json_get(j, object, name), found = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i)) {
        double number;
        if (found == count || !json_number(j, i, &number))
            return false;
        to[found++] = (float)number;
    }
    return found == count;
}

/* The shape [1, height, width, channels] or [1, channels, height, width]. */
static bool take_shape(struct picture_input *in, const struct edgekit_tensor *t)
{
    if (t->rank != 4 || t->shape[0] != 1)
        return false;
    in->channels_first = t->shape[3] != 1 && t->shape[3] != 3;
    const int64_t *sides = t->shape + (in->channels_first ? 2 : 1);
    int64_t channels = t->shape[in->channels_first ? 1 : 3];
    if (channels != 1 && channels != 3)
        return false;
    for (int i = 0; i < 2; i++)
        if (sides[i] < 1 || sides[i] > PICTURE_MAX_SIDE)
            return false;
    in->height = (uint32_t)sides[0];
    in->width = (uint32_t)sides[1];
    in->channels = (uint32_t)channels;
    return true;
}

/* A real value in the tensor's integers, as edgekit quantizes: halves to the even one, saturated. */
static int64_t quantized(const struct edgekit_tensor *t, float real, int64_t low, int64_t high)
{
    double q = rint((double)real / t->scale) + (double)t->zero_point;
    return q<(double)low ? low : q>(double) high ? high : (int64_t)q;
}

/* What each byte of each channel becomes. */
static bool make_values(struct picture_input *in, const struct edgekit_tensor *t, const float *scale,
                        const float *offset)
{
    bool scaled = t->scale > 0;
    in->element = t->type == EDGEKIT_FLOAT32 ? 4 : t->type == EDGEKIT_INT16 ? 2 : 1;
    if (t->type != EDGEKIT_FLOAT32 && t->type != EDGEKIT_UINT8 &&
        !(scaled && (t->type == EDGEKIT_INT8 || t->type == EDGEKIT_INT16)))
        return false;
    if (!(in->values = malloc((size_t)in->channels * 256 * in->element)))
        return false;
    for (uint32_t i = 0; i < in->channels * 256; i++) {
        uint8_t *to = in->values + i * in->element;
        volatile float product = (float)(i % 256) * scale[i / 256]; /* rounded: not one operation with the sum */
        float real = product + offset[i / 256];
        if (t->type == EDGEKIT_FLOAT32) {
            memcpy(to, &real, sizeof real);
        } else if (t->type == EDGEKIT_INT16) {
            int16_t q = (int16_t)quantized(t, real, INT16_MIN, INT16_MAX);
            memcpy(to, &q, sizeof q);
        } else if (t->type == EDGEKIT_INT8) {
            *to = (uint8_t)(int8_t)quantized(t, real, INT8_MIN, INT8_MAX);
        } else {
            *to = scaled ? (uint8_t)quantized(t, real, 0, UINT8_MAX) : (uint8_t)(i % 256);
        }
    }
    return true;
}

static bool read_picture(struct picture_input *in, const struct edgekit_tensor *t, const struct json *j, uint32_t v)
{
    static const char *const fits[] = {"stretch", "crop", "letterbox"}, *const colors[] = {"rgb", "bgr", "grey"};
    float scale[PICTURE_MAX_CHANNELS], offset[PICTURE_MAX_CHANNELS];
    uint32_t fill;
    int fit = v ? json_choice(j, json_get(j, v, "fit"), fits, 3) : -1;
    int order = v ? json_choice(j, json_get(j, v, "colors"), colors, 3) : -1;
    if (fit < 0 || order < 0 || !take_shape(in, t) || (order == 2) != (in->channels == 1) ||
        !json_whole(j, v, "short", PICTURE_MAX_SIDE, &in->short_side) || !json_whole(j, v, "fill", 255, &fill) ||
        !floats(j, v, "scale", in->channels, scale) || !floats(j, v, "offset", in->channels, offset))
        return false;
    in->fit = (enum picture_fit)fit;
    in->bgr = order == 1;
    in->fill = (uint8_t)fill;
    return make_values(in, t, scale, offset);
}

static bool read_labels(struct task *t, const struct json *j, uint32_t list)
{
    char text[MAX_LABEL + 1];
    uint32_t count = 0;
    size_t bytes = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i), count++) {
        if (!json_string(j, i, text, sizeof text))
            return false;
        bytes += strlen(text) + 1;
    }
    if (count && count != t->classes)
        return false;
    if (!count) { /* labels are their numbers */
        if (!(t->number = calloc(t->classes, sizeof *t->number)))
            return false;
        for (uint32_t i = 0; i < t->classes; i++)
            snprintf(t->number[i], sizeof t->number[i], "%u", i % MAX_CLASSES);
        return true;
    }
    if (!(t->label = malloc(count * sizeof *t->label + bytes)))
        return false;
    char *at = (char *)(t->label + count);
    count = 0;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i)) {
        if (!json_string(j, i, text, sizeof text))
            return false;
        size_t size = strlen(text) + 1;
        t->label[count++] = memcpy(at, text, size);
        at += size;
    }
    return true;
}

/* Elements of an output [1, .., classes] whose type is known. */
static uint32_t classes_of(const struct edgekit_tensor *t)
{
    int64_t last = t->rank ? t->shape[t->rank - 1] : 0;
    for (uint32_t i = 0; i + 1 < t->rank; i++)
        if (t->shape[i] != 1)
            return 0;
    return real_known(t) && last >= 2 && last <= MAX_CLASSES ? (uint32_t)last : 0;
}

static bool read_classification(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    static const char *const scores[] = {"probabilities", "logits"};
    struct task *t = instance->task;
    int logits = json_choice(j, json_get(j, v, "scores"), scores, 2);
    t->classes = classes_of(&instance->output[0].tensor);
    if (!t->classes || logits < 0 || !json_whole(j, v, "top", MAX_CLASSES, &t->top) || !t->top)
        return false;
    t->logits = logits == 1;
    t->score = calloc(t->classes, sizeof *t->score);
    t->taken = calloc(t->classes, sizeof *t->taken);
    return t->score && t->taken;
}

static bool read_detection(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct task *t = instance->task;
    size_t count = instance->engine.output_count;
    if (!(t->outputs = calloc(count, sizeof *t->outputs)) || !head_read(&t->detector, instance, j, v))
        return false;
    for (size_t i = 0; i < count; i++)
        t->outputs[i].tensor = &instance->output[i].tensor;
    t->classes = t->detector.classes;
    return true;
}

static const char *read_task(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    static const char *const kinds[] = {"classification", "detection"};
    struct task *t = instance->task;
    int kind = json_choice(j, json_get(j, v, "task"), kinds, 2);
    if (kind < 0)
        return "of a kind that this library does not know";
    if (instance->engine.input_count != 1 || !instance->engine.output_count)
        return "not for this network";
    t->detects = kind == 1;
    if (!(t->detects ? read_detection : read_classification)(instance, j, v) ||
        !read_picture(&t->input, &instance->input[0].tensor, j, json_get(j, v, "picture")) ||
        !read_labels(t, j, json_get(j, v, "labels")))
        return "not for this network, damaged, or too large for the memory";
    return NULL;
}

int task_read(edgekit_instance *instance, const struct json *j)
{
    int64_t schema;
    uint32_t v = json_get(j, 0, "task");
    if (!v || json_kind(j, v) == JSON_NULL)
        return EDGEKIT_OK;
    if (!json_integer(j, json_get(j, v, "schema"), &schema) || schema != SCHEMA)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "the bundle's task is of a newer edgekit");
    if (!(instance->task = calloc(1, sizeof *instance->task)))
        return engine_fail(&instance->engine, EDGEKIT_FAILED, "there is no memory for the task");
    instance->task_free = task_free;
    const char *wrong = read_task(instance, j, v);
    return wrong ? engine_fail(&instance->engine, EDGEKIT_DAMAGED, "the bundle's task is %s", wrong) : EDGEKIT_OK;
}

static int no_task(edgekit_instance *instance)
{
    return engine_fail(&instance->engine, EDGEKIT_USAGE,
                       "the bundle has no task: compile the model with a task.toml beside it");
}

int edgekit_set_picture(edgekit_instance *instance, const struct edgekit_picture *picture)
{
    struct engine *e = &instance->engine;
    if (!instance->task)
        return no_task(instance);
    return picture_set(&instance->task->input, &instance->task->room, picture, e->input[0].data, e->error,
                       sizeof e->error)
               ? EDGEKIT_OK
               : EDGEKIT_USAGE;
}

/* The best that is not taken; of equal ones, the first. What is not a number comes last. */
static uint32_t best(const struct task *t)
{
    uint32_t found = t->classes;
    for (uint32_t i = 0; i < t->classes; i++)
        if (!t->taken[i] &&
            (found == t->classes || t->score[i] > t->score[found] || (isnan(t->score[found]) && !isnan(t->score[i]))))
            found = i;
    return found;
}

int edgekit_classes(edgekit_instance *instance, struct edgekit_class *classes, uint32_t most, uint32_t *count)
{
    struct task *t = instance->task;
    double sum = 0, highest = 0;
    if (!t)
        return no_task(instance);
    if (t->detects)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "the bundle's task is detection: call edgekit_detections");
    for (uint32_t i = 0; i < t->classes; i++) {
        t->taken[i] = false;
        t->score[i] = real_value(&instance->output[0].tensor, instance->engine.output[0].data, i);
        if (!i || t->score[i] > highest)
            highest = t->score[i];
    }
    for (uint32_t i = 0; t->logits && i < t->classes; i++)
        sum += exp(t->score[i] - highest);
    *count = most < t->top ? most : t->top;
    *count = *count < t->classes ? *count : t->classes;
    for (uint32_t k = 0; k < *count; k++) {
        uint32_t i = best(t);
        t->taken[i] = true;
        classes[k].number = i;
        classes[k].score = (float)(t->logits ? exp(t->score[i] - highest) / sum : t->score[i]);
        classes[k].label = t->label ? t->label[i] : t->number[i];
    }
    return EDGEKIT_OK;
}

int edgekit_detections(edgekit_instance *instance, struct edgekit_detection *detections, uint32_t most, uint32_t *count)
{
    struct task *t = instance->task;
    if (!t)
        return no_task(instance);
    if (!t->detects)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "the bundle's task is not detection");
    if (!t->room.width)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "there is no picture yet: call edgekit_set_picture");
    for (size_t i = 0; i < instance->engine.output_count; i++)
        t->outputs[i].data = instance->engine.output[i].data;
    *count = detection_run(&t->detector, t->outputs, &t->room.place, t->room.width, t->room.height, detections, most);
    for (uint32_t i = 0; i < *count; i++)
        detections[i].label = t->label ? t->label[detections[i].number] : t->number[detections[i].number];
    return EDGEKIT_OK;
}
