/* Records the readings of the clock that an inference makes, to the nanosecond.
 *
 * LiteRT's profiler and XNNPACK read the clock at the borders of operators, but hand on whole microseconds. This
 * program defines clock_gettime itself and forwards to the C library's: a dynamic linker looks in the executable
 * first, so LiteRT's readings come through here (the runner is linked with -rdynamic for that).
 */
#ifndef EDGEKIT_CLOCK_H
#define EDGEKIT_CLOCK_H

#include <stdint.h>

enum { CLOCK_MAX_READINGS = 65536 }; /* two for each event that profile.h has room for, and some */

/* Record this thread's readings of CLOCK_MONOTONIC from now on; those of other threads never are. */
void clock_record(void);

/* Stop. Returns the readings, nanoseconds since clock_record was called, and how many; 0 if there were too many. */
const uint64_t *clock_stop(unsigned int *count);

#endif
