/* Raspberry Pi Pico 2: 150 MHz from the crystal by PLL_SYS, UART0 on GPIO0 and GPIO1. The flash stays as the boot ROM
   has set it up. Sources: RP2350 data sheet: 5.9.5 (minimum image metadata), 7.5 (resets), 8.1 (clocks), 8.2
   (XOSC), 8.6 (PLL), 9.11 (GPIO). Never run on a board. */
#include "ek_port.h"

enum {
    CLOCKS = 0x40010000,
    RESETS = 0x40020000,
    IO_BANK0 = 0x40028000,
    PADS_BANK0 = 0x40038000,
    XOSC = 0x40048000,
    PLL_SYS = 0x40050000
};
enum { BIT_IO_BANK0 = 1 << 6, BIT_PADS_BANK0 = 1 << 9, BIT_PLL_SYS = 1 << 14, BIT_UART0 = 1 << 26 };

#include "ek_rp2.h"

/* Which the boot ROM looks for in the first 4 KB: an executable for secure Arm processors that begins with its vectors.
 */
extern const uint32_t ek_image_definition[5];
__attribute__((section(".vectors.after"), used)) const uint32_t ek_image_definition[5] = {
    0xffffded3, /* PICOBIN_BLOCK_MARKER_START */
    0x10210142, /* IMAGE_TYPE, one word: executable, secure, Arm, RP2350 */
    0x000001ff, /* the last item, after one word */
    0,          /* the next block: this one */
    0xab123579  /* PICOBIN_BLOCK_MARKER_END */
};

int ek_board_init(void)
{
    int started = ek_rp2_start(BIT_IO_BANK0 | BIT_PADS_BANK0);
    int fast = ek_rp2_clocks(BIT_PLL_SYS, 5, 2);
    started = ek_rp2_start(BIT_UART0) && started;
    ek_rp2_uart_pins();
    return fast && started;
}
