/* A detector's head, read from the manifest. */
#ifndef EDGEKIT_HEAD_H
#define EDGEKIT_HEAD_H

#include "detection.h"
#include "instance.h"
#include "json.h"

/* Read `head` and `suppression` of a task, for an instance whose tensors are described. False where they are damaged or
   do not fit the network; `d` is to be freed in any case. */
bool head_read(struct detector *d, const edgekit_instance *instance, const struct json *j, uint32_t task);

#endif
