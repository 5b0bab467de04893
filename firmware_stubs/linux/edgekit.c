/* The functions of edgekit.h, but for edgekit_open (bundle.c). */
#include "edgekit.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "instance.h"

static _Thread_local char last[INSTANCE_ERROR];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int instance_failed(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last, sizeof last, format, arguments);
    va_end(arguments);
    return status;
}

void instance_lock(void)
{
    pthread_mutex_lock(&lock);
}

void instance_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

double instance_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

#ifdef EDGEKIT_STATIC_NETWORK
static int load(const struct instance_files *files, edgekit_instance *made)
{
    made->loaded_ms = instance_clock_ms();
    return compiled_open(&made->engine, NULL, files->threads);
}
#else
/* LiteRT's libraries are never unloaded: they have threads and destructors of their own. Copies of one library, each in
   a bundle, are loaded once. */
enum { MAX_RUNTIMES = 8 };
static struct {
    char digest[65];
    void *library;
} runtimes[MAX_RUNTIMES];

static void *load_library(const struct instance_files *files)
{
    if (files->digest)
        for (int i = 0; i < MAX_RUNTIMES; i++)
            if (runtimes[i].library && !strcmp(runtimes[i].digest, files->digest))
                return runtimes[i].library;
    return dlopen(files->library, RTLD_NOW | RTLD_LOCAL);
}

static void keep_runtime(const struct instance_files *files, void *library)
{
    if (!files->digest || strlen(files->digest) >= sizeof runtimes[0].digest)
        return;
    for (int i = 0; i < MAX_RUNTIMES; i++) {
        if (runtimes[i].library == library)
            return;
        if (!runtimes[i].library) {
            strcpy(runtimes[i].digest, files->digest);
            runtimes[i].library = library;
            return;
        }
    }
}

static int load(const struct instance_files *files, edgekit_instance *made)
{
    struct engine *e = &made->engine;
    made->loaded_ms = instance_clock_ms();
    if (!(made->library = load_library(files))) {
        const char *why = dlerror();
        return engine_fail(e, EDGEKIT_FAILED, "cannot load the library: %s", why ? why : files->library);
    }
    if (compiled_is(made->library)) {
        int status = compiled_open(e, made->library, files->threads);
        /* With an arena it is code and constants; without one it may hold a device. */
        made->unload = !status && compiled_unloads(e);
        return status;
    }
    if (!files->model)
        return engine_fail(e, EDGEKIT_USAGE, "%s holds no compiled network, and there is no model for LiteRT",
                           files->library);
    if (!file_map(&made->model, files->model, SIZE_MAX / 2, e->error, sizeof e->error))
        return EDGEKIT_FAILED;
    made->loaded_ms = instance_clock_ms(); /* the library is not the network */
    int status = litert_open(e, made->library, made->model.bytes, made->model.size, files->threads);
    if (!status)
        keep_runtime(files, made->library);
    return status;
}
#endif

int instance_load(const struct instance_files *files, edgekit_instance **made)
{
    *made = calloc(1, sizeof **made);
    if (!*made)
        return instance_failed(EDGEKIT_FAILED, "there is no memory for an instance");
    return load(files, *made);
}

static void describe(struct described *to, const struct port *ports, size_t count, const char *kind)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(to[i].name, sizeof to[i].name, "%s%zu", kind, i);
        to[i].tensor = (struct edgekit_tensor){
            .name = to[i].name, .dtype = to[i].dtype, .shape = to[i].shape, .bytes = ports[i].bytes};
    }
}

int instance_prepare(edgekit_instance *instance, bool profile)
{
    struct engine *e = &instance->engine;
    int status = e->prepare(e, profile);
    if (status || instance->input)
        return status;
    if (!(instance->input = calloc(e->input_count + e->output_count + 1, sizeof *instance->input)))
        return engine_fail(e, EDGEKIT_FAILED, "there is no memory for an instance");
    instance->output = instance->input + e->input_count;
    describe(instance->input, e->input, e->input_count, "input");
    describe(instance->output, e->output, e->output_count, "output");
    return 0;
}

const char *edgekit_version(void)
{
    return EDGEKIT_VERSION;
}

int edgekit_open_files(const char *library, const char *model, const struct edgekit_options *options,
                       edgekit_instance **instance)
{
    int threads;
    *instance = NULL;
    last[0] = 0;
    if (!library)
        return instance_failed(EDGEKIT_USAGE, "there is no library");
    if ((threads = instance_threads(options)) < 0)
        return EDGEKIT_USAGE;
    instance_lock();
    int status = instance_load(&(struct instance_files){library, model, NULL, threads}, instance);
    if (!status)
        status = instance_prepare(*instance, false);
    instance_unlock();
    return instance_opened(status, instance);
}

