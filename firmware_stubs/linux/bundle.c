/* edgekit_open: reads a bundle's manifest, checks its files, and opens the network. Bundles are not trusted as data:
   whatever is in one, it is opened or refused. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive.h"
#include "describe.h"
#include "files.h"
#include "gallery.h"
#include "instance.h"
#include "json.h"
#include "sha256.h"
#include "task.h"
#include "tokens.h"

enum { SCHEMA = 1, MAX_MANIFEST = 16 << 20, DIGEST = 64, MAX_NAME = NAME_MAX + 16 };

struct bundle {
    const char *shown, *folder; /* what the user calls it, and where its files are */
    struct mapped file;
    struct json manifest;
    bool unchecked;
};

static int damaged(const struct bundle *b, const char *what)
{
    return instance_failed(EDGEKIT_DAMAGED, "%s: manifest.json is damaged (%s); compile or copy the bundle again",
                           b->shown, what);
}

static int read_manifest(struct bundle *b)
{
    char path[PATH_MAX], why[300];
    int64_t schema;
    if (!file_path(path, sizeof path, b->folder, "manifest.json"))
        return instance_failed(EDGEKIT_USAGE, "%s: the path is too long", b->shown);
    if (!file_map(&b->file, path, MAX_MANIFEST, why, sizeof why))
        return instance_failed(EDGEKIT_USAGE, "%s is not a bundle: %s", b->shown, why);
    if (!json_read(&b->manifest, (const char *)b->file.bytes, b->file.size, why, sizeof why))
        return damaged(b, why);
    uint32_t value = json_get(&b->manifest, 0, "schema");
    if (!value || !json_integer(&b->manifest, value, &schema))
        return damaged(b, "it has no schema");
    if (schema != SCHEMA)
        return instance_failed(EDGEKIT_USAGE, "%s is a bundle of schema %lld, this library reads schema %d", b->shown,
                               (long long)schema, SCHEMA);
    return EDGEKIT_OK;
}

/* Compare a file with the manifest's entry for it; `digest`, where not NULL, gets what the manifest says. */
static int check_file(const struct bundle *b, const char *name, char digest[DIGEST + 1])
{
    const struct json *j = &b->manifest;
    char path[PATH_MAX], why[300], expected[DIGEST + 1], found[SHA256_TEXT];
    uint32_t entry = json_get(j, json_get(j, 0, "files"), name);
    int64_t bytes;
    struct mapped file;
    if (!entry || !json_integer(j, json_get(j, entry, "bytes"), &bytes) ||
        !json_string(j, json_get(j, entry, "sha256"), expected, sizeof expected) || strlen(expected) != DIGEST)
        return instance_failed(EDGEKIT_DAMAGED, "%s: %s does not belong to the bundle", b->shown, name);
    if (digest)
        memcpy(digest, expected, sizeof expected);
    if (b->unchecked)
        return EDGEKIT_OK;
    if (!file_path(path, sizeof path, b->folder, name))
        return instance_failed(EDGEKIT_USAGE, "%s: the path is too long", b->shown);
    if (bytes == 0) {
        struct stat status;
        bool empty = !lstat(path, &status) && S_ISREG(status.st_mode) && !status.st_size;
        return empty ? EDGEKIT_OK : instance_failed(EDGEKIT_DAMAGED, "%s: %s has changed", b->shown, name);
    }
    if (!file_map(&file, path, SIZE_MAX / 2, why, sizeof why))
        return instance_failed(EDGEKIT_DAMAGED, "%s: %s", b->shown, why);
    bool same = (uint64_t)bytes == file.size;
    if (same) {
        sha256(file.bytes, file.size, found);
        same = !strcmp(found, expected);
    }
    file_unmap(&file);
    return same ? EDGEKIT_OK
                : instance_failed(EDGEKIT_DAMAGED, "%s: %s has changed; compile or copy the bundle again", b->shown,
                                  name);
}

/* Check all of artifact/ but folders and the programs in it: a network's library may read the files beside it. */
static int check_artifact(const struct bundle *b)
{
    char path[PATH_MAX], name[MAX_NAME];
    struct stat status;
    int result = EDGEKIT_OK;
    if (!file_path(path, sizeof path, b->folder, "artifact"))
        return instance_failed(EDGEKIT_USAGE, "%s: the path is too long", b->shown);
    DIR *entries = opendir(path);
    if (!entries)
        return instance_failed(EDGEKIT_DAMAGED, "%s has no folder artifact", b->shown);
    for (const struct dirent *e; !result && (e = readdir(entries));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, "edgekit-run"))
            continue;
        if (!file_path(name, sizeof name, "artifact", e->d_name) || !file_path(path, sizeof path, b->folder, name) ||
            lstat(path, &status))
            result = instance_failed(EDGEKIT_DAMAGED, "%s: artifact/%s cannot be read", b->shown, e->d_name);
        else if (!S_ISDIR(status.st_mode))
            result = check_file(b, name, NULL);
    }
    closedir(entries);
    return result;
}

