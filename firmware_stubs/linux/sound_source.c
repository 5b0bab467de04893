/* Sound as a task's source. */
#include "sound_source.h"

#include <stdlib.h>

#include "task.h"

static void source_free(void *state)
{
    sound_free(state);
    free(state);
}

static void *source_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct sound_input *in = calloc(1, sizeof *in);
    if (in && (instance->engine.input_count != 1 || !sound_read(in, &instance->input[0].tensor, j, v))) {
        source_free(in);
        return NULL;
    }
    return in;
}

const struct task_source task_sound = {"sound", "edgekit_set_sound", source_read, source_free};

const struct sound_input *sound_source(edgekit_instance *instance)
{
    return task_of_source(instance, &task_sound);
}

int edgekit_clip(edgekit_instance *instance, struct edgekit_clip_format *clip)
{
    const struct sound_input *in = sound_source(instance);
    if (!in)
        return EDGEKIT_USAGE;
    if (clip->size < sizeof *clip)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "the size of struct edgekit_clip_format is not set");
    clip->rate = in->rate;
    clip->length = in->length;
    clip->step = in->step;
    return EDGEKIT_OK;
}

int edgekit_clips(edgekit_instance *instance, const struct edgekit_sound *sound, uint32_t *count)
{
    struct engine *e = &instance->engine;
    const struct sound_input *in = task_of_source(instance, &task_sound);
    *count = in ? sound_clips(in, sound, e->error, sizeof e->error) : 0;
    return *count ? EDGEKIT_OK : EDGEKIT_USAGE;
}

int edgekit_set_sound(edgekit_instance *instance, const struct edgekit_sound *sound)
{
    struct engine *e = &instance->engine;
    struct sound_input *in = task_of_source(instance, &task_sound);
    return in && sound_set(in, sound, &instance->input[0].tensor, e->input[0].data, e->error, sizeof e->error)
               ? EDGEKIT_OK
               : EDGEKIT_USAGE;
}
