/* Layers with a memory in float32: SVDF and LSTM, as TFLite's float kernels compute them. */
#ifndef EK_RECURRENT_F32_H
#define EK_RECURRENT_F32_H

#include "ek_plain.h"
#include "ek_recurrent.h"

EK_INLINE float ek_dot_f32(const float *w, const ek_f32 *x, int32_t count, float sum)
{
    EK_UNROLL
    for (int32_t i = 0; i < count; i++)
        sum += w[i] * x[i];
    return sum;
}

/* features [filters][in], times [filters][memory], bias [filters / rank] or NULL. */
struct ek_svdf_data_f32 {
    const float *features, *times, *bias;
    float low, high;
};

/* As ek_svdf_s8; a filter's row of the state holds the newest value, too, and forgets the oldest when the next comes.
 */
EK_INLINE void ek_svdf_f32(const struct ek_svdf_shape *s, const struct ek_svdf_data_f32 *d, const void *vx,
                           const void *vstate, void *vy)
{
    const ek_f32 *x = vx;
    ek_f32 *state = (ek_f32 *)(uintptr_t)vstate, *y = vy;
    for (int32_t b = 0; b < s->batch; b++, x += s->in) {
        for (int32_t f = 0; f < s->filters; f += s->rank) {
            float total = d->bias ? d->bias[f / s->rank] : 0.0f;
            for (int32_t r = f; r < f + s->rank; r++, state += s->memory) {
                for (int32_t i = 0; i < s->memory - 1; i++)
                    state[i] = state[i + 1];
                state[s->memory - 1] = ek_dot_f32(d->features + r * s->in, x, s->in, 0.0f);
                total = ek_dot_f32(d->times + r * s->memory, state, s->memory, total);
            }
            *y++ = ek_clamp_f32(total, d->low, d->high);
        }
    }
}

/* weights [cells][in], recurrent [cells][out], bias [cells], peephole and norm [cells] or NULL. */
struct ek_lstm_gate_f32 {
    const float *weights, *recurrent, *bias, *peephole, *norm;
};

#define EK_CELL_RELU 1
#define EK_CELL_RELU6 3
#define EK_CELL_TANH 4

/* input.weights NULL: the input gate is what the forget gate leaves. projection [out][cells] or NULL, its bias [out] or
   NULL. activation: of the cell's new value and of its state, EK_CELL_TANH and kin. Clips of 0 mean none. */
struct ek_lstm_data_f32 {
    struct ek_lstm_gate_f32 input, forget, cell, output;
    const float *projection, *projection_bias;
    float cell_clip, projection_clip;
    int32_t activation;
};

EK_INLINE float ek_gate_value(float x)
{
    return 1.0f / (1.0f + __builtin_expf(-x));
}

EK_INLINE float ek_cell_value(float x, int32_t activation)
{
    if (activation == EK_CELL_TANH)
        return __builtin_tanhf(x);
    if (x < 0.0f)
        return 0.0f;
    return activation == EK_CELL_RELU6 && x > 6.0f ? 6.0f : x;
}

/* Mean 0, variance 1, then the layer's own scale and bias (MeanStddevNormalization in portable_tensor_utils.cc). */
EK_INLINE void ek_normalize_f32(const struct ek_lstm_gate_f32 *g, int32_t cells, ek_f32 *sums)
{
    float sum = 0.0f, squares = 0.0f;
    for (int32_t i = 0; i < cells; i++)
        sum += sums[i];
    const float mean = sum / (float)cells;
    for (int32_t i = 0; i < cells; i++)
        squares += (sums[i] - mean) * (sums[i] - mean);
    const float factor = 1.0f / __builtin_sqrtf(squares / (float)cells + 1e-8f);
    for (int32_t i = 0; i < cells; i++)
        sums[i] = (sums[i] - mean) * factor * g->norm[i] + g->bias[i];
}

/* The sums of a gate, before its activation. */
EK_INLINE void ek_gate_f32(const struct ek_lstm_shape *s, const struct ek_lstm_gate_f32 *g, const ek_f32 *x,
                           const ek_f32 *before, const ek_f32 *cell, ek_f32 *sums)
{
    for (int32_t c = 0; c < s->cells; c++) {
        const float sum = ek_dot_f32(g->weights + c * s->in, x, s->in, g->norm ? 0.0f : g->bias[c]);
        sums[c] = ek_dot_f32(g->recurrent + c * s->out, before, s->out, sum);
        if (g->peephole)
            sums[c] += g->peephole[c] * cell[c];
    }
    if (g->norm)
        ek_normalize_f32(g, s->cells, sums);
}

/* One step of one sequence. before: the output of the step before, which this one's takes the place of. */
EK_INLINE void ek_lstm_step_f32(const struct ek_lstm_shape *s, const struct ek_lstm_data_f32 *d, const ek_f32 *x,
                                ek_f32 *before, ek_f32 *cell, ek_f32 *y, ek_f32 *scratch)
{
    ek_f32 *forget = scratch, *new = forget + s->cells, *gate = new + s->cells;
    ek_gate_f32(s, &d->forget, x, before, cell, forget);
    ek_gate_f32(s, &d->cell, x, before, cell, new);
    if (d->input.weights)
        ek_gate_f32(s, &d->input, x, before, cell, gate);
    for (int32_t c = 0; c < s->cells; c++) {
        const float kept = ek_gate_value(forget[c]);
        const float share = d->input.weights ? ek_gate_value(gate[c]) : 1.0f - kept;
        const float value = kept * cell[c] + share * ek_cell_value(new[c], d->activation);
        cell[c] = d->cell_clip > 0.0f ? ek_clamp_f32(value, -d->cell_clip, d->cell_clip) : value;
    }
    ek_gate_f32(s, &d->output, x, before, cell, gate);
    for (int32_t c = 0; c < s->cells; c++)
        gate[c] = ek_gate_value(gate[c]) * ek_cell_value(cell[c], d->activation);
    for (int32_t i = 0; i < s->out; i++) {
        float value = gate[i < s->cells ? i : 0];
        if (d->projection) {
            const float bias = d->projection_bias ? d->projection_bias[i] : 0.0f;
            value = ek_dot_f32(d->projection + i * s->cells, gate, s->cells, bias);
            if (d->projection_clip > 0.0f)
                value = ek_clamp_f32(value, -d->projection_clip, d->projection_clip);
        }
        y[i] = before[i] = value;
    }
}

/* All steps. Scratch: 3 * cells numbers. */
EK_INLINE void ek_lstm_f32(const struct ek_lstm_shape *s, const struct ek_lstm_data_f32 *d, const void *vx,
                           const void *voutputs, const void *vcells, void *vy, void *scratch)
{
    const ek_f32 *x = vx;
    ek_f32 *y = vy;
    for (int32_t b = 0; b < s->batch; b++) {
        ek_f32 *before = (ek_f32 *)(uintptr_t)voutputs + b * s->out;
        ek_f32 *cell = (ek_f32 *)(uintptr_t)vcells + b * s->cells;
        for (int32_t t = 0; t < s->steps; t++) {
            const int32_t row = s->time_major ? t * s->batch + b : b * s->steps + t;
            ek_lstm_step_f32(s, d, x + row * s->in, before, cell, y + row * s->out, scratch);
        }
    }
}

#endif
