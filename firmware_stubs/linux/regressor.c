/* Values in their unit. edgekit/tasks/regressor.py is the same in Python. */
#include <stdlib.h>

#include "json_fields.h"
#include "real.h"
#include "task.h"

enum { MAX_VALUES = 4096, MAX_UNIT = 200 };

struct regressor {
    uint32_t count;
    double mean, std;
    char unit[MAX_UNIT + 1];
};

static bool read_regressor(struct regressor *r, const struct edgekit_tensor *t, const struct json *j, uint32_t v)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        count = count <= MAX_VALUES ? count * (uint64_t)t->shape[i] : count;
    uint32_t unit = json_get(j, v, "unit");
    r->count = (uint32_t)count;
    return count > 0 && count <= MAX_VALUES && real_known(t) && (t->type == EDGEKIT_FLOAT32 || t->scale > 0) && unit &&
           json_string(j, unit, r->unit, sizeof r->unit) && json_double(j, v, "mean", &r->mean) &&
           json_double(j, v, "std", &r->std) && r->std > 0;
}

static void *regressor_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct regressor *r = calloc(1, sizeof *r);
    if (r && !read_regressor(r, &instance->output[0].tensor, j, v)) {
        free(r);
        return NULL;
    }
    return r;
}

const struct task_decider task_regressor = {"edgekit_values", regressor_read, free};

int edgekit_values(edgekit_instance *instance, float *values, uint32_t most, uint32_t *count, const char **unit)
{
    const struct regressor *r = task_of_decider(instance, &task_regressor);
    if (!r)
        return EDGEKIT_USAGE;
    *count = most < r->count ? most : r->count;
    for (uint32_t i = 0; i < *count; i++) {
        volatile double scaled = real_value(&instance->output[0].tensor, instance->engine.output[0].data, i) * r->std;
        values[i] = (float)(scaled + r->mean); /* not one operation */
    }
    if (unit)
        *unit = r->unit;
    return EDGEKIT_OK;
}
