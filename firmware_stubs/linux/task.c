#include "task.h"

#include <stdlib.h>
#include <string.h>

#include "json_fields.h"

enum { SCHEMA = 1, MOST_NAME = 64, MOST_PACKAGE = 256 };

static const struct task_source *const sources[] = {&task_picture, &task_row, &task_sound, &task_text};
static const struct {
    const char *name;
    const struct task_decider *decider;
} kinds[] = {
    {"anomaly", &task_anomaly},
    {"classification", &task_classifier},
    {"detection", &task_detector},
    {"embedding", &task_embedder},
    {"keyword", &task_classifier},
    {"ranking", &task_classifier},
    {"regression", &task_regressor},
    {"segmentation", &task_segmenter},
    {"speech-to-text", &task_transcriber},
    {"text-classification", &task_classifier},
};

#define LENGTH(table) (sizeof(table) / sizeof *(table))

struct task {
    const char *kind;
    char plugged[MOST_NAME]; /* the kind, if it is a plug-in's: source and decider may be missing */
    const struct task_source *source;
    const struct task_decider *decider;
    void *source_state, *decider_state;
};

static void task_free(struct task *t)
{
    if (t->source_state)
        t->source->free(t->source_state);
    if (t->decider_state)
        t->decider->free(t->decider_state);
    free(t);
}

/* The source, of the value `given`, and the decider, as far as they are known. */
static const char *read_parts(edgekit_instance *instance, const struct json *j, uint32_t v, uint32_t given)
{
    struct task *t = instance->task;
    if (!instance->engine.input_count || !instance->engine.output_count)
        return "not for this network";
    if ((t->source && !(t->source_state = t->source->read(instance, j, given))) ||
        (t->decider && !(t->decider_state = t->decider->read(instance, j, v))))
        return "not for this network, damaged, or too large for the memory";
    return NULL;
}

/* A kind that is a plug-in of edgekit, whose name is of [a-z0-9_-]: nothing is known here but that, and which of its
   parts are edgekit's own. */
static const char *read_plugged(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    static const char *letters = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    struct task *t = instance->task;
    char package[MOST_PACKAGE];
    uint32_t twins = json_get(j, v, "twins"), given = 0;
    if (!json_string(j, json_get(j, v, "plugin"), package, sizeof package) || !*package ||
        !json_string(j, json_get(j, v, "task"), t->plugged, sizeof t->plugged))
        return "damaged";
    t->kind = t->plugged;
    if (!*t->plugged || t->plugged[strspn(t->plugged, letters)])
        return "damaged";
    for (size_t i = 0; twins && i < LENGTH(sources); i++)
        if (json_is(j, json_get(j, twins, "source"), sources[i]->name)) {
            t->source = sources[i];
            given = json_get(j, v, t->source->name);
        }
    for (size_t i = 0; t->source && i < LENGTH(kinds); i++)
        if (json_is(j, json_get(j, twins, "decider"), kinds[i].name))
            t->decider = kinds[i].decider;
    return t->source && !given ? "damaged" : read_parts(instance, j, v, given);
}

static const char *read_task(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct task *t = instance->task;
    uint32_t given = 0;
    if (json_get(j, v, "plugin"))
        return read_plugged(instance, j, v);
    for (size_t i = 0; i < LENGTH(kinds); i++)
        if (json_is(j, json_get(j, v, "task"), kinds[i].name)) {
            t->kind = kinds[i].name;
            t->decider = kinds[i].decider;
        }
    for (size_t i = 0; i < LENGTH(sources) && !given; i++)
        if ((given = json_get(j, v, sources[i]->name)))
            t->source = sources[i];
    if (!t->decider || !t->source)
        return "of a kind that this library does not know";
    return read_parts(instance, j, v, given);
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

/* True if there is a task whose part this library knows. */
static bool has_task(edgekit_instance *instance, bool known)
{
    const struct task *t = instance->task;
    if (!t)
        engine_fail(&instance->engine, EDGEKIT_USAGE,
                    "the bundle has no task: compile the model with a task.toml beside it");
    else if (!known)
        engine_fail(&instance->engine, EDGEKIT_USAGE,
                    "the bundle's task is %s, a plug-in's kind that this library does not know: call "
                    "edgekit_set_input and edgekit_output_data",
                    t->kind);
    return t && known;
}

void *task_of_source(edgekit_instance *instance, const struct task_source *source)
{
    const struct task *t = instance->task;
    if (!has_task(instance, t && t->source))
        return NULL;
    if (t->source != source)
        engine_fail(&instance->engine, EDGEKIT_USAGE, "the bundle's task takes a %s: call %s", t->source->name,
                    t->source->call);
    return t->source == source ? t->source_state : NULL;
}

void *task_of_decider(edgekit_instance *instance, const struct task_decider *decider)
{
    const struct task *t = instance->task;
    if (!has_task(instance, t && t->decider))
        return NULL;
    if (t->decider != decider)
        engine_fail(&instance->engine, EDGEKIT_USAGE, "the bundle's task is %s: call %s", t->kind, t->decider->call);
    return t->decider == decider ? t->decider_state : NULL;
}

const char *edgekit_task(const edgekit_instance *instance)
{
    return instance->task ? instance->task->kind : NULL;
}
