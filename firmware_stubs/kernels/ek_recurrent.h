/* Layers with a memory: SVDF, and LSTM with an int16 cell state. Their state lies in the arena and is kept from one run
   to the next; `init` gives it its first values. */
#ifndef EK_RECURRENT_H
#define EK_RECURRENT_H

#include "ek_math.h"
#include "ek_rows.h"

struct ek_svdf_shape {
    int32_t batch, in, filters, memory, rank;
};

/* features [filters][in], times [filters][memory], bias [filters / rank] or NULL. */
struct ek_svdf_data {
    const int8_t *features;
    const int16_t *times;
    const int32_t *bias;
    int32_t x_zero, y_zero, low, high;
    int32_t first_multiplier, first_shift, second_multiplier, second_shift;
};

/* Each filter puts its product with the input at the end of its row of the state, [batch][filters][memory], multiplies
   that row by its time weights, and forgets the oldest value. */
EK_INLINE void ek_svdf_s8(const struct ek_svdf_shape *s, const struct ek_svdf_data *d, const int8_t *x,
                          const void *vstate, int8_t *y)
{
    ek_s16 *state = (ek_s16 *)(uintptr_t)vstate;
    for (int32_t b = 0; b < s->batch; b++, x += s->in) {
        for (int32_t f = 0; f < s->filters; f += s->rank) {
            int64_t total = d->bias ? d->bias[f / s->rank] : 0;
            for (int32_t r = f; r < f + s->rank; r++, state += s->memory) {
                const int8_t *w = d->features + r * s->in;
                const int16_t *t = d->times + r * s->memory;
                int32_t sum = 0;
                for (int32_t i = 0; i < s->in; i++)
                    sum += w[i] * (x[i] - d->x_zero);
                sum = ek_clamp(ek_requantize(sum, d->first_multiplier, d->first_shift), INT16_MIN, INT16_MAX);
                total += (int64_t)sum * t[s->memory - 1];
                for (int32_t i = 0; i < s->memory - 1; i++)
                    total += (int64_t)state[i] * t[i];
                for (int32_t i = 0; i < s->memory - 2; i++)
                    state[i] = state[i + 1];
                if (s->memory > 1)
                    state[s->memory - 2] = (int16_t)sum;
            }
            *y++ = (int8_t)ek_clamp(
                ek_requantize((int32_t)(uint32_t)(uint64_t)total, d->second_multiplier, d->second_shift) + d->y_zero,
                d->low, d->high);
        }
    }
}

/* gemmlowp's 16-bit fixed-point functions (fixedpoint/fixedpoint.h). */

EK_INLINE int32_t ek_high_16(int32_t a, int32_t b)
{
    return ek_min((a * b + (1 << 14)) >> 15, INT16_MAX);
}

EK_INLINE int32_t ek_clamp_16(int32_t x)
{
    return ek_clamp(x, INT16_MIN, INT16_MAX);
}

/* exp of a number that is not positive, with `bits` integer bits; the result has none. */
EK_INLINE int32_t ek_exp_16(int32_t x, int32_t bits)
{
    /* exp(-2^n) for n from -2 to 4 */
    static const int16_t power[7] = {25520, 19875, 12055, 4435, 600, 11, 0};
    const int32_t fraction = 15 - bits, quarter = 1 << (fraction - 2);
    const int32_t within = (int32_t)((uint32_t)x & (uint32_t)(quarter - 1)) - quarter; /* [-1/4, 0) */
    /* a Taylor polynomial about -1/8 */
    const int32_t t = ek_clamp_16(within * (1 << bits)) + (1 << 12);
    const int32_t t2 = ek_high_16(t, t), t3 = ek_high_16(t2, t), t4 = ek_divide_pot(ek_high_16(t2, t2), 2);
    const int32_t inner = ek_divide_pot(ek_high_16(t4 + t3, 10923) + t2, 1);
    int32_t result = ek_clamp_16(28918 + ek_high_16(t + inner, 28918));
    const int32_t remainder = within - x;
    for (int32_t n = -2; n < 5 && n < bits; n++)
        if (remainder >> (fraction + n) & 1)
            result = ek_high_16(result, power[n + 2]);
    if (bits > 5 && x < -(32 * (1 << fraction)))
        result = 0;
    return x ? result : INT16_MAX;
}

