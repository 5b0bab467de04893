/* From a picture of any size to a network's input: fit, colors, and values. edgekit/tasks/picture.py is the same in
 * Python, bit for bit, and says what each step computes.
 */
#ifndef EDGEKIT_PICTURE_H
#define EDGEKIT_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edgekit.h"

enum { PICTURE_MAX_CHANNELS = 3, PICTURE_MAX_SIDE = 32768, PICTURE_MAX_LONG = 1 << 20 };
#define PICTURE_MAX_PIXELS 64000000
enum picture_fit { FIT_STRETCH, FIT_CROP, FIT_LETTERBOX, FIT_PAD };

/* What a network takes, and how a picture becomes that. */
struct picture_input {
    uint32_t width, height, channels;
    bool channels_first, bgr;
    enum picture_fit fit;
    uint32_t short_side; /* of the picture before it is cropped; 0: as large as the network's input needs */
    uint8_t fill;        /* around a picture in a letterbox, or that is padded */
    size_t element;      /* bytes */
    uint8_t *values;     /* [channels][256][element]: what each byte of a pixel becomes */
};

/* Where each position of a resized side comes from, and the weights, times 2^22. */
struct picture_axis {
    uint32_t count, taps;
    uint32_t *first, *used;
    int32_t *weight; /* [count][taps] */
    int32_t *around; /* [count]: what lies beside the picture, times its weights */
};

/* Where in the resized picture the network's input lies. */
struct picture_place {
    uint32_t width, height; /* of the resized picture */
    uint32_t left, top;     /* what is cut off there */
    uint32_t x, y;          /* where in the input it begins */
    uint32_t kept_width, kept_height;
    uint32_t pad_x, pad_y;     /* what was added at the picture's left and top before it was resized */
    uint32_t whole_x, whole_y; /* its size with that */
};

/* Memory for pictures of one size; made again where the size changes. */
struct picture_room {
    uint32_t width, height; /* of the picture */
    struct picture_place place;
    struct picture_axis across, down;
    uint8_t *row, *rows; /* one row of the picture, [width][channels]; [height][kept width][channels] */
};

void picture_place(const struct picture_input *input, uint32_t width, uint32_t height, struct picture_place *place);

/* Write a picture to a network's input; false, with one line in `error`, where that is not possible. */
bool picture_set(const struct picture_input *input, struct picture_room *room, const struct edgekit_picture *picture,
                 void *to, char *error, size_t error_size);
void picture_free(struct picture_room *room);

#endif
