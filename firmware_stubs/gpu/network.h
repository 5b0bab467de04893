/* What the host programs have in common: a network's files, and how they say what is wrong. */
#ifndef EDGEKIT_GPU_NETWORK_H
#define EDGEKIT_GPU_NETWORK_H

#include "plan.h"

struct gpu {
    const char *api; /* "OpenCL": whose the numbers of errors are */
    struct plan plan;
    char *kernels, *weights; /* with a zero byte after them */
    size_t kernels_size, weights_size;
    char runtime[3 * PLAN_NAME];
    struct ek_network network;
};

/* edgekit-run's own manner of saying what is wrong, so that whoever runs it shows the line. Returns NULL. */
const struct ek_network *gpu_fail(const struct gpu *gpu, const char *what, int status);

/* Read network.plan, weights.bin and the file of kernels, which lie beside this library; false, after a line, else. */
bool gpu_read(struct gpu *gpu, const char *kernels);

/* The network, once the device is ready for `run`. */
const struct ek_network *gpu_ready(struct gpu *gpu, const char *device, ek_run_function run);

#endif
