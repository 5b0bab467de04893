/* edgekit-run: run a TFLite model with LiteRT on a Linux board, time it, and say what was observed. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"
#include "network.h"
#include "trace.h"

enum { EXIT_USAGE = 2, EXIT_MODEL = 3, EXIT_FAILURE_OTHER = 6, MARKER = 5000, LINE = 512 };

/* Time the profiled inferences may take together, seconds. */
static const double PROFILE_SECONDS = 2.0;

static char error[LINE];

/* Print one line and end. No destructor runs: LiteRT's may crash. */
static void finish(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (status) {
        fputs("edgekit-run: ", stderr);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
    }
    va_end(arguments);
    fflush(NULL);
    _exit(status);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Map a file; private and writable, so that changes stay in memory. */
static uint8_t *map_file(const char *path, size_t *size)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status))
        finish(EXIT_FAILURE_OTHER, "cannot read %s: %s", path, strerror(errno));
    *size = (size_t)status.st_size;
    if (!*size)
        finish(EXIT_FAILURE_OTHER, "%s is empty", path);
    void *bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        finish(EXIT_FAILURE_OTHER, "cannot read %s: %s", path, strerror(errno));
    close(file);
    return bytes;
}

static void compile(struct network *network, const struct model *model, const struct arguments *a, bool profile)
{
    if (!network_compile(network, model, (int)a->threads, profile, error, sizeof error))
        finish(EXIT_MODEL, "%s", error);
}

static const uint8_t *sample(const struct network *network, const uint8_t *inputs, long number)
{
    return inputs + (size_t)number * network->input_bytes;
}

static void infer(struct network *network, const uint8_t *bytes)
{
    if (!network_write(network, bytes, error, sizeof error))
        finish(EXIT_FAILURE_OTHER, "%s", error);
    litert_status status = network_run(network);
    if (status != LITERT_OK)
        finish(EXIT_FAILURE_OTHER, "LiteRT cannot run the model (status %d)", status);
}

