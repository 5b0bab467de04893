/* MFCC features in integer arithmetic, bit for bit what edgekit/data/mfcc.py computes, which defines them.

   C99, freestanding: no floating point, no allocation, no state. The constants of a front end (`struct ek_mfcc`) are
   written by edgekit.data.mfcc_source, together with the quantization of the network's input. */
#ifndef EK_MFCC_H
#define EK_MFCC_H

#include <stdint.h>

/* Words of scratch memory for one frame: FFT's real and imaginary parts, and the bands. */
#define EK_MFCC_SCRATCH(fft, bands) ((fft) + 2u * (bands))

struct ek_mfcc {
    uint16_t window, stride, fft; /* samples; fft is a power of two, 8 to 1024 */
    uint16_t first, bins;         /* of the transform's bins, those that are in a band */
    uint8_t bands, coefficients;
    const uint16_t *hann; /* Q15, [window] */
    const int32_t *turn;  /* Q30, [fft / 2][2]: cosine and sine of 2 pi k / fft */
    const uint8_t *band;  /* [bins]: where a bin rises; in the band before it falls */
    const uint16_t *rise; /* Q15, [bins] */
    const int16_t *dct;   /* Q16, [coefficients][bands], times ln 2 */
    const uint16_t *log;  /* Q16, [129]: log2(1 + i / 128); the last is 2^16, of which the 16 bits are 0 */
    uint32_t offset;      /* what is added to a band, in its unit at full scale */
    int32_t multiplier;   /* of the network's input: zero_point + coefficient * multiplier / 2^shift */
    uint8_t shift;
    int8_t zero_point;
};

/* The coefficients of one frame, in Q16. scratch: EK_MFCC_SCRATCH words, aligned to 8 bytes. */
void ek_mfcc_frame(const struct ek_mfcc *mfcc, const int16_t *samples, void *scratch, int32_t *coefficients);

/* Coefficients as a network's int8 input. */
void ek_mfcc_quantize(const struct ek_mfcc *mfcc, const int32_t *coefficients, uint32_t count, int8_t *values);

/* A whole clip, frame by frame: [frames][coefficients]. */
void ek_mfcc_clip(const struct ek_mfcc *mfcc, const int16_t *samples, uint32_t frames, void *scratch, int8_t *values);

#endif
