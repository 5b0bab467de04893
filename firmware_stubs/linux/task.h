/* A bundle's task: a source makes the network's inputs, a decider reads its outputs. edgekit/tasks/parts.py is the same
 * in Python. A new one is a file with a table of functions, and a line in a table of task.c.
 */
#ifndef EDGEKIT_TASK_H
#define EDGEKIT_TASK_H

#include "instance.h"
#include "json.h"

/* What inputs are made of. `read` gets the object of that name in the manifest's task and allocates the state, for an
   instance whose tensors are described; NULL where it is damaged or does not fit the network. */
struct task_source {
    const char *name; /* "picture" */
    const char *call; /* the function of edgekit.h that takes one */
    void *(*read)(edgekit_instance *instance, const struct json *j, uint32_t value);
    void (*free)(void *state);
};

/* What becomes of outputs. `read` gets the manifest's task; the source is read already. */
struct task_decider {
    const char *call; /* the function of edgekit.h that tells the decision */
    void *(*read)(edgekit_instance *instance, const struct json *j, uint32_t task);
    void (*free)(void *state);
};

extern const struct task_source task_picture, task_row, task_sound, task_text;
extern const struct task_decider task_anomaly, task_classifier, task_detector, task_embedder, task_regressor,
    task_segmenter, task_transcriber;

/* Read the manifest's task, if it has one, for an instance whose tensors are described. Returns a status, with a line
   in the instance's error. */
int task_read(edgekit_instance *instance, const struct json *manifest);

/* The state of the task's source or decider, if it is this one; else NULL, with a line in the instance's error. */
void *task_of_source(edgekit_instance *instance, const struct task_source *source);
void *task_of_decider(edgekit_instance *instance, const struct task_decider *decider);

#endif
