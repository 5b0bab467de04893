#include "picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 22 }; /* of the weights' fractions, as in Pillow's Resample.c */

static uint32_t rounded(uint64_t number, uint64_t divisor)
{
    return (uint32_t)((2 * number + divisor) / (2 * divisor));
}

static uint32_t at_least(uint32_t value, uint32_t least)
{
    return value < least ? least : value;
}

/* Half of what is too much, halves to the even number. */
static uint32_t half(uint32_t much)
{
    return much / 2 + (much % 4 == 3);
}

void picture_place(const struct picture_input *in, uint32_t width, uint32_t height, struct picture_place *p)
{
    /* True if the network's input is at least as wide, compared with its height, as the picture is. */
    bool wide = (uint64_t)in->width * height >= (uint64_t)in->height * width;
    *p = (struct picture_place){.width = in->width, .height = in->height, .whole_x = width, .whole_y = height};
    if (in->fit == FIT_PAD) {
        if (wide)
            p->whole_x = at_least(rounded((uint64_t)height * in->width, in->height), width);
        else
            p->whole_y = at_least(rounded((uint64_t)width * in->height, in->width), height);
        p->pad_x = (p->whole_x - width) / 2;
        p->pad_y = (p->whole_y - height) / 2;
    } else if (in->fit == FIT_CROP && in->short_side) {
        bool upright = width <= height;
        p->width = upright ? in->short_side : (uint32_t)((uint64_t)in->short_side * width / height);
        p->height = upright ? (uint32_t)((uint64_t)in->short_side * height / width) : in->short_side;
    } else if (in->fit != FIT_STRETCH) {
        if (wide == (in->fit == FIT_CROP))
            p->height = rounded((uint64_t)height * in->width, width);
        else
            p->width = rounded((uint64_t)width * in->height, height);
    }
    if (in->fit == FIT_CROP) {
        p->width = at_least(p->width, in->width);
        p->height = at_least(p->height, in->height);
        p->left = half(p->width - in->width);
        p->top = half(p->height - in->height);
    } else {
        p->width = at_least(p->width, 1);
        p->height = at_least(p->height, 1);
        p->x = (in->width - p->width) / 2;
        p->y = (in->height - p->height) / 2;
    }
    p->kept_width = p->width < in->width ? p->width : in->width;
    p->kept_height = p->height < in->height ? p->height : in->height;
}

static double triangle(double x)
{
    x = x < 0 ? -x : x;
    return x < 1 ? 1 - x : 0;
}

static void free_axis(struct picture_axis *a)
{
    free(a->first);
    free(a->used);
    free(a->weight);
    free(a->around);
    memset(a, 0, sizeof *a);
}

/* Where along a side the picture begins, its size, the whole that is resized, and what is beside the picture in it. */
struct side {
    uint32_t before, size, whole;
    uint8_t fill;
};

/* The weights of one position of the result. */
static void make_position(struct picture_axis *a, uint32_t i, const struct side *side, double scale, double *exact)
{
    double width = scale < 1 ? 1 : scale, center = (i + 0.5) * scale, sum = 0;
    double low = center - width + 0.5, high = center + width + 0.5;
    uint32_t first = low < 0 ? 0 : (uint32_t)low, end = high > side->whole ? side->whole : (uint32_t)high;
    int32_t *weight = a->weight + (size_t)i * a->taps;
    for (uint32_t k = first; k < end; k++)
        sum += exact[k - first] = triangle((k - center + 0.5) * (1.0 / width));
    for (uint32_t k = first; k < end; k++) {
        int32_t rounded_weight = (int32_t)(exact[k - first] / sum * (1 << BITS) + 0.5);
        if (k < side->before || k - side->before >= side->size) {
            a->around[i] += rounded_weight * side->fill;
            continue;
        }
        if (!a->used[i])
            a->first[i] = k - side->before;
        weight[a->used[i]++] = rounded_weight;
    }
}

/* Weights of a triangle that is as wide as a pixel of the result, if that is larger than one of the picture. */
static bool make_axis(struct picture_axis *a, const struct side *side, uint32_t to)
{
    double scale = (double)side->whole / to, width = scale < 1 ? 1 : scale;
    uint32_t whole = (uint32_t)width;
    a->count = to;
    a->taps = 2 * (whole + (whole < width)) + 1;
    a->first = calloc(to, sizeof *a->first);
    a->used = calloc(to, sizeof *a->used);
    a->around = calloc(to, sizeof *a->around);
    a->weight = calloc((size_t)to * a->taps, sizeof *a->weight);
    double *exact = malloc(a->taps * sizeof *exact);
    bool ok = a->first && a->used && a->around && a->weight && exact;
    for (uint32_t i = 0; ok && i < to; i++)
        make_position(a, i, side, scale, exact);
    free(exact);
    return ok;
}

void picture_free(struct picture_room *room)
{
    free_axis(&room->across);
    free_axis(&room->down);
    free(room->row);
    free(room->rows);
    memset(room, 0, sizeof *room);
}

/* True if a side of the picture would be too long, with what is added to it or when it is resized. */
static bool too_narrow(const struct picture_input *in, uint32_t width, uint32_t height)
{
    struct picture_place p;
    picture_place(in, width, height, &p);
    return p.whole_x > PICTURE_MAX_LONG || p.whole_y > PICTURE_MAX_LONG || p.width > PICTURE_MAX_LONG ||
           p.height > PICTURE_MAX_LONG;
}

