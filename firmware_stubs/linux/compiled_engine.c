#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiled_network.h"
#include "engine.h"
#include "thread_pool.h"

enum { ALIGNMENT = 64, OPERATOR = 2 /* tflite::Profiler::EventType::OPERATOR_INVOKE_EVENT */ };

/* What is observed; only where that is asked for. */
struct observation {
    uint32_t ticks;
    struct timespec reading[2 * PROFILE_MAX_EVENTS]; /* where each kernel begins, and where it ends */
    struct profile_event event[PROFILE_MAX_EVENTS];
};

struct compiled {
    const struct ek_network *network;
    struct ek_pool *pool; /* NULL: it uses one thread */
    void *arena;
    void **inputs, **outputs; /* the ports' memory */
    struct observation *observation;
};

/* A network without an arena keeps its tensors on a device that its library holds once: instances take turns. */
static pthread_mutex_t device = PTHREAD_MUTEX_INITIALIZER;

/* Zeroed: a network that reads what it never wrote does the same every time. NULL where there is no such memory. */
static void *memory(uint64_t bytes)
{
    void *address = NULL;
    size_t size = bytes ? (size_t)bytes : ALIGNMENT;
    if (size < bytes || posix_memalign(&address, ALIGNMENT, size))
        return NULL;
    return memset(address, 0, size);
}

/* Between two kernels the clock is read twice, so that each has a beginning and an end of its own: LiteRT's profiler
 * reads it so around its kernels, and whoever sees the readings (clock.c, the emulator) can treat both alike. */
static void tick(void *context)
{
    const struct compiled *self = context;
    struct observation *o = self->observation;
    uint32_t k = o->ticks++;
    if (k > self->network->kernels)
        return;
    if (k > 0)
        clock_gettime(CLOCK_MONOTONIC, &o->reading[2 * k - 1]);
    if (k < self->network->kernels)
        clock_gettime(CLOCK_MONOTONIC, &o->reading[2 * k]);
}

/* The memory of some ports; returns whether there was enough. */
static bool allocate(struct port *ports, void **places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(places[i] = ports[i].data = memory(ports[i].bytes)))
            return false;
    return true;
}

static int prepare(struct engine *e, bool profile)
{
    struct compiled *self = e->self;
    const struct ek_network *n = self->network;
    if (profile && !self->observation && !(self->observation = calloc(1, sizeof *self->observation)))
        return engine_fail(e, EXIT_OTHER, "there is no memory for a profile");
    if (self->arena)
        return 0;
    if (!(self->arena = memory(n->arena_bytes)))
        return engine_fail(e, EXIT_OTHER, "there is no memory for the network's arena of %llu bytes",
                           (unsigned long long)n->arena_bytes);
    if (!allocate(e->input, self->inputs, e->input_count))
        return engine_fail(e, EXIT_OTHER, "there is no memory for the inputs");
    if (!allocate(e->output, self->outputs, e->output_count))
        return engine_fail(e, EXIT_OTHER, "there is no memory for the outputs");
    if (e->threads > 1 && !(self->pool = pool_create((uint32_t)e->threads)))
        return engine_fail(e, EXIT_OTHER, "%d threads cannot be started", e->threads);
    if (n->restart)
        n->restart(self->arena);
    return 0;
}

static int restart(struct engine *e)
{
    struct compiled *self = e->self;
    if (self->network->restart)
        self->network->restart(self->arena);
    return 0;
}

static int call(struct compiled *self)
{
    return self->network->run(self->arena, self->pool, (const void *const *)self->inputs, self->outputs,
                              self->observation ? tick : NULL, self);
}

static int run(struct engine *e)
{
    struct compiled *self = e->self;
    const struct ek_network *n = self->network;
    int status;
    if (n->arena_bytes) {
        status = call(self);
    } else {
        pthread_mutex_lock(&device);
        status = call(self);
        pthread_mutex_unlock(&device);
    }
    if (!status)
        return 0;
    if (status > 0 && (uint32_t)status <= n->kernels)
        return engine_fail(e, EXIT_OTHER, "kernel %d of the network failed: %s", status - 1,
                           n->kernel[status - 1].name);
    return engine_fail(e, EXIT_OTHER, "the network failed (status %d)", status);
}

static int observe(struct engine *e)
{
    struct compiled *self = e->self;
    self->observation->ticks = 0;
    return 0;
}

static uint64_t microseconds(const struct timespec *t)
{
    return 1000000 * (uint64_t)t->tv_sec + (uint64_t)t->tv_nsec / 1000;
}

