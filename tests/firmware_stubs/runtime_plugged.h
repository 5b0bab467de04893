/* Bundles whose kind of task is a plug-in's. */
#ifndef EDGEKIT_RUNTIME_PLUGGED_H
#define EDGEKIT_RUNTIME_PLUGGED_H

#include <stdio.h>
#include <string.h>

#include "edgekit.h"

#define EXPECT(condition, text)                                                             \
    if (!(condition) || !strstr(edgekit_error(network), text)) {                            \
        fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, edgekit_error(network)); \
        return 1;                                                                           \
    }

/* One of which the library knows nothing but the name; 1 where it does not behave so. */
int plugged(const char *bundle, const char *kind);

/* One that has edgekit's own source of pictures. */
int plugged_half(const char *bundle);

#endif