/* Run every sample once and write the outputs; a network with state starts anew for each sample. */
static void run_samples(struct network *network, const struct arguments *a, const uint8_t *inputs)
{
    FILE *file = fopen(a->outputs, "wb");
    uint8_t *outputs = malloc(network->output_bytes ? network->output_bytes : 1);
    if (!file || !outputs)
        finish(EXIT_FAILURE_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    for (long i = 0; i < a->samples; i++) {
        if (i && network->model->state.count) {
            const struct model *model = network->model;
            network_free(network);
            compile(network, model, a, a->markers && a->profile);
        }
        infer(network, sample(network, inputs, i));
        if (!network_read(network, outputs, error, sizeof error))
            finish(EXIT_FAILURE_OTHER, "%s", error);
        if (fwrite(outputs, 1, network->output_bytes, file) != network->output_bytes)
            finish(EXIT_FAILURE_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    }
    if (fclose(file))
        finish(EXIT_FAILURE_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    free(outputs);
}

static void warm_up(struct network *network, const struct arguments *a, const uint8_t *inputs)
{
    for (long i = 0; i < a->warmup; i++)
        infer(network, sample(network, inputs, i % a->samples));
}

/* Time inferences; between the two clock reads there is nothing but LiteRT's call. */
static void run_timed(struct network *network, const struct arguments *a, const uint8_t *inputs,
                      struct trace *trace)
{
    trace->latency_ms = calloc((size_t)a->repeat, sizeof *trace->latency_ms);
    if (!trace->latency_ms)
        finish(EXIT_FAILURE_OTHER, "--repeat %ld needs too much memory", a->repeat);
    power_find(&trace->power, a->root);
    power_start(&trace->power);
    for (long i = 0; i < a->repeat; i++) {
        if (!network_write(network, sample(network, inputs, i % a->samples), error, sizeof error))
            finish(EXIT_FAILURE_OTHER, "%s", error);
        double start = now_ms();
        litert_status status = network_run(network);
        double end = now_ms();
        if (status != LITERT_OK)
            finish(EXIT_FAILURE_OTHER, "LiteRT cannot run the model (status %d)", status);
        trace->latency_ms[trace->latency_count++] = end - start;
    }
    power_stop(&trace->power);
}

/* One inference, between the marker system calls where an emulator counts what it executes. */
static void infer_marked(struct network *network, bool markers)
{
#ifdef __aarch64__
    if (markers)
        syscall(MARKER, 1);
#else
    (void)markers;
#endif
    litert_status status = network_run(network);
#ifdef __aarch64__
    if (markers)
        syscall(MARKER, 0);
#endif
    if (status != LITERT_OK)
        finish(EXIT_FAILURE_OTHER, "LiteRT cannot run the model (status %d)", status);
}

/* The same without the profiler, whose own work would be counted too. */
static void run_marked(struct network *network, const uint8_t *bytes)
{
    if (!network_write(network, bytes, error, sizeof error))
        finish(EXIT_FAILURE_OTHER, "%s", error);
    infer_marked(network, true);
}

static void profile_once(struct network *network, struct trace *trace, const uint8_t *bytes, bool markers)
{
    static struct litert_event events[PROFILE_MAX_EVENTS];
    const struct litert *api = network->model->api;
    const uint64_t *readings = NULL;
    unsigned int reading_count = 0;
    int count = 0;
    if (!markers)
        infer(network, bytes); /* the profiler's own work has emptied the caches */
    if (!network_write(network, bytes, error, sizeof error))
        finish(EXIT_FAILURE_OTHER, "%s", error);
    api->LiteRtResetProfiler(network->profiler);
    api->LiteRtStartProfiler(network->profiler);
    if (!markers) /* an emulator sees the readings for itself, and would count the recording */
        clock_record();
    infer_marked(network, markers);
    if (!markers)
        readings = clock_stop(&reading_count);
    api->LiteRtStopProfiler(network->profiler);
    if (api->LiteRtGetNumProfilerEvents(network->profiler, &count) != LITERT_OK || count < 1 ||
        count > PROFILE_MAX_EVENTS || api->LiteRtGetProfilerEvents(network->profiler, count, events) != LITERT_OK)
        finish(EXIT_FAILURE_OTHER, "LiteRT's profiler gave no usable events");
    profile_add(&trace->profile, events, (unsigned int)count, readings, reading_count);
}

static void run_profiled(struct network *network, const struct arguments *a, const uint8_t *inputs,
                         struct trace *trace)
{
    long count = a->markers ? 1 : a->repeat > 0 ? a->repeat : 1;
    double end = now_ms() + 1e3 * PROFILE_SECONDS;
    for (long i = 0; i < count && (i == 0 || now_ms() < end); i++)
        profile_once(network, trace, sample(network, inputs, i % a->samples), a->markers);
    profile_finish(&trace->profile);
}

int main(int argc, char **argv)
{
    static struct arguments a;
    static struct litert api;
    static struct model model;
    static struct network network, profiled;
    static struct trace trace;
    size_t model_size, inputs_size;

    if (!arguments_parse(&a, argc, argv, error, sizeof error))
        finish(EXIT_USAGE, "%s", error);
    if (a.help) {
        fputs(arguments_usage, stdout);
        return 0;
    }
    if (!litert_load(&api, a.library, error, sizeof error))
        finish(EXIT_FAILURE_OTHER, "%s", error);
    uint8_t *bytes = map_file(a.model, &model_size);
    uint8_t *inputs = map_file(a.inputs, &inputs_size);

    double start = now_ms();
    if (!model_load(&model, &api, bytes, model_size, error, sizeof error))
        finish(EXIT_MODEL, "%s", error);
    compile(&network, &model, &a, a.markers && a.profile); /* in an emulator, one compilation serves for everything */
    trace.init_ms = now_ms() - start;
    trace.threads = (int)a.threads;
    if (inputs_size != (size_t)a.samples * network.input_bytes)
        finish(EXIT_USAGE, "%s has %zu bytes, %ld samples need %zu", a.inputs, inputs_size, a.samples,
               (size_t)a.samples * network.input_bytes);

    if (a.outputs)
        run_samples(&network, &a, inputs);
    warm_up(&network, &a, inputs);
    if (a.repeat > 0 && !a.markers)
        run_timed(&network, &a, inputs, &trace);
    trace.peak_ram_bytes = machine_peak_bytes();
    machine_read(&trace.machine, a.root);
    if (a.markers && !a.profile) {
        run_marked(&network, inputs);
    } else if (a.markers) {
        run_profiled(&network, &a, inputs, &trace);
    } else if (a.profile) {
        compile(&profiled, &model, &a, true);
        run_profiled(&profiled, &a, inputs, &trace);
    }
    if (a.trace && !trace_write(&trace, a.trace))
        finish(EXIT_FAILURE_OTHER, "cannot write %s: %s", a.trace, strerror(errno));
    finish(0, "");
}
