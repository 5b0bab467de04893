/* A vector and its nearest neighbours in a gallery. edgekit/tasks/embedder.py is the same in Python, bit for bit. */
#include <math.h>
#include <stdlib.h>

#include "gallery.h"
#include "json_fields.h"
#include "real.h"
#include "task.h"

struct embedder {
    uint32_t top, elements;
    double threshold;
    struct gallery gallery; /* may be empty */
    double *unit;
    float *cosine; /* of each label's nearest vector */
    bool *taken;
};

/* 0 where there are too few or too many, or the type is not known. */
static uint32_t elements(const struct edgekit_tensor *t)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        count = t->shape[i] > 0 && count <= GALLERY_MAX_SIZE ? count * (uint64_t)t->shape[i] : 0;
    bool known = real_known(t) && (t->type == EDGEKIT_FLOAT32 || t->scale > 0);
    return known && count >= 2 && count <= GALLERY_MAX_SIZE ? (uint32_t)count : 0;
}

static void embedder_free(void *state)
{
    struct embedder *m = state;
    gallery_free(&m->gallery);
    free(m->unit);
    free(m->cosine);
    free(m->taken);
    free(m);
}

static bool read_embedder(struct embedder *m, const edgekit_instance *instance, const struct json *j, uint32_t v)
{
    uint32_t vectors;
    const struct mapped *file = &instance->gallery;
    m->elements = elements(&instance->output[0].tensor);
    if (!m->elements || !json_whole(j, v, "top", GALLERY_MAX_VECTORS, &m->top) || !m->top ||
        !json_double(j, v, "threshold", &m->threshold) || !(m->threshold >= -1 && m->threshold <= 1) ||
        !json_whole(j, v, "vectors", GALLERY_MAX_VECTORS, &vectors))
        return false;
    if (vectors && (!file->bytes || !gallery_read(&m->gallery, file->bytes, file->size) ||
                    m->gallery.vectors != vectors || m->gallery.size != m->elements))
        return false;
    m->unit = calloc(m->elements, sizeof *m->unit);
    m->cosine = calloc(m->gallery.labels + 1, sizeof *m->cosine);
    m->taken = calloc(m->gallery.labels + 1, sizeof *m->taken);
    return m->unit && m->cosine && m->taken;
}

static void *embedder_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct embedder *m = calloc(1, sizeof *m);
    if (m && !read_embedder(m, instance, j, v)) {
        embedder_free(m);
        return NULL;
    }
    return m;
}

const struct task_decider task_embedder = {"edgekit_neighbours", embedder_read, embedder_free};

/* Bring the output to unit length. False, and zeros, where it has no direction. */
static bool normalize(struct embedder *m, const edgekit_instance *instance)
{
    double sum = 0;
    for (uint32_t i = 0; i < m->elements; i++) {
        double value = m->unit[i] = real_value(&instance->output[0].tensor, instance->engine.output[0].data, i);
        sum += value * value;
    }
    double length = sqrt(sum);
    bool directed = isfinite(length) && length > 0;
    for (uint32_t i = 0; i < m->elements; i++)
        m->unit[i] = directed ? m->unit[i] / length : 0;
    return directed;
}

static void compare(struct embedder *m)
{
    const struct gallery *g = &m->gallery;
    for (uint32_t i = 0; i < g->labels; i++)
        m->cosine[i] = -2;
    for (uint32_t i = 0; i < g->vectors; i++) {
        const float *vector = g->vector + (size_t)i * g->size;
        double sum = 0;
        for (uint32_t k = 0; k < g->size; k++)
            sum += (double)vector[k] * m->unit[k];
        float cosine = (float)(sum > 1 ? 1 : sum < -1 ? -1 : sum);
        if (cosine > m->cosine[g->number[i]])
            m->cosine[g->number[i]] = cosine;
    }
}

/* The nearest label that is not taken; of equal ones, the first. */
static uint32_t nearest(const struct embedder *m)
{
    uint32_t found = m->gallery.labels;
    for (uint32_t i = 0; i < m->gallery.labels; i++)
        if (!m->taken[i] && (found == m->gallery.labels || m->cosine[i] > m->cosine[found]))
            found = i;
    return found;
}

int edgekit_neighbours(edgekit_instance *instance, struct edgekit_neighbour *neighbours, uint32_t most, uint32_t *count)
{
    struct embedder *m = task_of_decider(instance, &task_embedder);
    if (!m)
        return EDGEKIT_USAGE;
    bool directed = normalize(m, instance);
    compare(m);
    *count = most < m->top ? most : m->top;
    *count = *count < m->gallery.labels ? *count : m->gallery.labels;
    for (uint32_t i = 0; i < m->gallery.labels; i++)
        m->taken[i] = false;
    for (uint32_t k = 0; k < *count; k++) {
        uint32_t i = nearest(m);
        m->taken[i] = true;
        neighbours[k].number = i;
        neighbours[k].cosine = m->cosine[i];
        neighbours[k].known = directed && (double)m->cosine[i] >= m->threshold;
        neighbours[k].label = m->gallery.label[i];
    }
    return EDGEKIT_OK;
}

int edgekit_embedding(edgekit_instance *instance, float *vector, uint32_t most, uint32_t *count)
{
    struct embedder *m = task_of_decider(instance, &task_embedder);
    if (!m)
        return EDGEKIT_USAGE;
    normalize(m, instance);
    *count = most < m->elements ? most : m->elements;
    for (uint32_t i = 0; i < *count; i++)
        vector[i] = (float)m->unit[i];
    return EDGEKIT_OK;
}
