#include "decide.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "instance.h"
#include "json_fields.h"
#include "picture_source.h"
#include "task.h"

enum { PICTURE = 1, SOUND = 2, TEXT = 3, ROW = 4, HEADER = 16 };
enum { MAX_CLASSES = 65536, MAX_DETECTIONS = 10000, MAX_VALUES = 4096, MAX_CELLS = 4096, MAX_ELEMENTS = 4096 };
enum { MAX_LABELS = 65536 };

struct record {
    uint32_t kind, a, b, bytes;
    const uint8_t *data;
};

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Take the next record off the material; false where it is cut short. */
static bool next(const uint8_t **at, size_t *left, struct record *r)
{
    if (*left < HEADER)
        return false;
    *r = (struct record){number(*at), number(*at + 4), number(*at + 8), number(*at + 12), *at + HEADER};
    if (*left - HEADER < r->bytes)
        return false;
    *at += HEADER + r->bytes;
    *left -= HEADER + r->bytes;
    return true;
}

static int feed_sound(edgekit_instance *instance, const struct record *r)
{
    const struct edgekit_sound sound = {sizeof sound,  r->data, r->bytes / sizeof(int16_t) / r->b, r->a, r->b,
                                        EDGEKIT_PCM16, 0};
    return edgekit_set_sound(instance, &sound);
}

static int damaged(edgekit_instance *instance)
{
    return engine_fail(&instance->engine, EDGEKIT_USAGE, "the material is damaged, or of a newer edgekit");
}

/* Take the next cell off a row; false where it is cut short. */
static bool next_cell(const uint8_t **at, size_t *left, struct edgekit_cell *cell)
{
    const uint8_t *content = *at + 1, *end;
    *cell = (struct edgekit_cell){0};
    if (*left > sizeof cell->number && **at == 'n') {
        memcpy(&cell->number, content, sizeof cell->number);
        end = content + sizeof cell->number;
    } else if (*left > 1 && **at == 't' && (end = memchr(content, 0, *left - 1))) {
        cell->text = (const char *)content;
        end++;
    } else {
        return false;
    }
    *left -= (size_t)(end - *at);
    *at = end;
    return true;
}

static int feed_row(edgekit_instance *instance, const struct record *r)
{
    const uint8_t *at = r->data;
    size_t left = r->bytes;
    struct edgekit_cell cells[MAX_CELLS];
    if (r->a > MAX_CELLS)
        return damaged(instance);
    for (uint32_t i = 0; i < r->a; i++)
        if (!next_cell(&at, &left, &cells[i]))
            return damaged(instance);
    return left ? damaged(instance) : edgekit_set_row(instance, cells, r->a);
}

static int feed(edgekit_instance *instance, const struct record *r)
{
    if (r->kind == SOUND && r->b && r->bytes % (sizeof(int16_t) * r->b) == 0)
        return feed_sound(instance, r);
    if (r->kind == TEXT)
        return edgekit_set_text(instance, (const char *)r->data, r->bytes);
    if (r->kind == ROW)
        return feed_row(instance, r);
    if (r->kind != PICTURE || (uint64_t)r->a * r->b * 3 != r->bytes)
        return damaged(instance);
    const struct edgekit_picture picture = {sizeof picture, r->data, r->a, r->b, (size_t)r->a * 3, EDGEKIT_RGB};
    return edgekit_set_picture(instance, &picture);
}

static int no_memory(edgekit_instance *instance)
{
    return engine_fail(&instance->engine, EDGEKIT_FAILED, "there is no memory for decisions");
}

static int write_classes(edgekit_instance *instance, long sample, FILE *file)
{
    uint32_t count = 0;
    struct edgekit_class *classes = calloc(MAX_CLASSES, sizeof *classes);
    if (!classes)
        return no_memory(instance);
    int status = edgekit_classes(instance, classes, MAX_CLASSES, &count);
    for (uint32_t i = 0; !status && i < count; i++)
        fprintf(file, "%ld %u 1 %a %s\n", sample, classes[i].number, (double)classes[i].score, classes[i].label);
    free(classes);
    return status;
}

