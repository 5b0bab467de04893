#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiled_network.h"
#include "engine.h"
#include "thread_pool.h"

enum { ALIGNMENT = 64, MAX_PORTS = 4096, OPERATOR = 2 /* tflite::Profiler::EventType::OPERATOR_INVOKE_EVENT */ };

static struct {
    const struct ek_network *network;
    struct ek_pool *pool; /* NULL: it uses one thread */
    void *arena;
    void *inputs[MAX_PORTS], *outputs[MAX_PORTS];
    bool profile;
    uint32_t ticks;
    struct timespec reading[2 * PROFILE_MAX_EVENTS]; /* where each kernel begins, and where it ends */
} self;

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
    (void)context;
    uint32_t k = self.ticks++;
    if (k > self.network->kernels)
        return;
    if (k > 0)
        clock_gettime(CLOCK_MONOTONIC, &self.reading[2 * k - 1]);
    if (k < self.network->kernels)
        clock_gettime(CLOCK_MONOTONIC, &self.reading[2 * k]);
}

static int prepare(struct engine *e, bool profile)
{
    const struct ek_network *n = self.network;
    self.profile = profile;
    if (self.arena)
        return 0;
    if (!(self.arena = memory(n->arena_bytes)))
        return engine_fail(e, EXIT_OTHER, "there is no memory for the network's arena of %llu bytes",
                           (unsigned long long)n->arena_bytes);
    for (uint32_t i = 0; i < n->inputs; i++)
        if (!(self.inputs[i] = memory(n->input_bytes[i])))
            return engine_fail(e, EXIT_OTHER, "there is no memory for input %u", i);
    for (uint32_t i = 0; i < n->outputs; i++)
        if (!(self.outputs[i] = memory(n->output_bytes[i])))
            return engine_fail(e, EXIT_OTHER, "there is no memory for output %u", i);
    if (e->threads > 1 && !(self.pool = pool_create((uint32_t)e->threads)))
        return engine_fail(e, EXIT_OTHER, "%d threads cannot be started", e->threads);
    if (n->restart)
        n->restart(self.arena);
    return 0;
}

static int restart(struct engine *e)
{
    (void)e;
    if (self.network->restart)
        self.network->restart(self.arena);
    return 0;
}

static int write(struct engine *e, const uint8_t *sample)
{
    (void)e;
    for (uint32_t i = 0; i < self.network->inputs; sample += self.network->input_bytes[i++])
        memcpy(self.inputs[i], sample, (size_t)self.network->input_bytes[i]);
    return 0;
}

static int read(struct engine *e, uint8_t *sample)
{
    (void)e;
    for (uint32_t i = 0; i < self.network->outputs; sample += self.network->output_bytes[i++])
        memcpy(sample, self.outputs[i], (size_t)self.network->output_bytes[i]);
    return 0;
}

static int run(struct engine *e)
{
    const struct ek_network *n = self.network;
    int status =
        n->run(self.arena, self.pool, (const void *const *)self.inputs, self.outputs, self.profile ? tick : NULL, NULL);
    if (!status)
        return 0;
    if (status > 0 && (uint32_t)status <= n->kernels)
        return engine_fail(e, EXIT_OTHER, "kernel %d of the network failed: %s", status - 1,
                           n->kernel[status - 1].name);
    return engine_fail(e, EXIT_OTHER, "the network failed (status %d)", status);
}

static int observe(struct engine *e)
{
    (void)e;
    self.ticks = 0;
    return 0;
}

static uint64_t microseconds(const struct timespec *t)
{
    return 1000000 * (uint64_t)t->tv_sec + (uint64_t)t->tv_nsec / 1000;
}

static int observed(struct engine *e, const struct profile_event **events, unsigned int *count)
{
    static struct profile_event found[PROFILE_MAX_EVENTS];
    const struct ek_network *n = self.network;
    if (self.ticks != n->kernels + 1)
        return engine_fail(e, EXIT_OTHER, "the network has %u kernels, but ticked %u times", n->kernels, self.ticks);
    for (uint32_t k = 0; k < n->kernels; k++) {
        uint64_t start = microseconds(&self.reading[2 * k]), end = microseconds(&self.reading[2 * k + 1]);
        found[k] = (struct profile_event){.tag = n->kernel[k].name,
                                          .type = OPERATOR,
                                          .source = SOURCE_COMPILED,
                                          .threads = n->kernel[k].threads > 1 ? n->kernel[k].threads : 1,
                                          .node = n->kernel[k].node,
                                          .start_us = start,
                                          .elapsed_us = end - start};
    }
    *events = found;
    *count = n->kernels;
    return 0;
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

int compiled_open(struct engine *e, void *library, int threads)
{
    const struct ek_network *n = self.network = entry(library)();
    if (!n) /* it said why */
        return EXIT_OTHER;
    if (n->abi != EK_NETWORK_ABI)
        return engine_fail(e, EXIT_OTHER,
                           "the network's interface is version %u, this program's %d: they do not belong together",
                           n->abi, EK_NETWORK_ABI);
    if (n->kernels > PROFILE_MAX_EVENTS || n->inputs > MAX_PORTS || n->outputs > MAX_PORTS)
        return engine_fail(e, EXIT_OTHER, "the network has more than %d kernels, or more than %d inputs or outputs",
                           PROFILE_MAX_EVENTS, MAX_PORTS);
    snprintf(e->runtime, sizeof e->runtime, "%s", n->runtime);
    e->threads = threads < (int)most_threads(n) ? threads : (int)most_threads(n);
    e->threads = e->threads < 1 ? 1 : e->threads;
    for (uint32_t i = 0; i < n->inputs; i++)
        e->input_bytes += (size_t)n->input_bytes[i];
    for (uint32_t i = 0; i < n->outputs; i++)
        e->output_bytes += (size_t)n->output_bytes[i];
    e->prepare = prepare;
    e->restart = restart;
    e->write = write;
    e->read = read;
    e->run = run;
    e->observe = observe;
    e->observed = observed;
    return 0;
}
