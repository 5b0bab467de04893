/* How unusual a sample is. edgekit/tasks/anomaly.py is the same in Python, bit for bit. */
#include <stdlib.h>

#include "json_fields.h"
#include "real.h"
#include "task.h"

struct anomaly {
    bool error; /* the score is the output's difference from the input, else the output itself */
    double threshold;
    size_t elements;
};

static size_t elements(const struct edgekit_tensor *t)
{
    size_t count = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->shape[i] < 1 || __builtin_mul_overflow(count, (size_t)t->shape[i], &count))
            return 0;
    return real_known(t) ? count : 0;
}

static bool read_anomaly(struct anomaly *a, const edgekit_instance *instance, const struct json *j, uint32_t v)
{
    static const char *const measures[] = {"error", "output"};
    int measure = json_choice(j, json_get(j, v, "score"), measures, 2);
    a->error = measure == 0;
    a->elements = elements(&instance->output[0].tensor);
    return measure >= 0 && a->elements && json_double(j, v, "threshold", &a->threshold) &&
           a->elements == (a->error ? elements(&instance->input[0].tensor) : 1);
}

static void *anomaly_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct anomaly *a = calloc(1, sizeof *a);
    if (a && !read_anomaly(a, instance, j, v)) {
        free(a);
        return NULL;
    }
    return a;
}

const struct task_decider task_anomaly = {"edgekit_anomaly", anomaly_read, free};

int edgekit_anomaly(edgekit_instance *instance, struct edgekit_anomaly_sum *sum)
{
    const struct anomaly *a = task_of_decider(instance, &task_anomaly);
    const struct engine *e = &instance->engine;
    double score = 0;
    if (!a)
        return EDGEKIT_USAGE;
    if (sum->size < sizeof *sum)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "the size of struct edgekit_anomaly_sum is not set");
    for (size_t i = 0; i < a->elements; i++) {
        double value = real_value(&instance->output[0].tensor, e->output[0].data, i);
        double other = a->error ? value - real_value(&instance->input[0].tensor, e->input[0].data, i) : 0;
        score = a->error ? score + other * other : value;
    }
    sum->sum += a->error ? score / (double)a->elements : score;
    sum->clips++;
    sum->score = sum->sum / sum->clips;
    sum->anomalous = !(sum->score <= a->threshold); /* NaN is not normal */
    return EDGEKIT_OK;
}
