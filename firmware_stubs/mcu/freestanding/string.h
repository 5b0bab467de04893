/* The part of C's string.h that memory.c defines, for compilers without a C library. */
#ifndef EK_STRING_H
#define EK_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *first, const void *second, size_t count);
size_t strlen(const char *text);

#endif