static int write_detections(edgekit_instance *instance, long sample, FILE *file)
{
    uint32_t count = 0;
    struct edgekit_detection *found = calloc(MAX_DETECTIONS, sizeof *found);
    if (!found)
        return no_memory(instance);
    int status = edgekit_detections(instance, found, MAX_DETECTIONS, &count);
    for (uint32_t i = 0; !status && i < count; i++)
        fprintf(file, "%ld %u 5 %a %a %a %a %a %s\n", sample, found[i].number, (double)found[i].score,
                (double)found[i].left, (double)found[i].top, (double)found[i].right, (double)found[i].bottom,
                found[i].label);
    free(found);
    return status;
}

/* The FNV-1a hash of 32 bits. */
static uint32_t digest(const uint8_t *bytes, uint32_t count)
{
    uint32_t found = 2166136261u;
    for (uint32_t i = 0; i < count; i++)
        found = (found ^ bytes[i]) * 16777619u;
    return found;
}

/* The pixels of each class, and a digest of each row. */
static int write_mask(edgekit_instance *instance, long sample, FILE *file)
{
    const struct picture_room *room = picture_source_room(instance);
    if (!room)
        return EDGEKIT_USAGE;
    size_t size = (size_t)room->width * room->height;
    uint64_t pixels[256] = {0};
    uint8_t *mask = malloc(size);
    if (!mask)
        return no_memory(instance);
    int status = edgekit_mask(instance, mask, room->width);
    for (size_t i = 0; i < size && !status; i++)
        pixels[mask[i]]++;
    for (uint32_t i = 0; i < 256 && !status; i++)
        if (pixels[i])
            fprintf(file, "%ld %u 1 %a %s\n", sample, i, (double)pixels[i], edgekit_mask_label(instance, i));
    for (uint32_t y = 0; y < room->height && !status; y++)
        fprintf(file, "%ld %u 1 %a row\n", sample, y, (double)digest(mask + (size_t)y * room->width, room->width));
    free(mask);
    return status;
}

static int write_anomaly(edgekit_instance *instance, long sample, FILE *file)
{
    struct edgekit_anomaly_sum sum = {.size = sizeof sum};
    int status = edgekit_anomaly(instance, &sum);
    if (!status)
        fprintf(file, "%ld %d 1 %a %s\n", sample, sum.anomalous, sum.score, sum.anomalous ? "anomalous" : "normal");
    return status;
}

static int write_values(edgekit_instance *instance, long sample, FILE *file)
{
    uint32_t count = 0;
    float values[MAX_VALUES];
    const char *unit = "";
    int status = edgekit_values(instance, values, MAX_VALUES, &count, &unit);
    for (uint32_t i = 0; !status && i < count; i++)
        fprintf(file, "%ld %u 1 %a %s\n", sample, i, (double)values[i], unit);
    return status;
}

/* The nearest labels, then the vector. */
static int write_embedding(edgekit_instance *instance, long sample, FILE *file)
{
    uint32_t count = 0, elements = 0;
    float vector[MAX_ELEMENTS];
    struct edgekit_neighbour *near = calloc(MAX_LABELS, sizeof *near);
    if (!near)
        return no_memory(instance);
    int status = edgekit_neighbours(instance, near, MAX_LABELS, &count);
    for (uint32_t i = 0; !status && i < count; i++)
        fprintf(file, "%ld %u 2 %a %a %s\n", sample, near[i].number, (double)near[i].cosine, near[i].known ? 1.0 : 0.0,
                near[i].label);
    free(near);
    if (!status)
        status = edgekit_embedding(instance, vector, MAX_ELEMENTS, &elements);
    for (uint32_t i = 0; !status && i < elements; i++)
        fprintf(file, "%ld %u 1 %a vector\n", sample, i, (double)vector[i]);
    return status;
}

