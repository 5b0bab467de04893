/* A 16550: the UART of QEMU's RISC-V machine `virt`. Registers of one byte, without gaps.
   Source: Texas Instruments PC16550D data sheet (SNLS378C), section 8. */
#include "ek_config.h"
#include "ek_port.h"

enum { DATA = 0, INTERRUPTS = 1, FIFO = 2, LINE = 3, STATE = 5 };
enum { DLAB = 0x80, EIGHT_BITS = 3, RECEIVED = 1, EMPTY = 0x20, FIFO_RESET = 7 };

static volatile uint8_t *uart(void)
{
    return (volatile uint8_t *)EK_CONFIG_UART_BASE;
}

void ek_uart_init(void)
{
    uint32_t divisor = EK_CONFIG_UART_CLOCK_HZ / (16 * EK_CONFIG_UART_BAUD);
    uart()[INTERRUPTS] = 0;
    uart()[LINE] = DLAB;
    uart()[DATA] = (uint8_t)divisor;
    uart()[INTERRUPTS] = (uint8_t)(divisor >> 8);
    uart()[LINE] = EIGHT_BITS;
    uart()[FIFO] = FIFO_RESET;
}

void ek_uart_send(uint8_t byte)
{
    while (!(uart()[STATE] & EMPTY)) {
    }
    uart()[DATA] = byte;
}

uint8_t ek_uart_receive(void)
{
    while (!(uart()[STATE] & RECEIVED)) {
    }
    return uart()[DATA];
}
