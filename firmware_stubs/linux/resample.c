#include "resample.h"

#include <stdlib.h>
#include <string.h>

#include "exact.h"

/* Compiled without contraction of products and sums (-ffp-contract=off), so that all machines compute the same bits. */

enum { ZEROS = 10, TERMS = 25, BLOCK = 4096 };

static const double beta = 5.0, pi = 3.141592653589793;
static const uint64_t most_samples = UINT64_MAX >> 24;

static void factors(uint32_t rate, uint32_t to, uint32_t *up, uint32_t *down)
{
    uint32_t a = rate, b = to;
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    *up = to / a;
    *down = rate / a;
}

uint64_t resample_count(uint64_t samples, uint32_t rate, uint32_t to)
{
    uint32_t up, down;
    if (!rate || !to || samples > most_samples)
        return 0;
    factors(rate, to, &up, &down);
    if (up > RESAMPLE_MAX_FACTOR || down > RESAMPLE_MAX_FACTOR)
        return 0;
    return (samples * up + down - 1) / down;
}

/* The modified Bessel function of order 0 of beta times the root of `square`: its series. */
static double bessel(double square)
{
    double term = 1, sum = 1;
    for (int n = 1; n <= TERMS; n++) {
        term = term * (square * (beta * beta / 4)) / (n * n);
        sum += term;
    }
    return sum;
}

static void make_kernel(struct resampler *r)
{
    uint32_t most = r->up > r->down ? r->up : r->down;
    double sum = 0, whole = bessel(1), unused, sine;
    for (uint32_t i = 0; i <= r->reach; i++) {
        exact_turn(i, 2 * (uint64_t)most, &unused, &sine);
        double sinc = i ? sine / (pi * i / most) : 1, share = (double)i / r->reach;
        r->kernel[i] = sinc / most * (bessel(1.0 - share * share) / whole);
        sum += i ? r->kernel[i] : 0;
    }
    sum = 2.0 * sum + r->kernel[0];
    for (uint32_t i = 0; i <= r->reach; i++)
        r->kernel[i] = r->kernel[i] / sum * r->up;
}

bool resampler_make(struct resampler *r, uint32_t rate, uint32_t to)
{
    if (r->rate == rate)
        return true;
    resampler_free(r);
    factors(rate, to, &r->up, &r->down);
    r->reach = ZEROS * (r->up > r->down ? r->up : r->down);
    r->room = 2 * (2 * (size_t)r->reach / r->up + 1) + BLOCK;
    r->kernel = calloc((size_t)r->reach + 1, sizeof *r->kernel);
    r->held = calloc(r->room, sizeof *r->held);
    if (!r->kernel || !r->held)
        return false;
    make_kernel(r);
    r->rate = rate;
    return true;
}

void resampler_free(struct resampler *r)
{
    free(r->kernel);
    free(r->held);
    memset(r, 0, sizeof *r);
}

void resampler_begin(struct resampler *r)
{
    r->count = 0;
}

/* Hold the samples from `first` on; beyond the recording's ends there is silence. */
static void hold(struct resampler *r, const struct edgekit_sound *sound, resample_read read, int64_t first)
{
    r->first = first;
    r->count = r->room;
    for (size_t i = 0; i < r->room; i++) {
        int64_t at = first + (int64_t)i;
        r->held[i] = at >= 0 && (uint64_t)at < sound->count ? read(sound, (uint64_t)at) : 0;
    }
}

double resampler_sample(struct resampler *r, const struct edgekit_sound *sound, resample_read read, uint64_t number)
{
    int64_t place = (int64_t)(number * r->down), up = r->up, reach = r->reach;
    int64_t last = (place + reach) / up, from = place - reach;
    int64_t sample = from > 0 ? (from + up - 1) / up : -(-from / up);
    if (!r->count || last >= r->first + (int64_t)r->count)
        hold(r, sound, read, sample);
    double sum = 0;
    for (; sample <= last; sample++)
        sum += r->kernel[llabs(place - sample * up)] * r->held[sample - r->first];
    return sum;
}
