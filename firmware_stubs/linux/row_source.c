/* Rows of tables as a task's source. edgekit/tasks/row.py is the same in Python. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "json_fields.h"
#include "task.h"

enum { MAX_COLUMNS = 4096, MAX_VALUES = 65536, MAX_TEXT = 200 };
enum code { NUMBER, ONE_HOT, INDEX };

struct value {
    char *text;
    uint32_t number; /* in the list */
};

struct column {
    char name[MAX_TEXT + 1];
    enum code code;
    uint32_t input, at, elements; /* which of the input's elements are its own */
    double mean, std;
    struct value *value; /* sorted by their texts */
    uint32_t values;
    bool other;
};

struct source {
    struct column *column;
    uint32_t columns;
};

static void source_free(void *state)
{
    struct source *s = state;
    for (uint32_t i = 0; s->column && i < s->columns; i++) {
        for (uint32_t k = 0; k < s->column[i].values; k++)
            free(s->column[i].value[k].text);
        free(s->column[i].value);
    }
    free(s->column);
    free(s);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct value *)a)->text, ((const struct value *)b)->text);
}

static uint32_t length(const struct json *j, uint32_t list)
{
    uint32_t count = 0;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        count++;
    return count;
}

static bool read_values(struct column *c, const struct json *j, uint32_t list)
{
    char text[MAX_TEXT + 1];
    uint32_t count = list && json_kind(j, list) == JSON_ARRAY ? length(j, list) : 0;
    if (!count || count > MAX_VALUES || !(c->value = calloc(count, sizeof *c->value)))
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i)) {
        if (!json_string(j, i, text, sizeof text) || !(c->value[c->values].text = strdup(text)))
            return false;
        c->value[c->values].number = c->values;
        c->values++;
    }
    qsort(c->value, count, sizeof *c->value, by_text);
    for (uint32_t i = 1; i < count; i++)
        if (!by_text(&c->value[i - 1], &c->value[i]))
            return false;
    return true;
}

static bool read_column(struct column *c, const struct json *j, uint32_t v)
{
    static const char *const codes[] = {"number", "one-hot", "index"};
    uint32_t name = json_get(j, v, "name");
    int code = json_choice(j, json_get(j, v, "code"), codes, 3);
    if (code < 0 || !name || !json_string(j, name, c->name, sizeof c->name) ||
        !json_whole(j, v, "input", MAX_COLUMNS, &c->input) || !json_double(j, v, "mean", &c->mean) ||
        !json_double(j, v, "std", &c->std) || !(c->std > 0) || !json_flag(j, v, "other", &c->other))
        return false;
    c->code = (enum code)code;
    if (c->code != NUMBER && !read_values(c, j, json_get(j, v, "values")))
        return false;
    c->elements = c->code == ONE_HOT ? c->values + c->other : 1;
    return true;
}

static bool whole(const struct edgekit_tensor *t)
{
    return t->type == EDGEKIT_INT32 || t->type == EDGEKIT_INT64;
}

/* Give each column its elements; false where an input has others. */
static bool place(struct source *s, const edgekit_instance *instance)
{
    for (uint32_t k = 0; k < instance->engine.input_count; k++) {
        const struct edgekit_tensor *t = &instance->input[k].tensor;
        uint64_t elements = 1, at = 0;
        for (uint32_t i = 0; i < t->rank; i++)
            elements = elements <= UINT32_MAX ? elements * (uint64_t)t->shape[i] : elements;
        for (uint32_t i = 0; i < s->columns; i++) {
            struct column *c = &s->column[i];
            if (c->input != k)
                continue;
            if (whole(t) ? c->code != INDEX : !element_size(t))
                return false;
            c->at = (uint32_t)at;
            at += c->elements;
        }
        if (at != elements)
            return false;
    }
    for (uint32_t i = 0; i < s->columns; i++)
        if (s->column[i].input >= instance->engine.input_count)
            return false;
    return true;
}

static bool read_row(struct source *s, const edgekit_instance *instance, const struct json *j, uint32_t list)
{
    uint32_t count = list && json_kind(j, list) == JSON_ARRAY ? length(j, list) : 0;
    if (!count || count > MAX_COLUMNS || !(s->column = calloc(count, sizeof *s->column)))
        return false;
    s->columns = count;
    struct column *c = s->column;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        if (!read_column(c++, j, i))
            return false;
    return place(s, instance);
}

static void *source_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct source *s = calloc(1, sizeof *s);
    if (s && !read_row(s, instance, j, json_get(j, v, "columns"))) {
        source_free(s);
        return NULL;
    }
    return s;
}

const struct task_source task_row = {"row", "edgekit_set_row", source_read, source_free};

/* The number of a value in the column's list; `values` for all that are not in it; UINT32_MAX where that is wrong. */
static uint32_t number_of(const struct column *c, const char *text)
{
    uint32_t low = 0, high = c->values;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = strcmp(c->value[middle].text, text);
        if (!order)
            return c->value[middle].number;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return c->other ? c->values : UINT32_MAX;
}

static void put(const struct edgekit_tensor *t, void *data, uint32_t at, double value)
{
    if (t->type == EDGEKIT_INT32)
        ((int32_t *)data)[at] = (int32_t)value;
    else if (t->type == EDGEKIT_INT64)
        ((int64_t *)data)[at] = (int64_t)value;
    else
        element_put(t, (float)value, data, at);
}

/* A number as the network takes it. */
static double scaled(const struct column *c, double number)
{
    return (number - c->mean) / c->std;
}

/* NULL, or what is wrong with a cell. */
static const char *wrong(const struct column *c, const struct edgekit_cell *cell)
{
    if (c->code == NUMBER) {
        if (cell->text || !isfinite(cell->number))
            return "is not a number";
        return fabs(scaled(c, cell->number)) <= FLT_MAX ? NULL : "is too large";
    }
    if (!cell->text)
        return "is not a text";
    return number_of(c, cell->text) == UINT32_MAX ? "is not among its values" : NULL;
}

int edgekit_set_row(edgekit_instance *instance, const struct edgekit_cell *cells, uint32_t count)
{
    struct engine *e = &instance->engine;
    const struct source *s = task_of_source(instance, &task_row);
    if (!s)
        return EDGEKIT_USAGE;
    if (count != s->columns || !cells)
        return engine_fail(e, EDGEKIT_USAGE, "the task has %u columns, the row %u cells", s->columns, count);
    for (uint32_t i = 0; i < count; i++) {
        const char *why = wrong(&s->column[i], &cells[i]);
        if (why)
            return engine_fail(e, EDGEKIT_USAGE, "the cell of column '%s' %s", s->column[i].name, why);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct column *c = &s->column[i];
        const struct edgekit_tensor *t = &instance->input[c->input].tensor;
        void *data = e->input[c->input].data;
        uint32_t number = c->code == NUMBER ? 0 : number_of(c, cells[i].text);
        if (c->code == NUMBER)
            put(t, data, c->at, scaled(c, cells[i].number));
        else if (c->code == INDEX)
            put(t, data, c->at, number);
        for (uint32_t k = 0; c->code == ONE_HOT && k < c->elements; k++)
            put(t, data, c->at + k, k == number);
    }
    return EDGEKIT_OK;
}
