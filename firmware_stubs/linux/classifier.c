/* The classes with the highest scores. edgekit/tasks/classifier.py is the same in Python. */
#include <math.h>
#include <stdlib.h>

#include "class_labels.h"
#include "exact.h"
#include "json_fields.h"
#include "real.h"
#include "task.h"

struct classifier {
    uint32_t top, classes;
    bool logits;
    struct labels labels;
    double *score;
    bool *taken;
};

/* Elements of an output [1, .., classes] whose type is known. */
static uint32_t classes_of(const struct edgekit_tensor *t)
{
    int64_t last = t->rank ? t->shape[t->rank - 1] : 0;
    for (uint32_t i = 0; i + 1 < t->rank; i++)
        if (t->shape[i] != 1)
            return 0;
    return real_known(t) && last >= 2 && last <= LABELS_MAX ? (uint32_t)last : 0;
}

static void classifier_free(void *state)
{
    struct classifier *c = state;
    labels_free(&c->labels);
    free(c->score);
    free(c->taken);
    free(c);
}

static bool read_classifier(struct classifier *c, const struct edgekit_tensor *t, const struct json *j, uint32_t v)
{
    static const char *const scores[] = {"probabilities", "logits"};
    int logits = json_choice(j, json_get(j, v, "scores"), scores, 2);
    c->classes = classes_of(t);
    if (!c->classes || logits < 0 || !json_whole(j, v, "top", LABELS_MAX_LISTED, &c->top) || !c->top)
        return false;
    c->logits = logits == 1;
    c->score = calloc(c->classes, sizeof *c->score);
    c->taken = calloc(c->classes, sizeof *c->taken);
    return c->score && c->taken && labels_read(&c->labels, j, v, c->classes);
}

static void *classifier_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct classifier *c = calloc(1, sizeof *c);
    if (c && !read_classifier(c, &instance->output[0].tensor, j, v)) {
        classifier_free(c);
        return NULL;
    }
    return c;
}

const struct task_decider task_classifier = {"edgekit_classes", classifier_read, classifier_free};

/* The best that is not taken; of equal ones, the first. What is not a number comes last. */
static uint32_t best(const struct classifier *c)
{
    uint32_t found = c->classes;
    for (uint32_t i = 0; i < c->classes; i++)
        if (!c->taken[i] &&
            (found == c->classes || c->score[i] > c->score[found] || (isnan(c->score[found]) && !isnan(c->score[i]))))
            found = i;
    return found;
}

int edgekit_classes(edgekit_instance *instance, struct edgekit_class *classes, uint32_t most, uint32_t *count)
{
    struct classifier *c = task_of_decider(instance, &task_classifier);
    double sum = 0, highest = 0;
    if (!c)
        return EDGEKIT_USAGE;
    for (uint32_t i = 0; i < c->classes; i++) {
        c->taken[i] = false;
        c->score[i] = real_value(&instance->output[0].tensor, instance->engine.output[0].data, i);
        highest = i ? fmax(highest, c->score[i]) : c->score[i];
    }
    for (uint32_t i = 0; c->logits && i < c->classes; i++)
        sum += exact_exp(c->score[i] - highest);
    *count = most < c->top ? most : c->top;
    *count = *count < c->classes ? *count : c->classes;
    for (uint32_t k = 0; k < *count; k++) {
        uint32_t i = best(c);
        c->taken[i] = true;
        classes[k].number = i;
        classes[k].score = (float)(c->logits ? exact_exp(c->score[i] - highest) / sum : c->score[i]);
        classes[k].label = labels_get(&c->labels, i);
    }
    return EDGEKIT_OK;
}
