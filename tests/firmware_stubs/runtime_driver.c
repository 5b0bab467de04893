/* Drives edgekit's runtime library for the tests: argv[1] says what to do. Allocations of the whole process are counted
 * where this program does not run with a sanitizer. */
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgekit.h"
#include "runtime_plugged.h"
#include "runtime_tasks.h"

static atomic_long allocations;

#ifdef COUNT_ALLOCATIONS
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void *malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12;
}
#endif

static edgekit_instance *opened(const char *bundle)
{
    edgekit_instance *network;
    if (edgekit_open(bundle, NULL, &network)) {
        fprintf(stderr, "%s\n", edgekit_error(NULL));
        exit(1);
    }
    return network;
}

static void infer(edgekit_instance *network, long count, unsigned int seed)
{
    for (long i = 0; i < count; i++) {
        unsigned char *input = edgekit_input_data(network, 0);
        input[(size_t)i % edgekit_input(network, 0)->bytes] = (unsigned char)(seed + (unsigned int)i);
        if (edgekit_run(network)) {
            fprintf(stderr, "%s\n", edgekit_error(network));
            exit(1);
        }
    }
}

/* Allocations per 1000 inferences after the first, and by how many bytes the heap grew. */
static int memory(const char *bundle, long count)
{
    edgekit_instance *network = opened(bundle);
    infer(network, 100, 1);
    long before = atomic_load(&allocations);
    size_t used = mallinfo2().uordblks;
    infer(network, count, 2);
    printf("%ld %ld\n", atomic_load(&allocations) - before, (long)(mallinfo2().uordblks - used));
    edgekit_close(network);
    return 0;
}

struct job {
    const char *bundle;
    unsigned int seed;
    unsigned char output[4096];
};

static void *thread(void *data)
{
    struct job *job = data;
    edgekit_instance *network = opened(job->bundle);
    infer(network, 200, job->seed);
    memcpy(job->output, edgekit_output_data(network, 0), edgekit_output(network, 0)->bytes);
    edgekit_close(network);
    return NULL;
}

