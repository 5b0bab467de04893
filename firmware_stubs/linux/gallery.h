/* Labelled vectors that others are compared with. edgekit/tasks/gallery.py describes the file. */
#ifndef EDGEKIT_GALLERY_H
#define EDGEKIT_GALLERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GALLERY_MAX_VECTORS = 1 << 16, GALLERY_MAX_SIZE = 4096, GALLERY_MAX_ELEMENTS = 1 << 23 };
enum { GALLERY_MAX_FILE = 24 + 4 * GALLERY_MAX_ELEMENTS + GALLERY_MAX_VECTORS * 205 };

struct gallery {
    uint32_t vectors, size, labels;
    float *vector;      /* [vectors][size], of unit length */
    uint32_t *number;   /* of each vector's label */
    const char **label; /* into `text` */
    char *text;
};

/* Copy a gallery from a file that is not trusted. False where it is damaged, or there is no memory; it is to be freed
   in any case. */
bool gallery_read(struct gallery *gallery, const uint8_t *bytes, size_t size);
void gallery_free(struct gallery *gallery);

#endif
