#include <stdlib.h>
#include <string.h>

#include "json_fields.h"
#include "tokens.h"
#include "unicode.h"

enum { MAX_PAIRS = 600000, LONGEST = 8192, BYTES = 256 };
enum { KINDS = UNICODE_LETTER | UNICODE_NUMBER | UNICODE_GAP };

struct pair {
    uint32_t left, right, joined, rank; /* rank UINT32_MAX: the slot is free */
};

struct byte_pairs {
    bool space;
    uint32_t size, byte[BYTES];
    struct pair *slot;
    uint32_t slots; /* a power of two */
    /* The word that is being read, and what joins each of its tokens with the next. */
    uint32_t id[LONGEST];
    const struct pair *next[LONGEST];
};

static const struct pair none = {0, 0, 0, UINT32_MAX};

void byte_pairs_free(struct byte_pairs *p)
{
    if (!p)
        return;
    free(p->slot);
    free(p);
}

uint32_t byte_pairs_size(const struct byte_pairs *p)
{
    return p->size;
}

static uint32_t slot_of(const struct byte_pairs *p, uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32) & (p->slots - 1);
}

static const struct pair *find(const struct byte_pairs *p, uint32_t left, uint32_t right)
{
    for (uint32_t at = slot_of(p, left, right); p->slot[at].rank != UINT32_MAX; at = (at + 1) & (p->slots - 1))
        if (p->slot[at].left == left && p->slot[at].right == right)
            return &p->slot[at];
    return &none;
}

/* False where it is there already, or there are too many with the same hash. */
static bool insert(struct byte_pairs *p, const struct pair *pair)
{
    uint32_t at = slot_of(p, pair->left, pair->right), probes = 0;
    for (; p->slot[at].rank != UINT32_MAX; at = (at + 1) & (p->slots - 1))
        if (++probes == TOKENS_MAX_PROBES || (p->slot[at].left == pair->left && p->slot[at].right == pair->right))
            return false;
    p->slot[at] = *pair;
    return true;
}

/* The next of a list of tokens; `i` goes on. */
static bool take(const struct byte_pairs *p, const struct json *j, uint32_t list, uint32_t *i, uint32_t *to)
{
    int64_t number;
    if (!*i || !json_integer(j, *i, &number) || number < 0 || number >= p->size)
        return false;
    *to = (uint32_t)number;
    *i = json_next(j, list, *i);
    return true;
}

static const char *read_pairs(struct byte_pairs *p, const struct json *j, uint32_t list)
{
    uint32_t numbers = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return "it has no pairs";
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i))
        numbers++;
    if (numbers > 3 * MAX_PAIRS || numbers % 3)
        return "its pairs are damaged, or too many";
    for (p->slots = 16; p->slots < numbers;) /* three slots for each, or more */
        p->slots *= 2;
    if (!(p->slot = malloc(p->slots * sizeof *p->slot)))
        return "there is no memory for its pairs";
    for (uint32_t i = 0; i < p->slots; i++)
        p->slot[i] = none;
    uint32_t rank = 0;
    for (uint32_t i = json_first(j, list); i;) {
        struct pair pair = {.rank = rank++};
        if (!take(p, j, list, &i, &pair.left) || !take(p, j, list, &i, &pair.right) ||
            !take(p, j, list, &i, &pair.joined) || !insert(p, &pair))
            return "its pairs are damaged";
    }
    return NULL;
}

const char *byte_pairs_read(struct byte_pairs **made, const struct json *j, uint32_t value)
{
    struct byte_pairs *p = calloc(1, sizeof *p);
    *made = p;
    if (!p)
        return "there is no memory for it";
    uint32_t list = json_get(j, value, "bytes"), count = 0;
    if (!json_flag(j, value, "space", &p->space) || !json_whole(j, value, "size", TOKENS_MAX_COUNT, &p->size) ||
        !list || json_kind(j, list) != JSON_ARRAY)
        return "a field is missing or damaged";
    for (uint32_t i = json_first(j, list); i; count++)
        if (count == BYTES || !take(p, j, list, &i, &p->byte[count]))
            return "a field is missing or damaged";
    return count == BYTES ? read_pairs(p, j, json_get(j, value, "pairs")) : "a field is missing or damaged";
}

static void join_next(struct byte_pairs *p, uint32_t i, uint32_t count)
{
    p->next[i] = i + 1 < count ? find(p, p->id[i], p->id[i + 1]) : &none;
}

/* The bytes of a word, after a space if it is `spaced`, become tokens: the pair that was learned first is joined, as
 * long as there is one. */
static enum token_end add_word(struct byte_pairs *p, bool spaced, const char *text, size_t size,
                               struct token_places *to)
{
    if (to->count == to->room)
        return TOKENS_FULL;
    if (size + spaced > LONGEST)
        return TOKENS_LONG;
    uint32_t count = 0;
    if (spaced)
        p->id[count++] = p->byte[' '];
    for (size_t i = 0; i < size; i++)
        p->id[count++] = p->byte[(uint8_t)text[i]];
    for (uint32_t i = 0; i < count; i++)
        join_next(p, i, count);
    for (;;) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < count; i++)
            if (p->next[i]->rank < p->next[best]->rank)
                best = i;
        if (p->next[best]->rank == UINT32_MAX)
            break;
        p->id[best] = p->next[best]->joined;
        count--;
        memmove(p->id + best + 1, p->id + best + 2, (count - best - 1) * sizeof *p->id);
        memmove(p->next + best + 1, p->next + best + 2, (count - best - 1) * sizeof *p->next);
        if (best)
            join_next(p, best - 1, count);
        join_next(p, best, count);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!token_put(to, p->id[i]))
            return TOKENS_FULL;
    return TOKENS_DONE;
}

/* The kind of the character at `at`, which is not the end; `*next` is where the one after it begins. */
static uint32_t kind_at(const char *text, size_t at, size_t size, size_t *next)
{
    uint32_t c = 0;
    *next = at + unicode_next(text + at, size - at, &c);
    return unicode_flags(c) & KINDS;
}

/* Where the characters end that are of the kind of the first; `*last` is where the last of them begins. */
static size_t run(const char *text, size_t start, size_t size, size_t *last)
{
    size_t end, next;
    uint32_t kind = kind_at(text, start, size, &end);
    *last = start;
    while (end < size && kind_at(text, end, size, &next) == kind) {
        *last = end;
        end = next;
    }
    return end;
}

/* Where the word ends that begins at `start`: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
 * ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t word_end(const char *text, size_t start, size_t size)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    size_t last, next;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);
        if (size - start >= length && !memcmp(text + start, endings[i], length))
            return start + length;
    }
    size_t first = start + (text[start] == ' ');
    if (first < size && !(kind_at(text, first, size, &next) & UNICODE_GAP))
        return run(text, first, size, &last);
    size_t end = run(text, start, size, &last);
    return end == size || last == start ? end : last;
}

enum token_end byte_pairs_add(struct byte_pairs *p, const char *text, size_t size, struct token_places *to)
{
    size_t start = 0, last, next;
    if (p->space && size && *text != ' ') { /* as if the text began with a space */
        start = run(text, 0, size, &last);
        if (kind_at(text, 0, size, &next) & UNICODE_GAP && start < size)
            start = last;
        enum token_end done = add_word(p, true, text, start, to);
        if (done != TOKENS_DONE)
            return done;
    }
    while (start < size) {
        size_t end = word_end(text, start, size);
        enum token_end done = add_word(p, false, text + start, end - start, to);
        if (done != TOKENS_DONE)
            return done;
        start = end;
    }
    return TOKENS_DONE;
}
