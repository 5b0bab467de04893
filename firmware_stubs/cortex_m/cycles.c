/* Core cycles by SysTick, which every Cortex-M has: 24 bits, and an exception that counts how often they ran out.
   That costs some twenty cycles in 16,777,216. Source: Armv7-M Architecture Reference Manual (DDI 0403), B3.3. */
#include "ek_port.h"

#define SYST(offset) (*(volatile uint32_t *)(0xe000e010u + (offset)))
#define CSR SYST(0)
#define RVR SYST(4)
#define CVR SYST(8)

enum { ENABLE = 1, TICKINT = 2, CORE_CLOCK = 4, TOP = 0xffffff };

static volatile uint32_t rounds;

void ek_systick(void);
void ek_systick(void)
{
    rounds = rounds + 1;
}

void ek_cycles_init(void)
{
    RVR = TOP;
    CVR = 0;
    CSR = ENABLE | TICKINT | CORE_CLOCK;
}

uint64_t ek_cycles(void)
{
    uint32_t before, left;
    do {
        before = rounds;
        left = CVR;
    } while (before != rounds);
    return (uint64_t)before * (TOP + 1u) + (TOP - left);
}
