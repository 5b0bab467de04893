/* Core cycles of a RISC-V processor.
   Source: The RISC-V Instruction Set Manual, volume II, Privileged Architecture, version 20211203, 3.1.10. */
#include "ek_port.h"

void ek_cycles_init(void)
{
}

uint64_t ek_cycles(void)
{
    uint32_t high, low, again;
    do {
        __asm volatile("csrr %0, mcycleh\n\tcsrr %1, mcycle\n\tcsrr %2, mcycleh" : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}
