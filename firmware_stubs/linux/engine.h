/* What executes a network: LiteRT (litert_engine.c), or its own code, compiled beforehand (compiled_engine.c).
 *
 * A process may have any number of engines; each is used by one thread at a time. Functions return 0, or a status of
 * edgekit.h with one line in `error`.
 */
#ifndef EDGEKIT_ENGINE_H
#define EDGEKIT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.h"

enum { EXIT_USAGE = 2, EXIT_MODEL = 3, EXIT_OTHER = 6 };
enum { ENGINE_MAX_PORTS = 4096 }; /* inputs, or outputs: a network taken apart for checking has hundreds */

/* An input or output, in the memory from which the network reads it or to which it writes it. */
struct port {
    void *data;
    size_t bytes;
};

struct engine {
    void *self;                       /* the implementation's own */
    char runtime[64];                 /* name and version */
    int threads;                      /* that it uses */
    size_t input_count, output_count; /* of ports */
    struct port *input, *output;      /* in the network's order; `data` is there after `prepare` */
    size_t input_bytes, output_bytes; /* of one sample, once prepared; of compiled networks before that */
    char error[512];

    /* Make ready. With `profile` single operators can be observed; a second call does not disturb the first's. */
    int (*prepare)(struct engine *, bool profile);
    /* Forget what earlier samples left (state). Ports stay where they are. */
    int (*restart)(struct engine *);
    /* One inference; nothing but the runtime's own call. */
    int (*run)(struct engine *);
    /* Around one inference that is observed; `events` points at what was seen until the next one. */
    int (*observe)(struct engine *);
    int (*observed)(struct engine *, const struct profile_event **events, unsigned int *count);
    /* Give everything back. */
    void (*close)(struct engine *);
};

/* Leave one line in `error`; returns `status`. */
int engine_fail(struct engine *engine, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Copy one sample, its ports back to back, to the inputs, or from the outputs. */
void engine_write(struct engine *engine, const uint8_t *sample);
void engine_read(const struct engine *engine, uint8_t *sample);

/* Room for so many ports, zeroed; false, after a line, where there is no memory. */
bool engine_ports(struct engine *engine, size_t inputs, size_t outputs);

/* Calls `close`, and frees the ports. For engines that were opened, even where that failed. */
void engine_close(struct engine *engine);

/* `library` is LiteRT's, already loaded; `model` must outlive the engine. */
int litert_open(struct engine *engine, void *library, uint8_t *model, size_t size, int threads);

/* Whether a loaded library is a compiled network (compiled_network.h), and the engine that runs it. */
bool compiled_is(void *library);
int compiled_open(struct engine *engine, void *library, int threads);
/* Whether its library may be unloaded with it: one that holds a device may not. */
bool compiled_unloads(const struct engine *engine);

#endif
