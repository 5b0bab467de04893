#include "sound.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "json_fields.h"

enum { MAX_HOP = 1 << 20 };

static bool from_one(const struct json *j, uint32_t object, const char *name, int64_t most, uint32_t *to)
{
    return json_whole(j, object, name, most, to) && *to;
}

/* One number of all features, or one for each. */
static bool read_each(const struct json *j, uint32_t list, uint32_t count, float **to)
{
    uint32_t found = 0;
    double number = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY || !(*to = calloc(count, sizeof **to)))
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i)) {
        if (found == count || !json_number(j, i, &number))
            return false;
        (*to)[found++] = (float)number;
    }
    for (uint32_t i = 1; found == 1 && i < count; i++)
        (*to)[i] = (*to)[0];
    return found == 1 || found == count;
}

static bool read_spec(struct features_spec *s, uint32_t rate, bool coefficients, const struct json *j, uint32_t v)
{
    static const char *const scales[] = {"slaney", "htk", "tensorflow"}, *const logs[] = {"ln", "log10", "db"};
    int mel = json_choice(j, json_get(j, v, "mel"), scales, 3), log = json_choice(j, json_get(j, v, "log"), logs, 3);
    int64_t begin;
    if (mel < 0 || log < 0 || !from_one(j, v, "fft", FEATURES_MAX_FFT, &s->fft) ||
        !from_one(j, v, "window", FEATURES_MAX_FFT, &s->window) || !from_one(j, v, "hop", MAX_HOP, &s->hop) ||
        !from_one(j, v, "bands", FEATURES_MAX_BANDS, &s->bands) || !from_one(j, v, "power", 2, &s->power) ||
        !json_whole(j, v, "coefficients", s->bands, &s->coefficients) || !json_double(j, v, "low", &s->low) ||
        !json_double(j, v, "high", &s->high) || !json_double(j, v, "floor", &s->floor) ||
        !json_double(j, v, "add", &s->add) || !json_flag(j, v, "ortho", &s->ortho) ||
        !json_flag(j, v, "even", &s->even) || !json_integer(j, json_get(j, v, "begin"), &begin))
        return false;
    s->mel = (enum features_mel)mel;
    s->log = (enum features_log)log;
    s->begin = begin < -FEATURES_MAX_FFT || begin > FEATURES_MAX_FFT ? 0 : (int32_t)begin;
    return s->begin == begin && s->fft >= 8 && !(s->fft & (s->fft - 1)) && s->window >= 2 && s->window <= s->fft &&
           s->low >= 0 && s->high - s->low >= 1 && s->high <= rate / 2.0 && s->floor >= 1e-30 && s->add >= 0 &&
           (s->coefficients > 0) == coefficients;
}

/* Dimensions of 1 do not count; of two that are left, one is the features'. */
static bool take_shape(struct sound_input *in, const struct edgekit_tensor *t)
{
    int64_t sides[2] = {1, 1}, elements = 1;
    uint32_t count = 0;
    if (!t->rank || t->shape[0] != 1)
        return false;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->shape[i] < 1 || t->shape[i] > SOUND_MAX_LENGTH || (elements *= t->shape[i]) > SOUND_MAX_LENGTH)
            return false;
        if (t->shape[i] == 1)
            continue;
        if (count == 2)
            return false;
        sides[count++] = t->shape[i];
    }
    if (elements % in->each || (in->waveform && count == 2) ||
        (count == 2 && sides[0] != in->each && sides[1] != in->each))
        return false;
    in->bands_first = count == 2 && sides[1] != in->each;
    in->frames = (uint32_t)(elements / in->each);
    return true;
}

bool sound_read(struct sound_input *in, const struct edgekit_tensor *t, const struct json *j, uint32_t v)
{
    static const char *const kinds[] = {"waveform", "log-mel", "mfcc"};
    struct features_spec spec = {0};
    int kind = json_choice(j, json_get(j, v, "features"), kinds, 3);
    if (kind < 0 || !element_size(t) || !from_one(j, v, "rate", SOUND_MAX_RATE, &in->rate) ||
        !from_one(j, v, "length", SOUND_MAX_LENGTH, &in->length) ||
        !json_whole(j, v, "step", SOUND_MAX_LENGTH, &in->step))
        return false;
    if (json_get(j, v, "rest") && !json_flag(j, v, "rest", &in->rest))
        return false;
    in->waveform = kind == 0;
    if (!in->waveform && !read_spec(&spec, in->rate, kind == 2, j, json_get(j, v, "bands")))
        return false;
    in->each = in->waveform ? 1 : kind == 2 ? spec.coefficients : spec.bands;
    if (!take_shape(in, t) || (in->waveform && in->frames != in->length) ||
        !read_each(j, json_get(j, v, "scale"), in->each, &in->scale) ||
        !read_each(j, json_get(j, v, "offset"), in->each, &in->offset))
        return false;
    in->clip = calloc(in->length, sizeof *in->clip);
    in->frame = calloc(in->each, sizeof *in->frame);
    return in->clip && in->frame && (in->waveform || features_make(&in->features, &spec, in->rate));
}

