/* What a decider of the runtime library calls, for programs that call it without an instance of a network. */
#ifndef EDGEKIT_DECIDER_STUBS_H
#define EDGEKIT_DECIDER_STUBS_H

#include "allocations.h"
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

#endif
