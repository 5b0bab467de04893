/* Raspberry Pi Pico: 125 MHz from the crystal by PLL_SYS, UART0 on GPIO0 and GPIO1, flash by four lines at half the
   clock. Sources: RP2040 data sheet: 2.8 (boot sequence), 2.14 (resets), 2.15 (clocks), 2.16 (XOSC), 2.18 (PLL), 2.19
   (GPIO), 4.10 (SSI); Winbond W25Q16JV data sheet: instructions. Never run on a board. */
#include "ek_port.h"

#define VTOR 0xe000ed08u

enum {
    CLOCKS = 0x40008000,
    RESETS = 0x4000c000,
    IO_BANK0 = 0x40014000,
    PADS_BANK0 = 0x4001c000,
    PADS_QSPI = 0x40020000,
    XOSC = 0x40024000,
    PLL_SYS = 0x40028000,
    SSI = 0x18000000
};
enum { BIT_IO_BANK0 = 1 << 5, BIT_PADS_BANK0 = 1 << 8, BIT_PLL_SYS = 1 << 12, BIT_UART0 = 1 << 22 };

#include "ek_rp2.h"

/* Words from SSI on. */
enum { CTRLR0 = 0, CTRLR1 = 1, SSIENR = 2, BAUDR = 5, SR = 10, DR0 = 24, RX_SAMPLE_DLY = 60, SPI_CTRLR0 = 61 };

/* The boot ROM copies the flash's first 256 bytes to SRAM, checks their CRC and jumps to the first: code that calls
   nothing outside of it, and has no data. */
#define BOOT __attribute__((section(".boot"), used, noreturn))
#define PART static inline __attribute__((always_inline))

/* Hides that an address is constant: a register and offsets are shorter than one constant for each access. */
PART volatile uint32_t *words(uint32_t address)
{
    __asm("" : "+r"(address));
    return ek_register(address);
}

/* Waits until the flash was sent everything. What came back is dropped when the SSI is switched off. */
PART void finished(const volatile uint32_t *ssi)
{
    while ((ssi[SR] & 5) != 4) { /* TFE and not BUSY */
    }
}

void ek_boot(void);
BOOT void ek_boot(void)
{
    enum { WRITE_ENABLE_VOLATILE = 0x50, WRITE_STATUS_2 = 0x31, QUAD = 2, READ_QUAD = 0xeb };
    enum { STAY = 0xa0 }; /* mode bits: the next read comes without an instruction */
    volatile uint32_t *ssi = words(SSI), *pad = words(PADS_QSPI);
    const volatile uint32_t *vectors = words(0x10000100);
    pad[1] = 2u << 4 | 1; /* GPIO_QSPI_SCLK: 8 mA, fast */
    for (uint32_t line = 2; line < 6; line++)
        pad[line] &= ~(1u << 1); /* GPIO_QSPI_SD0 to SD3: no Schmitt trigger, which is slow */
    ssi[SSIENR] = 0;
    ssi[BAUDR] = 2;
    ssi[RX_SAMPLE_DLY] = 1;
    ssi[CTRLR0] = 7u << 16; /* DFS_32: 8 bits, both directions, one line */
    ssi[SSIENR] = 1;
    ssi[DR0] = WRITE_ENABLE_VOLATILE; /* until power is off: the flash's memory is not written */
    finished(ssi);
    ssi[DR0] = WRITE_STATUS_2;
    ssi[DR0] = QUAD;
    finished(ssi);
    ssi[SSIENR] = 0;
    ssi[CTRLR0] = 2u << 21 | 31u << 16 | 3u << 8; /* SPI_FRF: four lines; DFS_32: 32 bits; TMOD: EEPROM read */
    ssi[CTRLR1] = 0;
    /* WAIT_CYCLES: 4; INST_L: 8 bits; ADDR_L: 24 bits of address and 8 of mode; TRANS_TYPE: instruction by one line */
    ssi[SPI_CTRLR0] = 4u << 11 | 2u << 8 | 8u << 2 | 1;
    ssi[SSIENR] = 1;
    ssi[DR0] = READ_QUAD;
    ssi[DR0] = STAY;
    finished(ssi);
    ssi[SSIENR] = 0;
    ssi[SPI_CTRLR0] = (uint32_t)STAY << 24 | 4u << 11 | 8u << 2 | 2; /* XIP_CMD; no instruction, all by four lines */
    ssi[SSIENR] = 1;
    *words(VTOR) = 0x10000100;
    __asm volatile("msr msp, %0\n\tbx %1" ::"r"(vectors[0]), "r"(vectors[1]));
    __builtin_unreachable();
}

int ek_board_init(void)
{
    int started = ek_rp2_start(BIT_IO_BANK0 | BIT_PADS_BANK0);
    int fast = ek_rp2_clocks(BIT_PLL_SYS, 6, 2);
    started = ek_rp2_start(BIT_UART0) && started; /* which needs its clock to leave reset */
    ek_rp2_uart_pins();
    return fast && started;
}
