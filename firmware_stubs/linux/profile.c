#include "profile.h"

#include <stdlib.h>
#include <string.h>

static size_t width(const struct profile *p)
{
    return 1 + (size_t)p->event_count + p->reading_count;
}

static bool begin(struct profile *p, const struct profile_event *events, unsigned int event_count,
                  unsigned int reading_count)
{
    p->event = calloc(event_count + 1, sizeof *p->event);
    p->reading_ns = calloc(reading_count + 1, sizeof *p->reading_ns);
    p->table = malloc(PROFILE_MAX_WORDS * sizeof *p->table);
    if (!p->event || !p->reading_ns || !p->table)
        return false;
    p->event_count = event_count;
    p->reading_count = reading_count;
    for (unsigned int i = 0; i < event_count; i++) {
        p->event[i] = events[i];
        p->event[i].tag = strdup(events[i].tag ? events[i].tag : "");
        if (!p->event[i].tag) {
            free(p->table);
            p->table = NULL;
            return false;
        }
    }
    return true;
}

bool profile_add(struct profile *p, const struct profile_event *events, unsigned int event_count,
                 const uint64_t *readings, unsigned int reading_count)
{
    if (!p->table && !begin(p, events, event_count, reading_count))
        return false;
    if (event_count != p->event_count || reading_count != p->reading_count ||
        (p->inferences + 1) * width(p) > PROFILE_MAX_WORDS)
        return false;
    uint64_t *row = p->table + p->inferences++ * width(p);
    *row++ = reading_count ? readings[reading_count - 1] - readings[0] : 0;
    for (unsigned int i = 0; i < event_count; i++)
        *row++ = events[i].elapsed_us;
    if (reading_count) /* else there is no array, and memcpy wants one */
        memcpy(row, readings, reading_count * sizeof *row);
    return true;
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void profile_finish(struct profile *p)
{
    unsigned int kept = (p->inferences + 1) / 2;
    qsort(p->table, p->inferences, width(p) * sizeof *p->table, by_time);
    for (unsigned int k = 0; k < kept; k++) {
        const uint64_t *row = p->table + k * width(p) + 1;
        for (unsigned int i = 0; i < p->event_count; i++)
            p->event[i].us += (double)*row++ / kept;
        for (unsigned int i = 0; i < p->reading_count; i++)
            p->reading_ns[i] += (double)*row++ / kept;
    }
}
