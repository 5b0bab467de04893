/* Arm's PrimeCell UART: RP2040 and RP2350.
   Source: Arm PrimeCell UART (PL011) TRM (DDI 0183), chapter 3. Never run on a board. */
#include "ek_config.h"
#include "ek_port.h"
#include "ek_registers.h"

enum {
    UARTDR = EK_CONFIG_UART_BASE,
    UARTFR = EK_CONFIG_UART_BASE + 0x18,
    UARTIBRD = EK_CONFIG_UART_BASE + 0x24,
    UARTFBRD = EK_CONFIG_UART_BASE + 0x28,
    UARTLCR_H = EK_CONFIG_UART_BASE + 0x2c,
    UARTCR = EK_CONFIG_UART_BASE + 0x30
};
enum { RXFE = 1 << 4, TXFF = 1 << 5 };

void ek_uart_init(void)
{
    uint32_t sixty_fourths = (EK_CONFIG_UART_CLOCK_HZ * 4u + EK_CONFIG_UART_BAUD / 2) / EK_CONFIG_UART_BAUD;
    ek_write(UARTCR, 0);
    ek_write(UARTIBRD, sixty_fourths >> 6);
    ek_write(UARTFBRD, sixty_fourths & 63);
    ek_write(UARTLCR_H, 3u << 5 | 1u << 4);   /* WLEN: 8 bits; FEN */
    ek_write(UARTCR, 1u | 1u << 8 | 1u << 9); /* UARTEN, TXE, RXE */
}

void ek_uart_send(uint8_t byte)
{
    while (ek_read(UARTFR) & TXFF) {
    }
    ek_write(UARTDR, byte);
}

uint8_t ek_uart_receive(void)
{
    while (ek_read(UARTFR) & RXFE) {
    }
    return (uint8_t)ek_read(UARTDR);
}