/* 2 / (1 + x) for x in [0, 1], with 2 integer bits. */
EK_INLINE int32_t ek_newton_16(int32_t x)
{
    const int32_t half = (x + INT16_MAX + 1) >> 1;
    int32_t y = 23130 + ek_high_16(half, -15420);
    for (int32_t n = 0; n < 3; n++)
        y = (int16_t)(y + ek_clamp_16(ek_high_16(y, (1 << 13) - ek_high_16(half, y)) * 4));
    return y;
}

/* Of a number with 3 integer bits. */
EK_INLINE int16_t ek_logistic_16(int32_t x)
{
    const int32_t positive = ek_clamp_16(ek_newton_16(ek_exp_16(x < 0 ? x : -x, 3)) * 2);
    return (int16_t)(x == 0 ? 1 << 14 : x > 0 ? positive : INT16_MAX - positive);
}

/* Of a number with `bits` integer bits. */
EK_INLINE int16_t ek_tanh_16(int32_t x, int32_t bits)
{
    const int32_t size = ek_clamp_16((ek_newton_16(ek_exp_16(x < 0 ? x : -x, bits + 1)) - (1 << 13)) * 4);
    return (int16_t)(x == 0 ? 0 : x < 0 ? -size : size);
}

/* One gate: weights [cells][in] and recurrent [cells][out] with zero points folded into their biases; peephole and norm
   [cells] or NULL. */
struct ek_lstm_gate {
    const int8_t *weights, *recurrent;
    const int32_t *bias, *recurrent_bias;
    const int16_t *peephole, *norm;
    const int32_t *norm_bias;
    int32_t multiplier, shift, recurrent_multiplier, recurrent_shift, peephole_multiplier, peephole_shift;
    int32_t norm_multiplier, norm_shift, guard;
};

struct ek_lstm_shape {
    int32_t batch, steps, in, cells, out, time_major;
};

/* input.weights NULL: the input gate is what the forget gate leaves. projection [out][cells] or NULL. cell_shift: the
   cell state's scale is 2^cell_shift. Clips of 0 mean none. */
struct ek_lstm_data {
    struct ek_lstm_gate input, forget, cell, output;
    const int8_t *projection;
    const int32_t *projection_bias;
    int32_t projection_multiplier, projection_shift, projection_clip, cell_shift, cell_clip;
    int32_t hidden_multiplier, hidden_shift, hidden_zero, y_zero;
};

EK_INLINE int32_t ek_dot_rows(const int8_t *w, const int8_t *x, int32_t count, int32_t sum)
{
    for (int32_t i = 0; i < count; i++)
        sum += w[i] * x[i];
    return sum;
}

/* Normalizes the sums of a gate (ApplyLayerNorm in portable_tensor_utils.cc). */
EK_INLINE void ek_normalize_16(const struct ek_lstm_gate *g, int32_t cells, ek_s16 *sums)
{
    int64_t sum = 0, squares = 0;
    for (int32_t i = 0; i < cells; i++) {
        sum += sums[i];
        squares += sums[i] * sums[i];
    }
    const int32_t mean = (int32_t)(sum * 1024 / cells);
    const int64_t spread = squares * ((1 << 20) / cells) - (int64_t)mean * mean;
    int32_t variance = (int32_t)(spread / (1 << 20)), multiplier, shift;
    ek_inverse_root(variance < 1 ? g->guard : variance, &multiplier, &shift);
    for (int32_t i = 0; i < cells; i++) {
        const int32_t scaled = ek_requantize(1024 * sums[i] - mean, multiplier, shift);
        const int64_t value = (int64_t)scaled * g->norm[i] + g->norm_bias[i];
        const int32_t rounded = (int32_t)((value > 0 ? value + 512 : value - 512) / 1024);
        sums[i] = (int16_t)ek_clamp_16(ek_requantize(rounded, g->norm_multiplier, g->norm_shift + 12));
    }
}

