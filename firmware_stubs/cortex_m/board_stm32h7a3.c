/* NUCLEO-H7A3ZI-Q: 280 MHz from HSI (64 MHz) by PLL1, 6 wait states, USART3 on PD8 and PD9 (the ST-LINK's serial port).
   Sources: STM32H7A3 reference manual (RM0455): embedded flash, power control, reset and clock control, GPIO;
   NUCLEO-H7A3ZI-Q user manual (UM2408): SMPS supply, the serial port's pins. Never run on a board. */
#include "ek_port.h"
#include "ek_stm32.h"

enum {
    FLASH_ACR = 0x52002000,
    GPIOD = 0x58020c00,
    RCC_CR = 0x58024400,
    RCC_CFGR = 0x58024410,
    RCC_CDCFGR1 = 0x58024418,
    RCC_CDCFGR2 = 0x5802441c,
    RCC_SRDCFGR = 0x58024420,
    RCC_PLLCKSELR = 0x58024428,
    RCC_PLLCFGR = 0x5802442c,
    RCC_PLL1DIVR = 0x58024430,
    RCC_CDCCIP2R = 0x58024454,
    RCC_AHB4ENR = 0x58024540,
    RCC_APB1LENR = 0x58024548,
    PWR_CSR1 = 0x58024804,
    PWR_CR3 = 0x5802480c,
    PWR_SRDCR = 0x58024818
};

static int clocks(void)
{
    ek_change(PWR_CR3, 7, 4);                   /* SMPSEN without LDOEN and BYPASS: how the board is wired */
    if (!ek_wait(PWR_CSR1, 1u << 13, 1u << 13)) /* ACTVOSRDY */
        return 0;
    ek_set(PWR_SRDCR, 3u << 14);                   /* VOS0 */
    if (!ek_wait(PWR_SRDCR, 1u << 13, 1u << 13) || /* VOSRDY */
        !ek_wait(RCC_CR, 1u << 2, 1u << 2))        /* HSIRDY */
        return 0;
    ek_change(RCC_PLLCKSELR, 0x3f3, 4u << 4);            /* PLLSRC: HSI; DIVM1: 64 / 4 = 16 MHz */
    ek_change(RCC_PLLCFGR, 0x7000f, 3u << 2 | 1u << 16); /* PLL1RGE: 8 to 16 MHz, PLL1VCOSEL: wide; DIVP1EN only */
    ek_write(RCC_PLL1DIVR, 34u | 1u << 9 | 1u << 16 | 1u << 24); /* N: 16 * 35 = 560 MHz; P, Q, R: / 2 */
    ek_set(RCC_CR, 1u << 24);                                    /* PLL1ON */
    if (!ek_wait(RCC_CR, 1u << 25, 1u << 25))                    /* PLL1RDY */
        return 0;
    ek_write(FLASH_ACR, 3u << 4 | 6); /* WRHIGHFREQ, LATENCY: for up to 280 MHz in VOS0 */
    if (!ek_wait(FLASH_ACR, 0xf, 6))
        return 0;
    ek_change(RCC_CDCFGR1, 0xf7f, 4u << 4);           /* CDCPRE, HPRE: / 1; CDPPRE: / 2 */
    ek_change(RCC_CDCFGR2, 0x770, 4u << 8 | 4u << 4); /* CDPPRE2, CDPPRE1: / 2 */
    ek_change(RCC_SRDCFGR, 0x70, 4u << 4);            /* SRDPPRE: / 2 */
    ek_change(RCC_CFGR, 7, 3);                        /* SW: PLL1 */
    return ek_wait(RCC_CFGR, 7u << 3, 3u << 3);       /* SWS */
}

int ek_board_init(void)
{
    ek_set(RCC_CR, 1u); /* HSION: of the PLL, and of the UART */
    int fast = clocks();
    ek_change(RCC_CDCCIP2R, 7, 3);  /* USART234578SEL: HSI */
    ek_set(RCC_AHB4ENR, 1u << 3);   /* GPIOD */
    ek_set(RCC_APB1LENR, 1u << 18); /* USART3 */
    (void)ek_read(RCC_APB1LENR);
    ek_stm32_pin(GPIOD, 8, 7); /* USART3_TX, AF7 */
    ek_stm32_pin(GPIOD, 9, 7); /* USART3_RX */
    return fast;
}
