#define _GNU_SOURCE
#include "network.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ek_network *gpu_fail(const struct gpu *gpu, const char *what, int status)
{
    fprintf(stderr, "edgekit-run: %s", what);
    if (status)
        fprintf(stderr, " (%s error %d)", gpu->api, status);
    fputc('\n', stderr);
    return NULL;
}

/* A file beside this library, with a zero byte after it; NULL where it cannot be read. */
static char *beside(const char *name, size_t *size)
{
    static const char here = 0;
    Dl_info info;
    char path[PATH_MAX], *text = NULL;
    long length;
    if (!dladdr(&here, &info) || !info.dli_fname)
        return NULL;
    const char *slash = strrchr(info.dli_fname, '/');
    int folder = slash ? (int)(slash - info.dli_fname + 1) : 0;
    if (snprintf(path, sizeof path, "%.*s%s", folder, info.dli_fname, name) >= (int)sizeof path)
        return NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    if (!fseek(file, 0, SEEK_END) && (length = ftell(file)) >= 0 && !fseek(file, 0, SEEK_SET) &&
        (text = malloc((size_t)length + 1)) && fread(text, 1, (size_t)length, file) == (size_t)length) {
        text[length] = 0;
        *size = (size_t)length;
    } else {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

bool gpu_read(struct gpu *gpu, const char *kernels)
{
    size_t plan_size;
    char error[160], *text = beside("network.plan", &plan_size);
    gpu->kernels = beside(kernels, &gpu->kernels_size);
    gpu->weights = beside("weights.bin", &gpu->weights_size);
    if (!text || !gpu->kernels || !gpu->weights) {
        snprintf(error, sizeof error, "network.plan, %s and weights.bin must lie beside the network's library",
                 kernels);
        return gpu_fail(gpu, error, 0);
    }
    if (!plan_read(&gpu->plan, text, error, sizeof error))
        return gpu_fail(gpu, error, 0);
    free(text);
    if (gpu->weights_size != gpu->plan.weights_bytes)
        return gpu_fail(gpu, "weights.bin does not have the size that network.plan says", 0);
    return true;
}

const struct ek_network *gpu_ready(struct gpu *gpu, const char *device, ek_run_function run)
{
    const struct plan *plan = &gpu->plan;
    snprintf(gpu->runtime, sizeof gpu->runtime, "%s on %s", plan->runtime, device);
    gpu->network = (struct ek_network){
        EK_NETWORK_ABI,
        gpu->runtime,
        plan->inputs,
        plan->outputs,
        plan->kernels,
        plan->input_bytes,
        plan->output_bytes,
        0,
        plan->kernel,
        run,
        NULL,
    };
    return &gpu->network;
}
