/* A network on a GPU: the interface of compiled_network.h, with OpenCL below.
 *
 * `network.plan`, `kernels.cl` and `weights.bin` lie beside this library. They are read, and the kernels are built, when
 * the library is opened. All activations live in one buffer (the plan's arena), all weights in another; a kernel gets
 * for each argument the buffer and its offset in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiled_network.h"
#include "opencl_api.h"
#include "plan.h"

enum { MAX_PLATFORMS = 16, OPTIONS = 512 };

static struct {
    struct opencl cl;
    struct plan plan;
    cl_handle device, context, queue, program, arena, weights;
    cl_handle *kernel;
    char runtime[3 * PLAN_NAME];
    struct ek_network network;
} self;

/* edgekit-run's own manner of saying what is wrong, so that whoever runs it shows the line. */
static const struct ek_network *fail(const char *what, int32_t status)
{
    fprintf(stderr, "edgekit-run: %s", what);
    if (status)
        fprintf(stderr, " (OpenCL error %d)", status);
    fputc('\n', stderr);
    return NULL;
}

/* A file beside this library, with a zero byte after it; NULL where it cannot be read. */
static char *beside(const char *name, size_t *size)
{
    Dl_info info;
    char path[PATH_MAX], *text = NULL;
    long length;
    if (!dladdr(&self, &info) || !info.dli_fname)
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

static const char *load(void)
{
    static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", "libmali.so.1", "/vendor/lib64/libOpenCL.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return "there is no OpenCL here: libOpenCL.so.1 cannot be loaded";
#define OPENCL_FIND(result, name, arguments)                          \
    {                                                                 \
        void *symbol = dlsym(library, #name);                         \
        if (!symbol)                                                  \
            return "this OpenCL is older than 1.2: it lacks " #name;  \
        memcpy(&self.cl.name, &symbol, sizeof symbol);                \
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
    if (self.cl.clGetPlatformIDs(MAX_PLATFORMS, platform, &count) != CL_SUCCESS)
        return false;
    count = count < MAX_PLATFORMS ? count : MAX_PLATFORMS;
    const uint64_t kinds[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ALL};
    for (int kind = 0; kind < 2; kind++)
        for (uint32_t i = 0; i < count; i++)
            if (self.cl.clGetDeviceIDs(platform[i], kinds[kind], 1, &self.device, &found) == CL_SUCCESS && found)
                return true;
    return false;
}

static const struct ek_network *build(const char *source, size_t size)
{
    int32_t status = CL_SUCCESS;
    self.program = self.cl.clCreateProgramWithSource(self.context, 1, &source, &size, &status);
    if (status == CL_SUCCESS)
        status = self.cl.clBuildProgram(self.program, 1, &self.device, "-cl-std=CL1.2", NULL, NULL);
    if (status != CL_SUCCESS) {
        static char log[4096];
        if (self.program)
            self.cl.clGetProgramBuildInfo(self.program, self.device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
        fail("the device's compiler refuses kernels.cl", status);
        fprintf(stderr, "%s\n", log);
        return NULL;
    }
    self.kernel = calloc(self.plan.kernels ? self.plan.kernels : 1, sizeof *self.kernel);
    if (!self.kernel)
        return fail("there is no memory", 0);
    for (uint32_t k = 0; k < self.plan.kernels; k++) {
        const struct plan_step *step = &self.plan.step[k];
        self.kernel[k] = self.cl.clCreateKernel(self.program, step->function, &status);
        for (uint32_t i = 0; i < step->count && status == CL_SUCCESS; i++) {
            const struct plan_argument *a = &step->argument[i];
            uint32_t place = a->offset;
            status = self.cl.clSetKernelArg(self.kernel[k], 2 * i, sizeof(cl_handle),
                                            a->constant ? &self.weights : &self.arena);
            if (status == CL_SUCCESS)
                status = self.cl.clSetKernelArg(self.kernel[k], 2 * i + 1, sizeof place, &place);
        }
        if (status != CL_SUCCESS)
            return fail(step->name, status);
    }
    return &self.network;
}

static int run(void *arena, const void *const *inputs, void *const *outputs, void (*tick)(void *), void *context)
{
    const struct opencl *cl = &self.cl;
    const struct plan *plan = &self.plan;
    const int failed = (int)plan->kernels + 1; /* what is no kernel's fault */
    (void)arena;
    for (uint32_t i = 0; i < plan->inputs; i++)
        if (plan->input_bytes[i] &&
            cl->clEnqueueWriteBuffer(self.queue, self.arena, CL_FALSE, plan->input_offset[i], plan->input_bytes[i],
                                     inputs[i], 0, NULL, NULL))
            return failed;
    if (tick) {
        if (cl->clFinish(self.queue))
            return failed;
        tick(context);
    }
    for (uint32_t k = 0; k < plan->kernels; k++) {
        const struct plan_step *step = &plan->step[k];
        const uint32_t zero = 0;
        if (step->clear_size && cl->clEnqueueFillBuffer(self.queue, self.arena, &zero, sizeof zero, step->clear,
                                                        step->clear_size, 0, NULL, NULL))
            return (int)(1 + k);
        if (cl->clEnqueueNDRangeKernel(self.queue, self.kernel[k], 3, NULL, step->size, NULL, 0, NULL, NULL))
            return (int)(1 + k);
        if (tick) { /* a kernel's time is its own only if nothing else is on its way */
            if (cl->clFinish(self.queue))
                return (int)(1 + k);
            tick(context);
        }
    }
    for (uint32_t i = 0; i < plan->outputs; i++)
        if (plan->output_bytes[i] &&
            cl->clEnqueueReadBuffer(self.queue, self.arena, CL_FALSE, plan->output_offset[i], plan->output_bytes[i],
                                    outputs[i], 0, NULL, NULL))
            return failed;
    return cl->clFinish(self.queue) ? failed : 0;
}

static const struct ek_network *create(void)
{
    size_t plan_size, source_size, weights_size;
    char error[128], device[PLAN_NAME] = "", *text = beside("network.plan", &plan_size);
    char *source = beside("kernels.cl", &source_size), *weights = beside("weights.bin", &weights_size);
    int32_t status = CL_SUCCESS;
    if (!text || !source || !weights)
        return fail("network.plan, kernels.cl and weights.bin must lie beside the network's library", 0);
    if (!plan_read(&self.plan, text, error, sizeof error))
        return fail(error, 0);
    free(text);
    if (weights_size != self.plan.weights_bytes)
        return fail("weights.bin does not have the size that network.plan says", 0);
    const char *missing = load();
    if (missing)
        return fail(missing, 0);
    if (!choose_device())
        return fail("there is no OpenCL device here: no driver is installed, or it may not be used", 0);
    self.cl.clGetDeviceInfo(self.device, CL_DEVICE_NAME, sizeof device - 1, device, NULL);
    self.context = self.cl.clCreateContext(NULL, 1, &self.device, NULL, NULL, &status);
    if (status == CL_SUCCESS)
        self.queue = self.cl.clCreateCommandQueue(self.context, self.device, 0, &status);
    if (status == CL_SUCCESS)
        self.arena = self.cl.clCreateBuffer(self.context, CL_MEM_READ_WRITE,
                                            self.plan.arena_bytes ? self.plan.arena_bytes : 4, NULL, &status);
    if (status == CL_SUCCESS)
        self.weights = self.cl.clCreateBuffer(self.context, CL_MEM_READ_ONLY | (weights_size ? CL_MEM_COPY_HOST_PTR : 0),
                                              weights_size ? weights_size : 4, weights_size ? weights : NULL, &status);
    const uint32_t zero = 0; /* a network that reads what it never wrote does the same every time */
    if (status == CL_SUCCESS && self.plan.arena_bytes)
        status = self.cl.clEnqueueFillBuffer(self.queue, self.arena, &zero, sizeof zero, 0, self.plan.arena_bytes, 0, NULL,
                                             NULL);
    if (status == CL_SUCCESS)
        status = self.cl.clFinish(self.queue);
    if (status != CL_SUCCESS)
        return fail("the OpenCL device cannot be used", status);
    free(weights);
    snprintf(self.runtime, sizeof self.runtime, "%s on %s", self.plan.runtime, device);
    self.network = (struct ek_network){
        EK_NETWORK_ABI, self.runtime, self.plan.inputs, self.plan.outputs, self.plan.kernels, self.plan.input_bytes,
        self.plan.output_bytes, 0, self.plan.kernel, run,
    };
    const struct ek_network *made = build(source, source_size);
    free(source);
    return made;
}

__attribute__((visibility("default"))) const struct ek_network *edgekit_network(void)
{
    return self.network.abi ? &self.network : create();
}
