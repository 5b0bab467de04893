/* Names of a task's classes. */
#ifndef EDGEKIT_CLASS_LABELS_H
#define EDGEKIT_CLASS_LABELS_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

enum { LABELS_MAX = 65536, LABELS_MAX_LISTED = 1000 };

struct labels {
    char **label; /* one block: the pointers, then the texts; NULL where classes have numbers only */
    char (*number)[8];
};

/* Read the `labels` of a task with so many classes. False where they are damaged, or there are others. */
bool labels_read(struct labels *labels, const struct json *j, uint32_t task, uint32_t classes);
void labels_free(struct labels *labels);
const char *labels_get(const struct labels *labels, uint32_t number);

#endif
