/* What was observed, and its file form (JSON; docs/formats.md). */
#ifndef EDGEKIT_TRACE_H
#define EDGEKIT_TRACE_H

#include <stdbool.h>

#include "machine.h"
#include "power.h"
#include "profile.h"

struct trace {
    const char *runtime;
    int threads;
    double init_ms;
    unsigned int latency_count;
    double *latency_ms;
    struct profile profile;
    long long peak_ram_bytes;
    struct machine machine;
    struct power_meter power;
};

bool trace_write(const struct trace *trace, const char *path);

#endif
