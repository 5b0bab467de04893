#include "archive.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

/* zip (APPNOTE.TXT 6.3): the end of the central directory, its entries, and what precedes each file. */
enum { END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30, MAX_COMMENT = 65535, STORED = 0, DEFLATED = 8 };
enum { END_MAGIC = 0x06054b50, ENTRY_MAGIC = 0x02014b50, LOCAL_MAGIC = 0x04034b50 };
#define MAX_UNPACKED ((uint64_t)4 << 30)

/* The part of zlib's interface that is used, declared by hand: its ABI has not changed since version 1.0. */
struct z_stream {
    const uint8_t *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state, *zalloc, *zfree, *opaque;
    int data_type;
    unsigned long adler, reserved;
};
enum { Z_DONE = 1, Z_RAW = -15 };

struct zlib {
    void *library;
    int (*inflateInit2_)(struct z_stream *, int, const char *, int);
    int (*inflate)(struct z_stream *, int);
    int (*inflateEnd)(struct z_stream *);
};

struct archive {
    struct mapped file;
    struct zlib zlib;
    uint64_t left; /* bytes that may still be unpacked */
    const char *folder;
    char *error;
    size_t error_size;
};

struct entry {
    const uint8_t *data;
    uint64_t packed, size;
    unsigned int method;
    char name[NAME_MAX + 16];
};

