/* Calls the parts of edgekit-run that compute or parse, one for each name that argv[1] may be, and prints what they
 * return. Built with sanitizers by the tests. power.c is compiled here with a clock that stands still until it is
 * advanced and with threads that never run, so that nothing depends on time. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "clock.h"
#include "machine.h"
#include "profile.h"
#include "trace.h"

static double still_seconds = 100;

static int still_clock(clockid_t id, struct timespec *t)
{
    (void)id;
    t->tv_sec = (time_t)still_seconds;
    t->tv_nsec = (long)((still_seconds - (double)t->tv_sec) * 1e9);
    return 0;
}

static int no_thread(pthread_t *thread, const void *attributes, void *(*start)(void *), void *argument)
{
    (void)attributes, (void)start, (void)argument;
    *thread = pthread_self();
    return 0;
}

static int no_join(pthread_t thread, void **result)
{
    (void)thread, (void)result;
    return 0;
}

#define clock_gettime still_clock
#define pthread_create no_thread
#define pthread_join no_join
#include "power.c"
#undef clock_gettime
#undef pthread_create
#undef pthread_join

static int use_arguments(int argc, char **argv)
{
    struct arguments a;
    char error[256] = "";
    if (!arguments_parse(&a, argc, argv, error, sizeof error)) {
        printf("%s\n", error);
        return 2;
    }
    printf("%s|%s|%s|%s|%s|%s|%ld|%ld|%ld|%ld|%d%d%d\n", a.library ? a.library : "", a.model ? a.model : "",
           a.inputs ? a.inputs : "", a.outputs ? a.outputs : "", a.trace ? a.trace : "", a.root, a.samples, a.repeat,
           a.warmup, a.threads, a.profile, a.markers, a.help);
    return 0;
}

/* Standard input: for each inference the number of events, their microseconds, the number of readings, the readings.
 * Writes a trace to `path`; prints which inferences were accepted. */
static int use_profile(const char *path)
{
    enum { MOST = 4096 };
    static struct profile_event events[MOST];
    static uint64_t readings[MOST];
    static struct trace trace = {.runtime = "unit"};
    unsigned int event_count, reading_count;
    while (scanf("%u", &event_count) == 1 && event_count <= MOST) {
        for (unsigned int i = 0; i < event_count; i++) {
            unsigned long long us = 0;
            if (scanf("%llu", &us) != 1)
                return 1;
            events[i] = (struct profile_event){.tag = "e", .node = (int64_t)i, .elapsed_us = us};
        }
        if (scanf("%u", &reading_count) != 1 || reading_count > MOST)
            return 1;
        for (unsigned int i = 0; i < reading_count; i++) {
            unsigned long long ns = 0;
            if (scanf("%llu", &ns) != 1)
                return 1;
            readings[i] = ns;
        }
        putchar(profile_add(&trace.profile, events, event_count, readings, reading_count) ? '+' : '-');
    }
    profile_finish(&trace.profile);
    return !trace_write(&trace, path);
}

/* More inferences than the table of a profile has room for; prints how many it took. */
static int fill_profile(void)
{
    static struct profile profile;
    static struct profile_event events[1000];
    for (int i = 0; i < 2 * PROFILE_MAX_WORDS / 1000; i++)
        if (!profile_add(&profile, events, 1000, NULL, 0))
            break;
    printf("%u\n", profile.inferences);
    profile_finish(&profile);
    return 0;
}

