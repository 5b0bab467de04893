/* What RP2040 and RP2350 have in common: the same peripherals at other addresses. A board defines the base addresses
   RESETS, XOSC, PLL_SYS, CLOCKS, IO_BANK0 and PADS_BANK0, and the bits of RESETS_RESET, before it includes this.
   Sources: RP2040 data sheet, sections 2.14 to 2.19; RP2350 data sheet, sections 7.5, 8.1, 8.2, 8.6, 9.11. */
#ifndef EK_RP2_H
#define EK_RP2_H

#include "ek_registers.h"

enum {
    RESETS_RESET = RESETS,
    RESETS_RESET_DONE = RESETS + 8,
    XOSC_CTRL = XOSC,
    XOSC_STATUS = XOSC + 4,
    XOSC_STARTUP = XOSC + 0xc,
    PLL_SYS_CS = PLL_SYS,
    PLL_SYS_PWR = PLL_SYS + 4,
    PLL_SYS_FBDIV_INT = PLL_SYS + 8,
    PLL_SYS_PRIM = PLL_SYS + 0xc,
    CLK_REF_CTRL = CLOCKS + 0x30,
    CLK_REF_SELECTED = CLOCKS + 0x38,
    CLK_SYS_CTRL = CLOCKS + 0x3c,
    CLK_SYS_SELECTED = CLOCKS + 0x44,
    CLK_PERI_CTRL = CLOCKS + 0x48
};

/* Takes blocks out of reset. */
static inline int ek_rp2_start(uint32_t blocks)
{
    ek_change(RESETS_RESET, blocks, 0);
    return ek_wait(RESETS_RESET_DONE, blocks, blocks);
}

/* The system's clock becomes 12 MHz * 125 / `postdiv1` / `postdiv2`. The crystal is the reference clock, and the
 * UART's. */
static inline int ek_rp2_clocks(uint32_t pll_block, uint32_t postdiv1, uint32_t postdiv2)
{
    ek_write(XOSC_CTRL, 0xaa0);                    /* FREQ_RANGE: 1 to 15 MHz */
    ek_write(XOSC_STARTUP, 47);                    /* 1 ms of 12 MHz / 256 */
    ek_set(XOSC_CTRL, 0xfabu << 12);               /* ENABLE */
    if (!ek_wait(XOSC_STATUS, 1u << 31, 1u << 31)) /* STABLE */
        return 0;
    ek_write(CLK_PERI_CTRL, 1u << 11 | 4u << 5); /* ENABLE, AUXSRC: XOSC */
    ek_change(CLK_SYS_CTRL, 1, 0);               /* SRC: clk_ref */
    if (!ek_wait(CLK_SYS_SELECTED, 3, 1))
        return 0;
    ek_change(CLK_REF_CTRL, 3, 2); /* SRC: XOSC */
    if (!ek_wait(CLK_REF_SELECTED, 0xf, 4))
        return 0;
    ek_set(RESETS_RESET, pll_block);
    if (!ek_rp2_start(pll_block))
        return 0;
    ek_write(PLL_SYS_CS, 1);                      /* REFDIV */
    ek_write(PLL_SYS_FBDIV_INT, 125);             /* 1500 MHz */
    ek_change(PLL_SYS_PWR, 1u | 1u << 5, 0);      /* not PD, VCOPD */
    if (!ek_wait(PLL_SYS_CS, 1u << 31, 1u << 31)) /* LOCK */
        return 0;
    ek_write(PLL_SYS_PRIM, postdiv1 << 16 | postdiv2 << 12);
    ek_change(PLL_SYS_PWR, 1u << 3, 0);  /* not POSTDIVPD */
    ek_change(CLK_SYS_CTRL, 7u << 5, 0); /* AUXSRC: pll_sys */
    ek_set(CLK_SYS_CTRL, 1);             /* SRC: aux */
    return ek_wait(CLK_SYS_SELECTED, 3, 2);
}

/* GPIO0 and GPIO1 become UART0's. The pad of the input pulls up. */
static inline void ek_rp2_uart_pins(void)
{
    enum { INPUT = 1 << 6, MA4 = 1 << 4, PULL_UP = 1 << 3, SCHMITT = 1 << 1, UART = 2 };
    ek_write(PADS_BANK0 + 4, INPUT | MA4 | SCHMITT); /* GPIO0; RP2350: not ISO */
    ek_write(PADS_BANK0 + 8, INPUT | MA4 | PULL_UP | SCHMITT);
    ek_write(IO_BANK0 + 4, UART); /* GPIO0_CTRL.FUNCSEL */
    ek_write(IO_BANK0 + 12, UART);
}

#endif
