/* A compiled network, written by hand: t = x W + b; y = relu(t + s), in three kernels. The first copies x and belongs
   to no operator. weights.h is the test's; what goes wrong where a test wants it is set with -D. */
#include <string.h>

#include "compiled_network.h"
#include "weights.h"

#ifndef ABI
#define ABI EK_NETWORK_ABI
#endif
#ifndef ARENA
#define ARENA sizeof(struct arena)
#endif
#ifndef FAILS
#define FAILS -1
#endif
#ifndef STATUS
#define STATUS 0
#endif
#ifndef TICKS
#define TICKS 1
#endif
#ifndef EXPORTED
#define EXPORTED edgekit_network
#endif

struct arena {
    float x[ROWS], t[COLUMNS];
};

static const struct ek_kernel kernels[] = {{"copy", -1, 1}, {"dense", 0, 1}, {"add \"relu\"", 1, 1}};

static void compute(int kernel, struct arena *a, const float *x, const float *s, float *y, float *t)
{
    if (kernel == 0) {
        memcpy(a->x, x, sizeof a->x);
    } else if (kernel == 1) {
        for (int j = 0; j < COLUMNS; j++) {
            float sum = bias[j];
            for (int i = 0; i < ROWS; i++)
                sum += a->x[i] * weights[j][i];
            a->t[j] = sum;
        }
        memcpy(t, a->t, sizeof a->t);
    } else {
        for (int j = 0; j < COLUMNS; j++) {
            float sum = a->t[j] + s[j];
            y[j] = sum > 0 ? sum : 0;
        }
    }
}

static int run(void *arena, struct ek_pool *pool, const void *const *inputs, void *const *outputs, void (*tick)(void *),
               void *context)
{
    (void)pool;
    if ((uintptr_t)arena % 64 || (uintptr_t)inputs[0] % 64 || (uintptr_t)outputs[1] % 64)
        return 99;
#ifdef CRASHES
    *(volatile int *)arena = *(volatile int *)8;
#endif
    for (int k = 0; k < 3; k++) {
        if (tick && (k == 0 || TICKS))
            tick(context);
        if (k == FAILS)
            return 1 + k;
        compute(k, arena, inputs[0], inputs[1], outputs[0], outputs[1]);
    }
    if (tick)
        tick(context);
    return STATUS;
}

__attribute__((visibility("default"))) const struct ek_network *EXPORTED(void)
{
    static const uint64_t input_bytes[] = {4 * ROWS, 4 * COLUMNS}, output_bytes[] = {4 * COLUMNS, 4 * COLUMNS};
    static const struct ek_network network = {
        ABI, "by hand 1.0", 2, 2, 3, input_bytes, output_bytes, ARENA, kernels, run, 0,
    };
    return &network;
}
