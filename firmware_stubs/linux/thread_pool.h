/* The threads that compiled networks share their work with (compiled_network.h): created once, kept until the end. */
#ifndef EDGEKIT_THREAD_POOL_H
#define EDGEKIT_THREAD_POOL_H

#include <stdint.h>

#include "compiled_network.h"

enum { POOL_MAX_THREADS = 256, POOL_MAX_TASKS = 16384 };

/* A pool of `threads`, the caller's included. NULL where they cannot be created. */
struct ek_pool *pool_create(uint32_t threads);
/* Ends its threads. NULL is allowed. */
void pool_destroy(struct ek_pool *pool);

#endif
