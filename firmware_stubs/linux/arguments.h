#ifndef EDGEKIT_ARGUMENTS_H
#define EDGEKIT_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

struct arguments {
    const char *library, *model, *inputs, *outputs, *trace, *root, *task, *tokens, *gallery, *fed, *decisions;
    long samples, repeat, warmup, threads;
    bool profile, markers, help;
};

extern const char arguments_usage[];

/* Parse the command line; on failure return false and leave one line in `error`. */
bool arguments_parse(struct arguments *arguments, int argc, char **argv, char *error, size_t error_size);

#endif
