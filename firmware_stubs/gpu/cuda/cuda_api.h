/* The part of CUDA's driver API that the host program uses, declared by hand after NVIDIA's reference manual.
 *
 * libcuda.so.1 is the driver's own and is loaded at run time: no toolkit, no runtime library and no headers are needed,
 * neither here nor on the board. All functions are in drivers since CUDA 11.0. */
#ifndef EDGEKIT_CUDA_API_H
#define EDGEKIT_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CU_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_COMPUTE_CAPABILITY_MINOR = 76,
    CU_STREAM_NON_BLOCKING = 1,
};

typedef void *cu_handle; /* context, stream, module, function */
typedef uint64_t cu_memory;

/* our name, the driver's symbol, arguments */
#define CUDA_FUNCTIONS(F)                                                          \
    F(init, "cuInit", (unsigned))                                                  \
    F(count, "cuDeviceGetCount", (int *))                                          \
    F(device, "cuDeviceGet", (int *, int))                                         \
    F(device_name, "cuDeviceGetName", (char *, int, int))                          \
    F(attribute, "cuDeviceGetAttribute", (int *, int, int))                        \
    F(context, "cuDevicePrimaryCtxRetain", (cu_handle *, int))                     \
    F(set_current, "cuCtxSetCurrent", (cu_handle))                                 \
    F(stream, "cuStreamCreate", (cu_handle *, unsigned))                           \
    F(finish, "cuStreamSynchronize", (cu_handle))                                  \
    F(allocate, "cuMemAlloc_v2", (cu_memory *, size_t))                            \
    F(write, "cuMemcpyHtoDAsync_v2", (cu_memory, const void *, size_t, cu_handle)) \
    F(read, "cuMemcpyDtoHAsync_v2", (void *, cu_memory, size_t, cu_handle))        \
    F(fill, "cuMemsetD32Async", (cu_memory, unsigned, size_t, cu_handle))          \
    F(module, "cuModuleLoadData", (cu_handle *, const void *))                     \
    F(function, "cuModuleGetFunction", (cu_handle *, cu_handle, const char *))     \
    F(launch, "cuLaunchKernel",                                                    \
      (cu_handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, cu_handle, void **, void **))

struct cuda {
#define CUDA_MEMBER(name, symbol, arguments) int(*name) arguments;
    CUDA_FUNCTIONS(CUDA_MEMBER)
#undef CUDA_MEMBER
};

#endif
