/* What the engine and the clock say of single operators, over several inferences. */
#ifndef EDGEKIT_PROFILE_H
#define EDGEKIT_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

enum { PROFILE_MAX_EVENTS = 16384, PROFILE_MAX_WORDS = 1 << 20 };
enum { SOURCE_LITERT, SOURCE_INTERPRETER, SOURCE_DELEGATE, SOURCE_COMPILED }; /* who tells of an event */

/* One event, in the order in which the engine tells them. `type` has the bits of tflite::Profiler::EventType, `node` is
 * the operator's index, -1 where it belongs to none. `start_us` is 0 where it is not known (a delegate's operators). */
struct profile_event {
    const char *tag;
    int type, source;
    uint32_t threads; /* the most that it can use; 0: not known */
    int64_t node;
    uint64_t start_us, elapsed_us; /* of the first inference */
    double us;                     /* mean */
};

/* Means are over the faster half of the inferences: in the others something else used the processor. */
struct profile {
    unsigned int inferences, event_count, reading_count;
    struct profile_event *event;
    double *reading_ns; /* mean time of each reading of the clock */
    uint64_t *table;    /* a row an inference: its whole time, each event's microseconds, each reading */
};

/* Add an inference: its events, and its readings of the clock (0 of them where they were not recorded). False where
 * it is left out: their number is not the first inference's, or there is no more room. */
bool profile_add(struct profile *profile, const struct profile_event *events, unsigned int event_count,
                 const uint64_t *readings, unsigned int reading_count);

/* Compute the means. */
void profile_finish(struct profile *profile);

#endif
