/* What STM32 processors of all series have in common. */
#ifndef EK_STM32_H
#define EK_STM32_H

#include "ek_registers.h"

/* A pin becomes a peripheral's. Source: any STM32 reference manual, chapter on GPIO (the same since STM32F0).
   `port`: the base address of GPIOx. */
static inline void ek_stm32_pin(uint32_t port, uint32_t pin, uint32_t alternate)
{
    ek_change(port + 0x20 + pin / 8 * 4, 0xfu << pin % 8 * 4, alternate << pin % 8 * 4); /* GPIOx_AFRL, GPIOx_AFRH */
    ek_change(port, 3u << 2 * pin, 2u << 2 * pin);                                       /* GPIOx_MODER */
}

#endif
