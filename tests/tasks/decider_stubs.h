/* What a decider of the runtime library calls, for programs that call it without an instance of a network. */
#ifndef EDGEKIT_DECIDER_STUBS_H
#define EDGEKIT_DECIDER_STUBS_H

#include "task.h"

/* What the decider read. */
static void *state;

void *task_of_decider(edgekit_instance *instance, const struct task_decider *decider)
{
    (void)instance;
    (void)decider;
    return state;
}

int engine_fail(struct engine *engine, int status, const char *format, ...)
{
    (void)engine;
    (void)format;
    return status;
}

/* The sanitizer tells of each allocation. */
static long allocations;

void __sanitizer_malloc_hook(const volatile void *memory, size_t size);
void __sanitizer_malloc_hook(const volatile void *memory, size_t size)
{
    (void)memory;
    (void)size;
    allocations++;
}

#endif
