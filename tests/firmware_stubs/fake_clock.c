/* Preloaded into edgekit-run: a clock that stands still except for what the test makes it cost. Loading the first
 * library takes a second, writing a sample of SAMPLE_BYTES takes a millisecond, and a network advances the clock by
 * itself. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

enum { SAMPLE_BYTES = 5252 };

static uint64_t now = 5000000000;

EXPORT void fake_clock_advance(uint64_t ns)
{
    now += ns;
}

EXPORT int clock_gettime(clockid_t id, struct timespec *t)
{
    (void)id;
    t->tv_sec = (time_t)(now / 1000000000);
    t->tv_nsec = (long)(now % 1000000000);
    return 0;
}

EXPORT void *dlopen(const char *file, int flags)
{
    static void *(*next)(const char *, int);
    static int loaded;
    void *symbol = dlsym(RTLD_NEXT, "dlopen");
    for (size_t i = 0; i < sizeof next; i++)
        ((char *)&next)[i] = ((char *)&symbol)[i];
    if (file && !loaded++)
        now += 1000000000;
    return next(file, flags);
}

EXPORT void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    volatile char *out = to;
    const char *in = from;
    if (size == SAMPLE_BYTES)
        now += 1000000;
    while (size--)
        *out++ = *in++;
    return to;
}
