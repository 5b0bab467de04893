/* A network on a GPU: the interface of compiled_network.h, with CUDA's driver below.
 *
 * `network.plan`, `kernels.cubin` and `weights.bin` lie beside this library and are read when it is opened. All
 * activations live in one piece of the GPU's memory (the plan's arena), all weights in another; a kernel gets for each
 * argument the piece and its offset in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_api.h"
#include "network.h"

/* Threads of a block, for which the kernels are compiled; of its rows at first; CUDA's limit of the third dimension. */
enum { BLOCK = 128, ROW = 32, DEPTH = 64 };

struct launch {
    cu_handle function;
    unsigned grid[3], block[3];
    uint32_t offset[PLAN_MAX_ARGUMENTS];
    void *parameter[2 * PLAN_MAX_ARGUMENTS + 1]; /* NULL after the last */
};

static struct gpu self = {.api = "CUDA"};
static struct cuda cu;
static cu_handle stream;
static cu_memory arena, weights;
static struct launch *launches;

static const char *load(void)
{
    static const char *const names[] = {"libcuda.so.1", "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return "there is no CUDA driver here: libcuda.so.1 cannot be loaded";
#define CUDA_FIND(name, symbol, arguments)                                \
    {                                                                     \
        void *found = dlsym(library, symbol);                             \
        if (!found)                                                       \
            return "this CUDA driver is older than 11: it lacks " symbol; \
        memcpy(&cu.name, &found, sizeof found);                           \
    }
    CUDA_FUNCTIONS(CUDA_FIND)
#undef CUDA_FIND
    return NULL;
}

/* Blocks of whole warps where there is work for them: first up to a warp along the first dimension, where neighbours
 * read neighbours, then along the others, then more along the first. */
static bool shape(struct launch *launch, const size_t size[3])
{
    static const unsigned most[][3] = {{ROW, BLOCK, DEPTH}, {BLOCK, BLOCK, DEPTH}};
    unsigned left = BLOCK, *block = launch->block;
    block[0] = block[1] = block[2] = 1;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 3; i++)
            for (; left > 1 && block[i] < most[round][i] && block[i] < size[i]; left /= 2)
                block[i] *= 2;
    for (int i = 0; i < 3; i++) {
        const size_t grid = (size[i] + block[i] - 1) / block[i];
        if (grid > (i ? 65535u : 2147483647u))
            return false;
        launch->grid[i] = (unsigned)grid;
    }
    return true;
}

static bool prepare(struct launch *launch, const struct plan_step *step, cu_handle module)
{
    char line[3 * PLAN_NAME];
    int status = cu.function(&launch->function, module, step->function);
    if (status != CUDA_SUCCESS) {
        snprintf(line, sizeof line, "kernels.cubin has no function %s", step->function);
        return gpu_fail(&self, line, status);
    }
    if (!shape(launch, step->size)) {
        snprintf(line, sizeof line, "%s has more work-items than CUDA starts", step->name);
        return gpu_fail(&self, line, 0);
    }
    for (uint32_t i = 0; i < step->count; i++) {
        launch->offset[i] = step->argument[i].offset;
        launch->parameter[2 * i] = step->argument[i].constant ? &weights : &arena;
        launch->parameter[2 * i + 1] = &launch->offset[i];
    }
    return true;
}

