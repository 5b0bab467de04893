/* An instance from the inside: for the library itself, and for edgekit-run, which also observes single operators. */
#ifndef EDGEKIT_INSTANCE_H
#define EDGEKIT_INSTANCE_H

#include "edgekit.h"
#include "engine.h"
#include "files.h"

enum { INSTANCE_ERROR = 512, INSTANCE_MAX_RANK = 8, INSTANCE_NAME = 128 };

struct described {
    struct edgekit_tensor tensor;
    int64_t shape[INSTANCE_MAX_RANK];
    char name[INSTANCE_NAME], dtype[16];
};

struct task;

struct edgekit_instance {
    struct engine engine;
    struct described *input, *output;
    struct mapped model;
    struct mapped tokens;  /* the bundle's tokenizer, while its task is read; empty: it has none */
    struct mapped gallery; /* and its gallery */
    struct task *task;     /* NULL: the bundle has none */
    void (*task_free)(struct task *task);
    void *library;
    bool unload;      /* nothing of the library outlives the instance */
    double loaded_ms; /* when opening the network began; a runtime was loaded before that */
};

/* Where a network's files are, with what is known of them beforehand; NULL and 0 where it is not. */
struct instance_files {
    const char *library, *model;
    const char *digest; /* SHA-256 of `library`: a runtime that is loaded already is not loaded again */
    int threads;
};

/* Load a network, not yet prepared. Returns a status; `*made` is to be closed in any case, if it is not NULL. */
int instance_load(const struct instance_files *files, edgekit_instance **made);

/* Prepare it to be run, and describe its tensors as far as they are known without a manifest. */
int instance_prepare(edgekit_instance *instance, bool profile);

/* Milliseconds of a clock that does not jump. */
double instance_clock_ms(void);

/* One at a time: opening and closing, in which runtimes set up what all their instances share. */
void instance_lock(void);
void instance_unlock(void);

/* The threads that options ask for, 1 or more; -1, after a line, where they are not understood. */
int instance_threads(const struct edgekit_options *options);

/* The end of opening: where `status` says that it failed, keep the line and close what there is. Returns `status`. */
int instance_opened(int status, edgekit_instance **instance);

/* What edgekit_error(NULL) shows this thread. Returns `status`. */
int instance_failed(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
