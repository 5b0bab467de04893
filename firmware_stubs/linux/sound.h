/* From a recording to a network's input. edgekit/tasks/sound.py is the same in Python, bit for bit. */
#ifndef EDGEKIT_SOUND_H
#define EDGEKIT_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edgekit.h"
#include "json.h"
#include "resample.h"
#include "sound_features.h"

enum { SOUND_MAX_RATE = 768000, SOUND_MAX_LENGTH = 1 << 24 };

struct sound_input {
    uint32_t rate, length, step;
    bool waveform, bands_first;
    bool rest;             /* what is left of a recording after its last whole clip is one, too */
    uint32_t frames, each; /* features of a frame; of a waveform: samples, and 1 */
    float *scale, *offset; /* [each] */
    struct features features;
    struct resampler resampler; /* of the rate that was heard last, if it was another */
    double *clip, *frame;       /* scratch: [length], [each] */
};

/* Read the manifest's `sound` for a network's input. False where it is damaged or does not fit, or there is no memory;
   `in` is to be freed in any case. */
bool sound_read(struct sound_input *in, const struct edgekit_tensor *tensor, const struct json *j, uint32_t value);
void sound_free(struct sound_input *in);

/* How many clips a recording has; 0, with one line in `error`, where it is not one for this network. */
uint32_t sound_clips(const struct sound_input *in, const struct edgekit_sound *sound, char *error, size_t error_size);

/* Write a clip to the input; false, with one line in `error`, where that is not possible. */
bool sound_set(struct sound_input *in, const struct edgekit_sound *sound, const struct edgekit_tensor *tensor, void *to,
               char *error, size_t error_size);

#endif
