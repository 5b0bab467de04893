#include "sound_features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"

/* Compiled without contraction of products and sums (-ffp-contract=off), so that all machines compute the same bits. */

static const double ln10 = 2.302585092994045684;

static double mels(double hertz, enum features_mel mel)
{
    if (mel != MEL_SLANEY)
        return exact_log(1.0 + hertz / 700.0);
    return hertz < 1000 ? hertz * 3.0 / 200.0 : exact_log(hertz / 1000.0) * (27.0 / exact_log(6.4)) + 15.0;
}

static double hertz(double mels, enum features_mel mel)
{
    if (mel != MEL_SLANEY)
        return 700.0 * (exact_exp(mels) - 1.0);
    return mels < 15 ? mels * 200.0 / 3.0 : 1000.0 * exact_exp((mels - 15.0) * (exact_log(6.4) / 27.0));
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* How much of a bin is in a band, whose edges are in Hz. */
static double weight(const struct features_spec *s, uint32_t rate, uint32_t bin, uint32_t band, const double *edge)
{
    double at = bin * (double)rate / s->fft, value;
    if (s->mel == MEL_TENSORFLOW) {
        double low = mels(s->low, s->mel), high = mels(s->high, s->mel);
        double position = (mels(at, s->mel) - low) * (s->bands + 1) / (high - low);
        value = bin ? smaller(position - band, band + 2.0 - position) : 0;
    } else {
        value = smaller((at - edge[0]) / (edge[1] - edge[0]), (edge[2] - at) / (edge[2] - edge[1]));
    }
    value = value > 0 ? value : 0;
    return s->mel == MEL_SLANEY ? value * (2.0 / (edge[2] - edge[0])) : value;
}

/* Numbers in `weight`: a bin is in two bands at most. */
static size_t room(const struct features_spec *s)
{
    return 2 * ((size_t)s->fft / 2 + 1);
}

/* A band's weights, of which only those above 0 are kept; they follow `used` others. Returns how many are used then. */
static size_t make_band(struct features *f, uint32_t rate, uint32_t number, size_t used)
{
    const struct features_spec *s = &f->spec;
    double low = mels(s->low, s->mel), high = mels(s->high, s->mel), edge[3];
    struct features_band *band = f->band + number;
    for (uint32_t i = 0; i < 3; i++)
        edge[i] = hertz(low + (number + i) * ((high - low) / (s->bands + 1)), s->mel);
    *band = (struct features_band){0, 0, f->weight + used};
    for (uint32_t bin = 0; bin <= s->fft / 2; bin++) {
        double value = weight(s, rate, bin, number, edge);
        if (value == 0 || used == room(s))
            continue;
        if (!band->count)
            band->first = bin;
        f->weight[used++] = value;
        band->count++;
    }
    return used;
}

static void make_order(struct features *f)
{
    for (uint32_t i = 0, place = 0; i < f->spec.fft; i++) {
        uint32_t carry = f->spec.fft / 2; /* `place` counts with its bits in reverse */
        f->order[i] = place;
        for (; place & carry; carry /= 2)
            place -= carry;
        place += carry;
    }
}

bool features_make(struct features *f, const struct features_spec *spec, uint32_t rate)
{
    const struct features_spec *s = &f->spec;
    f->spec = *spec;
    size_t fft = s->fft, bands = s->bands;
    f->window = calloc(s->window, sizeof(double));
    f->cosine = calloc(fft, sizeof(double));
    f->sine = calloc(fft, sizeof(double));
    f->weight = calloc(room(s), sizeof(double));
    f->dct = calloc(bands * (s->coefficients ? s->coefficients : 1), sizeof(double));
    f->band = calloc(bands, sizeof *f->band);
    f->re = calloc(fft, sizeof(double));
    f->im = calloc(fft, sizeof(double));
    f->logs = calloc(bands, sizeof(double));
    f->order = calloc(fft, sizeof *f->order);
    if (!f->window || !f->cosine || !f->sine || !f->weight || !f->dct || !f->band || !f->re || !f->im || !f->logs ||
        !f->order)
        return false;
    double unused;
    uint32_t period = s->even && s->window % 2 ? s->window - 1 : s->window;
    for (uint32_t i = 0; i < s->window; i++) {
        exact_turn(i, period ? period : 1, f->window + i, &unused);
        f->window[i] = 0.5 - 0.5 * f->window[i];
    }
    for (uint32_t k = 0; k < s->fft / 2; k++)
        exact_turn(k, s->fft, f->cosine + k, f->sine + k);
    size_t used = 0;
    for (uint32_t b = 0; b < s->bands; b++)
        used = make_band(f, rate, b, used);
    for (uint32_t c = 0; c < s->coefficients; c++)
        for (uint32_t b = 0; b < s->bands; b++) {
            double *to = f->dct + c * bands + b;
            exact_turn((uint64_t)c * (2 * b + 1), 4 * (uint64_t)bands, to, &unused);
            *to *= !c && s->ortho ? sqrt(1.0 / s->bands) : sqrt(2.0 / s->bands);
        }
    f->factor = s->log == LOG_LN ? 1 : s->log == LOG_LOG10 ? 1.0 / ln10 : 10.0 * (3 - (int)s->power) / ln10;
    make_order(f);
    return true;
}

void features_free(struct features *f)
{
    free(f->window);
    free(f->cosine);
    free(f->sine);
    free(f->weight);
    free(f->dct);
    free(f->band);
    free(f->re);
    free(f->im);
    free(f->logs);
    free(f->order);
    memset(f, 0, sizeof *f);
}

/* The samples of a frame, times the window, in the order of the transform's first stage. */
static void take(struct features *f, const double *clip, size_t count, uint32_t number)
{
    const struct features_spec *s = &f->spec;
    int64_t first = (int64_t)s->begin + (int64_t)number * s->hop;
    for (uint32_t i = 0; i < s->fft; i++) {
        uint32_t k = f->order[i];
        int64_t at = first + k;
        bool there = k < s->window && at >= 0 && (uint64_t)at < count;
        f->re[i] = there ? clip[at] * f->window[k] : 0;
        f->im[i] = 0;
    }
}

/* A complex transform in place, decimated in time. */
static void transform(struct features *f)
{
    uint32_t points = f->spec.fft;
    for (uint32_t half = 1; half < points; half *= 2) {
        uint32_t step = points / (2 * half);
        for (uint32_t a = 0; a < points; a += 2 * half)
            for (uint32_t j = 0; j < half; j++) {
                double *re = f->re + a + j, *im = f->im + a + j;
                double cosine = f->cosine[j * step], sine = f->sine[j * step], x = re[half], y = im[half];
                double tr = cosine * x + sine * y, ti = cosine * y - sine * x;
                re[half] = *re - tr;
                im[half] = *im - ti;
                *re += tr;
                *im += ti;
            }
    }
}

void features_frame(struct features *f, const double *clip, size_t count, uint32_t number, double *to)
{
    const struct features_spec *s = &f->spec;
    double *spectrum = f->re, *logs = s->coefficients ? f->logs : to;
    take(f, clip, count, number);
    transform(f);
    for (uint32_t k = 0; k <= s->fft / 2; k++) {
        double power = f->re[k] * f->re[k] + f->im[k] * f->im[k];
        spectrum[k] = s->power == 1 ? sqrt(power) : power;
    }
    for (uint32_t b = 0; b < s->bands; b++) {
        const struct features_band *band = f->band + b;
        double sum = 0;
        for (uint32_t i = 0; i < band->count; i++)
            sum += spectrum[band->first + i] * band->weight[i];
        sum += s->add;
        logs[b] = exact_log(sum > s->floor ? sum : s->floor);
        if (s->log != LOG_LN)
            logs[b] *= f->factor;
    }
    for (uint32_t c = 0; c < s->coefficients; c++) {
        to[c] = 0;
        for (uint32_t b = 0; b < s->bands; b++)
            to[c] += logs[b] * f->dct[c * s->bands + b];
    }
}
