/* edgekit-run: run a network on a Linux board, time it, and say what was observed. */
#include <dlfcn.h>
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
#include "engine.h"
#include "trace.h"

enum { MARKER = 5000 };

/* Time the profiled inferences may take together, seconds. */
static const double PROFILE_SECONDS = 2.0;

static struct engine engine;

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
        finish(EXIT_OTHER, "cannot read %s: %s", path, strerror(errno));
    *size = (size_t)status.st_size;
    if (!*size)
        finish(EXIT_OTHER, "%s is empty", path);
    void *bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        finish(EXIT_OTHER, "cannot read %s: %s", path, strerror(errno));
    close(file);
    return bytes;
}

/* End where the engine says so; without a line of our own where the network has printed one. */
static void check(int status)
{
    if (status && !*engine.error)
        _exit(status);
    if (status)
        finish(status, "%s", engine.error);
}

static const uint8_t *sample(const uint8_t *inputs, long number)
{
    return inputs + (size_t)number * engine.input_bytes;
}

static void infer(const uint8_t *bytes)
{
    check(engine.write(&engine, bytes));
    check(engine.run(&engine));
}

/* Run every sample once and write the outputs; a network with state starts anew for each sample. */
static void run_samples(const struct arguments *a, const uint8_t *inputs)
{
    FILE *file = fopen(a->outputs, "wb");
    uint8_t *outputs = malloc(engine.output_bytes ? engine.output_bytes : 1);
    if (!file || !outputs)
        finish(EXIT_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    for (long i = 0; i < a->samples; i++) {
        if (i)
            check(engine.restart(&engine));
        infer(sample(inputs, i));
        check(engine.read(&engine, outputs));
        if (fwrite(outputs, 1, engine.output_bytes, file) != engine.output_bytes)
            finish(EXIT_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    }
    if (fclose(file))
        finish(EXIT_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    free(outputs);
}

static void warm_up(const struct arguments *a, const uint8_t *inputs)
{
    for (long i = 0; i < a->warmup; i++)
        infer(sample(inputs, i % a->samples));
}

/* Time inferences; between the two clock reads there is nothing but the runtime's call. */
static void run_timed(const struct arguments *a, const uint8_t *inputs, struct trace *trace)
{
    trace->latency_ms = calloc((size_t)a->repeat, sizeof *trace->latency_ms);
    if (!trace->latency_ms)
        finish(EXIT_OTHER, "--repeat %ld needs too much memory", a->repeat);
    power_find(&trace->power, a->root);
    power_start(&trace->power);
    for (long i = 0; i < a->repeat; i++) {
        check(engine.write(&engine, sample(inputs, i % a->samples)));
        double start = now_ms();
        int status = engine.run(&engine);
        double end = now_ms();
        check(status);
        trace->latency_ms[trace->latency_count++] = end - start;
    }
    power_stop(&trace->power);
}

/* One inference, between the marker system calls where an emulator counts what it executes. */
static void infer_marked(bool markers)
{
#ifdef __aarch64__
    if (markers)
        syscall(MARKER, 1);
#else
    (void)markers;
#endif
    int status = engine.run(&engine);
#ifdef __aarch64__
    if (markers)
        syscall(MARKER, 0);
#endif
    check(status);
}

/* The same without the profiler, whose own work would be counted too. */
static void run_marked(const uint8_t *bytes)
{
    check(engine.write(&engine, bytes));
    infer_marked(true);
}

static void profile_once(struct trace *trace, const uint8_t *bytes, bool markers)
{
    const struct profile_event *events;
    const uint64_t *readings = NULL;
    unsigned int event_count = 0, reading_count = 0;
    if (!markers)
        infer(bytes); /* the profiler's own work has emptied the caches */
    check(engine.write(&engine, bytes));
    check(engine.observe(&engine));
    if (!markers) /* an emulator sees the readings for itself, and would count the recording */
        clock_record();
    infer_marked(markers);
    if (!markers)
        readings = clock_stop(&reading_count);
    check(engine.observed(&engine, &events, &event_count));
    profile_add(&trace->profile, events, event_count, readings, reading_count);
}

static void run_profiled(const struct arguments *a, const uint8_t *inputs, struct trace *trace)
{
    long count = a->markers ? 1 : a->repeat > 0 ? a->repeat : 1;
    double end = now_ms() + 1e3 * PROFILE_SECONDS;
    for (long i = 0; i < count && (i == 0 || now_ms() < end); i++)
        profile_once(trace, sample(inputs, i % a->samples), a->markers);
    profile_finish(&trace->profile);
}

/* Load the library and what it is to run; returns when that began. */
static double open_engine(const struct arguments *a)
{
    double start = now_ms();
#ifdef EDGEKIT_STATIC_NETWORK
    check(compiled_open(&engine, NULL, (int)a->threads));
#else
    void *library = dlopen(a->library, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        finish(EXIT_OTHER, "cannot load the library: %s", dlerror());
    if (compiled_is(library)) {
        check(compiled_open(&engine, library, (int)a->threads));
    } else if (!a->model) {
        finish(EXIT_USAGE, "%s holds no compiled network, and there is no --model for LiteRT", a->library);
    } else {
        size_t size;
        uint8_t *model = map_file(a->model, &size);
        start = now_ms(); /* the library is not the network */
        check(litert_open(&engine, library, model, size, (int)a->threads));
    }
#endif
    return start;
}

int main(int argc, char **argv)
{
    static struct arguments a;
    static struct trace trace;
    size_t inputs_size;

    if (!arguments_parse(&a, argc, argv, engine.error, sizeof engine.error))
        finish(EXIT_USAGE, "%s", engine.error);
    if (a.help) {
        fputs(arguments_usage, stdout);
        return 0;
    }
    double start = open_engine(&a);
    check(engine.prepare(&engine, a.markers && a.profile)); /* in an emulator, one serves for everything */
    trace.init_ms = now_ms() - start;
    trace.runtime = engine.runtime;
    trace.threads = engine.threads;
    uint8_t *inputs = map_file(a.inputs, &inputs_size);
    if (inputs_size != (size_t)a.samples * engine.input_bytes)
        finish(EXIT_USAGE, "%s has %zu bytes, %ld samples need %zu", a.inputs, inputs_size, a.samples,
               (size_t)a.samples * engine.input_bytes);

    if (a.outputs)
        run_samples(&a, inputs);
    warm_up(&a, inputs);
    if (a.repeat > 0 && !a.markers)
        run_timed(&a, inputs, &trace);
    trace.peak_ram_bytes = machine_peak_bytes();
    machine_read(&trace.machine, a.root);
    if (a.markers && !a.profile) {
        run_marked(inputs);
    } else if (a.markers) {
        run_profiled(&a, inputs, &trace);
    } else if (a.profile) {
        check(engine.prepare(&engine, true));
        run_profiled(&a, inputs, &trace);
    }
    if (a.trace && !trace_write(&trace, a.trace))
        finish(EXIT_OTHER, "cannot write %s: %s", a.trace, strerror(errno));
    finish(0, "");
}
