#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "network.h"

/* What the profiler tells; only where it is asked. */
struct told {
    struct litert_event raw[PROFILE_MAX_EVENTS];
    struct profile_event event[PROFILE_MAX_EVENTS];
};

struct runtime {
    struct litert api;
    struct model model;
    struct network first, second, *network; /* the second where one is observed beside the first; which is in use */
    struct told *told;
    bool profile;
};

static size_t set_ports(struct port *ports, const struct buffer *buffers, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        ports[i] = (struct port){buffers[i].data, buffers[i].bytes};
        total += buffers[i].bytes;
    }
    return total;
}

static int prepare(struct engine *e, bool profile)
{
    struct runtime *self = e->self;
    self->network = self->network ? &self->second : &self->first;
    self->profile = profile;
    if (profile && !self->told && !(self->told = calloc(1, sizeof *self->told)))
        return engine_fail(e, EXIT_OTHER, "there is no memory for a profile");
    if (!network_compile(self->network, &self->model, e->threads, profile, e->error, sizeof e->error))
        return EXIT_MODEL;
    e->input_bytes = set_ports(e->input, self->network->input, e->input_count);
    e->output_bytes = set_ports(e->output, self->network->output, e->output_count);
    return 0;
}

static int restart(struct engine *e)
{
    struct runtime *self = e->self;
    if (!self->model.state.count && !self->model.state.resources)
        return 0;
    bool ok = network_restart(self->network, e->threads, self->profile, e->error, sizeof e->error);
    return ok ? 0 : EXIT_MODEL;
}

static int run(struct engine *e)
{
    const struct runtime *self = e->self;
    if (!self->network->compiled)
        return engine_fail(e, EXIT_OTHER, "the network could not be started over");
    litert_status status = network_run(self->network);
    return status == LITERT_OK ? 0 : engine_fail(e, EXIT_OTHER, "LiteRT cannot run the model (status %d)", status);
}

static int observe(struct engine *e)
{
    const struct runtime *self = e->self;
    self->api.LiteRtResetProfiler(self->network->profiler);
    self->api.LiteRtStartProfiler(self->network->profiler);
    return 0;
}

static int observed(struct engine *e, const struct profile_event **events, unsigned int *count)
{
    const struct runtime *self = e->self;
    int number = 0;
    self->api.LiteRtStopProfiler(self->network->profiler);
    if (self->api.LiteRtGetNumProfilerEvents(self->network->profiler, &number) != LITERT_OK || number < 1 ||
        number > PROFILE_MAX_EVENTS ||
        self->api.LiteRtGetProfilerEvents(self->network->profiler, number, self->told->raw) != LITERT_OK)
        return engine_fail(e, EXIT_OTHER, "LiteRT's profiler gave no usable events");
    for (int i = 0; i < number; i++) {
        const struct litert_event *r = &self->told->raw[i];
        self->told->event[i] = (struct profile_event){.tag = r->tag,
                                                      .type = r->type,
                                                      .source = r->source,
                                                      .node = (int64_t)r->node,
                                                      .start_us = r->start_us,
                                                      .elapsed_us = r->elapsed_us};
    }
    *events = self->told->event;
    *count = (unsigned int)number;
    return 0;
}

static void close_runtime(struct engine *e)
{
    struct runtime *self = e->self;
    network_free(&self->first);
    network_free(&self->second);
    model_free(&self->model);
    free(self->told);
    free(self);
    e->self = NULL;
}

int litert_open(struct engine *e, void *library, uint8_t *model, size_t size, int threads)
{
    struct runtime *self = calloc(1, sizeof *self);
    if (!self)
        return engine_fail(e, EXIT_OTHER, "there is no memory for LiteRT");
    e->self = self;
    e->close = close_runtime;
    if (!litert_load(&self->api, library, e->error, sizeof e->error))
        return EXIT_OTHER;
    if (!model_load(&self->model, &self->api, model, size, e->error, sizeof e->error))
        return EXIT_MODEL;
    if (!engine_ports(e, self->model.input_count, self->model.output_count))
        return EXIT_OTHER;
    snprintf(e->runtime, sizeof e->runtime, "litert %s", LITERT_VERSION);
    e->threads = threads;
    e->prepare = prepare;
    e->restart = restart;
    e->run = run;
    e->observe = observe;
    e->observed = observed;
    return 0;
}
