#include "unicode.h"

#include "unicode_tables.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Of the algorithm in Unicode's section 3.12. */
enum { HANGUL = 0xac00, LEADS = 0x1100, VOWELS = 0x1161, TAILS = 0x11a7 };
enum { SYLLABLES = 11172, PER_LEAD = 588, PER_VOWEL = 28 };

size_t unicode_next(const char *text, size_t left, uint32_t *point)
{
    const uint8_t *p = (const uint8_t *)text;
    uint32_t c = p[0];
    size_t count = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (!count || left < count)
        return 0;
    c &= count == 1 ? 0x7fu : 0x7fu >> count;
    for (size_t i = 1; i < count; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[count] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *point = c;
    return count;
}

size_t unicode_put(uint32_t point, char *to)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = count - 1; i > 0; i--, point >>= 6)
        to[i] = (char)(0x80 | (point & 0x3f));
    to[0] = (char)(lead[count] | point);
    return count;
}

/* The value of the last range that begins at `point` or before it. */
static uint32_t in_ranges(const uint32_t *ranges, size_t count, uint32_t point)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (ranges[middle] >> 8 <= point)
            low = middle;
        else
            high = middle;
    }
    return ranges[low] & 255;
}

/* What a character becomes: itself, if it is not among `of`. */
static uint32_t changed(const uint32_t *of, size_t count, const uint16_t *at, const uint32_t *changes, uint32_t point,
                        uint32_t to[UNICODE_MAX_PARTS])
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (of[middle] < point)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count || of[low] != point) {
        to[0] = point;
        return 1;
    }
    uint32_t made = 0;
    for (uint32_t i = at[low]; i < at[low + 1] && made < UNICODE_MAX_PARTS; i++)
        to[made++] = changes[i];
    return made;
}

uint32_t unicode_flags(uint32_t point)
{
    return in_ranges(unicode_flags_of, COUNT(unicode_flags_of), point);
}

uint32_t unicode_order(uint32_t point)
{
    return in_ranges(unicode_orders, COUNT(unicode_orders), point);
}

uint32_t unicode_parts(uint32_t point, uint32_t to[UNICODE_MAX_PARTS])
{
    uint32_t number = point - HANGUL;
    if (point < HANGUL || number >= SYLLABLES)
        return changed(unicode_parts_of, COUNT(unicode_parts_of), unicode_parts_at, unicode_parts_to, point, to);
    to[0] = LEADS + number / PER_LEAD;
    to[1] = VOWELS + number % PER_LEAD / PER_VOWEL;
    to[2] = TAILS + number % PER_VOWEL;
    return number % PER_VOWEL ? 3 : 2;
}

uint32_t unicode_lower(uint32_t point, uint32_t to[UNICODE_MAX_PARTS])
{
    return changed(unicode_lower_of, COUNT(unicode_lower_of), unicode_lower_at, unicode_lower_to, point, to);
}
