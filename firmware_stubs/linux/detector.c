/* A detector's part of a task: its head, its labels, and the pictures' sizes. */
#include <stdlib.h>

#include "class_labels.h"
#include "detection.h"
#include "head.h"
#include "picture_source.h"
#include "task.h"

struct found {
    struct detector detector;
    struct labels labels;
    struct detection_output *outputs; /* as the detector's parts number them */
};

static void detector_free(void *state)
{
    struct found *f = state;
    detection_free(&f->detector);
    labels_free(&f->labels);
    free(f->outputs);
    free(f);
}

static void *detector_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    size_t count = instance->engine.output_count;
    struct found *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    if (!(f->outputs = calloc(count, sizeof *f->outputs)) || !head_read(&f->detector, instance, j, v) ||
        !labels_read(&f->labels, j, v, f->detector.classes)) {
        detector_free(f);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        f->outputs[i].tensor = &instance->output[i].tensor;
    return f;
}

const struct task_decider task_detector = {"edgekit_detections", detector_read, detector_free};

int edgekit_detections(edgekit_instance *instance, struct edgekit_detection *detections, uint32_t most, uint32_t *count)
{
    struct found *f = task_of_decider(instance, &task_detector);
    const struct picture_room *room = f ? picture_source_room(instance) : NULL;
    if (!room)
        return EDGEKIT_USAGE;
    for (size_t i = 0; i < instance->engine.output_count; i++)
        f->outputs[i].data = instance->engine.output[i].data;
    *count = detection_run(&f->detector, f->outputs, &room->place, room->width, room->height, detections, most);
    for (uint32_t i = 0; i < *count; i++)
        detections[i].label = labels_get(&f->labels, detections[i].number);
    return EDGEKIT_OK;
}
