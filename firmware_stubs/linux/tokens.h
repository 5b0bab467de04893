/* Tokens: from a text to the numbers that a network of language takes, by the bundle's tokens.json.
 * edgekit/tasks/tokens is the same in Python, and says what each step does. */
#ifndef EDGEKIT_TOKENS_H
#define EDGEKIT_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"

enum { TOKENS_MAX_COUNT = 1 << 20, TOKENS_MAX_BYTES = 400, TOKENS_MAX_FILE = 64 << 20 };
enum { TOKENS_MAX_PROBES = 1000 };

/* Places for tokens. */
struct token_places {
    int32_t *id;
    uint32_t room, count;
};

/* False where there is no room: the rest of the text does not matter. */
static inline bool token_put(struct token_places *to, uint32_t id)
{
    if (to->count == to->room)
        return false;
    to->id[to->count++] = (int32_t)id;
    return true;
}

enum token_end {
    TOKENS_DONE,
    TOKENS_FULL, /* there is no room: the rest of the text does not matter */
    TOKENS_LONG, /* a word is too long */
};

/* A model: one of the two. Reading returns NULL, or what is wrong, with everything to be freed in any case. Texts whose
   tokens are added are UTF-8 and have no special tokens. */
struct word_pieces;
const char *word_pieces_read(struct word_pieces **made, const struct json *j, uint32_t value);
enum token_end word_pieces_add(struct word_pieces *w, const char *text, size_t size, struct token_places *to);
uint32_t word_pieces_size(const struct word_pieces *w);
void word_pieces_free(struct word_pieces *w);

struct byte_pairs;
const char *byte_pairs_read(struct byte_pairs **made, const struct json *j, uint32_t value);
enum token_end byte_pairs_add(struct byte_pairs *p, const char *text, size_t size, struct token_places *to);
uint32_t byte_pairs_size(const struct byte_pairs *p);
void byte_pairs_free(struct byte_pairs *p);

struct tokens;

/* Read a tokenizer. On failure return false and leave one line in `error`; there is nothing to free then. */
bool tokens_read(struct tokens **made, const char *text, size_t size, char *error, size_t error_size);
void tokens_free(struct tokens *t);

/* The tokens' numbers are below it. */
uint32_t tokens_size(const struct tokens *t);

/* Fill `length` places with the tokens of a text, and what they leave with the token that fills; `*used` are those
   that are not filled so. Nothing is allocated. Returns NULL, or what is wrong with the text. */
const char *tokens_encode(struct tokens *t, const char *text, size_t size, int32_t *id, uint32_t length,
                          uint32_t *used);

#endif
