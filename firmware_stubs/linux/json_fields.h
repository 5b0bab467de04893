/* Members of objects in the manifest, each with its type and bounds; false where one is missing or something else. */
#ifndef EDGEKIT_JSON_FIELDS_H
#define EDGEKIT_JSON_FIELDS_H

#include "json.h"

/* Which of some names a string is; -1: none. */
static inline int json_choice(const struct json *j, uint32_t value, const char *const *names, int count)
{
    for (int i = 0; value && i < count; i++)
        if (json_is(j, value, names[i]))
            return i;
    return -1;
}

static inline bool json_whole(const struct json *j, uint32_t object, const char *name, int64_t most, uint32_t *to)
{
    int64_t number;
    uint32_t value = json_get(j, object, name);
    if (!value || !json_integer(j, value, &number) || number < 0 || number > most)
        return false;
    *to = (uint32_t)number;
    return true;
}

static inline bool json_flag(const struct json *j, uint32_t object, const char *name, bool *to)
{
    uint32_t value = json_get(j, object, name);
    *to = value && json_kind(j, value) == JSON_TRUE;
    return *to || (value && json_kind(j, value) == JSON_FALSE);
}

static inline bool json_double(const struct json *j, uint32_t object, const char *name, double *to)
{
    uint32_t value = json_get(j, object, name);
    return value && json_number(j, value, to);
}

/* A list of `count` numbers. */
static inline bool json_doubles(const struct json *j, uint32_t list, uint32_t count, double *to)
{
    uint32_t found = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        if (found == count || !json_number(j, i, &to[found++]))
            return false;
    return found == count;
}

#endif
