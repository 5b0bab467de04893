/* NUCLEO-L4R5ZI: 120 MHz from HSI16 by the PLL, 5 wait states, LPUART1 on PG7 and PG8 (the ST-LINK's serial port).
   Sources: STM32L4+ reference manual (RM0432): embedded flash, power control, reset and clock control, GPIO; NUCLEO-144
   user manual (UM2179): the serial port's pins. Never run on a board. */
#include "ek_port.h"
#include "ek_stm32.h"

enum {
    PWR_CR2 = 0x40007004,
    PWR_CR5 = 0x40007080,
    RCC_CR = 0x40021000,
    RCC_CFGR = 0x40021008,
    RCC_PLLCFGR = 0x4002100c,
    RCC_AHB2ENR = 0x4002104c,
    RCC_APB1ENR1 = 0x40021058,
    RCC_APB1ENR2 = 0x4002105c,
    RCC_CCIPR = 0x40021088,
    FLASH_ACR = 0x40022000,
    GPIOG = 0x48001800
};

static int clocks(void)
{
    ek_change(PWR_CR5, 1u << 8, 0);           /* R1MODE: boost */
    ek_change(FLASH_ACR, 0xf, 5);             /* LATENCY */
    ek_set(FLASH_ACR, 7u << 8);               /* PRFTEN, ICEN, DCEN */
    if (!ek_wait(FLASH_ACR, 0xf, 5) ||        /* the wait states are in force */
        !ek_wait(RCC_CR, 1u << 10, 1u << 10)) /* HSIRDY */
        return 0;
    ek_write(RCC_PLLCFGR, 2u | 1u << 4 | 30u << 8 | 1u << 24); /* HSI16 / 2 * 30 / 2 by R */
    ek_set(RCC_CR, 1u << 24);                                  /* PLLON */
    if (!ek_wait(RCC_CR, 1u << 25, 1u << 25))                  /* PLLRDY */
        return 0;
    ek_change(RCC_CFGR, 0xf3, 8u << 4 | 3); /* HPRE: first AHB = PLL / 2; SW: PLL */
    if (!ek_wait(RCC_CFGR, 3u << 2, 3u << 2))
        return 0;
    for (volatile uint32_t wait = 0; wait < 200; wait = wait + 1) { /* over 1 us */
    }
    ek_change(RCC_CFGR, 0xf0, 0);
    return 1;
}

int ek_board_init(void)
{
    ek_set(RCC_APB1ENR1, 1u << 28); /* PWREN */
    (void)ek_read(RCC_APB1ENR1);
    ek_set(RCC_CR, 1u << 8); /* HSION: of the PLL, and of the UART */
    int fast = clocks();
    ek_set(PWR_CR2, 1u << 9);                 /* IOSV: port G has a supply of its own */
    ek_change(RCC_CCIPR, 3u << 10, 2u << 10); /* LPUART1SEL: HSI16 */
    ek_set(RCC_AHB2ENR, 1u << 6);             /* GPIOG */
    ek_set(RCC_APB1ENR2, 1u);                 /* LPUART1 */
    (void)ek_read(RCC_APB1ENR2);
    ek_stm32_pin(GPIOG, 7, 8); /* LPUART1_TX, AF8 */
    ek_stm32_pin(GPIOG, 8, 8); /* LPUART1_RX */
    return fast;
}
