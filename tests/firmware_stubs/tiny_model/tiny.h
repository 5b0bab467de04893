/* A network of two steps with exact arithmetic: what the firmware is tested with. */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include "ek_model.h"

#define TINY_ARENA_BYTES 4128
#define TINY_STEPS 2

extern const struct ek_model tiny_model;

#endif
