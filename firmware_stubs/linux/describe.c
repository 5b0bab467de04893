#include "describe.h"

#include <string.h>

static const struct {
    const char *name;
    int32_t type;
    size_t bytes; /* of an element */
} types[] = {
    {"float32", EDGEKIT_FLOAT32, 4}, {"float16", EDGEKIT_FLOAT16, 2}, {"float64", EDGEKIT_FLOAT64, 8},
    {"int8", EDGEKIT_INT8, 1},       {"uint8", EDGEKIT_UINT8, 1},     {"int16", EDGEKIT_INT16, 2},
    {"uint16", EDGEKIT_UINT16, 2},   {"int32", EDGEKIT_INT32, 4},     {"uint32", EDGEKIT_UINT32, 4},
    {"int64", EDGEKIT_INT64, 8},     {"uint64", EDGEKIT_UINT64, 8},   {"bool", EDGEKIT_BOOL, 1},
};

static bool describe_quantization(const struct json *j, uint32_t value, struct edgekit_tensor *t)
{
    if (!value || json_kind(j, value) == JSON_NULL)
        return true;
    return json_number(j, json_get(j, value, "scale"), &t->scale) &&
           json_integer(j, json_get(j, value, "zero_point"), &t->zero_point);
}

static bool describe_shape(const struct json *j, uint32_t value, struct described *d)
{
    if (!value || json_kind(j, value) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, value); i; i = json_next(j, value, i)) {
        int64_t size;
        if (d->tensor.rank == INSTANCE_MAX_RANK || !json_integer(j, i, &size) || size > INT32_MAX || size < -1)
            return false;
        d->shape[d->tensor.rank++] = size < 0 ? 1 : size; /* open: as the runners take it */
    }
    return true;
}

/* Cut a name off at the border of a character. */
static void shorten(char *text, size_t size)
{
    size_t end = size - 1;
    while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    text[end] = 0;
}

static bool describe_one(const struct json *j, uint32_t value, struct described *d)
{
    struct edgekit_tensor *t = &d->tensor;
    char name[4 * INSTANCE_NAME];
    if (json_string(j, json_get(j, value, "name"), name, sizeof name)) {
        if (strlen(name) >= sizeof d->name)
            shorten(name, sizeof d->name);
        memcpy(d->name, name, strlen(name) + 1);
    }
    if (!json_string(j, json_get(j, value, "dtype"), d->dtype, sizeof d->dtype) ||
        !describe_shape(j, json_get(j, value, "shape"), d) ||
        !describe_quantization(j, json_get(j, value, "quantization"), t))
        return false;
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        if (strcmp(types[k].name, d->dtype))
            continue;
        uint64_t bytes = types[k].bytes;
        t->type = types[k].type;
        for (uint32_t i = 0; i < t->rank; i++)
            if (__builtin_mul_overflow(bytes, (uint64_t)d->shape[i], &bytes))
                return false;
        return bytes == t->bytes;
    }
    return true;
}

static bool describe(const struct json *j, const char *name, struct described *to, size_t count)
{
    uint32_t list = json_get(j, 0, name);
    size_t found = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        if (found == count || !describe_one(j, i, &to[found++]))
            return false;
    return found == count;
}

bool describe_tensors(edgekit_instance *instance, const struct json *manifest)
{
    const struct engine *e = &instance->engine;
    return describe(manifest, "inputs", instance->input, e->input_count) &&
           describe(manifest, "outputs", instance->output, e->output_count);
}