static bool refuse(struct archive *a, const char *what)
{
    snprintf(a->error, a->error_size, "%s", what);
    return false;
}

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static bool load_symbol(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool load_zlib(struct zlib *z)
{
    z->library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    return z->library && load_symbol(z->library, "inflateInit2_", &z->inflateInit2_) &&
           load_symbol(z->library, "inflate", &z->inflate) && load_symbol(z->library, "inflateEnd", &z->inflateEnd);
}

static bool write_all(int file, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t written = write(file, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

/* Whether inflating gave exactly as many bytes as the entry says. */
static bool inflate_to(struct archive *a, const struct entry *e, struct z_stream *z, int file)
{
    uint8_t piece[16384];
    uint64_t read = 0, made = 0;
    for (;;) {
        if (!z->avail_in && read < e->packed) {
            uint64_t most = e->packed - read < 1 << 20 ? e->packed - read : 1 << 20;
            z->next_in = e->data + read;
            z->avail_in = (unsigned int)most;
            read += most;
        }
        z->next_out = piece;
        z->avail_out = sizeof piece;
        int status = a->zlib.inflate(z, 0);
        size_t count = sizeof piece - z->avail_out;
        made += count;
        if (made > e->size || (status && status != Z_DONE) || (!status && !count && !z->avail_in && read == e->packed))
            return refuse(a, "a file in it cannot be unpacked");
        if (!write_all(file, piece, count))
            return refuse(a, "there is no room to unpack it ($TMPDIR says where; a folder needs no unpacking)");
        if (status == Z_DONE)
            return made == e->size || refuse(a, "a file in it cannot be unpacked");
    }
}

static bool unpack_to(struct archive *a, const struct entry *e, int file)
{
    struct z_stream z;
    if (e->method == STORED) {
        if (e->packed != e->size)
            return refuse(a, "a file in it is damaged");
        return write_all(file, e->data, (size_t)e->size) ||
               refuse(a, "there is no room to unpack it ($TMPDIR says where; a folder needs no unpacking)");
    }
    memset(&z, 0, sizeof z);
    if (!a->zlib.library && !load_zlib(&a->zlib))
        return refuse(a, "unpacking needs libz.so.1, which is missing; unpack the file with unzip and open the folder");
    if (a->zlib.inflateInit2_(&z, Z_RAW, "1", (int)sizeof z))
        return refuse(a, "zlib does not start");
    bool ok = inflate_to(a, e, &z, file);
    a->zlib.inflateEnd(&z);
    return ok;
}

static bool unpack(struct archive *a, const struct entry *e)
{
    char path[PATH_MAX];
    if (e->size > a->left)
        return refuse(a, "it unpacks to too many bytes");
    a->left -= e->size;
    if (!file_path(path, sizeof path, a->folder, e->name))
        return refuse(a, "its path is too long");
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return refuse(a, errno == EEXIST ? "a file is in it twice" : "there is no room to unpack it");
    bool ok = unpack_to(a, e, file);
    return close(file) == 0 && ok;
}

/* Whether a network that runs needs the file: others are not unpacked. */
static bool wanted(const char *name)
{
    static const char folder[] = "artifact/";
    if (!strcmp(name, "manifest.json") || !strcmp(name, "model.tflite") || !strcmp(name, "tokens.json"))
        return true;
    if (strncmp(name, folder, sizeof folder - 1))
        return false;
    name += sizeof folder - 1;
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

/* Read the entry at `at` of the central directory; returns the place of the next, 0 where it is damaged. */
static size_t read_entry(const struct archive *a, size_t at, struct entry *e)
{
    const uint8_t *bytes = a->file.bytes, *p = bytes + at;
    size_t size = a->file.size;
    if (at > size || size - at < ENTRY_SIZE || u32(p) != ENTRY_MAGIC)
        return 0;
    size_t name = u16(p + 28), next = ENTRY_SIZE + name + u16(p + 30) + u16(p + 32), local = u32(p + 42);
    if (size - at < next || local > size || size - local < LOCAL_SIZE || u32(bytes + local) != LOCAL_MAGIC)
        return 0;
    e->method = u16(p + 10);
    e->packed = u32(p + 20);
    e->size = u32(p + 24);
    size_t data = local + LOCAL_SIZE + u16(bytes + local + 26) + u16(bytes + local + 28);
    if (data > size || size - data < e->packed || u16(p + 8) & 1)
        return 0;
    e->data = bytes + data;
    size_t kept = name < sizeof e->name && !memchr(p + ENTRY_SIZE, 0, name) ? name : 0;
    memcpy(e->name, p + ENTRY_SIZE, kept);
    e->name[kept] = 0;
    return at + next;
}

static bool read_all(struct archive *a)
{
    const uint8_t *bytes = a->file.bytes;
    size_t size = a->file.size, end = size < END_SIZE ? 0 : size - END_SIZE;
    size_t least = end > MAX_COMMENT ? end - MAX_COMMENT : 0;
    if (size < END_SIZE)
        return refuse(a, "it is no zip archive");
    while (u32(bytes + end) != END_MAGIC)
        if (end-- == least)
            return refuse(a, "it is no zip archive, or cut off");
    size_t at = u32(bytes + end + 16);
    for (uint32_t left = u16(bytes + end + 10); left; left--) {
        struct entry e;
        if (!(at = read_entry(a, at, &e)))
            return refuse(a, "its directory is damaged");
        if (!wanted(e.name))
            continue;
        if (e.method != STORED && e.method != DEFLATED)
            return refuse(a, "a file in it is packed in an unknown manner");
        if (!unpack(a, &e))
            return false;
    }
    return true;
}

bool archive_unpack(const char *path, char *folder, size_t folder_size, char *error, size_t error_size)
{
    struct archive a = {.left = MAX_UNPACKED, .folder = folder, .error = error, .error_size = error_size};
    const char *place = getenv("TMPDIR");
    char inner[PATH_MAX];
    if (!file_map(&a.file, path, SIZE_MAX / 2, error, error_size))
        return false;
    bool ok = file_path(folder, folder_size, place && *place ? place : "/tmp", "edgekit-XXXXXX") && mkdtemp(folder) &&
              file_path(inner, sizeof inner, folder, "artifact");
    if (!ok) {
        refuse(&a, "there is no folder to unpack it to ($TMPDIR says where)");
    } else {
        ok = (!mkdir(inner, 0700) || refuse(&a, "there is no room to unpack it")) && read_all(&a);
        if (!ok)
            archive_remove(folder);
    }
    file_unmap(&a.file);
    if (a.zlib.library)
        dlclose(a.zlib.library);
    return ok;
}

static void remove_files(const char *folder)
{
    char path[PATH_MAX];
    DIR *entries = opendir(folder);
    if (!entries)
        return;
    for (const struct dirent *e; (e = readdir(entries));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && file_path(path, sizeof path, folder, e->d_name))
            unlink(path);
    closedir(entries);
    rmdir(folder);
}

void archive_remove(const char *folder)
{
    char inner[PATH_MAX];
    if (file_path(inner, sizeof inner, folder, "artifact"))
        remove_files(inner);
    remove_files(folder);
}