/* The sums of a gate, before its activation. */
EK_INLINE void ek_gate(const struct ek_lstm_shape *s, const struct ek_lstm_gate *g, const int8_t *x,
                       const int8_t *before, const ek_s16 *cell, ek_s16 *sums)
{
    for (int32_t c = 0; c < s->cells; c++) {
        int32_t value = ek_clamp_16(
            ek_requantize(ek_dot_rows(g->weights + c * s->in, x, s->in, g->bias[c]), g->multiplier, g->shift));
        const int32_t past = ek_dot_rows(g->recurrent + c * s->out, before, s->out, g->recurrent_bias[c]);
        value = ek_clamp_16(ek_requantize(past, g->recurrent_multiplier, g->recurrent_shift) + value);
        if (g->peephole)
            value =
                ek_clamp_16(ek_requantize(g->peephole[c] * cell[c], g->peephole_multiplier, g->peephole_shift) + value);
        sums[c] = (int16_t)value;
    }
    if (g->norm)
        ek_normalize_16(g, s->cells, sums);
}

/* One step of one sequence. before: the output of the step before, which this one's takes the place of. */
EK_INLINE void ek_lstm_step(const struct ek_lstm_shape *s, const struct ek_lstm_data *d, const int8_t *x,
                            int8_t *before, ek_s16 *cell, int8_t *y, ek_s16 *scratch)
{
    ek_s16 *forget = scratch, *new = forget + s->cells, *gate = new + s->cells;
    int8_t *hidden = (int8_t *)(gate + s->cells);
    ek_gate(s, &d->forget, x, before, cell, forget);
    ek_gate(s, &d->cell, x, before, cell, new);
    if (d->input.weights)
        ek_gate(s, &d->input, x, before, cell, gate);
    for (int32_t c = 0; c < s->cells; c++) {
        const int32_t kept = ek_logistic_16(forget[c]), value = ek_tanh_16(new[c], 3);
        const int32_t share = d->input.weights ? ek_logistic_16(gate[c]) : INT16_MAX - kept;
        const int32_t more = (int16_t)ek_divide_pot(share * value, 30 + d->cell_shift);
        const int32_t sum = ek_clamp_16((int16_t)ek_divide_pot(kept * cell[c], 15) + more);
        cell[c] = (int16_t)(d->cell_clip ? ek_clamp(sum, -d->cell_clip, d->cell_clip) : sum);
    }
    ek_gate(s, &d->output, x, before, cell, gate);
    for (int32_t c = 0; c < s->cells; c++) {
        const int32_t product = ek_logistic_16(gate[c]) * ek_tanh_16(cell[c], 15 + d->cell_shift);
        const int32_t value = ek_requantize(product, d->hidden_multiplier, d->hidden_shift) + d->hidden_zero;
        hidden[c] = (int8_t)ek_clamp(value, INT8_MIN, INT8_MAX);
    }
    for (int32_t i = 0; i < s->out; i++) {
        int32_t value = hidden[i < s->cells ? i : 0];
        if (d->projection) {
            value = ek_dot_rows(d->projection + i * s->cells, hidden, s->cells, d->projection_bias[i]);
            value = ek_requantize(value, d->projection_multiplier, d->projection_shift) + d->y_zero;
            value = ek_clamp(value, INT8_MIN, INT8_MAX);
            if (d->projection_clip)
                value = ek_clamp(value, -d->projection_clip, d->projection_clip);
        }
        y[i] = before[i] = (int8_t)value;
    }
}

/* All steps. Scratch: 3 * cells numbers of 16 bits, and cells of 8. */
EK_INLINE void ek_lstm_s8(const struct ek_lstm_shape *s, const struct ek_lstm_data *d, const int8_t *x,
                          const void *voutputs, const void *vcells, int8_t *y, void *scratch)
{
    for (int32_t b = 0; b < s->batch; b++) {
        int8_t *before = (int8_t *)(uintptr_t)voutputs + b * s->out;
        ek_s16 *cell = (ek_s16 *)(uintptr_t)vcells + b * s->cells;
        for (int32_t t = 0; t < s->steps; t++) {
            const int32_t row = s->time_major ? t * s->batch + b : b * s->steps + t;
            ek_lstm_step(s, d, x + row * s->in, before, cell, y + row * s->out, scratch);
        }
    }
}

#endif
