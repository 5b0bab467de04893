#include <stdio.h>

#include "engine.h"
#include "network.h"

static struct {
    struct litert api;
    struct model model;
    struct network first, second, *network; /* the second where one is observed beside the first; which is in use */
    bool profile;
} self;

static int prepare(struct engine *e, bool profile)
{
    self.network = self.network ? &self.second : &self.first;
    self.profile = profile;
    if (!network_compile(self.network, &self.model, e->threads, profile, e->error, sizeof e->error))
        return EXIT_MODEL;
    e->input_bytes = self.network->input_bytes;
    e->output_bytes = self.network->output_bytes;
    return 0;
}

static int restart(struct engine *e)
{
    if (!self.model.state.count)
        return 0;
    network_free(self.network);
    bool ok = network_compile(self.network, &self.model, e->threads, self.profile, e->error, sizeof e->error);
    return ok ? 0 : EXIT_MODEL;
}

static int write(struct engine *e, const uint8_t *sample)
{
    return network_write(self.network, sample, e->error, sizeof e->error) ? 0 : EXIT_OTHER;
}

static int read(struct engine *e, uint8_t *sample)
{
    return network_read(self.network, sample, e->error, sizeof e->error) ? 0 : EXIT_OTHER;
}

static int run(struct engine *e)
{
    litert_status status = network_run(self.network);
    return status == LITERT_OK ? 0 : engine_fail(e, EXIT_OTHER, "LiteRT cannot run the model (status %d)", status);
}

static int observe(struct engine *e)
{
    (void)e;
    self.api.LiteRtResetProfiler(self.network->profiler);
    self.api.LiteRtStartProfiler(self.network->profiler);
    return 0;
}

static int observed(struct engine *e, const struct profile_event **events, unsigned int *count)
{
    static struct litert_event raw[PROFILE_MAX_EVENTS];
    static struct profile_event found[PROFILE_MAX_EVENTS];
    int number = 0;
    self.api.LiteRtStopProfiler(self.network->profiler);
    if (self.api.LiteRtGetNumProfilerEvents(self.network->profiler, &number) != LITERT_OK || number < 1 ||
        number > PROFILE_MAX_EVENTS ||
        self.api.LiteRtGetProfilerEvents(self.network->profiler, number, raw) != LITERT_OK)
        return engine_fail(e, EXIT_OTHER, "LiteRT's profiler gave no usable events");
    for (int i = 0; i < number; i++) {
        struct litert_event *r = &raw[i];
        found[i] = (struct profile_event){.tag = r->tag,
                                          .type = r->type,
                                          .source = r->source,
                                          .node = (int64_t)r->node,
                                          .start_us = r->start_us,
                                          .elapsed_us = r->elapsed_us};
    }
    *events = found;
    *count = (unsigned int)number;
    return 0;
}

int litert_open(struct engine *e, void *library, uint8_t *model, size_t size, int threads)
{
    if (!litert_load(&self.api, library, e->error, sizeof e->error))
        return EXIT_OTHER;
    if (!model_load(&self.model, &self.api, model, size, e->error, sizeof e->error))
        return EXIT_MODEL;
    snprintf(e->runtime, sizeof e->runtime, "litert %s", LITERT_VERSION);
    e->threads = threads;
    e->prepare = prepare;
    e->restart = restart;
    e->write = write;
    e->read = read;
    e->run = run;
    e->observe = observe;
    e->observed = observed;
    return 0;
}
