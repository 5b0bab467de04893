/* NUCLEO-L4R5ZI: 120 MHz from HSI16 by the PLL, 5 wait states, LPUART1 on PG7 and PG8 (the ST-LINK's serial port).
   Sources: STM32L4+ reference manual (RM0432): embedded flash, power control, reset and clock control, GPIO; NUCLEO-144
   user manual (UM2179): the serial port's pins. Never run on a board. */
#include "ek_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define PWR_CR2 REGISTER(0x40007004u)
#define PWR_CR5 REGISTER(0x40007080u)
#define RCC_CR REGISTER(0x40021000u)
#define RCC_CFGR REGISTER(0x40021008u)
#define RCC_PLLCFGR REGISTER(0x4002100cu)
#define RCC_AHB2ENR REGISTER(0x4002104cu)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define RCC_APB1ENR2 REGISTER(0x4002105cu)
#define RCC_CCIPR REGISTER(0x40021088u)
#define FLASH_ACR REGISTER(0x40022000u)
#define GPIOG_MODER REGISTER(0x48001800u)
#define GPIOG_AFRL REGISTER(0x48001820u)
#define GPIOG_AFRH REGISTER(0x48001824u)

static void changed(volatile uint32_t *where, uint32_t mask, uint32_t value)
{
    *where = (*where & ~mask) | value;
}

static void clocks(void)
{
    RCC_APB1ENR1 |= 1u << 28; /* PWREN */
    (void)RCC_APB1ENR1;
    PWR_CR5 &= ~(1u << 8);           /* R1MODE: boost */
    changed(&FLASH_ACR, 0xf, 5);     /* LATENCY */
    changed(&FLASH_ACR, 0, 7u << 8); /* PRFTEN, ICEN, DCEN */
    RCC_CR |= 1u << 8;               /* HSION */
    while (!(RCC_CR & 1u << 10)) {   /* HSIRDY */
    }
    RCC_PLLCFGR = 2u | 1u << 4 | 30u << 8 | 1u << 24; /* HSI16 / 2 * 30 / 2 */
    RCC_CR |= 1u << 24;                               /* PLLON */
    while (!(RCC_CR & 1u << 25)) {                    /* PLLRDY */
    }
    changed(&RCC_CFGR, 0xf3, 8u << 4 | 3); /* first AHB = PLL / 2 */
    while ((RCC_CFGR >> 2 & 3) != 3) {
    }
    for (volatile uint32_t wait = 0; wait < 200; wait = wait + 1) { /* over 1 us */
    }
    changed(&RCC_CFGR, 0xf0, 0);
}

void ek_board_init(void)
{
    clocks();
    PWR_CR2 |= 1u << 9;                      /* IOSV: port G has a supply of its own */
    RCC_AHB2ENR |= 1u << 6;                  /* GPIOG */
    RCC_APB1ENR2 |= 1u;                      /* LPUART1 */
    changed(&RCC_CCIPR, 3u << 10, 2u << 10); /* from HSI16 */
    changed(&GPIOG_MODER, 0xfu << 14, 0xau << 14);
    changed(&GPIOG_AFRL, 0xfu << 28, 8u << 28); /* AF8 */
    changed(&GPIOG_AFRH, 0xfu, 8u);
}