/* A file's own name: no path, nothing hidden. */
static bool plain(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/');
}

/* Map a file of the task, if there is one. Returns a status. */
static int map_beside(const struct bundle *b, edgekit_instance *instance, const char *name, size_t most,
                      struct mapped *file)
{
    char path[PATH_MAX], why[300];
    struct engine *e = &instance->engine;
    if (!json_get(&b->manifest, json_get(&b->manifest, 0, "files"), name))
        return EDGEKIT_OK;
    if (check_file(b, name, NULL))
        return engine_fail(e, EDGEKIT_DAMAGED, "%s", edgekit_error(NULL));
    if (!file_path(path, sizeof path, b->folder, name) || !file_map(file, path, most, why, sizeof why))
        return engine_fail(e, EDGEKIT_DAMAGED, "%s: %s cannot be read", b->shown, name);
    return EDGEKIT_OK;
}

/* The manifest's task, with the tokenizer or the gallery that may lie beside it. */
static int read_task(const struct bundle *b, edgekit_instance *instance)
{
    int status = map_beside(b, instance, "tokens.json", TOKENS_MAX_FILE, &instance->tokens);
    if (!status)
        status = map_beside(b, instance, "gallery.bin", GALLERY_MAX_FILE, &instance->gallery);
    if (!status)
        status = task_read(instance, &b->manifest);
    file_unmap(&instance->tokens);
    file_unmap(&instance->gallery);
    return status;
}

static int load(const struct bundle *b, int threads, edgekit_instance **made)
{
    const struct json *j = &b->manifest;
    char kind[16], library[NAME_MAX], name[MAX_NAME], digest[DIGEST + 1], path[PATH_MAX], model[PATH_MAX];
    uint32_t execution = json_get(j, 0, "execution");
    if (!execution || !json_string(j, json_get(j, execution, "kind"), kind, sizeof kind) ||
        !json_string(j, json_get(j, execution, "library"), library, sizeof library))
        return damaged(b, "execution");
    bool runtime = !strcmp(kind, "runtime");
    if (!runtime && strcmp(kind, "library"))
        return instance_failed(EDGEKIT_USAGE, "%s is not for this library: its artifact is of the kind '%s'", b->shown,
                               kind);
    if (!plain(library) || !file_path(name, sizeof name, "artifact", library) ||
        !file_path(path, sizeof path, b->folder, name) || !file_path(model, sizeof model, b->folder, "model.tflite"))
        return damaged(b, "execution");
    int status = check_file(b, name, digest);
    if (!status)
        status = runtime ? check_file(b, "model.tflite", NULL) : b->unchecked ? EDGEKIT_OK : check_artifact(b);
    if (status)
        return status;
    struct instance_files files = {path, runtime ? model : NULL, runtime ? digest : NULL, threads};
    status = instance_load(&files, made);
    if (!status)
        status = instance_prepare(*made, false);
    if (status || !*made)
        return status;
    if (!describe_tensors(*made, j)) {
        engine_fail(&(*made)->engine, EDGEKIT_DAMAGED,
                    "%s: manifest.json describes other inputs or outputs than the network has", b->shown);
        return EDGEKIT_DAMAGED;
    }
    return read_task(b, *made);
}

static int open_folder(struct bundle *b, int threads, edgekit_instance **made)
{
    int status = read_manifest(b);
    if (!status)
        status = load(b, threads, made);
    json_free(&b->manifest);
    file_unmap(&b->file);
    return status;
}

static int open_any(struct bundle *b, int threads, edgekit_instance **made)
{
    struct stat status;
    char folder[PATH_MAX], why[300];
    if (stat(b->shown, &status))
        return instance_failed(EDGEKIT_USAGE, "there is no bundle %s: %s", b->shown, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return open_folder(b, threads, made);
    if (!archive_unpack(b->shown, folder, sizeof folder, why, sizeof why))
        return instance_failed(EDGEKIT_DAMAGED, "%s cannot be opened: %s", b->shown, why);
    b->folder = folder;
    int result = open_folder(b, threads, made);
    archive_remove(folder);
    return result;
}

int edgekit_open(const char *bundle, const struct edgekit_options *options, edgekit_instance **instance)
{
    *instance = NULL;
    instance_failed(0, "%s", "");
    if (!bundle)
        return instance_failed(EDGEKIT_USAGE, "there is no bundle");
    int threads = instance_threads(options);
    if (threads < 0)
        return EDGEKIT_USAGE;
    struct bundle b = {.shown = bundle, .folder = bundle};
    b.unchecked = options && options->size >= sizeof *options && options->flags & EDGEKIT_UNCHECKED;
    instance_lock();
    int status = open_any(&b, threads, instance);
    instance_unlock();
    return instance_opened(status, instance);
}
