/* edgekit-run: run a network on a Linux board, time it, and say what was observed. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"
#include "decide.h"
#include "instance.h"
#include "trace.h"

enum { MARKER = 5000 };

/* Time the profiled inferences may take together, seconds. */
static const double PROFILE_SECONDS = 2.0;

static edgekit_instance *instance;
static struct engine *engine; /* the instance's */

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

/* Map a file; private and writable, so that changes stay in memory. */
static uint8_t *map_file(const char *path, size_t *size)
{
    struct mapped mapped;
    char why[512];
    if (!file_map(&mapped, path, SIZE_MAX / 2, why, sizeof why))
        finish(EXIT_OTHER, "%s", why);
    *size = mapped.size;
    return mapped.bytes;
}

/* End where the engine says so; without a line of our own where the network has printed one. */
static void check(int status)
{
    const char *why = edgekit_error(instance);
    if (status && !*why)
        _exit(status);
    if (status)
        finish(status, "%s", why);
}

static const uint8_t *sample(const uint8_t *inputs, long number)
{
    return inputs + (size_t)number * engine->input_bytes;
}

static void infer(const uint8_t *bytes)
{
    engine_write(engine, bytes);
    check(edgekit_run(instance));
}

/* Run every sample once and write the outputs; a network with state starts anew for each sample. */
static void run_samples(const struct arguments *a, const uint8_t *inputs)
{
    FILE *file = fopen(a->outputs, "wb");
    uint8_t *outputs = malloc(engine->output_bytes ? engine->output_bytes : 1);
    if (!file || !outputs)
        finish(EXIT_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    for (long i = 0; i < a->samples; i++) {
        if (i)
            check(edgekit_restart(instance));
        infer(sample(inputs, i));
        engine_read(engine, outputs);
        if (fwrite(outputs, 1, engine->output_bytes, file) != engine->output_bytes)
            finish(EXIT_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    }
    if (fclose(file))
        finish(EXIT_OTHER, "cannot write %s: %s", a->outputs, strerror(errno));
    free(outputs);
}

static FILE *created(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        finish(EXIT_OTHER, "cannot write %s: %s", path, strerror(errno));
    return file;
}

static void closed(FILE *file, const char *path)
{
    bool failed = ferror(file) != 0;
    if (fclose(file) || failed)
        finish(EXIT_OTHER, "cannot write %s", path);
}

static bool file_holds(const char *path)
{
    struct stat status;
    return !stat(path, &status) && status.st_size > 0;
}

/* From source material to decisions. */
static void run_task(const struct arguments *a, const uint8_t *material, size_t size)
{
    size_t manifest_size;
    const uint8_t *manifest = map_file(a->task, &manifest_size);
    struct decide_files files = {created(a->fed), created(a->outputs), created(a->decisions)};
    if (a->tokens && file_holds(a->tokens))
        instance->tokens.bytes = map_file(a->tokens, &instance->tokens.size);
    if (a->gallery && file_holds(a->gallery))
        instance->gallery.bytes = map_file(a->gallery, &instance->gallery.size);
    check(decide_all(instance, (const char *)manifest, manifest_size, material, size, a->samples, &files));
    closed(files.fed, a->fed);
    closed(files.outputs, a->outputs);
    closed(files.decisions, a->decisions);
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
        engine_write(engine, sample(inputs, i % a->samples));
        double start = instance_clock_ms();
        int status = edgekit_run(instance);
        double end = instance_clock_ms();
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
    int status = edgekit_run(instance);
#ifdef __aarch64__
    if (markers)
        syscall(MARKER, 0);
#endif
    check(status);
}

/* The same without the profiler, whose own work would be counted too. */
static void run_marked(const uint8_t *bytes)
{
    engine_write(engine, bytes);
    infer_marked(true);
}

static void profile_once(struct trace *trace, const uint8_t *bytes, bool markers)
{
    const struct profile_event *events;
    const uint64_t *readings = NULL;
    unsigned int event_count = 0, reading_count = 0;
    if (!markers)
        infer(bytes); /* the profiler's own work has emptied the caches */
    engine_write(engine, bytes);
    check(engine->observe(engine));
    if (!markers) /* an emulator sees the readings for itself, and would count the recording */
        clock_record();
    infer_marked(markers);
    if (!markers)
        readings = clock_stop(&reading_count);
    check(engine->observed(engine, &events, &event_count));
    profile_add(&trace->profile, events, event_count, readings, reading_count);
}

static void run_profiled(const struct arguments *a, const uint8_t *inputs, struct trace *trace)
{
    long count = a->markers ? 1 : a->repeat > 0 ? a->repeat : 1;
    double end = instance_clock_ms() + 1e3 * PROFILE_SECONDS;
    for (long i = 0; i < count && (i == 0 || instance_clock_ms() < end); i++)
        profile_once(trace, sample(inputs, i % a->samples), a->markers);
    profile_finish(&trace->profile);
}

/* Outputs, times and operators, as the arguments say. */
static void run_network(const struct arguments *a, const uint8_t *inputs, struct trace *trace)
{
    if (a->outputs)
        run_samples(a, inputs);
    warm_up(a, inputs);
    if (a->repeat > 0 && !a->markers)
        run_timed(a, inputs, trace);
    trace->peak_ram_bytes = machine_peak_bytes();
    machine_read(&trace->machine, a->root);
    if (a->markers && !a->profile) {
        run_marked(inputs);
    } else if (a->markers) {
        run_profiled(a, inputs, trace);
    } else if (a->profile) {
        check(instance_prepare(instance, true));
        run_profiled(a, inputs, trace);
    }
}

/* Load the library and what it is to run. */
static void open_network(const struct arguments *a)
{
    const struct instance_files files = {a->library, a->model, NULL, (int)a->threads};
    int status = instance_load(&files, &instance);
    check(status);
    engine = &instance->engine;
    /* In an emulator, one serves for everything. */
    check(instance_prepare(instance, a->markers && a->profile));
}

int main(int argc, char **argv)
{
    static struct arguments a;
    static struct trace trace;
    static char error[512];
    size_t inputs_size;

    if (!arguments_parse(&a, argc, argv, error, sizeof error))
        finish(EXIT_USAGE, "%s", error);
    if (a.help) {
        fputs(arguments_usage, stdout);
        return 0;
    }
    open_network(&a);
    trace.init_ms = instance_clock_ms() - instance->loaded_ms;
    trace.runtime = edgekit_runtime(instance);
    trace.threads = engine->threads;
    uint8_t *inputs = map_file(a.inputs, &inputs_size);
    if (!a.task && inputs_size != (size_t)a.samples * engine->input_bytes)
        finish(EXIT_USAGE, "%s has %zu bytes, %ld samples need %zu", a.inputs, inputs_size, a.samples,
               (size_t)a.samples * engine->input_bytes);

    if (a.task)
        run_task(&a, inputs, inputs_size);
    else
        run_network(&a, inputs, &trace);
    if (a.trace && !trace_write(&trace, a.trace))
        finish(EXIT_OTHER, "cannot write %s: %s", a.trace, strerror(errno));
    finish(0, "");
}