static int run(void *unused, struct ek_pool *pool, const void *const *inputs, void *const *outputs,
               void (*tick)(void *), void *context)
{
    (void)pool;
    const struct plan *plan = &self.plan;
    const int failed = (int)plan->kernels + 1; /* what is no kernel's fault */
    (void)unused;
    for (uint32_t i = 0; i < plan->inputs; i++)
        if (plan->input_bytes[i] && cu.write(arena + plan->input_offset[i], inputs[i], plan->input_bytes[i], stream))
            return failed;
    if (tick) {
        if (cu.finish(stream))
            return failed;
        tick(context);
    }
    for (uint32_t k = 0; k < plan->kernels; k++) {
        const struct plan_step *step = &plan->step[k];
        struct launch *l = &launches[k];
        if (step->clear_size && cu.fill(arena + step->clear, 0, step->clear_size / 4, stream))
            return (int)(1 + k);
        if (cu.launch(l->function, l->grid[0], l->grid[1], l->grid[2], l->block[0], l->block[1], l->block[2], 0, stream,
                      l->parameter, NULL))
            return (int)(1 + k);
        if (tick) { /* a kernel's time is its own only if nothing else is on its way */
            if (cu.finish(stream))
                return (int)(1 + k);
            tick(context);
        }
    }
    for (uint32_t i = 0; i < plan->outputs; i++)
        if (plan->output_bytes[i] && cu.read(outputs[i], arena + plan->output_offset[i], plan->output_bytes[i], stream))
            return failed;
    return cu.finish(stream) ? failed : 0;
}

static bool module(int device, cu_handle *made)
{
    int major = 0, minor = 0, status = cu.module(made, self.kernels);
    if (status == CUDA_SUCCESS)
        return true;
    if (status == CUDA_ERROR_NO_BINARY_FOR_GPU && !cu.attribute(&major, CU_COMPUTE_CAPABILITY_MAJOR, device) &&
        !cu.attribute(&minor, CU_COMPUTE_CAPABILITY_MINOR, device)) {
        char line[160];
        snprintf(line, sizeof line, "kernels.cubin is for another GPU than this one, which is sm_%d%d", major, minor);
        return gpu_fail(&self, line, 0);
    }
    return gpu_fail(&self, "the CUDA driver refuses kernels.cubin", status);
}

static const struct ek_network *create(void)
{
    int status, count = 0, device = 0;
    char name[PLAN_NAME] = "";
    cu_handle context, kernels;
    if (!gpu_read(&self, "kernels.cubin"))
        return NULL;
    const char *missing = load();
    if (missing)
        return gpu_fail(&self, missing, 0);
    status = cu.init(0);
    if (status == CUDA_ERROR_NO_DEVICE || (status == CUDA_SUCCESS && (cu.count(&count) || !count)))
        return gpu_fail(&self, "there is no CUDA device here, or it may not be used", 0);
    if (status == CUDA_SUCCESS)
        status = cu.device(&device, 0);
    if (status == CUDA_SUCCESS)
        status = cu.context(&context, device);
    if (status == CUDA_SUCCESS)
        status = cu.set_current(context);
    if (status == CUDA_SUCCESS)
        status = cu.stream(&stream, CU_STREAM_NON_BLOCKING);
    if (status == CUDA_SUCCESS)
        status = cu.allocate(&arena, self.plan.arena_bytes ? self.plan.arena_bytes : 4);
    if (status == CUDA_SUCCESS)
        status = cu.allocate(&weights, self.weights_size ? self.weights_size : 4);
    if (status == CUDA_SUCCESS && self.weights_size)
        status = cu.write(weights, self.weights, self.weights_size, stream);
    if (status == CUDA_SUCCESS) /* a network that reads what it never wrote does the same every time */
        status = cu.fill(arena, 0, self.plan.arena_bytes / 4, stream);
    if (status == CUDA_SUCCESS)
        status = cu.finish(stream);
    if (status != CUDA_SUCCESS)
        return gpu_fail(&self, "the CUDA device cannot be used", status);
    if (!module(device, &kernels))
        return NULL;
    launches = calloc(self.plan.kernels ? self.plan.kernels : 1, sizeof *launches);
    if (!launches)
        return gpu_fail(&self, "there is no memory", 0);
    for (uint32_t k = 0; k < self.plan.kernels; k++)
        if (!prepare(&launches[k], &self.plan.step[k], kernels))
            return NULL;
    free(self.kernels);
    free(self.weights);
    cu.device_name(name, sizeof name - 1, device);
    return gpu_ready(&self, name, run);
}

__attribute__((visibility("default"))) const struct ek_network *edgekit_network(void)
{
    return self.network.abi ? &self.network : create();
}
