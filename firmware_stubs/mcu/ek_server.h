/* The firmware's side of the protocol: commands and answers in frames (ek_frame.h). Payloads are words of four bytes:
 *
 * HELLO    answer: protocol, ABI, most bytes of a payload, clock in Hz (0: the board's clock does not work), arena
 *          bytes, inputs, outputs, steps, stack bytes, four zeros; then the digest (32 bytes) and the name. The
 *          frame's session is taken over.
 * SIZE     0 for an input or 1 for an output, index; answer: bytes
 * RESET    the initial state
 * WRITE    input, offset, then bytes
 * PLACE    input, offset in the samples' memory: copies a whole input. Only in an emulated machine.
 * RUN      1 to observe the steps, else 0; answer: cycles, two words, the low half first
 * READ     output, offset, count; answer: bytes
 * STEPS    first step, count; answer: cycles of these steps in the last observed run
 * STACK    answer: the most bytes of stack that were in use since the start
 *
 * When it starts, the firmware sends READY by itself, in session 0. All answers but HELLO's are EK_NO_SESSION if the
 * session is not the one of the last HELLO: the processor was reset since. A command that comes a second time (same
 * sequence number) is answered as the first time, and not executed again. */
#ifndef EK_SERVER_H
#define EK_SERVER_H

#include "ek_model.h"

#define EK_PROTOCOL 1u

enum ek_command {
    EK_HELLO = 1,
    EK_SIZE,
    EK_RESET,
    EK_WRITE,
    EK_RUN,
    EK_READ,
    EK_STEPS,
    EK_STACK,
    EK_PLACE,
    EK_READY = 0x7e, /* answer only: the processor has started */
    EK_FAULT = 0x7f  /* answer only: the processor stopped; word: where */
};

enum ek_status { EK_OK, EK_UNKNOWN, EK_WRONG, EK_NO_SESSION, EK_FAULTED };

struct ek_server {
    const struct ek_model *model;
    const uint8_t *digest; /* 32 bytes */
    uint32_t clock_hz;
    uint8_t *arena;
    uint32_t *step_cycles; /* one of each step */
};

/* Answers for ever. */
void ek_serve(const struct ek_server *server);

/* Emulators watch these addresses: the beginning and the end of an observed run, and each step in between. */
void ek_observe_begin(void);
void ek_observe_end(void);
void ek_observe_step(void *context);

#endif