void sound_free(struct sound_input *in)
{
    features_free(&in->features);
    resampler_free(&in->resampler);
    free(in->scale);
    free(in->offset);
    free(in->clip);
    free(in->frame);
}

static bool refuse(char *error, size_t size, const char *what)
{
    snprintf(error, size, "the sound %s", what);
    return false;
}

uint32_t sound_clips(const struct sound_input *in, const struct edgekit_sound *s, char *error, size_t size)
{
    if (s->size < sizeof *s || (s->samples != EDGEKIT_PCM16 && s->samples != EDGEKIT_PCM_FLOAT32))
        return refuse(error, size, "has samples of an unknown kind");
    if (!s->rate || s->rate > SOUND_MAX_RATE || (s->rate != in->rate && !resample_count(1, s->rate, in->rate))) {
        snprintf(error, size, "the sound has %u samples a second, which cannot be resampled to %u", s->rate, in->rate);
        return 0;
    }
    uint64_t count = s->rate == in->rate ? s->count : resample_count(s->count, s->rate, in->rate);
    uint64_t beyond = count > in->length ? count - in->length + (in->rest && in->step ? in->step - 1 : 0) : 0;
    uint64_t more = in->step ? beyond / in->step : 0;
    if (!s->channels || (s->count && (!s->data || !count)) || more >= UINT32_MAX)
        return refuse(error, size, "has no channels, no data, or too many samples");
    return (uint32_t)more + 1;
}

/* The mean of all channels; what is not finite counts as silence. */
static double sample(const struct edgekit_sound *s, uint64_t at)
{
    double sum = 0;
    for (uint32_t c = 0; c < s->channels; c++) {
        size_t i = (size_t)(at * s->channels + c);
        double value =
            s->samples == EDGEKIT_PCM16 ? ((const int16_t *)s->data)[i] / 32768.0 : (double)((const float *)s->data)[i];
        sum += isfinite(value) ? value : 0;
    }
    return sum / s->channels;
}

/* The samples from `first` on, at the network's rate. */
static bool take_clip(struct sound_input *in, const struct edgekit_sound *s, uint64_t first)
{
    struct resampler *r = &in->resampler;
    bool other = s->rate != in->rate;
    if (other && !resampler_make(r, s->rate, in->rate))
        return false;
    uint64_t count = other ? resample_count(s->count, s->rate, in->rate) : s->count;
    resampler_begin(r);
    for (uint32_t i = 0; i < in->length; i++)
        in->clip[i] = first + i >= count ? 0 : other ? resampler_sample(r, s, sample, first + i) : sample(s, first + i);
    return true;
}

bool sound_set(struct sound_input *in, const struct edgekit_sound *s, const struct edgekit_tensor *t, void *to,
               char *error, size_t size)
{
    uint32_t clips = sound_clips(in, s, error, size);
    if (!clips)
        return false;
    if (s->clip >= clips)
        return refuse(error, size, "has no such clip");
    uint64_t first = (uint64_t)s->clip * in->step;
    if (!take_clip(in, s, first))
        return refuse(error, size, "needs more memory to be resampled than there is");
    for (uint32_t f = 0; f < in->frames; f++) {
        const double *from = in->waveform ? in->clip + f : in->frame;
        if (!in->waveform)
            features_frame(&in->features, in->clip, in->length, f, in->frame);
        for (uint32_t i = 0; i < in->each; i++) {
            volatile float product = (float)from[i] * in->scale[i]; /* rounded: not one operation with the sum */
            size_t at = in->bands_first ? (size_t)i * in->frames + f : (size_t)f * in->each + i;
            element_put(t, product + in->offset[i], to, at);
        }
    }
    return true;
}
