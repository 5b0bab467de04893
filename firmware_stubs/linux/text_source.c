/* Texts as a task's source: edgekit/tasks/text.py is the same in Python. */
#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "json_fields.h"
#include "task.h"
#include "tokens.h"

enum { MAX_LENGTH = 1 << 16 };
enum role { IDS, MASK, TYPES, ROLES };

struct source {
    struct tokens *tokens;
    uint32_t length;
    int32_t *id;
    enum role role[ROLES]; /* of each of the network's inputs */
};

static void source_free(void *state)
{
    struct source *s = state;
    tokens_free(s->tokens);
    free(s->id);
    free(s);
}

static bool whole(const struct edgekit_tensor *t)
{
    return t->type == EDGEKIT_INT32 || t->type == EDGEKIT_INT64;
}

static bool read_inputs(struct source *s, const edgekit_instance *instance, const struct json *j, uint32_t list)
{
    static const char *const names[] = {"ids", "mask", "types"};
    uint32_t count = 0;
    bool seen[ROLES] = {false};
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i), count++) {
        int role = json_choice(j, i, names, ROLES);
        if (role < 0 || seen[role] || count == instance->engine.input_count)
            return false;
        const struct edgekit_tensor *t = &instance->input[count].tensor;
        if (t->rank != 2 || t->shape[0] != 1 || t->shape[1] < 1 || t->shape[1] > MAX_LENGTH ||
            !(whole(t) || (role != IDS && element_size(t))))
            return false;
        if (count && t->shape[1] != s->length)
            return false;
        s->length = (uint32_t)t->shape[1];
        s->role[count] = (enum role)role;
        seen[role] = true;
    }
    return seen[IDS] && count == instance->engine.input_count;
}

static void *source_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    char why[200];
    struct source *s = calloc(1, sizeof *s);
    const struct mapped *file = &instance->tokens;
    if (s && (!read_inputs(s, instance, j, json_get(j, v, "inputs")) || !file->bytes ||
              !tokens_read(&s->tokens, (const char *)file->bytes, file->size, why, sizeof why) ||
              !(s->id = calloc(s->length, sizeof *s->id)))) {
        source_free(s);
        return NULL;
    }
    return s;
}

const struct task_source task_text = {"text", "edgekit_set_text", source_read, source_free};

static int32_t value_of(const struct source *s, enum role role, uint32_t i, uint32_t used)
{
    return role == IDS ? s->id[i] : role == MASK ? i < used : 0;
}

int edgekit_set_text(edgekit_instance *instance, const char *text, size_t bytes)
{
    struct engine *e = &instance->engine;
    struct source *s = task_of_source(instance, &task_text);
    uint32_t used;
    if (!s)
        return EDGEKIT_USAGE;
    const char *wrong = !text && bytes ? "is NULL" : tokens_encode(s->tokens, text, bytes, s->id, s->length, &used);
    if (wrong)
        return engine_fail(e, EDGEKIT_USAGE, "the text %s", wrong);
    for (size_t k = 0; k < e->input_count; k++) {
        const struct edgekit_tensor *t = &instance->input[k].tensor;
        for (uint32_t i = 0; i < s->length; i++) {
            int32_t value = value_of(s, s->role[k], i, used);
            if (t->type == EDGEKIT_INT32)
                ((int32_t *)e->input[k].data)[i] = value;
            else if (t->type == EDGEKIT_INT64)
                ((int64_t *)e->input[k].data)[i] = value;
            else
                element_put(t, (float)value, e->input[k].data, i);
        }
    }
    return EDGEKIT_OK;
}
