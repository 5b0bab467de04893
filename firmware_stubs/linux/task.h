/* A bundle's task: from a picture to the network's input, from its output to a decision. */
#ifndef EDGEKIT_TASK_H
#define EDGEKIT_TASK_H

#include "instance.h"
#include "json.h"

/* Read the manifest's task, if it has one, for an instance whose tensors are described. Returns a status, with a line
   in the instance's error. */
int task_read(edgekit_instance *instance, const struct json *manifest);

#endif
