/* Set-associative data caches with LRU replacement, physically indexed by guest address, write-allocate.
 * A miss is "streamed" where it continues one of the last 16 runs of neighbouring lines, ascending or descending, or of
 * lines at a constant distance of up to half a page: those are what hardware prefetchers catch, so the cost model
 * charges them bandwidth, not latency. */
#ifndef EDGEKIT_CACHE_MODEL_H
#define EDGEKIT_CACHE_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SHIFT 6
#define LEVELS 3
#define STREAMS 16
#define MAX_STEP 32 /* lines, of 64 bytes: 2 KiB */

struct cache {
    uint64_t *lines; /* [sets][ways], most recently used first */
    uint64_t sets, ways;
};

struct misses {
    uint64_t all[LEVELS], streamed[LEVELS];
};

/* Where a run of lines at a constant distance was last seen, and that distance; 0: one line so far. */
struct strided {
    uint64_t line;
    int64_t step;
};

static struct cache caches[LEVELS];
static uint64_t streams[STREAMS];
static struct strided strides[STREAMS];
static unsigned next_stream, next_stride;

static bool cache_init(struct cache *cache, unsigned kib, unsigned ways)
{
    cache->sets = kib && ways ? ((uint64_t)kib << 10 >> LINE_SHIFT) / ways : 0;
    cache->ways = ways;
    if (!cache->sets)
        return true;
    size_t bytes = cache->sets * ways * sizeof *cache->lines;
    cache->lines = malloc(bytes);
    if (cache->lines)
        memset(cache->lines, 0xff, bytes);
    return cache->lines != NULL;
}

static inline bool cache_hit(struct cache *cache, uint64_t line)
{
    uint64_t *set = cache->lines + line % cache->sets * cache->ways;
    if (set[0] == line)
        return true;
    uint64_t way = 1;
    while (way < cache->ways && set[way] != line)
        way++;
    bool hit = way < cache->ways;
    memmove(set + 1, set, (hit ? way : cache->ways - 1) * sizeof *set);
    set[0] = line;
    return hit;
}

static bool continues_stream(uint64_t line)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        /* Up to two lines from where the run was last seen; the same line again is a conflict, not a run. */
        if (line - streams[i] + 2 <= 4 && line != streams[i]) {
            streams[i] = line;
            return true;
        }
    }
    streams[next_stream++ % STREAMS] = line;
    return false;
}

static bool continues_stride(uint64_t line)
{
    struct strided *begun = NULL;
    for (unsigned i = 0; i < STREAMS; i++) {
        int64_t away = (int64_t)(line - strides[i].line);
        if (away && away == strides[i].step) {
            strides[i].line = line;
            return true;
        }
        if (!begun && !strides[i].step && away && away >= -MAX_STEP && away <= MAX_STEP)
            begun = &strides[i];
    }
    if (begun)
        *begun = (struct strided){line, (int64_t)(line - begun->line)};
    else
        strides[next_stride++ % STREAMS] = (struct strided){line, 0};
    return false;
}

static void cache_access(uint64_t line, struct misses *misses)
{
    if (!caches[0].sets || cache_hit(&caches[0], line))
        return;
    bool streamed = continues_stream(line) || continues_stride(line);
    for (int level = 0; level < LEVELS; level++) {
        if (level && (!caches[level].sets || cache_hit(&caches[level], line)))
            return;
        misses->all[level]++;
        misses->streamed[level] += streamed;
    }
}

#endif