/* Four threads with an instance each compute what one thread computes alone. */
static int threads(const char *bundle)
{
    static struct job together[4], alone[4];
    pthread_t started[4];
    for (unsigned int i = 0; i < 4; i++) {
        together[i] = alone[i] = (struct job){.bundle = bundle, .seed = 50 * i};
        pthread_create(&started[i], NULL, thread, &together[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(started[i], NULL);
    for (int i = 0; i < 4; i++) {
        thread(&alone[i]);
        if (memcmp(together[i].output, alone[i].output, sizeof alone[i].output))
            return 1;
    }
    return !memcmp(alone[0].output, alone[1].output, sizeof alone[0].output); /* the seeds matter */
}

/* Open and close, and print what the heap grew by between the fifth time and the last. */
static int again(const char *bundle, long count)
{
    size_t used = 0;
    for (long i = 0; i < count; i++) {
        if (i == 5)
            used = mallinfo2().uordblks;
        edgekit_instance *network = opened(bundle);
        infer(network, 1, 0);
        edgekit_close(network);
    }
    printf("%ld\n", (long)(mallinfo2().uordblks - used));
    return 0;
}

static unsigned int draw(unsigned int *state, unsigned int most)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return most ? *state % most : 0;
}

static unsigned char *slurp(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        exit(9);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size + 64);
    if (!bytes || fread(bytes, 1, *size, file) != *size)
        exit(9);
    fclose(file);
    return bytes;
}

static void spill(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        exit(9);
}

/* A few damages: bits, bytes that mean something, pieces that are missing or there twice, a file that is cut off. */
static size_t damage(unsigned char *bytes, size_t size, unsigned int *state)
{
    static const char meaning[] = "{}[]\",:\\u0-1e9 \n\377\300";
    for (unsigned int left = 1 + draw(state, 4); left; left--) {
        size_t at = draw(state, (unsigned int)size), count = 1 + draw(state, 40);
        switch (draw(state, 8)) {
        case 0: size = at ? at : 1; break;
        case 1:
            count = count < size - at ? count : size - at - 1;
            memmove(bytes + at, bytes + at + count, size - at - count);
            size -= count;
            break;
        case 2:
        case 3: bytes[at] = (unsigned char)meaning[draw(state, sizeof meaning - 1)]; break;
        case 4: /* a number, in the headers of an archive */
            for (size_t i = 0; i < 4 && at + i < size; i++)
                bytes[at + i] = draw(state, 2) ? 0xff : 0;
            break;
        default: bytes[at] ^= (unsigned char)(1u << draw(state, 8));
        }
    }
    return size;
}

/* Damage `file` of a bundle again and again; `bundle` is what is opened then, and decides if its task can. Prints how
   often it was refused, and how often it decided. */
static int damaged(const char *bundle, const char *file, long count, unsigned int state, bool unchecked)
{
    size_t size;
    long refused = 0, decided = 0;
    const struct edgekit_options options = {sizeof options, 1, unchecked ? EDGEKIT_UNCHECKED : 0};
    unsigned char *whole = slurp(file, &size), *bytes = malloc(size + 64);
    for (long i = 0; bytes && i < count; i++) {
        edgekit_instance *network;
        memcpy(bytes, whole, size);
        spill(file, bytes, damage(bytes, size, &state));
        int status = edgekit_open(bundle, &options, &network);
        if (!status) {
            int taken = edgekit_task(network) ? tasks_decide(network) : 0;
            if (taken < 0)
                return 1;
            decided += taken > 0;
            edgekit_close(network);
        } else if (network || strlen(edgekit_error(NULL)) < 10 || strchr(edgekit_error(NULL), '\n')) {
            fprintf(stderr, "status %d without a line of its own: %s\n", status, edgekit_error(NULL));
            return 1;
        }
        refused += status != 0;
    }
    spill(file, whole, size);
    free(whole);
    free(bytes);
    edgekit_close(opened(bundle));
    printf("%ld %ld\n", refused, decided);
    return 0;
}

static int misused(const char *bundle)
{
    edgekit_instance *network = NULL;
    struct {
        struct edgekit_options known;
        long newer; /* as long as `known` is aligned: no padding follows */
    } options = {{sizeof options, 1, 0}, 0};
    char data[8] = "";
    edgekit_close(NULL);
    EXPECT(edgekit_open(NULL, NULL, &network) == EDGEKIT_USAGE, "there is no bundle")
    EXPECT(edgekit_open("/nonexistent", NULL, &network) == EDGEKIT_USAGE, "there is no bundle /nonexistent")
    EXPECT(edgekit_open("/", NULL, &network) == EDGEKIT_USAGE, "is not a bundle")
    EXPECT(edgekit_open("/dev/null", NULL, &network) == EDGEKIT_DAMAGED, "cannot be opened")
    EXPECT(edgekit_open_files("/nonexistent.so", NULL, NULL, &network) == EDGEKIT_FAILED, "cannot load the library")
    options.newer = 1;
    EXPECT(edgekit_open(bundle, &options.known, &network) == EDGEKIT_USAGE, "newer edgekit")
    options.newer = 0;
    options.known.flags = 128;
    EXPECT(edgekit_open(bundle, &options.known, &network) == EDGEKIT_USAGE, "newer edgekit")
    options.known.flags = 0;
    options.known.threads = -1;
    EXPECT(edgekit_open(bundle, &options.known, &network) == EDGEKIT_USAGE, "1 to 256 threads")
    EXPECT(!network, "")
    options.known.threads = 2;
    options.known.flags = EDGEKIT_UNCHECKED;
    EXPECT(!edgekit_open(bundle, &options.known, &network) && network, "")
    EXPECT(!edgekit_input(network, 1) && !edgekit_output(network, 99) && !edgekit_input_data(network, 1), "")
    EXPECT(edgekit_set_input(network, 7, data, 8) == EDGEKIT_USAGE, "there is no input 7: the network has 1")
    EXPECT(edgekit_set_input(network, 0, data, 3) == EDGEKIT_USAGE, "bytes, not 3")
    EXPECT(edgekit_set_input(network, 0, NULL, edgekit_input(network, 0)->bytes) == EDGEKIT_USAGE, "is NULL")
    EXPECT(edgekit_get_output(network, 0, data, 3) == EDGEKIT_USAGE, "bytes, not 3")
    edgekit_close(network);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 9;
    const char *what = argv[1], *bundle = argv[2];
    if (!strcmp(what, "memory"))
        return memory(bundle, atol(argv[3]));
    if (!strcmp(what, "again"))
        return again(bundle, atol(argv[3]));
    if (!strcmp(what, "damaged"))
        return damaged(bundle, argv[3], atol(argv[4]), 1 + (unsigned int)atol(argv[5]), argc > 6);
    if (!strcmp(what, "half"))
        return plugged_half(bundle);
    if (!strcmp(what, "plugged"))
        return plugged(bundle, argv[3]);
    return !strcmp(what, "threads") ? threads(bundle) : misused(bundle);
}