static int observed(struct engine *e, const struct profile_event **events, unsigned int *count)
{
    struct compiled *self = e->self;
    const struct ek_network *n = self->network;
    struct observation *o = self->observation;
    if (o->ticks != n->kernels + 1)
        return engine_fail(e, EXIT_OTHER, "the network has %u kernels, but ticked %u times", n->kernels, o->ticks);
    for (uint32_t k = 0; k < n->kernels; k++) {
        uint64_t start = microseconds(&o->reading[2 * k]), end = microseconds(&o->reading[2 * k + 1]);
        o->event[k] = (struct profile_event){.tag = n->kernel[k].name,
                                             .type = OPERATOR,
                                             .source = SOURCE_COMPILED,
                                             .threads = n->kernel[k].threads > 1 ? n->kernel[k].threads : 1,
                                             .node = n->kernel[k].node,
                                             .start_us = start,
                                             .elapsed_us = end - start};
    }
    *events = o->event;
    *count = n->kernels;
    return 0;
}

static void close_compiled(struct engine *e)
{
    struct compiled *self = e->self;
    for (size_t i = 0; i < e->input_count; i++)
        free(e->input[i].data);
    for (size_t i = 0; i < e->output_count; i++)
        free(e->output[i].data);
    pool_destroy(self->pool);
    free(self->observation);
    free(self->inputs);
    free(self->arena);
    free(self);
    e->self = NULL;
}

static ek_network_function entry(void *library)
{
#ifdef EDGEKIT_STATIC_NETWORK
    (void)library;
    return edgekit_network;
#else
    ek_network_function function = NULL;
    void *symbol = dlsym(library, EK_NETWORK_SYMBOL);
    if (symbol)
        memcpy(&function, &symbol, sizeof function);
    return function;
#endif
}

bool compiled_is(void *library)
{
    return entry(library) != NULL;
}

/* The most threads that one of the kernels can use. */
static uint32_t most_threads(const struct ek_network *n)
{
    uint32_t most = 1;
    for (uint32_t k = 0; k < n->kernels; k++)
        if (n->kernel[k].threads > most)
            most = n->kernel[k].threads;
    return most;
}

static void set_ports(struct port *ports, const uint64_t *bytes, uint32_t count, size_t *total)
{
    for (uint32_t i = 0; i < count; i++) {
        ports[i].bytes = (size_t)bytes[i];
        *total += ports[i].bytes;
    }
}

int compiled_open(struct engine *e, void *library, int threads)
{
    const struct ek_network *n = entry(library)();
    if (!n) /* it said why */
        return EXIT_OTHER;
    if (n->abi != EK_NETWORK_ABI)
        return engine_fail(e, EXIT_OTHER,
                           "the network's interface is version %u, this program's %d: they do not belong together",
                           n->abi, EK_NETWORK_ABI);
    if (n->kernels > PROFILE_MAX_EVENTS || n->inputs > ENGINE_MAX_PORTS || n->outputs > ENGINE_MAX_PORTS)
        return engine_fail(e, EXIT_OTHER, "the network has more than %d kernels, or more than %d inputs or outputs",
                           PROFILE_MAX_EVENTS, ENGINE_MAX_PORTS);
    struct compiled *self = calloc(1, sizeof *self);
    if (!self || !(self->inputs = calloc(n->inputs + n->outputs + 1, sizeof *self->inputs))) {
        free(self);
        return engine_fail(e, EXIT_OTHER, "there is no memory for the network");
    }
    self->network = n;
    self->outputs = self->inputs + n->inputs;
    e->self = self;
    e->close = close_compiled;
    if (!engine_ports(e, n->inputs, n->outputs))
        return EXIT_OTHER;
    snprintf(e->runtime, sizeof e->runtime, "%s", n->runtime);
    e->threads = threads < (int)most_threads(n) ? threads : (int)most_threads(n);
    e->threads = e->threads < 1 ? 1 : e->threads;
    set_ports(e->input, n->input_bytes, n->inputs, &e->input_bytes);
    set_ports(e->output, n->output_bytes, n->outputs, &e->output_bytes);
    e->prepare = prepare;
    e->restart = restart;
    e->run = run;
    e->observe = observe;
    e->observed = observed;
    return 0;
}

bool compiled_unloads(const struct engine *e)
{
    const struct compiled *self = e->self;
    return self->network->arena_bytes > 0;
}
