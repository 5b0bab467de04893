/* A network on a GPU: the interface of compiled_network.h, with OpenCL below.
 *
 * `network.plan`, `kernels.cl` and `weights.bin` lie beside this library. They are read, and the kernels are built,
 * when the library is opened. All activations live in one buffer (the plan's arena), all weights in another; a kernel
 * gets for each argument the buffer and its offset in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "opencl_api.h"

enum { MAX_PLATFORMS = 16 };

static struct gpu self = {.api = "OpenCL"};
static struct opencl cl;
static cl_handle device, context, queue, program, arena, weights, *kernel;

static const char *load(void)
{
    static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", "libmali.so.1", "/vendor/lib64/libOpenCL.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return "there is no OpenCL here: libOpenCL.so.1 cannot be loaded";
#define OPENCL_FIND(result, name, arguments)                         \
    {                                                                \
        void *symbol = dlsym(library, #name);                        \
        if (!symbol)                                                 \
            return "this OpenCL is older than 1.2: it lacks " #name; \
        memcpy(&cl.name, &symbol, sizeof symbol);                    \
    }
    OPENCL_FUNCTIONS(OPENCL_FIND)
#undef OPENCL_FIND
    return NULL;
}

/* The first GPU of any platform, else the first device. */
static bool choose_device(void)
{
    cl_handle platform[MAX_PLATFORMS];
    uint32_t count = 0, found = 0;
    if (cl.clGetPlatformIDs(MAX_PLATFORMS, platform, &count) != CL_SUCCESS)
        return false;
    count = count < MAX_PLATFORMS ? count : MAX_PLATFORMS;
    const uint64_t kinds[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ALL};
    for (int kind = 0; kind < 2; kind++)
        for (uint32_t i = 0; i < count; i++)
            if (cl.clGetDeviceIDs(platform[i], kinds[kind], 1, &device, &found) == CL_SUCCESS && found)
                return true;
    return false;
}

static int run(void *unused, struct ek_pool *pool, const void *const *inputs, void *const *outputs,
               void (*tick)(void *), void *listener)
{
    (void)pool;
    const struct plan *plan = &self.plan;
    const int failed = (int)plan->kernels + 1; /* what is no kernel's fault */
    (void)unused;
    for (uint32_t i = 0; i < plan->inputs; i++)
        if (plan->input_bytes[i] && cl.clEnqueueWriteBuffer(queue, arena, CL_FALSE, plan->input_offset[i],
                                                            plan->input_bytes[i], inputs[i], 0, NULL, NULL))
            return failed;
    if (tick) {
        if (cl.clFinish(queue))
            return failed;
        tick(listener);
    }
    for (uint32_t k = 0; k < plan->kernels; k++) {
        const struct plan_step *step = &plan->step[k];
        const uint32_t zero = 0;
        if (step->clear_size &&
            cl.clEnqueueFillBuffer(queue, arena, &zero, sizeof zero, step->clear, step->clear_size, 0, NULL, NULL))
            return (int)(1 + k);
        if (cl.clEnqueueNDRangeKernel(queue, kernel[k], 3, NULL, step->size, NULL, 0, NULL, NULL))
            return (int)(1 + k);
        if (tick) { /* a kernel's time is its own only if nothing else is on its way */
            if (cl.clFinish(queue))
                return (int)(1 + k);
            tick(listener);
        }
    }
    for (uint32_t i = 0; i < plan->outputs; i++)
        if (plan->output_bytes[i] && cl.clEnqueueReadBuffer(queue, arena, CL_FALSE, plan->output_offset[i],
                                                            plan->output_bytes[i], outputs[i], 0, NULL, NULL))
            return failed;
    return cl.clFinish(queue) ? failed : 0;
}

static const struct ek_network *build(const char *name)
{
    const char *source = self.kernels;
    const size_t size = self.kernels_size;
    int32_t status = CL_SUCCESS;
    program = cl.clCreateProgramWithSource(context, 1, &source, &size, &status);
    if (status == CL_SUCCESS)
        status = cl.clBuildProgram(program, 1, &device, "-cl-std=CL1.2", NULL, NULL);
    if (status != CL_SUCCESS) {
        static char log[4096];
        if (program)
            cl.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
        gpu_fail(&self, "the device's compiler refuses kernels.cl", status);
        fprintf(stderr, "%s\n", log);
        return NULL;
    }
    kernel = calloc(self.plan.kernels ? self.plan.kernels : 1, sizeof *kernel);
    if (!kernel)
        return gpu_fail(&self, "there is no memory", 0);
    for (uint32_t k = 0; k < self.plan.kernels; k++) {
        const struct plan_step *step = &self.plan.step[k];
        kernel[k] = cl.clCreateKernel(program, step->function, &status);
        for (uint32_t i = 0; i < step->count && status == CL_SUCCESS; i++) {
            const struct plan_argument *a = &step->argument[i];
            uint32_t place = a->offset;
            status = cl.clSetKernelArg(kernel[k], 2 * i, sizeof(cl_handle), a->constant ? &weights : &arena);
            if (status == CL_SUCCESS)
                status = cl.clSetKernelArg(kernel[k], 2 * i + 1, sizeof place, &place);
        }
        if (status != CL_SUCCESS)
            return gpu_fail(&self, step->name, status);
    }
    free(self.kernels);
    return gpu_ready(&self, name, run);
}

static const struct ek_network *create(void)
{
    char name[PLAN_NAME] = "";
    int32_t status = CL_SUCCESS;
    if (!gpu_read(&self, "kernels.cl"))
        return NULL;
    const char *missing = load();
    if (missing)
        return gpu_fail(&self, missing, 0);
    if (!choose_device())
        return gpu_fail(&self, "there is no OpenCL device here: no driver is installed, or it may not be used", 0);
    const size_t weights_size = self.weights_size;
    cl.clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name - 1, name, NULL);
    context = cl.clCreateContext(NULL, 1, &device, NULL, NULL, &status);
    if (status == CL_SUCCESS)
        queue = cl.clCreateCommandQueue(context, device, 0, &status);
    if (status == CL_SUCCESS)
        arena = cl.clCreateBuffer(context, CL_MEM_READ_WRITE, self.plan.arena_bytes ? self.plan.arena_bytes : 4, NULL,
                                  &status);
    if (status == CL_SUCCESS)
        weights = cl.clCreateBuffer(context, CL_MEM_READ_ONLY | (weights_size ? CL_MEM_COPY_HOST_PTR : 0),
                                    weights_size ? weights_size : 4, weights_size ? self.weights : NULL, &status);
    const uint32_t zero = 0; /* a network that reads what it never wrote does the same every time */
    if (status == CL_SUCCESS && self.plan.arena_bytes)
        status = cl.clEnqueueFillBuffer(queue, arena, &zero, sizeof zero, 0, self.plan.arena_bytes, 0, NULL, NULL);
    if (status == CL_SUCCESS)
        status = cl.clFinish(queue);
    if (status != CL_SUCCESS)
        return gpu_fail(&self, "the OpenCL device cannot be used", status);
    free(self.weights);
    return build(name);
}

__attribute__((visibility("default"))) const struct ek_network *edgekit_network(void)
{
    return self.network.abi ? &self.network : create();
}
