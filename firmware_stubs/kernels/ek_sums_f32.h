/* Sums of products of float32 for eight or four channels at a time, whose weights lie side by side. Each channel adds
   its products in the order of the plain loop. */
#ifndef EK_SUMS_F32_H
#define EK_SUMS_F32_H

#include "ek_math.h"

#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE & 2 && defined(__GNUC__)
#include <arm_mve.h>
typedef float32x4_t ek_quad;
#define EK_QUAD_LOAD(from) vldrwq_f32((const float *)(from))
#define EK_QUAD_STORE(to, quad) vstrwq_f32((float *)(to), quad)
#define EK_QUAD_SCALED(sum, quad, x) vfmaq_n_f32(sum, quad, x)
#define EK_QUAD_ADDED(sum, a, b) vfmaq_f32(sum, a, b)
#define EK_HAS_QUADS 1
#elif defined(__GNUC__) && (defined(__SSE2__) || defined(__ARM_NEON))
typedef float ek_quad __attribute__((vector_size(16)));

EK_INLINE ek_quad ek_quad_load(const void *from)
{
    ek_quad quad;
    __builtin_memcpy(&quad, from, sizeof quad);
    return quad;
}

#define EK_QUAD_LOAD(from) ek_quad_load(from)
#define EK_QUAD_STORE(to, quad) __builtin_memcpy(to, &(quad), sizeof(ek_quad))
#define EK_QUAD_SCALED(sum, quad, x) ((sum) + (quad) * (x))
#define EK_QUAD_ADDED(sum, a, b) ((sum) + (a) * (b))
#define EK_HAS_QUADS 1
#else
#define EK_HAS_QUADS 0
#endif

/* Channels of the next block where so many are left. The weights of a block of 8, 4 or 1 channels: [count][channels].
 */
EK_INLINE int32_t ek_block_f32(int32_t left)
{
    return left >= 8 ? 8 : left >= 4 ? 4 : 1;
}

/* Adds the products of `count` values with the weights of eight channels. */
EK_NOINLINE void ek_scaled_8(float *sums, const ek_f32 *x, const float *w, int32_t count)
{
#if EK_HAS_QUADS
    ek_quad a = EK_QUAD_LOAD(sums), b = EK_QUAD_LOAD(sums + 4);
    EK_UNROLL
    for (int32_t i = 0; i < count; i++, w += 8) {
        a = EK_QUAD_SCALED(a, EK_QUAD_LOAD(w), x[i]);
        b = EK_QUAD_SCALED(b, EK_QUAD_LOAD(w + 4), x[i]);
    }
    EK_QUAD_STORE(sums, a);
    EK_QUAD_STORE(sums + 4, b);
#else
    float a = sums[0], b = sums[1], c = sums[2], d = sums[3], e = sums[4], f = sums[5], g = sums[6], h = sums[7];
    EK_UNROLL
    for (int32_t i = 0; i < count; i++, w += 8) {
        const float value = x[i];
        a += value * w[0];
        b += value * w[1];
        c += value * w[2];
        d += value * w[3];
        e += value * w[4];
        f += value * w[5];
        g += value * w[6];
        h += value * w[7];
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
    sums[4] = e;
    sums[5] = f;
    sums[6] = g;
    sums[7] = h;
#endif
}

EK_NOINLINE void ek_scaled_4(float *sums, const ek_f32 *x, const float *w, int32_t count)
{
#if EK_HAS_QUADS
    ek_quad a = EK_QUAD_LOAD(sums);
    EK_UNROLL
    for (int32_t i = 0; i < count; i++, w += 4)
        a = EK_QUAD_SCALED(a, EK_QUAD_LOAD(w), x[i]);
    EK_QUAD_STORE(sums, a);
#else
    float a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    EK_UNROLL
    for (int32_t i = 0; i < count; i++, w += 4) {
        const float value = x[i];
        a += value * w[0];
        b += value * w[1];
        c += value * w[2];
        d += value * w[3];
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
#endif
}

EK_INLINE void ek_scaled_f32(float *sums, int32_t channels, const ek_f32 *x, const float *w, int32_t count)
{
    if (channels == 8) {
        ek_scaled_8(sums, x, w, count);
    } else if (channels == 4) {
        ek_scaled_4(sums, x, w, count);
    } else {
        float sum = sums[0];
        for (int32_t i = 0; i < count; i++)
            sum += x[i] * w[i];
        sums[0] = sum;
    }
}

/* The part of a window that lies in a feature map. `row`, `tap`: from one row to the next, and within a row, in
   elements of the feature map; `weights_row`, `weights_tap`: the same of the weights. */
struct ek_part_f32 {
    int32_t rows, taps, row, tap, weights_row, weights_tap;
};

/* Adds the products of four channels of a window with the weights of these channels. */
EK_NOINLINE void ek_window_4(float *sums, const struct ek_part_f32 *p, const ek_f32 *x, const float *w)
{
#if EK_HAS_QUADS
    ek_quad a = EK_QUAD_LOAD(sums);
#else
    float a = sums[0], b = sums[1], c = sums[2], d = sums[3];
#endif
    for (int32_t r = 0; r < p->rows; r++, x += p->row, w += p->weights_row) {
        const ek_f32 *from = x;
        const float *weights = w;
        for (int32_t q = 0; q < p->taps; q++, from += p->tap, weights += p->weights_tap) {
#if EK_HAS_QUADS
            a = EK_QUAD_ADDED(a, EK_QUAD_LOAD(from), EK_QUAD_LOAD(weights));
#else
            a += from[0] * weights[0];
            b += from[1] * weights[1];
            c += from[2] * weights[2];
            d += from[3] * weights[3];
#endif
        }
    }
#if EK_HAS_QUADS
    EK_QUAD_STORE(sums, a);
#else
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
#endif
}

EK_INLINE float ek_window_1(float sum, const struct ek_part_f32 *p, const ek_f32 *x, const float *w)
{
    for (int32_t r = 0; r < p->rows; r++)
        for (int32_t q = 0; q < p->taps; q++)
            sum += x[r * p->row + q * p->tap] * w[r * p->weights_row + q * p->weights_tap];
    return sum;
}

#endif
