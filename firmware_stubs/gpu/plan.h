/* The plan: what is to be run on the GPU, read from the text file `network.plan` (docs/formats.md).
 *
 * A plan is trusted no more than its bundle: every number is checked before it is used as a size or an offset. */
#ifndef EDGEKIT_PLAN_H
#define EDGEKIT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiled_network.h"

enum { PLAN_MAX_ROWS = 16384, PLAN_MAX_ARGUMENTS = 8, PLAN_NAME = 128 };

struct plan_argument {
    bool constant;   /* in the weights, else in the arena */
    uint32_t offset; /* bytes, a multiple of 4 */
};

struct plan_step {
    char function[PLAN_NAME], name[PLAN_NAME];
    size_t size[3];             /* work-items */
    uint64_t clear, clear_size; /* bytes of the arena that are zeroed before it */
    uint32_t count;
    struct plan_argument argument[PLAN_MAX_ARGUMENTS];
};

struct plan {
    char runtime[PLAN_NAME];
    uint64_t arena_bytes, weights_bytes;
    uint32_t inputs, outputs, kernels;
    uint64_t *input_bytes, *input_offset, *output_bytes, *output_offset;
    struct plan_step *step;
    struct ek_kernel *kernel;
};

/* Read a plan from memory; false, with one line in `error`, where it is damaged. */
bool plan_read(struct plan *plan, const char *text, char *error, size_t size);

#endif
