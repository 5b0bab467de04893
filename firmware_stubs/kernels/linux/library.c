/* A network compiled to C as a shared library for edgekit-run: the interface of compiled_network.h over ek_model.h.
   Compiled with -DEK_MODEL_HEADER="model.h" -DEK_MODEL=model_model and its sizes: EK_MODEL_STEPS, EK_MODEL_INPUTS,
   EK_MODEL_OUTPUTS. */
#include <string.h>

#include "compiled_network.h"
#include EK_MODEL_HEADER

/* C has no arrays of no elements. */
#define AT_LEAST_1(count) ((count) ? (count) : 1)

static uint64_t bytes_in[AT_LEAST_1(EK_MODEL_INPUTS)], bytes_out[AT_LEAST_1(EK_MODEL_OUTPUTS)];
static struct ek_kernel kernels[AT_LEAST_1(EK_MODEL_STEPS)];
static struct ek_network self;

static void restart(void *arena)
{
    struct ek_instance instance;
    EK_MODEL.init(&instance, arena);
}

static int run(void *arena, struct ek_pool *pool, const void *const *inputs, void *const *outputs, void (*tick)(void *),
               void *context)
{
    (void)pool;
    struct ek_instance instance = {arena, tick, context};
    for (uint32_t i = 0; i < EK_MODEL.inputs; i++)
        memcpy(EK_MODEL.input(&instance, i), inputs[i], EK_MODEL.input_bytes[i]);
    EK_MODEL.run(&instance);
    for (uint32_t i = 0; i < EK_MODEL.outputs; i++)
        memcpy(outputs[i], EK_MODEL.output(&instance, i), EK_MODEL.output_bytes[i]);
    return 0;
}

__attribute__((visibility("default"))) const struct ek_network *edgekit_network(void)
{
    for (uint32_t i = 0; i < EK_MODEL.inputs; i++)
        bytes_in[i] = EK_MODEL.input_bytes[i];
    for (uint32_t i = 0; i < EK_MODEL.outputs; i++)
        bytes_out[i] = EK_MODEL.output_bytes[i];
    for (uint32_t i = 0; i < EK_MODEL.steps; i++)
        kernels[i] = (struct ek_kernel){EK_MODEL.step[i].name, EK_MODEL.step[i].node, 1};
    self = (struct ek_network){.abi = EK_NETWORK_ABI,
                               .runtime = "c99",
                               .inputs = EK_MODEL.inputs,
                               .outputs = EK_MODEL.outputs,
                               .kernels = EK_MODEL.steps,
                               .input_bytes = bytes_in,
                               .output_bytes = bytes_out,
                               .arena_bytes = EK_MODEL.arena_bytes,
                               .kernel = kernels,
                               .run = run,
                               .restart = restart};
    return &self;
}