int instance_threads(const struct edgekit_options *options)
{
    struct edgekit_options known = {0};
    if (!options)
        return 1;
    const unsigned char *bytes = (const unsigned char *)options;
    bool unknown = options->size < sizeof options->size;
    for (size_t i = sizeof known; !unknown && i < options->size; i++)
        unknown = bytes[i] != 0;
    memcpy(&known, options, options->size < sizeof known ? options->size : sizeof known);
    if (unknown || known.flags & ~EDGEKIT_UNCHECKED)
        return instance_failed(-1, "these options are of a newer edgekit");
    if (known.threads < 0 || known.threads > 256)
        return instance_failed(-1, "there are 1 to 256 threads, not %d", known.threads);
    return known.threads ? known.threads : 1;
}

int instance_opened(int status, edgekit_instance **instance)
{
    if (status && *instance) {
        const char *why = (*instance)->engine.error;
        instance_failed(status, "%s", *why ? why : "the network's library does not start; it has said why");
        edgekit_close(*instance);
        *instance = NULL;
    }
    return status;
}

void edgekit_close(edgekit_instance *instance)
{
    if (!instance)
        return;
    instance_lock();
    engine_close(&instance->engine);
    file_unmap(&instance->model);
#ifndef EDGEKIT_STATIC_NETWORK
    if (instance->unload)
        dlclose(instance->library);
#endif
    instance_unlock();
    if (instance->task)
        instance->task_free(instance->task);
    free(instance->input);
    free(instance);
}

uint32_t edgekit_input_count(const edgekit_instance *instance)
{
    return (uint32_t)instance->engine.input_count;
}

uint32_t edgekit_output_count(const edgekit_instance *instance)
{
    return (uint32_t)instance->engine.output_count;
}

const struct edgekit_tensor *edgekit_input(const edgekit_instance *instance, uint32_t number)
{
    return number < instance->engine.input_count ? &instance->input[number].tensor : NULL;
}

const struct edgekit_tensor *edgekit_output(const edgekit_instance *instance, uint32_t number)
{
    return number < instance->engine.output_count ? &instance->output[number].tensor : NULL;
}

void *edgekit_input_data(edgekit_instance *instance, uint32_t number)
{
    return number < instance->engine.input_count ? instance->engine.input[number].data : NULL;
}

const void *edgekit_output_data(const edgekit_instance *instance, uint32_t number)
{
    return number < instance->engine.output_count ? instance->engine.output[number].data : NULL;
}

/* Whether there is such a tensor, of so many bytes. */
static bool fits(struct engine *e, const char *kind, const struct port *ports, size_t count, uint32_t number,
                 const void *data, size_t bytes)
{
    if (number >= count)
        engine_fail(e, EDGEKIT_USAGE, "there is no %s %u: the network has %zu", kind, number, count);
    else if (ports[number].bytes != bytes)
        engine_fail(e, EDGEKIT_USAGE, "%s %u has %zu bytes, not %zu", kind, number, ports[number].bytes, bytes);
    else if (!data && bytes)
        engine_fail(e, EDGEKIT_USAGE, "%s %u is NULL", kind, number);
    else
        return true;
    return false;
}

int edgekit_set_input(edgekit_instance *instance, uint32_t number, const void *data, size_t bytes)
{
    struct engine *e = &instance->engine;
    if (!fits(e, "input", e->input, e->input_count, number, data, bytes))
        return EDGEKIT_USAGE;
    if (bytes)
        memcpy(e->input[number].data, data, bytes);
    return EDGEKIT_OK;
}

int edgekit_get_output(edgekit_instance *instance, uint32_t number, void *data, size_t bytes)
{
    struct engine *e = &instance->engine;
    if (!fits(e, "output", e->output, e->output_count, number, data, bytes))
        return EDGEKIT_USAGE;
    if (bytes)
        memcpy(data, e->output[number].data, bytes);
    return EDGEKIT_OK;
}

int edgekit_run(edgekit_instance *instance)
{
    return instance->engine.run(&instance->engine);
}

int edgekit_restart(edgekit_instance *instance)
{
    instance_lock();
    int status = instance->engine.restart(&instance->engine);
    instance_unlock();
    return status;
}

const char *edgekit_runtime(const edgekit_instance *instance)
{
    return instance->engine.runtime;
}

const char *edgekit_error(const edgekit_instance *instance)
{
    return instance ? instance->engine.error : last;
}
