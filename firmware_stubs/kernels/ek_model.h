/* What a network compiled to C looks like from outside: model.h of every network declares one `struct ek_model`.

   C99, freestanding. The network allocates nothing and has no mutable state of its own: all of it lies in an instance
   and in the instance's arena, so that several networks, and several instances of one, live side by side. */
#ifndef EK_MODEL_H
#define EK_MODEL_H

#include <stdint.h>

#define EK_MODEL_ABI 1
#define EK_ARENA_ALIGNMENT 16

/* A network at work. `tick`, where not NULL, is called before the first step of a run and after each:
   steps + 1 times. Set it after `init`. */
struct ek_instance {
    uint8_t *arena;
    void (*tick)(void *context);
    void *context;
};

struct ek_step {
    const char *name;
    /* Index of the operator in model.tflite that the step computes; -1: none. */
    int32_t node;
};

struct ek_model {
    uint32_t abi;
    const char *name;
    uint32_t inputs, outputs, steps;
    const uint32_t *input_bytes, *output_bytes; /* of one sample */
    uint32_t arena_bytes;
    const struct ek_step *step; /* in the order in which they run */

    /* Starts an instance, and starts it over: streaming networks forget what they heard. The arena is aligned to
       EK_ARENA_ALIGNMENT bytes. */
    void (*init)(struct ek_instance *instance, void *arena);

    /* Where the caller writes an input before every run, which overwrites it, and where it reads an output, which
       stays until the next input is written. Little-endian, in the network's own types. */
    void *(*input)(const struct ek_instance *instance, uint32_t index);
    const void *(*output)(const struct ek_instance *instance, uint32_t index);

    void (*run)(struct ek_instance *instance);
};

#endif
