#include "gallery.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 24, SCHEMA = 1, MAX_LABEL = 200 };

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* All vectors are of unit length; NaN is none. */
static bool copy_vectors(struct gallery *g, const uint8_t *at)
{
    if (!(g->vector = malloc((size_t)g->vectors * g->size * sizeof *g->vector)))
        return false;
    for (size_t i = 0; i < g->vectors; i++) {
        double sum = 0;
        for (size_t k = i * g->size; k < (i + 1) * g->size; k++) {
            uint32_t bits = word(at + 4 * k);
            memcpy(&g->vector[k], &bits, sizeof bits);
            sum += (double)g->vector[k] * (double)g->vector[k];
        }
        if (!(fabs(sum - 1) <= 1e-3))
            return false;
    }
    return true;
}

/* As many texts as there are labels, each with a zero byte, and nothing else. */
static bool copy_labels(struct gallery *g, const uint8_t *at, size_t bytes)
{
    if (!bytes || at[bytes - 1] || !(g->text = malloc(bytes)) || !(g->label = calloc(g->labels, sizeof *g->label)))
        return false;
    memcpy(g->text, at, bytes);
    const char *end = g->text + bytes, *next = g->text;
    for (uint32_t i = 0; i < g->labels; i++) {
        if (next == end || !*next || strlen(next) > MAX_LABEL)
            return false;
        g->label[i] = next;
        next += strlen(next) + 1;
    }
    return next == end;
}

static bool copy_numbers(struct gallery *g, const uint8_t *at)
{
    uint32_t used = 0;
    bool *seen = calloc(g->labels, sizeof *seen);
    g->number = malloc(g->vectors * sizeof *g->number);
    bool fine = seen && g->number;
    for (uint32_t i = 0; fine && i < g->vectors; i++) {
        uint32_t number = g->number[i] = word(at + 4 * (size_t)i);
        fine = number < g->labels;
        used += fine && !seen[number];
        if (fine)
            seen[number] = true;
    }
    free(seen);
    return fine && used == g->labels;
}

bool gallery_read(struct gallery *g, const uint8_t *bytes, size_t size)
{
    *g = (struct gallery){0};
    if (size < HEADER || memcmp(bytes, "edgekitg", 8) || word(bytes + 8) != SCHEMA)
        return false;
    g->vectors = word(bytes + 12);
    g->size = word(bytes + 16);
    g->labels = word(bytes + 20);
    if (!g->vectors || g->vectors > GALLERY_MAX_VECTORS || !g->size || g->size > GALLERY_MAX_SIZE ||
        (uint64_t)g->vectors * g->size > GALLERY_MAX_ELEMENTS || !g->labels || g->labels > g->vectors)
        return false;
    size_t numbers = HEADER + (size_t)g->vectors * g->size * 4, texts = numbers + (size_t)g->vectors * 4;
    return size > texts && copy_vectors(g, bytes + HEADER) && copy_numbers(g, bytes + numbers) &&
           copy_labels(g, bytes + texts, size - texts);
}

void gallery_free(struct gallery *g)
{
    free(g->vector);
    free(g->number);
    free(g->label);
    free(g->text);
}
