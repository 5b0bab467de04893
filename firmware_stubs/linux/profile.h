/* What LiteRT's profiler and the clock say of single operators, over several inferences. */
#ifndef EDGEKIT_PROFILE_H
#define EDGEKIT_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "litert_api.h"

enum { PROFILE_MAX_EVENTS = 16384, PROFILE_MAX_WORDS = 1 << 20 };

/* One entry of LiteRT's profiler, in its order. `start_us` and `end_us` are the first inference's, 0 where the
 * profiler does not know them (a delegate's own operators). */
struct profile_event {
    const char *tag;
    int type, source;
    uint64_t node, start_us, end_us;
    double us; /* mean */
};

/* Means are over the faster half of the inferences: in the others something else used the processor. */
struct profile {
    unsigned int inferences, event_count, reading_count;
    struct profile_event *event;
    double *reading_ns; /* mean time of each reading of the clock */
    uint64_t *table;    /* a row an inference: its whole time, each event's microseconds, each reading */
};

/* Add an inference: LiteRT's events, and its readings of the clock (0 of them where they were not recorded). False
 * where it is left out: their number is not the first inference's, or there is no more room. */
bool profile_add(struct profile *profile, const struct litert_event *events, unsigned int event_count,
                 const uint64_t *readings, unsigned int reading_count);

/* Compute the means. */
void profile_finish(struct profile *profile);

#endif
