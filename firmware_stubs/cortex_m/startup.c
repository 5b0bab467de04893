/* Start-up of Cortex-M processors: vectors, FPU and MVE, caches, memory, stack.
   Sources: Armv6-M, Armv7-M and Armv8-M Architecture Reference Manuals (DDI 0419, DDI 0403, DDI 0553). */
#include "ek_config.h"
#include "ek_port.h"

#include <string.h>

#define FAULT ek_fault_entry
#define PAINT 0xc0dec0deu
#define SCS(offset) (*(volatile uint32_t *)(0xe000e000u + (offset)))
#define VTOR SCS(0xd08)
#define CCR SCS(0xd14)
#define CPACR SCS(0xd88)
#define ICIALLU SCS(0xf50)
#define CCSIDR SCS(0xd80)
#define CSSELR SCS(0xd84)
#define DCISW SCS(0xf60)

/* The linker script's: addresses, not objects. */
extern uint32_t ek_data_from[], ek_data_begin[], ek_data_end[], ek_bss_begin[], ek_bss_end[];
/* Missing where the arena is in `.bss`. */
extern uint32_t ek_arena_begin[] __attribute__((weak)), ek_arena_end[] __attribute__((weak));

int main(void);
void ek_reset(void);
void ek_fault_entry(void);
void ek_systick(void);

#define BARRIER __asm volatile("dsb\n\tisb" ::: "memory")

/* The processor pushed r0-r3, r12, lr, pc, psr, unless the stack is where the fault is. Whatever is on it is given up:
   `ek_fault` starts at its top. */
__asm(".text\n"
      ".thumb_func\n"
      "ek_fault_entry:\n"
      "    ldr r1, =ek_stack_top\n"
      "    ldr r3, =ek_stack_low\n"
      "    mrs r2, msp\n"
      "    movs r0, #0\n"
      "    cmp r2, r3\n"
      "    blo 1f\n"
      "    cmp r2, r1\n"
      "    bhs 1f\n"
      "    ldr r0, [r2, #24]\n"
      "1:  msr msp, r1\n"
      "    bl ek_fault\n"
      ".pool\n");

/* Where a board has no counter that overflows, nobody calls it. */
__attribute__((weak)) void ek_systick(void)
{
}

struct vectors {
    const void *stack;
    void (*handler[15])(void);
};

extern const struct vectors ek_vectors;
__attribute__((section(".vectors"), used)) const struct vectors ek_vectors = {
    ek_stack_top,
    {ek_reset, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, NULL, NULL, NULL, FAULT, FAULT, NULL, FAULT, ek_systick},
};

#ifdef EK_CONFIG_CACHES
/* Armv8-M B2.3 and Armv7-M B2.2.7: invalidate by set and way, then enable. */
static void caches_on(void)
{
    ICIALLU = 0;
    CSSELR = 0;
    BARRIER;
    uint32_t sets = CCSIDR >> 13 & 0x7fff, ways = CCSIDR >> 3 & 0x3ff, line = (CCSIDR & 7) + 4, shift = 31;
    while (ways >> (31 - shift) > 1)
        shift--;
    for (uint32_t set = 0; set <= sets; set++)
        for (uint32_t way = 0; way <= ways; way++)
            DCISW = set << line | way << shift;
    BARRIER;
    CCR |= 3u << 16;
    BARRIER;
}
#endif

__attribute__((noreturn)) void ek_reset(void)
{
#if __ARM_ARCH >= 8 && defined(__ARM_ARCH_8M_MAIN__)
    __asm volatile("msr msplim, %0" ::"r"(ek_stack_low));
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xfu << 20;
    BARRIER;
#endif
#if !defined(__ARM_ARCH_6M__)
    VTOR = (uint32_t)(uintptr_t)&ek_vectors;
#endif
    memcpy(ek_data_begin, ek_data_from, (size_t)((uintptr_t)ek_data_end - (uintptr_t)ek_data_begin));
    memset(ek_bss_begin, 0, (size_t)((uintptr_t)ek_bss_end - (uintptr_t)ek_bss_begin));
    /* By words, as memory with an error-correcting code has to be written before anything else. */
    memset(ek_arena_begin, 0, (size_t)((uintptr_t)ek_arena_end - (uintptr_t)ek_arena_begin));
    uint32_t *top;
    __asm volatile("mrs %0, msp" : "=r"(top));
    for (uint32_t *paint = ek_stack_low; paint < top - 16; paint++)
        *paint = PAINT;
#ifdef EK_CONFIG_CACHES
    caches_on();
#endif
    main();
    for (;;) {
    }
}
