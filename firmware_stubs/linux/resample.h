/* Sound at another rate. edgekit/tasks/resample.py is the same in Python, bit for bit, and says which filter it is. */
#ifndef EDGEKIT_RESAMPLE_H
#define EDGEKIT_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edgekit.h"

enum { RESAMPLE_MAX_FACTOR = 1 << 16 };

/* All 0: there is no filter yet. */
struct resampler {
    uint32_t rate, up, down; /* `rate` samples a second become up / down times as many */
    uint32_t reach;          /* of the filter, in steps of 1 / up of a sample */
    double *kernel;          /* [reach + 1]: from its middle on */
    double *held;            /* [room]: samples from `first` on */
    size_t room, count;
    int64_t first;
};

/* A sample of a recording, of which all channels are heard. */
typedef double (*resample_read)(const struct edgekit_sound *sound, uint64_t at);

/* How many samples there are at the rate `to`; 0: there are none, or no ratio of small numbers leads there, or there
   are too many. */
uint64_t resample_count(uint64_t samples, uint32_t rate, uint32_t to);

/* Make the filter, if it is not there yet; false where there is no memory. `r` is to be freed in any case. */
bool resampler_make(struct resampler *r, uint32_t rate, uint32_t to);
void resampler_free(struct resampler *r);

/* Forget the samples that are held: those that follow are of another recording. */
void resampler_begin(struct resampler *r);

/* A sample of the recording at the other rate; numbers rise from call to call. */
double resampler_sample(struct resampler *r, const struct edgekit_sound *sound, resample_read read, uint64_t number);

#endif
