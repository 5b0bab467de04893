/* Loops that were measured on boards, as a network of one step. */
#ifndef LOOPS_MODEL_H
#define LOOPS_MODEL_H

#include "ek_model.h"

#define LOOPS_ARENA_BYTES 67856
#define LOOPS_STEPS 1

extern const struct ek_model loops_model;

#endif
