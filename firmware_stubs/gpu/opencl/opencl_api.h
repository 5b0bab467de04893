/* The part of OpenCL 1.2 that the host program uses, declared by hand after the Khronos headers (CL/cl.h, Apache-2.0).
 *
 * libOpenCL.so.1 is loaded at run time: the same binary works on every board that has a driver, and the cross compiler
 * needs no headers. */
#ifndef EDGEKIT_OPENCL_API_H
#define EDGEKIT_OPENCL_API_H

#include <stddef.h>
#include <stdint.h>

enum {
    CL_SUCCESS = 0,
    CL_DEVICE_NOT_FOUND = -1,
    CL_PLATFORM_NOT_FOUND = -1001,
    CL_DEVICE_NAME = 0x102B,
    CL_PLATFORM_NAME = 0x0902,
    CL_PROGRAM_BUILD_LOG = 0x1183,
    CL_DEVICE_EXTENSIONS = 0x1030,
    CL_FALSE = 0,
    CL_TRUE = 1,
};
#define CL_DEVICE_TYPE_CPU (1ull << 1)
#define CL_DEVICE_TYPE_GPU (1ull << 2)
#define CL_DEVICE_TYPE_ALL 0xFFFFFFFFull
#define CL_MEM_READ_WRITE (1ull << 0)
#define CL_MEM_READ_ONLY (1ull << 2)
#define CL_MEM_COPY_HOST_PTR (1ull << 5)

typedef void *cl_handle; /* platform, device, context, queue, memory, program, kernel */

#define OPENCL_FUNCTIONS(F)                                                                                         \
    F(int32_t, clGetPlatformIDs, (uint32_t, cl_handle *, uint32_t *))                                               \
    F(int32_t, clGetDeviceIDs, (cl_handle, uint64_t, uint32_t, cl_handle *, uint32_t *))                            \
    F(int32_t, clGetDeviceInfo, (cl_handle, uint32_t, size_t, void *, size_t *))                                    \
    F(cl_handle, clCreateContext, (const intptr_t *, uint32_t, const cl_handle *, void *, void *, int32_t *))       \
    F(cl_handle, clCreateCommandQueue, (cl_handle, cl_handle, uint64_t, int32_t *))                                 \
    F(cl_handle, clCreateBuffer, (cl_handle, uint64_t, size_t, void *, int32_t *))                                  \
    F(cl_handle, clCreateProgramWithSource, (cl_handle, uint32_t, const char **, const size_t *, int32_t *))        \
    F(int32_t, clBuildProgram, (cl_handle, uint32_t, const cl_handle *, const char *, void *, void *))              \
    F(int32_t, clGetProgramBuildInfo, (cl_handle, cl_handle, uint32_t, size_t, void *, size_t *))                   \
    F(cl_handle, clCreateKernel, (cl_handle, const char *, int32_t *))                                              \
    F(int32_t, clSetKernelArg, (cl_handle, uint32_t, size_t, const void *))                                         \
    F(int32_t, clEnqueueNDRangeKernel,                                                                              \
      (cl_handle, cl_handle, uint32_t, const size_t *, const size_t *, const size_t *, uint32_t, const cl_handle *, \
       cl_handle *))                                                                                                \
    F(int32_t, clEnqueueWriteBuffer,                                                                                \
      (cl_handle, cl_handle, uint32_t, size_t, size_t, const void *, uint32_t, const cl_handle *, cl_handle *))     \
    F(int32_t, clEnqueueReadBuffer,                                                                                 \
      (cl_handle, cl_handle, uint32_t, size_t, size_t, void *, uint32_t, const cl_handle *, cl_handle *))           \
    F(int32_t, clEnqueueFillBuffer,                                                                                 \
      (cl_handle, cl_handle, const void *, size_t, size_t, size_t, uint32_t, const cl_handle *, cl_handle *))       \
    F(int32_t, clFinish, (cl_handle))

struct opencl {
#define OPENCL_MEMBER(result, name, arguments) result(*name) arguments;
    OPENCL_FUNCTIONS(OPENCL_MEMBER)
#undef OPENCL_MEMBER
};

#endif
