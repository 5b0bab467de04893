#include "picture_source.h"

#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "json_fields.h"
#include "task.h"

struct source {
    struct picture_input input;
    struct picture_room room;
};

static bool floats(const struct json *j, uint32_t object, const char *name, uint32_t count, float *to)
{
    double number[PICTURE_MAX_CHANNELS];
    if (!json_doubles(j, json_get(j, object, name), count, number))
        return false;
    for (uint32_t i = 0; i < count; i++)
        to[i] = (float)number[i];
    return true;
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

/* What each byte of each channel becomes. An input of bytes without a scale takes them as they are. */
static bool make_values(struct picture_input *in, const struct edgekit_tensor *t, const float *scale,
                        const float *offset)
{
    bool bytes = t->type == EDGEKIT_UINT8 && !(t->scale > 0);
    in->element = element_size(t);
    if (!in->element && !bytes)
        return false;
    in->element = bytes ? 1 : in->element;
    if (!(in->values = malloc((size_t)in->channels * 256 * in->element)))
        return false;
    for (uint32_t i = 0; i < in->channels * 256; i++) {
        volatile float product = (float)(i % 256) * scale[i / 256]; /* rounded: not one operation with the sum */
        float real = product + offset[i / 256];
        if (bytes)
            in->values[i] = (uint8_t)(i % 256);
        else
            element_put(t, real, in->values, i);
    }
    return true;
}

static bool read_picture(struct picture_input *in, const struct edgekit_tensor *t, const struct json *j, uint32_t v)
{
    static const char *const fits[] = {"stretch", "crop", "letterbox", "pad"}, *const colors[] = {"rgb", "bgr", "grey"};
    float scale[PICTURE_MAX_CHANNELS], offset[PICTURE_MAX_CHANNELS];
    uint32_t fill;
    int fit = json_choice(j, json_get(j, v, "fit"), fits, 4);
    int order = json_choice(j, json_get(j, v, "colors"), colors, 3);
    if (fit < 0 || order < 0 || !take_shape(in, t) || (order == 2) != (in->channels == 1) ||
        !json_whole(j, v, "short", PICTURE_MAX_SIDE, &in->short_side) || !json_whole(j, v, "fill", 255, &fill) ||
        !floats(j, v, "scale", in->channels, scale) || !floats(j, v, "offset", in->channels, offset))
        return false;
    in->fit = (enum picture_fit)fit;
    in->bgr = order == 1;
    in->fill = (uint8_t)fill;
    return make_values(in, t, scale, offset);
}

static void source_free(void *state)
{
    struct source *s = state;
    picture_free(&s->room);
    free(s->input.values);
    free(s);
}

static void *source_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct source *s = calloc(1, sizeof *s);
    if (s && (instance->engine.input_count != 1 || !read_picture(&s->input, &instance->input[0].tensor, j, v))) {
        source_free(s);
        return NULL;
    }
    return s;
}

const struct task_source task_picture = {"picture", "edgekit_set_picture", source_read, source_free};

int edgekit_set_picture(edgekit_instance *instance, const struct edgekit_picture *picture)
{
    struct engine *e = &instance->engine;
    struct source *s = task_of_source(instance, &task_picture);
    return s && picture_set(&s->input, &s->room, picture, e->input[0].data, e->error, sizeof e->error) ? EDGEKIT_OK
                                                                                                       : EDGEKIT_USAGE;
}

const struct picture_room *picture_source_room(edgekit_instance *instance)
{
    const struct source *s = task_of_source(instance, &task_picture);
    if (!s)
        return NULL;
    if (!s->room.width)
        engine_fail(&instance->engine, EDGEKIT_USAGE, "there is no picture yet: call edgekit_set_picture");
    return s->room.width ? &s->room : NULL;
}
