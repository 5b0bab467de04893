/* A stand-in for libcuda.so.1 on a machine without a GPU: the functions of CUDA's driver API that the host program in
 * ../cuda calls, for one device that runs kernels on the processor, thread after thread.
 *
 * The kernels are `kernels.so` beside this library: the bundle's kernels.cu, compiled by a C++ compiler. Kernels use
 * neither shared memory nor barriers, so the order of threads does not matter and the results are those of a GPU, but
 * for the rounding of exp and its like. Every piece of memory ends at a page that may not be touched. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_BINARY = 209, NOT_FOUND = 500, EM_CUDA = 190 };

struct place {
    unsigned x, y, z;
};

static void *kernels;
static struct place *block_index, *block_size, *thread_index;

/* clang-format off */
EXPORT int cuInit(unsigned flags) { return flags ? INVALID_VALUE : SUCCESS; }
EXPORT int cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
EXPORT int cuDeviceGet(int *device, int number) { return *device = number, number ? INVALID_VALUE : SUCCESS; }
EXPORT int cuDeviceGetAttribute(int *value, int what, int device) { return (void)what, (void)device, *value = 0, SUCCESS; }
EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) { return (void)device, *context = &kernels, SUCCESS; }
EXPORT int cuCtxSetCurrent(void *context) { return context == &kernels ? SUCCESS : INVALID_VALUE; }
EXPORT int cuStreamCreate(void **stream, unsigned flags) { return (void)flags, *stream = &kernels, SUCCESS; }
EXPORT int cuStreamSynchronize(void *stream) { return stream == &kernels ? SUCCESS : INVALID_VALUE; }
/* clang-format on */

EXPORT int cuDeviceGetName(char *name, int length, int device)
{
    return (void)device, snprintf(name, (size_t)length, "a processor"), SUCCESS;
}

EXPORT int cuMemAlloc_v2(uint64_t *made, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + 63) / 64 * 64;
    const size_t whole = (size + page - 1) / page * page;
    if (!bytes)
        return INVALID_VALUE;
    char *memory = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + whole, page, PROT_NONE))
        return OUT_OF_MEMORY;
    memset(memory, 0xff, whole); /* what nobody wrote is not a number */
    *made = (uint64_t)(uintptr_t)(memory + whole - size);
    return SUCCESS;
}

static void *at(uint64_t memory)
{
    return (void *)(uintptr_t)memory;
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream)
{
    return memcpy(at(to), from, bytes), cuStreamSynchronize(stream);
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream)
{
    return memcpy(to, at(from), bytes), cuStreamSynchronize(stream);
}

EXPORT int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void *stream)
{
    uint32_t *word = at(to);
    for (size_t i = 0; i < count; i++)
        word[i] = value;
    return cuStreamSynchronize(stream);
}

/* The image must be a cubin; what runs is kernels.so. */
EXPORT int cuModuleLoadData(void **module, const void *image)
{
    const unsigned char *head = image;
    Dl_info info;
    char path[PATH_MAX];
    if (memcmp(head, "\177ELF", 4) || (head[18] | head[19] << 8) != EM_CUDA)
        return NO_BINARY;
    if (!dladdr(&kernels, &info) || !info.dli_fname)
        return NOT_FOUND;
    const char *slash = strrchr(info.dli_fname, '/');
    const int folder = slash ? (int)(slash - info.dli_fname + 1) : 0;
    if (snprintf(path, sizeof path, "%.*skernels.so", folder, info.dli_fname) >= (int)sizeof path)
        return NOT_FOUND;
    kernels = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!kernels)
        return NOT_FOUND;
    block_index = dlsym(kernels, "blockIdx");
    block_size = dlsym(kernels, "blockDim");
    thread_index = dlsym(kernels, "threadIdx");
    *module = kernels;
    return block_index && block_size && thread_index ? SUCCESS : NOT_FOUND;
}

EXPORT int cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = dlsym(module, name);
    return *function ? SUCCESS : NOT_FOUND;
}

/* One thread. Arguments come in pairs, a piece of memory and an offset; a NULL follows the last. */
static int call(void *function, void **p)
{
    int count = 0;
    while (p[count])
        count++;
#define GIVEN(i) at(*(uint64_t *)p[2 * (i)]), *(uint32_t *)p[2 * (i) + 1]
#define PAIR void *, uint32_t
#define AS(...) ((void (*)(__VA_ARGS__))function)
    /* clang-format off */
    switch (count) {
    case 2: AS(PAIR)(GIVEN(0)); return SUCCESS;
    case 4: AS(PAIR, PAIR)(GIVEN(0), GIVEN(1)); return SUCCESS;
    case 6: AS(PAIR, PAIR, PAIR)(GIVEN(0), GIVEN(1), GIVEN(2)); return SUCCESS;
    case 8: AS(PAIR, PAIR, PAIR, PAIR)(GIVEN(0), GIVEN(1), GIVEN(2), GIVEN(3)); return SUCCESS;
    case 10: AS(PAIR, PAIR, PAIR, PAIR, PAIR)(GIVEN(0), GIVEN(1), GIVEN(2), GIVEN(3), GIVEN(4)); return SUCCESS;
    case 12:
        AS(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR)(GIVEN(0), GIVEN(1), GIVEN(2), GIVEN(3), GIVEN(4), GIVEN(5));
        return SUCCESS;
    case 14:
        AS(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR)
        (GIVEN(0), GIVEN(1), GIVEN(2), GIVEN(3), GIVEN(4), GIVEN(5), GIVEN(6));
        return SUCCESS;
    case 16:
        AS(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR)
        (GIVEN(0), GIVEN(1), GIVEN(2), GIVEN(3), GIVEN(4), GIVEN(5), GIVEN(6), GIVEN(7));
        return SUCCESS;
    }
    /* clang-format on */
    return INVALID_VALUE;
}

static int run_block(void *function, void **parameters)
{
    const struct place size = *block_size;
    struct place *t = thread_index;
    for (t->z = 0; t->z < size.z; t->z++)
        for (t->y = 0; t->y < size.y; t->y++)
            for (t->x = 0; t->x < size.x; t->x++) {
                const int status = call(function, parameters);
                if (status)
                    return status;
            }
    return SUCCESS;
}

EXPORT int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                          unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **parameters,
                          void **extra)
{
    struct place *b = block_index;
    if (!function || !grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z || shared || extra ||
        grid_y > 65535 || grid_z > 65535 || block_z > 64 || block_x * block_y * block_z > 1024)
        return INVALID_VALUE;
    *block_size = (struct place){block_x, block_y, block_z};
    for (b->z = 0; b->z < grid_z; b->z++)
        for (b->y = 0; b->y < grid_y; b->y++)
            for (b->x = 0; b->x < grid_x; b->x++) {
                const int status = run_block(function, parameters);
                if (status)
                    return status;
            }
    return cuStreamSynchronize(stream);
}