/* A trace of one event for each source, with `text` wherever text can be. */
static int use_trace(const char *path, const char *text)
{
    static struct trace trace;
    struct profile_event events[5];
    double latency[] = {0.125, 3}, reading[] = {0, 1234.5};
    for (int i = 0; i < 5; i++)
        events[i] = (struct profile_event){.tag = text,
                                           .type = 2,
                                           .source = i,
                                           .node = i - 1,
                                           .us = 0.5 + i,
                                           .start_us = i ? 1000u * (unsigned int)i : 0,
                                           .elapsed_us = 7};
    trace.runtime = text;
    trace.threads = 3;
    trace.init_ms = 1.5;
    trace.latency_count = 2;
    trace.latency_ms = latency;
    trace.profile =
        (struct profile){.inferences = 9, .event_count = 5, .reading_count = 2, .event = events, .reading_ns = reading};
    trace.peak_ram_bytes = 5000000000;
    snprintf(trace.machine.model, sizeof trace.machine.model, "%s", text);
    snprintf(trace.machine.cpu, sizeof trace.machine.cpu, "%s", text);
    trace.machine.clock_mhz = 1799.6;
    trace.power.scope = "core_rail";
    snprintf(trace.power.source, sizeof trace.power.source, "%s", text);
    trace.power.count = 2;
    trace.power.watt[0] = 2.5;
    trace.power.watt[1] = 0;
    return !trace_write(&trace, path);
}

static int use_machine(const char *root)
{
    struct machine machine;
    machine_read(&machine, root);
    printf("%s|%s|%g\n", machine.model, machine.cpu, machine.clock_mhz);
    return 0;
}

/* Touch `size` bytes, give them back, and print the peak. */
static int use_peak(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    memset(memory, 1, size);
    munmap(memory, size);
    printf("%lld\n", machine_peak_bytes());
    return 0;
}

/* Readings of the clock: of another one, before and after the recording, and `count` that are recorded. */
static int use_clock(unsigned int count)
{
    struct timespec t;
    for (int round = 0; round < 2; round++) {
        unsigned int found = 0;
        clock_gettime(CLOCK_MONOTONIC, &t);
        clock_record();
        for (unsigned int i = 0; i < count; i++) {
            clock_gettime(CLOCK_REALTIME, &t);
            clock_gettime(CLOCK_MONOTONIC, &t);
        }
        const uint64_t *readings = clock_stop(&found);
        clock_gettime(CLOCK_MONOTONIC, &t);
        for (unsigned int i = 1; i < found; i++)
            if (readings[i] < readings[i - 1])
                return 1;
        if (found && readings[found - 1] > 60000000000) /* not since the machine was started */
            return 1;
        printf("%u ", found);
    }
    return 0;
}

/* One reading a value, half a second apart: written to `file` before it is read ("" where there is none). */
static int use_power(const char *root, const char *file, char **values, int count)
{
    static struct power_meter meter;
    power_find(&meter, root);
    power_start(&meter);
    for (int i = 0; i < count; i++) {
        FILE *counter = *file ? fopen(file, "w") : NULL;
        if (counter) {
            fputs(values[i], counter);
            fclose(counter);
        }
        sample(&meter);
        still_seconds += 0.5;
    }
    power_stop(&meter);
    printf("%s|%s", meter.scope ? meter.scope : "none", meter.source);
    for (unsigned int i = 0; i < meter.count; i++)
        printf("|%.9g", meter.watt[i]);
    return 0;
}

/* More readings than there is room for. */
static int fill_power(const char *root)
{
    static struct power_meter meter;
    power_find(&meter, root);
    power_start(&meter);
    for (int i = 0; i < POWER_MAX_SAMPLES + 3; i++)
        sample(&meter);
    printf("%u\n", meter.count);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "arguments"))
        return use_arguments(argc - 1, argv + 1);
    if (!strcmp(what, "profile") && argc == 3)
        return use_profile(argv[2]);
    if (!strcmp(what, "full-profile"))
        return fill_profile();
    if (!strcmp(what, "trace") && argc == 4)
        return use_trace(argv[2], argv[3]);
    if (!strcmp(what, "machine") && argc == 3)
        return use_machine(argv[2]);
    if (!strcmp(what, "peak") && argc == 3)
        return use_peak((size_t)atol(argv[2]));
    if (!strcmp(what, "clock") && argc == 3)
        return use_clock((unsigned int)atol(argv[2]));
    if (!strcmp(what, "power") && argc >= 4)
        return use_power(argv[2], argv[3], argv + 4, argc - 4);
    if (!strcmp(what, "full-power") && argc == 3)
        return fill_power(argv[2]);
    return 9;
}
