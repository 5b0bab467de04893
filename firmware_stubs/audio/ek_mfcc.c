#include "ek_mfcc.h"

enum { MOST_COEFFICIENTS = 128 };

/* Bits of fraction: of a coefficient, a constant of the transform, a band's weight, a windowed sample at full scale. */
enum { Q = 16, TURN = 30, RISE = 15, SAMPLE = 20, WINDOW = 15, DCT = 16, LOG = 7, BAND = SAMPLE + 1 + RISE };

/* To the nearest, halves up. */
static int32_t rounded(int64_t value, uint32_t bits)
{
    return (int32_t)((value + (INT64_C(1) << (bits - 1))) >> bits);
}

static uint32_t bits32(uint32_t value)
{
    return value ? 32u - (uint32_t)__builtin_clz(value) : 0;
}

static uint32_t bits64(uint64_t value)
{
    uint32_t high = (uint32_t)(value >> 32);
    return high ? 32 + bits32(high) : bits32((uint32_t)value);
}

static int32_t scaled(int32_t sample, uint32_t shift, uint16_t weight)
{
    return (sample * (1 << shift) * (int32_t)weight + (1 << (WINDOW + 14 - SAMPLE))) >> (WINDOW + 15 - SAMPLE);
}

/* Samples become complex numbers, even ones real, in the order of the transform's first stage. */
static uint32_t windowed(const struct ek_mfcc *m, const int16_t *samples, int32_t *z)
{
    const uint16_t *hann = m->hann;
    const uint32_t window = m->window, half = m->fft / 2u;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < window; i++) {
        uint32_t size = (uint32_t)(samples[i] < 0 ? -samples[i] : samples[i]);
        largest = size > largest ? size : largest;
    }
    const uint32_t shift = largest ? 15 - bits32(largest - 1) : 0;
    for (uint32_t i = 0, place = 0; i < m->fft; i += 2) {
        z[place] = i < window ? scaled(samples[i], shift, hann[i]) : 0;
        z[place + 1] = i + 1 < window ? scaled(samples[i + 1], shift, hann[i + 1]) : 0;
        uint32_t carry = half; /* place / 2 counts with its bits in reverse */
        for (; place & carry; carry /= 2)
            place -= carry;
        place += carry;
    }
    return shift;
}

static void added(int32_t *a, int32_t *b, int32_t re, int32_t im)
{
    const int32_t x = a[0], y = a[1];
    a[0] = x + re;
    a[1] = y + im;
    b[0] = x - re;
    b[1] = y - im;
}

/* A complex transform in place. Without multiplication where the factor is 1 or -i, with the same result. */
static void transform(const struct ek_mfcc *m, int32_t *z)
{
    const uint32_t end = m->fft;
    for (uint32_t half = 2, step = end / 2; half < end; half *= 2, step /= 2) {
        for (uint32_t a = 0; a < end; a += 2 * half)
            added(z + a, z + a + half, z[a + half], z[a + half + 1]);
        for (uint32_t j = 2; j < half; j += 2) {
            const int32_t cosine = m->turn[j * step], sine = m->turn[j * step + 1];
            if (cosine == 0) {
                for (uint32_t a = j; a < end; a += 2 * half)
                    added(z + a, z + a + half, z[a + half + 1], -z[a + half]);
                continue;
            }
            for (uint32_t a = j; a < end; a += 2 * half) {
                const int32_t x = z[a + half], y = z[a + half + 1];
                added(z + a, z + a + half, rounded((int64_t)cosine * x + (int64_t)sine * y, TURN),
                      rounded((int64_t)cosine * y - (int64_t)sine * x, TURN));
            }
        }
    }
}

/* Square root of the 31 or 32 leading bits, shifted back; rounded down. */
static uint32_t root(uint64_t value)
{
    if (value == 0)
        return 0;
    const uint32_t bits = bits64(value), shift = bits > 31 ? (bits - 31) / 2 : 0, up = bits < 31 ? (32 - bits) / 2 : 0;
    const uint32_t x = (uint32_t)(value >> (2 * shift)) << (2 * up);
    /* From 2^30 to 2^32: a straight line is at most 6 % too low, and Newton's method squares that. */
    uint32_t r = 0x8000 + ((x - 0x40000000) >> 15) / 3;
    r = (r + x / r) / 2;
    r = (r + x / r) / 2;
    r -= (uint64_t)r * r > x;
    return r << shift >> up;
}

