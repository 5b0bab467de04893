/* From a detector's outputs to boxes in a picture. edgekit/tasks/detection.py is the same in Python, bit for bit, and
 * edgekit/tasks/head.py says what each field means.
 */
#ifndef EDGEKIT_DETECTION_H
#define EDGEKIT_DETECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edgekit.h"
#include "picture.h"

enum { DETECTION_MAX_ROWS = 1 << 20, DETECTION_MAX_PARTS = 32, DETECTION_MAX_BINS = 64, DETECTION_MAX_ANCHORS = 64 };
enum { DETECTION_MAX_COLUMNS = 65536, DETECTION_MAX_FOUND = 10000 };
enum detection_coding { CODE_CENTER, CODE_CORNERS, CODE_DISTANCES, CODE_YOLO5, CODE_SSD, CODE_BLAZEFACE };
enum detection_order { ORDER_ROWS, ORDER_COLUMNS, ORDER_ANCHORS };
enum detection_scores { SCORE_PROBABILITIES, SCORE_LOGITS, SCORE_SOFTMAX };

/* An output, as the network has written it. */
struct detection_output {
    const struct edgekit_tensor *tensor;
    const void *data;
};

/* Rows in one output: cells * anchors of them, which lie `row` elements (of the next cell) and `anchor` elements (of
   the cell's next anchor) apart; the numbers of a row are `column` apart. */
struct detection_part {
    uint32_t output, cells, anchors, columns;
    size_t row, anchor, column;
};

/* Center, size, and the cell's size, in pixels of the input. */
struct detection_anchor {
    double x, y, width, height, step_x, step_y;
};

struct detection_candidate {
    double box[4]; /* left, top, right, bottom */
    double score;
    uint32_t row, number;
    bool gone;
};

struct detector {
    enum detection_coding coding;
    enum detection_scores scores;
    bool yx, objectness, background, agnostic, weighted;
    double unit[2], variance[4];
    double least, overlap;
    uint32_t bins, classes, most, rows, first_score;
    struct detection_part boxes[DETECTION_MAX_PARTS], scored[DETECTION_MAX_PARTS];
    uint32_t box_parts, score_parts;
    struct detection_anchor *anchor;       /* [rows]; NULL where boxes are decoded already */
    struct detection_candidate *candidate; /* [rows] */
};

/* Steps of a part in memory. */
void detection_lay(struct detection_part *part, enum detection_order order);

/* Write at most `most` detections, the highest score first; returns how many there are. `place` says where in the
   network's input the picture of `width` x `height` pixels lies. Labels are left alone. */
uint32_t detection_run(struct detector *d, const struct detection_output *outputs, const struct picture_place *place,
                       uint32_t width, uint32_t height, struct edgekit_detection *found, uint32_t most);
void detection_free(struct detector *d);

#endif
