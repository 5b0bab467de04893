/* A network that a compiler turned into code: what its shared library exports, and edgekit-run calls.

   The library holds its weights, or reads them from files beside it, and needs no runtime but a device's driver. It
   works in one arena, which the caller gives it, zeroed before the first inference; inputs and outputs are the
   network's, little-endian, in its order. All of these are 64-byte aligned. */
#ifndef EDGEKIT_COMPILED_NETWORK_H
#define EDGEKIT_COMPILED_NETWORK_H

#include <stdint.h>

#define EK_NETWORK_ABI 3
#define EK_NETWORK_SYMBOL "edgekit_network"

struct ek_kernel {
    const char *name;
    /* Index of the operator in model.tflite that the kernel computes, with those folded into it; -1: none. */
    int32_t node;
    /* The most threads among which its work is divided; 0 counts as 1. */
    uint32_t threads;
};

/* Threads that a network may use beside the caller's. It belongs to the caller: a network creates none. */
struct ek_pool {
    uint32_t threads; /* the caller's included */
    /* Calls task(i, data) once for each i below `tasks`, on any of the threads, and returns when all have returned:
       0, or the result of one that was not 0. For one caller at a time; a task must not share work itself. */
    int (*share)(struct ek_pool *pool, int (*task)(uint32_t index, void *data), void *data, uint32_t tasks);
};

/* One inference. `pool`, where not NULL, shares the work of kernels; the outputs do not depend on it. `tick`, where not
   NULL, is called before the first kernel and after each: kernels + 1 times. Returns 0, or 1 + the number of the kernel
   that failed. */
typedef int (*ek_run_function)(void *arena, struct ek_pool *pool, const void *const *inputs, void *const *outputs,
                               void (*tick)(void *), void *context);

struct ek_network {
    uint32_t abi;
    const char *runtime; /* "tvm 0.27.0": what made it */
    uint32_t inputs, outputs, kernels;
    const uint64_t *input_bytes, *output_bytes; /* of one sample */
    uint64_t arena_bytes;
    const struct ek_kernel *kernel; /* in the order in which they run */
    ek_run_function run;
    /* Starts the network over: what it keeps in its arena from one inference to the next. NULL: it keeps nothing. */
    void (*restart)(void *arena);
};

/* The library's only export: const struct ek_network *edgekit_network(void). NULL, after a line on standard error,
   where there is no network. */
typedef const struct ek_network *(*ek_network_function)(void);

/* Linked into the program itself (EDGEKIT_STATIC_NETWORK), there is no library, and this is called. */
const struct ek_network *edgekit_network(void);

#endif