/* Twice the magnitude of one bin of the real transform. */
static uint32_t magnitude(const struct ek_mfcc *m, const int32_t *z, uint32_t k)
{
    const int32_t *low = z + 2 * k, *high = z + m->fft - 2 * k, *turn = m->turn + 2 * k;
    const int32_t x = low[0] - high[0], y = low[1] + high[1];
    const int32_t re = low[0] + high[0] + rounded((int64_t)turn[0] * y - (int64_t)turn[1] * x, TURN);
    const int32_t im = low[1] - high[1] - rounded((int64_t)turn[0] * x + (int64_t)turn[1] * y, TURN);
    return root((uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im));
}

/* The bands' sums, each beginning with the offset. From bin to bin, the band in which it rises never goes down. */
static void banded(const struct ek_mfcc *m, const int32_t *z, uint64_t offset, uint64_t *sums)
{
    uint64_t falling = offset, rising = offset;
    uint32_t band = 0;
    for (uint32_t i = 0; i < m->bins; i++) {
        const uint32_t size = magnitude(m, z, m->first + i), rise = m->rise[i];
        for (; band < m->band[i]; band++) {
            if (band > 0)
                sums[band - 1] = falling;
            falling = rising;
            rising = offset;
        }
        rising += (uint64_t)size * rise;
        falling += (uint64_t)size * ((1u << RISE) - rise);
    }
    for (; band <= m->bands; band++) {
        if (band > 0)
            sums[band - 1] = falling;
        falling = rising;
        rising = offset;
    }
}

/* Q16: a table of 128 intervals, and straight lines. value > 0. */
static int32_t log2_of(const struct ek_mfcc *m, uint64_t value)
{
    uint32_t bits = bits64(value);
    uint32_t mantissa = bits > 32 ? (uint32_t)(value >> (bits - 32)) : (uint32_t)value << (32 - bits);
    uint32_t index = (mantissa >> (31 - LOG)) & ((1u << LOG) - 1), rest = (mantissa >> (15 - LOG)) & 0xffff;
    uint32_t low = m->log[index], interval = (m->log[index + 1] - low) & 0xffff;
    return (int32_t)(((bits - 1) << Q) + low + ((interval * rest + 0x8000) >> 16));
}

void ek_mfcc_frame(const struct ek_mfcc *m, const int16_t *samples, void *scratch, int32_t *coefficients)
{
    int32_t *z = scratch, *logs = z; /* the spectrum is no longer needed when the logarithms are written */
    uint64_t *sums = (uint64_t *)(void *)(z + m->fft);
    const uint32_t shift = windowed(m, samples, z);
    transform(m, z);
    banded(m, z, (uint64_t)m->offset << shift, sums);
    for (uint32_t b = 0; b < m->bands; b++)
        logs[b] = log2_of(m, sums[b]) - (int32_t)((BAND + shift) << Q);
    for (uint32_t c = 0; c < m->coefficients; c++) {
        const int16_t *row = m->dct + c * m->bands;
        int64_t sum = 0;
        for (uint32_t b = 0; b < m->bands; b++)
            sum += (int64_t)logs[b] * row[b];
        coefficients[c] = rounded(sum, DCT);
    }
}

void ek_mfcc_quantize(const struct ek_mfcc *m, const int32_t *coefficients, uint32_t count, int8_t *values)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t scaled = ((int64_t)coefficients[i] * m->multiplier + (INT64_C(1) << (m->shift - 1))) >> m->shift;
        scaled += m->zero_point;
        values[i] = (int8_t)(scaled < -128 ? -128 : scaled > 127 ? 127 : scaled);
    }
}

void ek_mfcc_clip(const struct ek_mfcc *m, const int16_t *samples, uint32_t frames, void *scratch, int8_t *values)
{
    int32_t coefficients[MOST_COEFFICIENTS];
    for (uint32_t f = 0; f < frames; f++) {
        ek_mfcc_frame(m, samples + f * m->stride, scratch, coefficients);
        ek_mfcc_quantize(m, coefficients, m->coefficients, values + f * m->coefficients);
    }
}
