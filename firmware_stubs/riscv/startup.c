/* Start-up of 32-bit RISC-V processors in machine mode.
   Source: The RISC-V Instruction Set Manual, volume II, Privileged Architecture, version 20211203. */
#include "ek_config.h"
#include "ek_port.h"

#include <string.h>

#define PAINT 0xc0dec0deu

/* The linker script's: addresses, not objects. */
extern uint32_t ek_data_from[], ek_data_begin[], ek_data_end[], ek_bss_begin[], ek_bss_end[];

int main(void);
void ek_start(void);
void ek_trap(void);

/* The first instruction: there is no stack yet. */
__asm(".section .vectors, \"ax\"\n"
      ".globl ek_reset\n"
      "ek_reset:\n"
      ".option push\n"
      ".option norelax\n"
      "    la sp, ek_stack_top\n"
      ".option pop\n"
      "    la t0, ek_trap\n"
      "    csrw mtvec, t0\n"
      "    j ek_start\n"
      ".text\n");

/* Some processors know only a table of vectors, aligned to its 256 bytes: exceptions come to its beginning. */
__attribute__((aligned(256))) void ek_trap(void)
{
    uint32_t where;
    __asm volatile("csrr %0, mepc" : "=r"(where));
    ek_fault(where);
}

__attribute__((noreturn)) void ek_start(void)
{
    memcpy(ek_data_begin, ek_data_from, (size_t)((uintptr_t)ek_data_end - (uintptr_t)ek_data_begin));
    memset(ek_bss_begin, 0, (size_t)((uintptr_t)ek_bss_end - (uintptr_t)ek_bss_begin));
    uint32_t *top;
    __asm volatile("mv %0, sp" : "=r"(top));
    for (uint32_t *paint = ek_stack_low; paint < top - 16; paint++)
        *paint = PAINT;
    main();
    for (;;) {
    }
}
