#include <stdlib.h>
#include <string.h>

#include "json_fields.h"
#include "tokens.h"
#include "unicode.h"

enum { LONGEST_WORD = 1000, REPLACEMENT = 0xfffd };

struct piece {
    uint32_t at, size; /* in the texts; size 0: there is no token with this number */
};

struct word_pieces {
    bool clean, chinese, accents, lower;
    char prefix[TOKENS_MAX_BYTES + 1];
    uint32_t prefix_size, prefix_hash, longest, unknown;
    uint32_t count; /* of tokens */
    struct piece *piece;
    char *texts;
    uint32_t *slot, slots;  /* a token's number + 1; a power of two */
    uint32_t longest_bytes; /* of a token */
    /* The word that is being read, and where the marks that follow its last letter begin. */
    uint32_t letters, marks;
    uint32_t *letter, *found;
    uint8_t *order;
    char *bytes;
};

void word_pieces_free(struct word_pieces *w)
{
    if (!w)
        return;
    free(w->piece);
    free(w->texts);
    free(w->slot);
    free(w->letter);
    free(w->found);
    free(w->order);
    free(w->bytes);
    free(w);
}

uint32_t word_pieces_size(const struct word_pieces *w)
{
    return w->count;
}

/* FNV-1a. */
static uint32_t hashed(uint32_t hash, char byte)
{
    return (hash ^ (uint8_t)byte) * 16777619u;
}

static uint32_t hash_of(uint32_t hash, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = hashed(hash, text[i]);
    return hash;
}

static uint32_t slot_of(const struct word_pieces *w, uint32_t hash)
{
    return (hash ^ hash >> 15) & (w->slots - 1);
}

/* The token of `prefix` and `text` together; UINT32_MAX: none. */
static uint32_t find(const struct word_pieces *w, uint32_t hash, size_t prefix, const char *text, size_t size)
{
    for (uint32_t at = slot_of(w, hash); w->slot[at]; at = (at + 1) & (w->slots - 1)) {
        const struct piece *p = &w->piece[w->slot[at] - 1];
        if (p->size == prefix + size && !memcmp(w->texts + p->at, w->prefix, prefix) &&
            !memcmp(w->texts + p->at + prefix, text, size))
            return w->slot[at] - 1;
    }
    return UINT32_MAX;
}

static const uint32_t seed = 2166136261u;

/* False where it is there already, or there are too many with the same hash. */
static bool insert(struct word_pieces *w, uint32_t number)
{
    const struct piece *p = &w->piece[number];
    const char *text = w->texts + p->at;
    uint32_t at = slot_of(w, hash_of(seed, text, p->size));
    for (uint32_t probes = 0; w->slot[at]; at = (at + 1) & (w->slots - 1)) {
        const struct piece *other = &w->piece[w->slot[at] - 1];
        if (++probes == TOKENS_MAX_PROBES || (other->size == p->size && !memcmp(w->texts + other->at, text, p->size)))
            return false;
    }
    w->slot[at] = number + 1;
    return true;
}

static const char *read_vocabulary(struct word_pieces *w, const struct json *j, uint32_t list)
{
    char text[TOKENS_MAX_BYTES + 1];
    size_t bytes = 0, used = 0;
    if (!list || json_kind(j, list) != JSON_ARRAY)
        return "it has no vocabulary";
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i), w->count++)
        if (json_kind(j, i) != JSON_NULL) {
            if (w->count == TOKENS_MAX_COUNT || !json_string(j, i, text, sizeof text) || !*text)
                return "its vocabulary is damaged";
            bytes += strlen(text);
        }
    if (!w->count || w->count > TOKENS_MAX_COUNT)
        return "its vocabulary is empty or too large";
    for (w->slots = 16; w->slots < 4 * w->count;)
        w->slots *= 2;
    w->piece = calloc(w->count, sizeof *w->piece);
    w->slot = calloc(w->slots, sizeof *w->slot);
    if (!w->piece || !w->slot || !(w->texts = malloc(bytes + 1)))
        return "there is no memory for its vocabulary";
    uint32_t number = 0;
    for (uint32_t i = json_first(j, list); i; i = json_next(j, list, i), number++) {
        if (json_kind(j, i) == JSON_NULL || !json_string(j, i, text, sizeof text))
            continue;
        uint32_t size = (uint32_t)strlen(text);
        w->piece[number] = (struct piece){(uint32_t)used, size};
        memcpy(w->texts + used, text, size);
        used += size;
        w->longest_bytes = size > w->longest_bytes ? size : w->longest_bytes;
        if (!insert(w, number))
            return "its vocabulary has a token twice";
    }
    return NULL;
}

