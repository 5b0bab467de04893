/* What was observed, and its file form (JSON; docs/formats.md). */
#ifndef EDGEKIT_TRACE_H
#define EDGEKIT_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "litert_api.h"
#include "machine.h"
#include "power.h"

enum { TRACE_MAX_EVENTS = 16384 };

/* One entry of LiteRT's profiler, in its order. `us` is the mean over the profiled inferences; `start_us` is the
 * first one's, 0 where the profiler does not know it (a delegate's own operators). */
struct trace_event {
    const char *tag;
    int type, source;
    uint64_t node, start_us;
    double us;
};

struct trace {
    int threads;
    double init_ms;
    unsigned int latency_count;
    double *latency_ms;
    unsigned int event_count, profiled;
    struct trace_event *event;
    long long peak_ram_bytes;
    struct machine machine;
    struct power_meter power;
};

/* Add the events of one profiled inference. False if they are not the same operators as before. */
bool trace_add_events(struct trace *trace, const struct litert_event *events, int count);

bool trace_write(const struct trace *trace, const char *path);

#endif
