#include "variables.h"

/* Fields of the TFLite schema: Model.subgraphs, SubGraph.tensors, Tensor.type and is_variable; TensorType.RESOURCE. */
enum { FIELD_SUBGRAPHS = 2, FIELD_TENSORS = 0, FIELD_TYPE = 1, FIELD_IS_VARIABLE = 5, TYPE_RESOURCE = 13 };

struct view {
    const uint8_t *data;
    size_t size;
};

/* Every read is bounds checked and gives 0, "absent", outside the file: the model is not trusted. */
static uint32_t u32(struct view v, size_t at)
{
    if (at > v.size || v.size - at < 4)
        return 0;
    const uint8_t *p = v.data + at;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t u16(struct view v, size_t at)
{
    return at > v.size || v.size - at < 2 ? 0 : (uint32_t)(v.data[at] | v.data[at + 1] << 8);
}

/* Position of a table's field, or 0 where it is absent. */
static size_t field(struct view v, size_t table, unsigned int number)
{
    size_t vtable = table - (size_t)(int32_t)u32(v, table);
    size_t slot = 4 + 2 * (size_t)number;
    if (slot + 2 > u16(v, vtable))
        return 0;
    uint32_t offset = u16(v, vtable + slot);
    return offset ? table + offset : 0;
}

/* Position of the vector or table that the offset at `at` leads to. */
static size_t follow(struct view v, size_t at)
{
    return at + u32(v, at);
}

void variables_find(struct variables *variables, const uint8_t *model, size_t size)
{
    struct view v = {model, size};
    variables->count = 0;
    variables->resources = false;
    size_t subgraphs = field(v, follow(v, 0), FIELD_SUBGRAPHS);
    if (!subgraphs)
        return;
    subgraphs = follow(v, subgraphs);
    for (uint32_t i = 0; i < u32(v, subgraphs) && i < size / 4; i++) {
        size_t tensors = field(v, follow(v, subgraphs + 4 + 4 * (size_t)i), FIELD_TENSORS);
        if (!tensors)
            continue;
        tensors = follow(v, tensors);
        for (uint32_t k = 0; k < u32(v, tensors) && k < size / 4; k++) {
            size_t tensor = follow(v, tensors + 4 + 4 * (size_t)k);
            size_t type = field(v, tensor, FIELD_TYPE), flag = field(v, tensor, FIELD_IS_VARIABLE);
            variables->resources |= type && type < size && model[type] == TYPE_RESOURCE;
            if (flag && flag < size && model[flag] == 1 && variables->count < VARIABLES_MAX)
                variables->flag[variables->count++] = flag;
        }
    }
}

void variables_set(const struct variables *variables, uint8_t *model, uint8_t value)
{
    for (size_t i = 0; i < variables->count; i++)
        model[variables->flag[i]] = value;
}
