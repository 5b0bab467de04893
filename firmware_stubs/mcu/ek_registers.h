/* Access to a chip's peripheral registers. C99, freestanding. */
#ifndef EK_REGISTERS_H
#define EK_REGISTERS_H

#include <stdint.h>

/* How often a flag is read before its clock or supply is given up: longer than any of them takes to settle, even with a
   processor at several hundred MHz. */
#define EK_POLLS 1000000u

static inline volatile uint32_t *ek_register(uint32_t address)
{
    return (volatile uint32_t *)(uintptr_t)address;
}

static inline uint32_t ek_read(uint32_t address)
{
    return *ek_register(address);
}

static inline void ek_write(uint32_t address, uint32_t value)
{
    *ek_register(address) = value;
}

/* Changes the bits of `mask` to those of `value`. */
static inline void ek_change(uint32_t address, uint32_t mask, uint32_t value)
{
    ek_write(address, (ek_read(address) & ~mask) | value);
}

static inline void ek_set(uint32_t address, uint32_t bits)
{
    ek_change(address, 0, bits);
}

/* Waits until the bits of `mask` are those of `value`. Returns 0 if they never are. */
static inline int ek_wait(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t polls = 0; polls < EK_POLLS; polls++)
        if ((ek_read(address) & mask) == value)
            return 1;
    return 0;
}

#endif
