/* State in a TFLite flatbuffer: variable tensors (of an SVDF or LSTM), and whether there are handles of resource
 * variables.
 *
 * LiteRT 2.3's loader refuses any model with a variable tensor, though the interpreter below it runs them. So
 * the flags are cleared while the model is loaded and set again before it is compiled: the interpreter is
 * built from the same memory (LiteRT keeps a pointer to the buffer) and sees them.
 */
#ifndef EDGEKIT_VARIABLES_H
#define EDGEKIT_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VARIABLES_MAX = 4096 };

struct variables {
    size_t count;
    size_t flag[VARIABLES_MAX]; /* byte offset of each tensor's is_variable in the model */
    bool resources;             /* there are handles of resource variables */
};

/* Find them; what is not a sound flatbuffer yields none (LiteRT then says what is wrong). */
void variables_find(struct variables *variables, const uint8_t *model, size_t size);

/* Write `value` (0 or 1) to every flag. */
void variables_set(const struct variables *variables, uint8_t *model, uint8_t value);

#endif
