/* Core cycles of ESP32-C3, which has a performance counter of its own instead of mcycle: 32 bits, some 26 s at 160 MHz.
   It begins anew each time it is read, and stops at its end; then the sum is at its end, too, for ever. Source:
   ESP32-C3 technical reference manual, 1.12 (performance counter): mpcer, mpcmr, mpccr. */
#include "ek_port.h"

static uint64_t sum;

void ek_cycles_init(void)
{
    __asm volatile("csrw 0x7e0, %0\n\tcsrw 0x7e2, x0\n\tcsrw 0x7e1, %1" ::"r"(1),
                   "r"(3)); /* CYCLE; COUNT_SAT, COUNT_EN */
    sum = 0;
}

uint64_t ek_cycles(void)
{
    uint32_t count;
    __asm volatile("csrr %0, 0x7e2\n\tcsrw 0x7e2, x0" : "=r"(count));
    sum = count == UINT32_MAX || sum == UINT64_MAX ? UINT64_MAX : sum + count;
    return sum;
}
