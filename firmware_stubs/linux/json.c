#include "json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct json *json;
    const char *text;
    size_t size, at;
    const char *wrong;
};

static bool refuse(struct reader *r, const char *wrong)
{
    r->wrong = wrong;
    return false;
}

static int peek(const struct reader *r)
{
    return r->at < r->size ? (unsigned char)r->text[r->at] : -1;
}

static void skip_space(struct reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\n' || peek(r) == '\r' || peek(r) == '\t')
        r->at++;
}

static bool add(struct reader *r, enum json_kind kind, size_t start, size_t size)
{
    struct json *j = r->json;
    if (j->count == JSON_MAX_VALUES)
        return refuse(r, "it has too many values");
    if (j->count == j->room) {
        uint32_t room = j->room ? 2 * j->room : 256;
        struct json_value *grown = realloc(j->value, room * sizeof *grown);
        if (!grown)
            return refuse(r, "it needs too much memory");
        j->value = grown;
        j->room = room;
    }
    j->value[j->count] = (struct json_value){(uint32_t)start, (uint32_t)size, j->count + 1, kind};
    j->count++;
    return true;
}

static int hex(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Four hexadecimal digits at `text`; -1 where they are none. */
static int32_t quad(const char *text, size_t left)
{
    int32_t value = 0;
    if (left < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex((unsigned char)text[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Bytes of the UTF-8 sequence at `p`; 0 where it is none (overlong, a surrogate, beyond U+10FFFF, cut off). */
static size_t sequence(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t count = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                   : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                   : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                  : 0;
    if (!count || left < count)
        return 0;
    for (size_t i = 1; i < count; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return count;
}

static bool read_escape(struct reader *r)
{
    r->at++;
    int c = peek(r);
    if (c == 'u') {
        if (quad(r->text + r->at + 1, r->size - r->at - 1) < 0)
            return refuse(r, "an escape is not four digits");
        r->at += 5;
        return true;
    }
    if (c < 0 || !strchr("\"\\/bfnrt", c) || !c)
        return refuse(r, "an escape is unknown");
    r->at++;
    return true;
}

static bool read_string(struct reader *r)
{
    size_t start = ++r->at;
    for (;;) {
        int c = peek(r);
        if (c < 0x20)
            return refuse(r, c < 0 ? "a string does not end" : "a string has a control character");
        if (c == '"')
            break;
        if (c == '\\') {
            if (!read_escape(r))
                return false;
            continue;
        }
        size_t count = sequence((const unsigned char *)r->text + r->at, r->size - r->at);
        if (!count)
            return refuse(r, "it is not UTF-8");
        r->at += count;
    }
    return add(r, JSON_STRING, start, r->at++ - start);
}

static size_t digits(struct reader *r)
{
    size_t start = r->at;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at - start;
}

static bool read_number(struct reader *r)
{
    size_t start = r->at;
    if (peek(r) == '-')
        r->at++;
    bool zero = peek(r) == '0';
    size_t whole = digits(r);
    if (!whole || (zero && whole > 1))
        return refuse(r, "a number is malformed");
    if (peek(r) == '.') {
        r->at++;
        if (!digits(r))
            return refuse(r, "a number is malformed");
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        if (!digits(r))
            return refuse(r, "a number is malformed");
    }
    return add(r, JSON_NUMBER, start, r->at - start);
}

static bool read_word(struct reader *r, const char *word, enum json_kind kind)
{
    size_t length = strlen(word);
    if (r->size - r->at < length || memcmp(r->text + r->at, word, length))
        return refuse(r, "a value is malformed");
    r->at += length;
    return add(r, kind, 0, 0);
}

/* A value; of an array or object, only its beginning. */
static bool read_begin(struct reader *r)
{
    switch (peek(r)) {
    case '"': return read_string(r);
    case '{':
    case '[': return add(r, r->text[r->at++] == '{' ? JSON_OBJECT : JSON_ARRAY, 0, 0);
    case 't': return read_word(r, "true", JSON_TRUE);
    case 'f': return read_word(r, "false", JSON_FALSE);
    case 'n': return read_word(r, "null", JSON_NULL);
    default: return read_number(r);
    }
}

static bool read_name(struct reader *r)
{
    if (peek(r) != '"')
        return refuse(r, "a member has no name");
    if (!read_string(r))
        return false;
    skip_space(r);
    if (peek(r) != ':')
        return refuse(r, "a member has no value");
    r->at++;
    skip_space(r);
    return true;
}

static bool read_document(struct reader *r)
{
    uint32_t open[JSON_MAX_DEPTH], depth = 0;
    struct json *j = r->json;
    skip_space(r);
    for (;;) {
        uint32_t number = j->count;
        if (!read_begin(r))
            return false;
        bool container = j->value[number].kind >= JSON_ARRAY;
        skip_space(r);
        if (container) {
            if (depth == JSON_MAX_DEPTH)
                return refuse(r, "it is nested too deeply");
            open[depth++] = number;
        }
        /* Close what ends here; the first member follows a bracket, others a comma. */
        bool first = container;
        while (depth) {
            bool object = j->value[open[depth - 1]].kind == JSON_OBJECT;
            if (peek(r) == (object ? '}' : ']')) {
                r->at++;
                j->value[open[--depth]].end = j->count;
                skip_space(r);
                first = false;
                continue;
            }
            if (!first) {
                if (peek(r) != ',')
                    return refuse(r, r->at == r->size ? "it is cut off" : "a comma is missing");
                r->at++;
                skip_space(r);
            }
            if (object && !read_name(r))
                return false;
            break;
        }
        if (!depth)
            break;
    }
    return r->at == r->size || refuse(r, "something follows the document");
}

bool json_read(struct json *json, const char *text, size_t size, char *error, size_t error_size)
{
    struct reader r = {json, text, size, 0, NULL};
    memset(json, 0, sizeof *json);
    json->text = text;
    if (size >= UINT32_MAX)
        refuse(&r, "it is too long");
    else if (read_document(&r))
        return true;
    snprintf(error, error_size, "%s, at byte %zu", r.wrong, r.at);
    json_free(json);
    return false;
}

void json_free(struct json *json)
{
    free(json->value);
    memset(json, 0, sizeof *json);
}

enum json_kind json_kind(const struct json *json, uint32_t value)
{
    return (enum json_kind)json->value[value].kind;
}

uint32_t json_first(const struct json *json, uint32_t parent)
{
    const struct json_value *v = &json->value[parent];
    return v->kind >= JSON_ARRAY && v->end > parent + 1 ? parent + 1 : 0;
}

uint32_t json_next(const struct json *json, uint32_t parent, uint32_t value)
{
    uint32_t next = json->value[value].end;
    return next < json->value[parent].end ? next : 0;
}

/* Decode the next character of a string; returns its bytes in UTF-8, 0 at the end, and -1 where it is a surrogate
   without its partner. */
static int decode(const struct json *json, const struct json_value *v, uint32_t *at, char out[4])
{
    const char *text = json->text + v->start;
    if (*at == v->size)
        return 0;
    if (text[*at] != '\\') {
        out[0] = text[(*at)++];
        return 1;
    }
    char c = text[*at + 1];
    *at += 2;
    if (c != 'u') {
        const char *from = "bfnrt", *found = strchr(from, c);
        out[0] = found ? "\b\f\n\r\t"[found - from] : c;
        return 1;
    }
    uint32_t point = (uint32_t)quad(text + *at, v->size - *at);
    *at += 4;
    if (point >= 0xd800 && point < 0xdc00 && v->size - *at >= 6 && text[*at] == '\\' && text[*at + 1] == 'u') {
        uint32_t low = (uint32_t)quad(text + *at + 2, v->size - *at - 2);
        if (low >= 0xdc00 && low < 0xe000) {
            point = 0x10000 + ((point - 0xd800) << 10 | (low - 0xdc00));
            *at += 6;
        }
    }
    if (point >= 0xd800 && point < 0xe000)
        return -1;
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    int count = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = count - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(lead[count] | point);
    return count;
}

bool json_string(const struct json *json, uint32_t value, char *text, size_t size)
{
    const struct json_value *v = &json->value[value];
    char piece[4];
    uint32_t at = 0;
    size_t used = 0;
    int count;
    if (v->kind != JSON_STRING)
        return false;
    while ((count = decode(json, v, &at, piece)) > 0) {
        if (!piece[0] || size - used <= (size_t)count)
            return false;
        memcpy(text + used, piece, (size_t)count);
        used += (size_t)count;
    }
    if (count < 0 || used == size)
        return false;
    text[used] = 0;
    return true;
}

bool json_is(const struct json *json, uint32_t value, const char *text)
{
    const struct json_value *v = &json->value[value];
    char piece[4];
    uint32_t at = 0;
    int count;
    if (v->kind != JSON_STRING)
        return false;
    while ((count = decode(json, v, &at, piece)) > 0)
        for (int i = 0; i < count; i++)
            if (!*text || *text++ != piece[i])
                return false;
    return count == 0 && !*text;
}

uint32_t json_get(const struct json *json, uint32_t object, const char *name)
{
    uint32_t found = 0;
    if (json_kind(json, object) != JSON_OBJECT)
        return 0;
    for (uint32_t i = json_first(json, object); i; i = json_next(json, object, i + 1)) {
        if (!json_is(json, i, name))
            continue;
        if (found)
            return 0;
        found = i + 1;
    }
    return found;
}

bool json_number(const struct json *json, uint32_t value, double *number)
{
    const struct json_value *v = &json->value[value];
    char text[64], *end;
    if (v->kind != JSON_NUMBER || v->size >= sizeof text)
        return false;
    memcpy(text, json->text + v->start, v->size);
    text[v->size] = 0;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the program's may have a comma for the point */
    if (!plain)
        return false;
    *number = strtod_l(text, &end, plain);
    freelocale(plain);
    return !*end && isfinite(*number);
}

bool json_integer(const struct json *json, uint32_t value, int64_t *number)
{
    double real;
    if (!json_number(json, value, &real) || real > 9007199254740992.0 || real < -9007199254740992.0)
        return false;
    *number = (int64_t)real;
    return (double)*number == real;
}
