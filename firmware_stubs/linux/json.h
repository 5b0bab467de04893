/* A strict reader of JSON (RFC 8259) for documents that are not trusted: it bounds size, depth and number of values,
 * refuses what is not UTF-8, and never recurses.
 *
 * Values are numbered in the order in which they begin; 0 is the document. A lookup that finds nothing returns 0.
 */
#ifndef EDGEKIT_JSON_H
#define EDGEKIT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_MAX_DEPTH = 64, JSON_MAX_VALUES = 2000000 };
enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    uint32_t start, size; /* of a string's inside, or a number: where it lies in the text */
    uint32_t end;         /* number of the first value after this one and all in it */
    uint32_t kind;
};

struct json {
    const char *text;
    struct json_value *value;
    uint32_t count, room;
};

/* Read `text`, which must outlive `json`. On failure return false and leave one line in `error`; there is nothing to
   free then. */
bool json_read(struct json *json, const char *text, size_t size, char *error, size_t error_size);
void json_free(struct json *json);

enum json_kind json_kind(const struct json *json, uint32_t value);

/* Members of an array, or names and values in turn of an object: `for (i = json_first(j, v); i; i = json_next(j, v,
   i))`. */
uint32_t json_first(const struct json *json, uint32_t parent);
uint32_t json_next(const struct json *json, uint32_t parent, uint32_t value);

/* The value of an object's member. 0 where there is none, or more than one. */
uint32_t json_get(const struct json *json, uint32_t object, const char *name);

/* Copy a string, decoded, with a zero byte. False where it is no string, does not fit, or has a zero byte in it. */
bool json_string(const struct json *json, uint32_t value, char *text, size_t size);
/* Whether it is this string. */
bool json_is(const struct json *json, uint32_t value, const char *text);
/* A number; false where it is none, or not finite. */
bool json_number(const struct json *json, uint32_t value, double *number);
/* A whole number of at most 2^53 in magnitude. */
bool json_integer(const struct json *json, uint32_t value, int64_t *number);

#endif
