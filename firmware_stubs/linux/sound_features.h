/* From samples of sound to features. edgekit/tasks/features.py is the same in Python, bit for bit, and says what each
 * field means.
 */
#ifndef EDGEKIT_SOUND_FEATURES_H
#define EDGEKIT_SOUND_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FEATURES_MAX_FFT = 16384, FEATURES_MAX_BANDS = 512 };
enum features_mel { MEL_SLANEY, MEL_HTK, MEL_TENSORFLOW };
enum features_log { LOG_LN, LOG_LOG10, LOG_DB };

struct features_spec {
    uint32_t window, hop, fft, bands, power, coefficients;
    int32_t begin;
    double low, high, floor, add;
    enum features_mel mel;
    enum features_log log;
    bool ortho, even;
};

/* Of a band: the bins that are in it, and how much. */
struct features_band {
    uint32_t first, count;
    const double *weight;
};

struct features {
    struct features_spec spec;
    double factor; /* of the natural logarithm */
    double *window, *cosine, *sine, *weight, *dct;
    struct features_band *band;
    double *re, *im, *logs; /* scratch: [fft] each, [bands] */
    uint32_t *order;        /* [fft]: where the transform takes its values from */
};

/* Allocate the tables; false where there is no memory. `f` is to be freed in any case. */
bool features_make(struct features *f, const struct features_spec *spec, uint32_t rate);
void features_free(struct features *f);

/* The features of frame `number` of a clip: spec.coefficients of them, or spec.bands. Beyond the clip's `count` samples
   there is silence. */
void features_frame(struct features *f, const double *clip, size_t count, uint32_t number, double *to);

#endif
