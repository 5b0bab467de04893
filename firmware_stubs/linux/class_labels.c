#include "class_labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LABEL = 200 };

static bool number_all(struct labels *l, uint32_t classes)
{
    if (!(l->number = calloc(classes, sizeof *l->number)))
        return false;
    for (uint32_t i = 0; i < classes; i++)
        snprintf(l->number[i], sizeof l->number[i], "%u", i % LABELS_MAX);
    return true;
}

bool labels_read(struct labels *l, const struct json *j, uint32_t task, uint32_t classes)
{
    char text[MAX_LABEL + 1];
    uint32_t count = 0, list = json_get(j, task, "labels");
    size_t bytes = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i), count++) {
        if (!json_string(j, i, text, sizeof text))
            return false;
        bytes += strlen(text) + 1;
    }
    if (!count)
        return number_all(l, classes);
    if (count != classes || !(l->label = malloc(count * sizeof *l->label + bytes)))
        return false;
    char *at = (char *)(l->label + count);
    count = 0;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i)) {
        if (!json_string(j, i, text, sizeof text))
            return false;
        size_t size = strlen(text) + 1;
        l->label[count++] = memcpy(at, text, size);
        at += size;
    }
    return true;
}

void labels_free(struct labels *l)
{
    free(l->label);
    free(l->number);
}

const char *labels_get(const struct labels *l, uint32_t number)
{
    return l->label ? l->label[number] : l->number[number];
}
