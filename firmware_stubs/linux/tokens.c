#include "tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_fields.h"
#include "unicode.h"

enum { SCHEMA = 1, MAX_SPECIAL = 1000, MAX_AROUND = 64 };

/* A token that stands in the text itself. */
struct special {
    char *text;
    uint32_t size, id;
    bool strips; /* the white space before it */
};

struct tokens {
    struct word_pieces *words; /* one of the two */
    struct byte_pairs *pairs;
    uint32_t before[MAX_AROUND], after[MAX_AROUND], befores, afters, pad, size;
    struct special *special;
    uint32_t specials;
    bool first[256]; /* bytes with which special tokens begin */
};

void tokens_free(struct tokens *t)
{
    if (!t)
        return;
    word_pieces_free(t->words);
    byte_pairs_free(t->pairs);
    for (uint32_t i = 0; i < t->specials; i++)
        free(t->special[i].text);
    free(t->special);
    free(t);
}

uint32_t tokens_size(const struct tokens *t)
{
    return t->size;
}

static bool read_number(struct tokens *t, const struct json *j, uint32_t value, uint32_t *to)
{
    int64_t number;
    if (!value || !json_integer(j, value, &number) || number < 0 || number >= TOKENS_MAX_COUNT)
        return false;
    *to = (uint32_t)number;
    t->size = *to >= t->size ? *to + 1 : t->size;
    return true;
}

static bool read_numbers(struct tokens *t, const struct json *j, uint32_t list, uint32_t *to, uint32_t *count)
{
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        if (*count == MAX_AROUND || !read_number(t, j, i, &to[(*count)++]))
            return false;
    return true;
}

static bool read_one(struct tokens *t, const struct json *j, uint32_t value)
{
    char text[TOKENS_MAX_BYTES + 1];
    struct special *s = &t->special[t->specials];
    if (json_kind(j, value) != JSON_ARRAY)
        return false;
    uint32_t content = json_first(j, value), id = content ? json_next(j, value, content) : 0;
    uint32_t strips = id ? json_next(j, value, id) : 0;
    if (!strips || json_next(j, value, strips) || !json_string(j, content, text, sizeof text) || !*text ||
        !read_number(t, j, id, &s->id) || (json_kind(j, strips) != JSON_TRUE && json_kind(j, strips) != JSON_FALSE))
        return false;
    for (uint32_t i = 0; i < t->specials; i++)
        if (!strcmp(t->special[i].text, text))
            return false;
    if (!(s->text = strdup(text)))
        return false;
    s->size = (uint32_t)strlen(text);
    s->strips = json_kind(j, strips) == JSON_TRUE;
    t->first[(uint8_t)*text] = true;
    t->specials++;
    return true;
}

static bool read_special(struct tokens *t, const struct json *j, uint32_t list)
{
    if (!list || json_kind(j, list) != JSON_ARRAY || !(t->special = calloc(MAX_SPECIAL, sizeof *t->special)))
        return false;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        if (t->specials == MAX_SPECIAL || !read_one(t, j, i))
            return false;
    return true;
}

static const char *read_document(struct tokens *t, const struct json *j)
{
    int64_t schema;
    uint32_t value = json_get(j, 0, "schema"), model = json_get(j, 0, "model");
    if (!value || !json_integer(j, value, &schema) || schema != SCHEMA)
        return "it is of a newer edgekit";
    if (!read_numbers(t, j, json_get(j, 0, "before"), t->before, &t->befores) ||
        !read_numbers(t, j, json_get(j, 0, "after"), t->after, &t->afters) ||
        !read_number(t, j, json_get(j, 0, "pad"), &t->pad) || !read_special(t, j, json_get(j, 0, "special")))
        return "a field is missing or damaged";
    static const char *const models[] = {"wordpiece", "bytes"};
    int kind = json_choice(j, model, models, 2);
    if (kind < 0)
        return "its model is not known to this library";
    uint32_t given = json_get(j, 0, models[kind]);
    if (!given)
        return "a field is missing or damaged";
    const char *wrong = kind ? byte_pairs_read(&t->pairs, j, given) : word_pieces_read(&t->words, j, given);
    uint32_t size = wrong ? 0 : kind ? byte_pairs_size(t->pairs) : word_pieces_size(t->words);
    t->size = size > t->size ? size : t->size;
    return wrong;
}

bool tokens_read(struct tokens **made, const char *text, size_t size, char *error, size_t error_size)
{
    struct json j;
    char why[200];
    *made = NULL;
    if (!json_read(&j, text, size, why, sizeof why)) {
        snprintf(error, error_size, "the tokenizer is damaged: %s", why);
        return false;
    }
    struct tokens *t = calloc(1, sizeof *t);
    const char *wrong = t ? read_document(t, &j) : "there is no memory for it";
    json_free(&j);
    if (wrong) {
        snprintf(error, error_size, "the tokenizer cannot be read: %s", wrong);
        tokens_free(t);
        return false;
    }
    *made = t;
    return true;
}

static const struct special *special_at(const struct tokens *t, const char *text, size_t left)
{
    const struct special *best = NULL;
    for (uint32_t i = 0; t->first[(uint8_t)*text] && i < t->specials; i++) {
        const struct special *s = &t->special[i];
        if (s->size <= left && !memcmp(s->text, text, s->size) && (!best || s->size > best->size))
            best = s;
    }
    return best;
}

/* Where white space ends before `end`, not before `start`. */
static size_t without_space(const char *text, size_t start, size_t end)
{
    while (end > start) {
        size_t at = end - 1;
        uint32_t c = 0;
        while (at > start && ((uint8_t)text[at] & 0xc0) == 0x80)
            at--;
        if (!unicode_next(text + at, end - at, &c) || !(unicode_flags(c) & UNICODE_SPACE))
            break;
        end = at;
    }
    return end;
}

static enum token_end add_part(struct tokens *t, const char *text, size_t size, struct token_places *to)
{
    return t->pairs ? byte_pairs_add(t->pairs, text, size, to) : word_pieces_add(t->words, text, size, to);
}

static enum token_end add_text(struct tokens *t, const char *text, size_t size, struct token_places *to)
{
    size_t start = 0;
    for (size_t at = 0; at < size;) {
        const struct special *s = special_at(t, text + at, size - at);
        if (!s) {
            at++;
            continue;
        }
        size_t end = s->strips ? without_space(text, start, at) : at;
        enum token_end done = add_part(t, text + start, end - start, to);
        if (done == TOKENS_DONE && !token_put(to, s->id))
            done = TOKENS_FULL;
        if (done != TOKENS_DONE)
            return done;
        start = at += s->size;
    }
    return add_part(t, text + start, size - start, to);
}

const char *tokens_encode(struct tokens *t, const char *text, size_t size, int32_t *id, uint32_t length, uint32_t *used)
{
    uint32_t c, around = t->befores + t->afters;
    for (size_t at = 0, bytes; at < size; at += bytes)
        if (!(bytes = unicode_next(text + at, size - at, &c)))
            return "is not UTF-8";
    struct token_places to = {id, length, 0};
    for (uint32_t i = 0; i < t->befores; i++)
        token_put(&to, t->before[i]);
    to.room = length > around ? length - t->afters : to.count;
    if (add_text(t, text, size, &to) == TOKENS_LONG)
        return "has a word that is too long";
    to.room = length;
    for (uint32_t i = 0; i < t->afters; i++)
        token_put(&to, t->after[i]);
    *used = to.count;
    while (token_put(&to, t->pad))
        ;
    return NULL;
}
