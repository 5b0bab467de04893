/* What executes a network: LiteRT (litert_engine.c), or its own code, compiled beforehand (compiled_engine.c).
 *
 * Every function returns 0, or an exit status with one line in `error`.
 */
#ifndef EDGEKIT_ENGINE_H
#define EDGEKIT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.h"

enum { EXIT_USAGE = 2, EXIT_MODEL = 3, EXIT_OTHER = 6 };

struct engine {
    char runtime[64];                 /* name and version */
    int threads;                      /* that it uses */
    size_t input_bytes, output_bytes; /* of one sample */
    char error[512];

    /* Make ready. With `profile` single operators can be observed; a second call does not disturb the first's. */
    int (*prepare)(struct engine *, bool profile);
    /* Forget what earlier samples left (state). */
    int (*restart)(struct engine *);
    int (*write)(struct engine *, const uint8_t *sample);
    int (*read)(struct engine *, uint8_t *sample);
    /* One inference; nothing but the runtime's own call. */
    int (*run)(struct engine *);
    /* Around one inference that is observed; `events` points at what was seen until the next one. */
    int (*observe)(struct engine *);
    int (*observed)(struct engine *, const struct profile_event **events, unsigned int *count);
};

/* Leave one line in `error`; returns `status`. */
int engine_fail(struct engine *engine, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* `library` is LiteRT's, already loaded; `model` must outlive the engine. */
int litert_open(struct engine *engine, void *library, uint8_t *model, size_t size, int threads);

/* Whether a loaded library is a compiled network (compiled_network.h), and the engine that runs it. */
bool compiled_is(void *library);
int compiled_open(struct engine *engine, void *library, int threads);

#endif