static bool make_room(const struct picture_input *in, struct picture_room *room, uint32_t width, uint32_t height)
{
    if (room->width == width && room->height == height)
        return true;
    picture_free(room);
    picture_place(in, width, height, &room->place);
    const struct picture_place *p = &room->place;
    room->row = malloc((size_t)width * in->channels);
    room->rows = malloc((size_t)height * room->place.kept_width * in->channels);
    if (!room->row || !room->rows ||
        !make_axis(&room->across, &(struct side){p->pad_x, width, p->whole_x, in->fill}, p->width) ||
        !make_axis(&room->down, &(struct side){p->pad_y, height, p->whole_y, in->fill}, p->height)) {
        picture_free(room);
        return false;
    }
    room->width = width;
    room->height = height;
    return true;
}

/* One byte of position `i` of a resized side. */
static uint8_t weighed(const struct picture_axis *a, uint32_t i, const uint8_t *from, size_t step)
{
    const int32_t *weight = a->weight + (size_t)i * a->taps;
    int32_t sum = (1 << (BITS - 1)) + a->around[i];
    for (uint32_t k = 0; k < a->used[i]; k++)
        sum += from[k * step] * weight[k];
    sum >>= BITS;
    return (uint8_t)(sum > 255 ? 255 : sum);
}

/* Bytes of a pixel, and where in it red, green and blue are. */
static const struct {
    uint32_t bytes, red, green, blue;
} forms[] = {{0, 0, 0, 0}, {3, 0, 1, 2}, {3, 2, 1, 0}, {1, 0, 0, 0}, {4, 0, 1, 2}, {4, 2, 1, 0}};

/* A row in the network's colors. */
static void read_row(const struct picture_input *in, const struct edgekit_picture *p, uint32_t y, uint8_t *to)
{
    const uint8_t *from = p->data + y * p->stride;
    uint32_t red = forms[p->pixels].red, green = forms[p->pixels].green, blue = forms[p->pixels].blue;
    for (uint32_t x = 0; x < p->width; x++, from += forms[p->pixels].bytes) {
        if (in->channels == 1) { /* ITU-R BT.601, as Pillow computes it */
            uint32_t luma = from[red] * 19595u + from[green] * 38470u + from[blue] * 7471u + 0x8000;
            *to++ = (uint8_t)(p->pixels == EDGEKIT_GREY ? *from : luma >> 16);
        } else {
            *to++ = from[in->bgr ? blue : red];
            *to++ = from[green];
            *to++ = from[in->bgr ? red : blue];
        }
    }
}

static void shrink_rows(const struct picture_input *in, struct picture_room *room, const struct edgekit_picture *p)
{
    const struct picture_axis *a = &room->across;
    uint32_t channels = in->channels;
    uint8_t *to = room->rows;
    for (uint32_t y = 0; y < p->height; y++) {
        read_row(in, p, y, room->row);
        for (uint32_t x = 0; x < room->place.kept_width; x++) {
            uint32_t i = x + room->place.left;
            const uint8_t *from = room->row + (size_t)a->first[i] * channels;
            for (uint32_t c = 0; c < channels; c++)
                *to++ = weighed(a, i, from + c, channels);
        }
    }
}

static void put(const struct picture_input *in, uint8_t *to, uint32_t x, uint32_t y, uint32_t c, uint8_t value)
{
    size_t pixel = (size_t)y * in->width + x;
    size_t at = in->channels_first ? (size_t)c * in->width * in->height + pixel : pixel * in->channels + c;
    memcpy(to + at * in->element, in->values + ((size_t)c * 256 + value) * in->element, in->element);
}

static void fill(const struct picture_input *in, uint8_t *to)
{
    for (uint32_t y = 0; y < in->height; y++)
        for (uint32_t x = 0; x < in->width; x++)
            for (uint32_t c = 0; c < in->channels; c++)
                put(in, to, x, y, c, in->fill);
}

static bool refuse(char *error, size_t size, const char *what)
{
    snprintf(error, size, "the picture %s", what);
    return false;
}

bool picture_set(const struct picture_input *in, struct picture_room *room, const struct edgekit_picture *p, void *to,
                 char *error, size_t error_size)
{
    if (p->size < sizeof *p || p->pixels < EDGEKIT_RGB || p->pixels > EDGEKIT_BGRA)
        return refuse(error, error_size, "has pixels of an unknown kind");
    if (!p->data || !p->width || !p->height || p->width > PICTURE_MAX_SIDE || p->height > PICTURE_MAX_SIDE ||
        (uint64_t)p->width * p->height > PICTURE_MAX_PIXELS)
        return refuse(error, error_size, "is empty, or too large");
    if (p->stride < (size_t)p->width * forms[p->pixels].bytes)
        return refuse(error, error_size, "has rows that are longer than their distance");
    if (too_narrow(in, p->width, p->height))
        return refuse(error, error_size, "is too narrow for the network's input");
    if (!make_room(in, room, p->width, p->height))
        return refuse(error, error_size, "needs more memory than there is");
    const struct picture_place *place = &room->place;
    const struct picture_axis *a = &room->down;
    size_t row = (size_t)place->kept_width * in->channels;
    shrink_rows(in, room, p);
    if (place->kept_width < in->width || place->kept_height < in->height)
        fill(in, to);
    for (uint32_t y = 0; y < place->kept_height; y++) {
        uint32_t i = y + place->top;
        const uint8_t *from = room->rows + a->first[i] * row;
        for (uint32_t x = 0; x < place->kept_width; x++)
            for (uint32_t c = 0; c < in->channels; c++)
                put(in, to, x + place->x, y + place->y, c, weighed(a, i, from++, row));
    }
    return true;
}
