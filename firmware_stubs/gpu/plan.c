#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *at;
    bool damaged;
};

/* The rest of a line that must begin with `word` and a space; NULL, for good, where it does not. */
static const char *line(struct reader *r, const char *word, char *into, size_t size)
{
    size_t length = strcspn(r->at, "\n"), start = strlen(word);
    if (r->damaged || r->at[length] != '\n' || length <= start || strncmp(r->at, word, start) || r->at[start] != ' ' ||
        length - start - 1 >= size) {
        r->damaged = true;
        return NULL;
    }
    memcpy(into, r->at + start + 1, length - start - 1);
    into[length - start - 1] = 0;
    r->at += length + 1;
    return into;
}

/* One line of `count` numbers, none above `most`. */
static void numbers(struct reader *r, const char *word, uint64_t *value, int count, uint64_t most)
{
    char text[512], *end = text;
    if (!line(r, word, text, sizeof text))
        return;
    for (int i = 0; i < count; i++) {
        char *from = end;
        value[i] = strtoull(from, &end, 10);
        if (end == from || value[i] > most)
            r->damaged = true;
    }
    if (*end)
        r->damaged = true;
}

static void *table(struct reader *r, uint64_t count, size_t size)
{
    void *rows = r->damaged || count > PLAN_MAX_ROWS ? NULL : calloc(count ? count : 1, size);
    if (!rows)
        r->damaged = true;
    return rows;
}

static void ports(struct reader *r, const char *word, uint32_t count, uint64_t **bytes, uint64_t **offset,
                  uint64_t arena)
{
    *bytes = table(r, count, sizeof **bytes);
    *offset = table(r, count, sizeof **offset);
    for (uint32_t i = 0; i < count && !r->damaged; i++) {
        uint64_t value[2] = {0, 0};
        numbers(r, word, value, 2, arena);
        (*bytes)[i] = value[0];
        (*offset)[i] = value[1];
        if (value[0] + value[1] > arena)
            r->damaged = true;
    }
}

static void arguments(struct reader *r, struct plan_step *step, const struct plan *plan)
{
    for (uint32_t i = 0; i < step->count && !r->damaged; i++) {
        uint64_t value[2] = {0, 0}; /* constant, offset */
        numbers(r, "argument", value, 2, UINT32_MAX);
        step->argument[i] = (struct plan_argument){value[0] != 0, (uint32_t)value[1]};
        if (value[1] % 4 || value[1] > (value[0] ? plan->weights_bytes : plan->arena_bytes))
            r->damaged = true;
    }
}

static void steps(struct reader *r, struct plan *plan)
{
    for (uint32_t k = 0; k < plan->kernels && !r->damaged; k++) {
        struct plan_step *step = &plan->step[k];
        uint64_t value[6] = {0}; /* work-items, cleared bytes and offset, arguments */
        uint64_t cost[3];        /* flops, bytes read, bytes written */
        char node[PLAN_NAME];
        line(r, "kernel", step->name, sizeof step->name);
        line(r, "function", step->function, sizeof step->function);
        line(r, "node", node, sizeof node);
        numbers(r, "launch", value, 6, UINT32_MAX);
        numbers(r, "cost", cost, 3, UINT64_MAX); /* for people and edgekit */
        if (r->damaged)
            return;
        for (int i = 0; i < 3; i++)
            step->size[i] = (size_t)value[i];
        step->clear_size = value[3];
        step->clear = value[4];
        step->count = (uint32_t)value[5];
        if (!value[0] || !value[1] || !value[2] || value[5] > PLAN_MAX_ARGUMENTS || value[3] % 4 || value[4] % 4 ||
            value[3] + value[4] > plan->arena_bytes)
            r->damaged = true;
        plan->kernel[k] = (struct ek_kernel){step->name, (int32_t)strtol(node, NULL, 10), 1};
        arguments(r, step, plan);
    }
}

bool plan_read(struct plan *plan, const char *text, char *error, size_t size)
{
    struct reader r = {text, false};
    uint64_t version = 0, bytes[2] = {0, 0}, counts[3] = {0, 0, 0};
    memset(plan, 0, sizeof *plan);
    numbers(&r, "edgekit-plan", &version, 1, UINT32_MAX);
    if (!r.damaged && version != 1) {
        snprintf(error, size, "network.plan is version %" PRIu64 ", this program reads version 1", version);
        return false;
    }
    line(&r, "runtime", plan->runtime, sizeof plan->runtime);
    numbers(&r, "bytes", bytes, 2, UINT32_MAX);
    numbers(&r, "counts", counts, 3, PLAN_MAX_ROWS);
    plan->arena_bytes = bytes[0];
    plan->weights_bytes = bytes[1];
    plan->inputs = (uint32_t)counts[0];
    plan->outputs = (uint32_t)counts[1];
    plan->kernels = (uint32_t)counts[2];
    ports(&r, "input", plan->inputs, &plan->input_bytes, &plan->input_offset, plan->arena_bytes);
    ports(&r, "output", plan->outputs, &plan->output_bytes, &plan->output_offset, plan->arena_bytes);
    plan->step = table(&r, plan->kernels, sizeof *plan->step);
    plan->kernel = table(&r, plan->kernels, sizeof *plan->kernel);
    steps(&r, plan);
    if (r.damaged || *r.at) {
        snprintf(error, size, "network.plan is damaged near its byte %zu", (size_t)(r.at - text));
        return false;
    }
    return true;
}
