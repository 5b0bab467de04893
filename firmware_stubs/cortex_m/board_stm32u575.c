/* NUCLEO-U575ZI-Q: 160 MHz from HSI16 by PLL1, 4 wait states behind the instruction cache, USART1 on PA9 and PA10 (the
   ST-LINK's serial port).
   Sources: STM32U5 reference manual (RM0456): embedded flash, power control, reset and clock control, instruction
   cache, GPIO; NUCLEO-144 user manual (UM2861): the serial port's pins. Never run on a board. */
#include "ek_port.h"
#include "ek_stm32.h"

enum {
    FLASH_ACR = 0x40022000,
    ICACHE_CR = 0x40030400,
    ICACHE_SR = 0x40030404,
    GPIOA = 0x42020000,
    PWR_CR3 = 0x46020808,
    PWR_VOSR = 0x4602080c,
    PWR_SVMSR = 0x4602083c,
    RCC_CR = 0x46020c00,
    RCC_CFGR1 = 0x46020c1c,
    RCC_CFGR2 = 0x46020c20,
    RCC_PLL1CFGR = 0x46020c28,
    RCC_PLL1DIVR = 0x46020c34,
    RCC_AHB2ENR1 = 0x46020c8c,
    RCC_AHB3ENR = 0x46020c94,
    RCC_APB2ENR = 0x46020ca4,
    RCC_CCIPR1 = 0x46020ce0
};

static int clocks(void)
{
    ek_set(PWR_CR3, 1u << 1);                  /* REGSEL: the board has the SMPS's coil */
    if (!ek_wait(PWR_SVMSR, 1u << 1, 1u << 1)) /* REGS */
        return 0;
    ek_change(PWR_VOSR, 3u << 16, 3u << 16);      /* VOS: range 1 */
    if (!ek_wait(PWR_VOSR, 1u << 15, 1u << 15) || /* VOSRDY */
        !ek_wait(RCC_CR, 1u << 10, 1u << 10))     /* HSIRDY */
        return 0;
    /* PLL1SRC: HSI16; PLL1RGE: 8 to 16 MHz; PLL1M, PLL1MBOOST: / 1, the booster's clock is 16 MHz at most */
    ek_change(RCC_PLL1CFGR, 0x7ff0f, 2u | 3u << 2);
    ek_set(PWR_VOSR, 1u << 18);                 /* BOOSTEN: over 55 MHz */
    if (!ek_wait(PWR_VOSR, 1u << 14, 1u << 14)) /* BOOSTRDY */
        return 0;
    ek_write(RCC_PLL1DIVR, 19u | 1u << 9 | 1u << 16 | 1u << 24); /* N: 16 * 20 = 320 MHz; P, Q, R: / 2 */
    ek_set(RCC_PLL1CFGR, 1u << 18);                              /* PLL1REN */
    ek_change(FLASH_ACR, 0xf, 4);                                /* LATENCY */
    ek_set(FLASH_ACR, 1u << 8);                                  /* PRFTEN */
    if (!ek_wait(FLASH_ACR, 0xf, 4))
        return 0;
    ek_set(RCC_CR, 1u << 24);                 /* PLL1ON */
    if (!ek_wait(RCC_CR, 1u << 25, 1u << 25)) /* PLL1RDY */
        return 0;
    ek_change(RCC_CFGR2, 0xf, 0);                /* HPRE: / 1 */
    ek_change(RCC_CFGR1, 3, 3);                  /* SW: PLL1 */
    return ek_wait(RCC_CFGR1, 3u << 2, 3u << 2); /* SWS */
}

int ek_board_init(void)
{
    ek_set(RCC_AHB3ENR, 1u << 2); /* PWR */
    (void)ek_read(RCC_AHB3ENR);
    ek_set(RCC_CR, 1u << 8); /* HSION: of the PLL, and of the UART */
    int fast = clocks();
    ek_wait(ICACHE_SR, 1u, 0);     /* BUSYF: it invalidates itself after reset */
    ek_set(ICACHE_CR, 1u);         /* EN */
    ek_change(RCC_CCIPR1, 3, 2);   /* USART1SEL: HSI16 */
    ek_set(RCC_AHB2ENR1, 1u);      /* GPIOA */
    ek_set(RCC_APB2ENR, 1u << 14); /* USART1 */
    (void)ek_read(RCC_APB2ENR);
    ek_stm32_pin(GPIOA, 9, 7);  /* USART1_TX, AF7 */
    ek_stm32_pin(GPIOA, 10, 7); /* USART1_RX */
    return fast;
}