/* The text, and each label. */
static int write_transcript(edgekit_instance *instance, long sample, FILE *file)
{
    struct edgekit_transcript_part found = {.size = sizeof found, .last = 1};
    int status = edgekit_transcript(instance, &found);
    if (!status)
        fprintf(file, "%ld %u 0 %s\n", sample, found.count, found.text);
    for (uint32_t i = 0; !status && i < found.count; i++)
        fprintf(file, "%ld %u 2 %a %a %s\n", sample, found.labels[i].number, (double)found.labels[i].score,
                (double)found.labels[i].start, found.labels[i].label);
    return status;
}

/* A plug-in's decider is not executed here. */
static int write_nothing(edgekit_instance *instance, long sample, FILE *file)
{
    (void)instance, (void)sample, (void)file;
    return EDGEKIT_OK;
}

typedef int (*decide_write)(edgekit_instance *, long sample, FILE *);
static const char *const tasks[] = {
    "anomaly", "classification", "detection",    "embedding",      "keyword",
    "ranking", "regression",     "segmentation", "speech-to-text", "text-classification"};
static const decide_write writers[] = {write_anomaly, write_classes, write_detections, write_embedding,  write_classes,
                                       write_classes, write_values,  write_mask,       write_transcript, write_classes};

static void write_ports(const struct port *ports, size_t count, FILE *file)
{
    for (size_t i = 0; i < count; i++)
        fwrite(ports[i].data, 1, ports[i].bytes, file);
}

static int decide_one(edgekit_instance *instance, decide_write writer, const struct record *r, long sample,
                      const struct decide_files *files)
{
    const struct engine *e = &instance->engine;
    int status = sample ? edgekit_restart(instance) : EDGEKIT_OK;
    if (!status)
        status = feed(instance, r);
    if (status)
        return status;
    write_ports(e->input, e->input_count, files->fed);
    if ((status = edgekit_run(instance)))
        return status;
    write_ports(e->output, e->output_count, files->outputs);
    return writer(instance, sample, files->decisions);
}

/* Read the task; `writer` is NULL where there is none, or of a kind that has no lines here. */
static int prepare(edgekit_instance *instance, const struct json *manifest, decide_write *writer)
{
    uint32_t task = json_get(manifest, 0, "task"), twins = json_get(manifest, task, "twins");
    bool plugged = json_get(manifest, task, "plugin") != 0;
    uint32_t name = plugged ? twins ? json_get(manifest, twins, "decider") : 0 : json_get(manifest, task, "task");
    int kind = json_choice(manifest, name, tasks, sizeof tasks / sizeof *tasks);
    *writer = kind >= 0 ? writers[kind] : plugged && twins ? write_nothing : NULL;
    if (!describe_tensors(instance, manifest))
        return engine_fail(&instance->engine, EDGEKIT_DAMAGED, "the manifest describes other inputs or outputs");
    return task_read(instance, manifest);
}

int decide_all(edgekit_instance *instance, const char *text, size_t text_size, const uint8_t *material, size_t size,
               long samples, const struct decide_files *files)
{
    struct engine *e = &instance->engine;
    struct json manifest;
    struct record r;
    decide_write writer;
    if (!json_read(&manifest, text, text_size, e->error, sizeof e->error))
        return EDGEKIT_DAMAGED;
    int status = prepare(instance, &manifest, &writer);
    json_free(&manifest);
    if (!status && !writer)
        status = engine_fail(e, EDGEKIT_USAGE, "the manifest has no task that can be decided here");
    for (long i = 0; !status && i < samples; i++) {
        status = next(&material, &size, &r) ? decide_one(instance, writer, &r, i, files)
                                            : engine_fail(e, EDGEKIT_USAGE, "the material is cut short");
        if (status) {
            char why[INSTANCE_ERROR];
            snprintf(why, sizeof why, "%s", e->error);
            engine_fail(e, status, "number %ld: %s", i, why);
        }
    }
    return status;
}