const char *word_pieces_read(struct word_pieces **made, const struct json *j, uint32_t value)
{
    struct word_pieces *w = calloc(1, sizeof *w);
    *made = w;
    if (!w)
        return "there is no memory for it";
    uint32_t prefix = json_get(j, value, "prefix");
    if (!json_flag(j, value, "clean", &w->clean) || !json_flag(j, value, "chinese", &w->chinese) ||
        !json_flag(j, value, "accents", &w->accents) || !json_flag(j, value, "lower", &w->lower) || !prefix ||
        !json_string(j, prefix, w->prefix, sizeof w->prefix) ||
        !json_whole(j, value, "longest", LONGEST_WORD, &w->longest) || !w->longest ||
        !json_whole(j, value, "unknown", TOKENS_MAX_COUNT, &w->unknown))
        return "a field is missing or damaged";
    w->prefix_size = (uint32_t)strlen(w->prefix);
    w->prefix_hash = hash_of(seed, w->prefix, w->prefix_size);
    w->letter = calloc(w->longest + 1, sizeof *w->letter);
    w->found = calloc(w->longest, sizeof *w->found);
    w->order = calloc(w->longest + 1, sizeof *w->order);
    w->bytes = malloc(4 * (size_t)w->longest);
    if (!w->letter || !w->found || !w->order || !w->bytes)
        return "there is no memory for it";
    const char *wrong = read_vocabulary(w, j, json_get(j, value, "vocabulary"));
    return wrong ? wrong : w->unknown >= w->count ? "a field is missing or damaged" : NULL;
}

/* The longest token at the beginning of `text`; `*size` gets its bytes, without the prefix. */
static uint32_t longest_piece(const struct word_pieces *w, bool goes_on, const char *text, size_t left, size_t *size)
{
    uint32_t hash = goes_on ? w->prefix_hash : seed, best = UINT32_MAX;
    size_t prefix = goes_on ? w->prefix_size : 0;
    for (size_t i = 1; i <= left && prefix + i <= w->longest_bytes; i++) {
        hash = hashed(hash, text[i - 1]);
        uint32_t number = find(w, hash, prefix, text, i);
        if (number != UINT32_MAX) {
            best = number;
            *size = i;
        }
    }
    return best;
}

/* The word's pieces become tokens; there is none then. */
static bool end_word(struct word_pieces *w, struct token_places *to)
{
    size_t size = 0, taken = 0;
    uint32_t count = 0, letters = w->letters;
    w->letters = w->marks = 0;
    if (!letters)
        return true;
    if (letters > w->longest)
        return token_put(to, w->unknown);
    for (uint32_t i = 0; i < letters; i++)
        size += unicode_put(w->letter[i], w->bytes + size);
    for (size_t at = 0; at < size; at += taken) {
        uint32_t number = longest_piece(w, at > 0, w->bytes + at, size - at, &taken);
        if (number == UINT32_MAX)
            return token_put(to, w->unknown);
        w->found[count++] = number;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!token_put(to, w->found[i]))
            return false;
    return true;
}

/* A character of the normalized text; `order` as unicode_order says, where decomposed marks have to be sorted. */
static bool add_letter(struct word_pieces *w, uint32_t c, uint32_t order, struct token_places *to)
{
    uint32_t flags = unicode_flags(c);
    if (flags & (UNICODE_SPACE | UNICODE_PUNCTUATION)) {
        if (!end_word(w, to) || flags & UNICODE_SPACE)
            return to->count < to->room;
        w->letter[w->letters++] = c;
        return end_word(w, to);
    }
    if (w->letters > w->longest)
        return true; /* too long to be known, whatever follows */
    uint32_t at = w->letters++;
    for (; order && at > w->marks && w->order[at - 1] > order; at--) {
        w->letter[at] = w->letter[at - 1];
        w->order[at] = w->order[at - 1];
    }
    w->letter[at] = c;
    w->order[at] = (uint8_t)order;
    return true;
}

/* In lower case, if that is asked for. */
static bool add_lower(struct word_pieces *w, uint32_t c, uint32_t order, struct token_places *to)
{
    uint32_t lower[UNICODE_MAX_PARTS] = {c}, count = w->lower ? unicode_lower(c, lower) : 1;
    for (uint32_t i = 0; i < count; i++)
        if (!add_letter(w, lower[i], order, to))
            return false;
    if (!order)
        w->marks = w->letters;
    return true;
}

/* Decomposed, without accents, if that is asked for. */
static bool add_parts(struct word_pieces *w, uint32_t c, struct token_places *to)
{
    uint32_t part[UNICODE_MAX_PARTS], count = unicode_parts(c, part);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t order = unicode_order(part[i]);
        if (!(unicode_flags(part[i]) & UNICODE_MARK)) {
            if (!add_lower(w, part[i], order, to))
                return false;
        } else if (!order) {
            w->marks = w->letters;
        }
    }
    return true;
}

static bool add_character(struct word_pieces *w, uint32_t c, struct token_places *to)
{
    uint32_t flags = unicode_flags(c);
    if (w->clean) {
        if (!c || c == REPLACEMENT || (flags & UNICODE_CONTROL && c != '\t' && c != '\n' && c != '\r'))
            return true;
        c = flags & UNICODE_SPACE ? ' ' : c;
    }
    bool alone = w->chinese && flags & UNICODE_IDEOGRAPH;
    if (alone && !end_word(w, to))
        return false;
    if (!(w->accents ? add_parts(w, c, to) : add_lower(w, c, 0, to)))
        return false;
    return !alone || end_word(w, to);
}

enum token_end word_pieces_add(struct word_pieces *w, const char *text, size_t size, struct token_places *to)
{
    uint32_t c;
    w->letters = w->marks = 0;
    for (size_t at = 0; at < size;) {
        at += unicode_next(text + at, size - at, &c);
        if (!add_character(w, c, to))
            return TOKENS_FULL;
    }
    return end_word(w, to) ? TOKENS_DONE : TOKENS_FULL;
}
