/* What characters are, and what becomes of them: edgekit/tasks/tokens/unicode.py is the same in Python. */
#ifndef EDGEKIT_UNICODE_H
#define EDGEKIT_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum unicode_flag {
    UNICODE_CONTROL = 1,     /* removed from a text that is cleaned */
    UNICODE_SPACE = 2,       /* ends a word */
    UNICODE_PUNCTUATION = 4, /* a word of its own */
    UNICODE_IDEOGRAPH = 8,   /* Chinese: a word of its own, too */
    UNICODE_MARK = 16,       /* an accent that stands alone, behind its letter */
    UNICODE_LETTER = 32,
    UNICODE_NUMBER = 64,
    UNICODE_GAP = 128, /* \s of byte-level tokenizers */
};
enum { UNICODE_MAX_PARTS = 4 };

/* The character at `text`; returns its bytes, 0 where it is not UTF-8. */
size_t unicode_next(const char *text, size_t left, uint32_t *point);
/* Write a character; returns its bytes. */
size_t unicode_put(uint32_t point, char *to);

uint32_t unicode_flags(uint32_t point);
/* The combining class, numbered; 0: it begins something new. */
uint32_t unicode_order(uint32_t point);
/* Canonical decomposition of one character; returns how many it becomes. */
uint32_t unicode_parts(uint32_t point, uint32_t to[UNICODE_MAX_PARTS]);
/* The character in lower case, by itself. */
uint32_t unicode_lower(uint32_t point, uint32_t to[UNICODE_MAX_PARTS]);

#endif
