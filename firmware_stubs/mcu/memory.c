/* The functions that a compiler calls even in freestanding code, and strlen: a firmware is linked without a C library.
   Compile with -fno-builtin and -fno-tree-loop-distribute-patterns, or they call themselves. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* May alias anything. */
typedef uint32_t __attribute__((may_alias)) word;

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 3) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    if (aligned(d, s)) {
        for (; count >= 16; count -= 16, d += 16, s += 16) {
            const word *ws = (const word *)(const void *)s;
            word *wd = (word *)(void *)d;
            word a = ws[0], b = ws[1], c = ws[2], e = ws[3];
            wd[0] = a;
            wd[1] = b;
            wd[2] = c;
            wd[3] = e;
        }
        for (; count >= 4; count -= 4, d += 4, s += 4)
            *(word *)(void *)d = *(const word *)(const void *)s;
    }
    while (count--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= count)
        return memcpy(to, from, count);
    if (aligned(d + count, s + count))
        for (; count >= 4; count -= 4)
            *(word *)(void *)(d + count - 4) = *(const word *)(const void *)(s + count - 4);
    while (count--)
        d[count] = s[count];
    return to;
}

void *memset(void *to, int value, size_t count)
{
    uint8_t *d = to, byte = (uint8_t)value;
    word four = byte * 0x01010101u;
    for (; count && ((uintptr_t)d & 3); count--)
        *d++ = byte;
    for (; count >= 4; count -= 4, d += 4)
        *(word *)(void *)d = four;
    while (count--)
        *d++ = byte;
    return to;
}

int memcmp(const void *first, const void *second, size_t count)
{
    const uint8_t *a = first, *b = second;
    for (; count; count--, a++, b++)
        if (*a != *b)
            return *a < *b ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}
