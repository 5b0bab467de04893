/* y[i] = sum of w[i][j] * x[j] + b[i], then z[i] = min(y[i], 1000) + calls so far: two steps and a state. */
#include "tiny.h"

enum { IN = 600, OUT = 8, AT_INPUT = 0, AT_SUMS = 608, AT_OUTPUT = 640, AT_CALLS = 672 };

static const int8_t weights[OUT] = {1, -2, 3, -4, 5, -6, 7, -128};
static const int32_t bias[OUT] = {0, 1, 2, 3, -4, -5, -6, 70000};
static const struct ek_step steps[TINY_STEPS] = {{"dense", 0}, {"minimum", 1}};
static const uint32_t input_bytes[1] = {IN}, output_bytes[1] = {OUT * 4};

static int32_t *words(const struct ek_instance *instance, uint32_t at)
{
    return (int32_t *)(void *)(instance->arena + at);
}

static void init(struct ek_instance *instance, void *arena)
{
    instance->arena = arena;
    instance->tick = 0;
    instance->context = 0;
    *words(instance, AT_CALLS) = 0;
}

static void *input(const struct ek_instance *instance, uint32_t index)
{
    return instance->arena + AT_INPUT + index;
}

static const void *output(const struct ek_instance *instance, uint32_t index)
{
    return instance->arena + AT_OUTPUT + index;
}

static void tick(const struct ek_instance *instance)
{
    if (instance->tick)
        instance->tick(instance->context);
}

static void dense(struct ek_instance *instance)
{
    const int8_t *x = (const int8_t *)instance->arena + AT_INPUT;
    int32_t *y = words(instance, AT_SUMS);
    for (uint32_t i = 0; i < OUT; i++) {
        int32_t sum = bias[i];
        for (uint32_t j = 0; j < IN; j++)
            sum += x[j] * weights[i] * (int32_t)(1 + j % 3);
        y[i] = sum;
    }
}

static void minimum(struct ek_instance *instance)
{
    const int32_t *y = words(instance, AT_SUMS);
    int32_t *z = words(instance, AT_OUTPUT), calls = ++*words(instance, AT_CALLS);
    for (uint32_t i = 0; i < OUT; i++)
        z[i] = (y[i] < 1000 ? y[i] : 1000) + calls;
}

static void run(struct ek_instance *instance)
{
    tick(instance);
    dense(instance);
    tick(instance);
    minimum(instance);
    tick(instance);
}

const struct ek_model tiny_model = {
    EK_MODEL_ABI,     "tiny", 1,    1,     TINY_STEPS, input_bytes, output_bytes,
    TINY_ARENA_BYTES, steps,  init, input, output,     run,
};
