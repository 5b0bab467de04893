/* The UART of Arm's Cortex-M System Design Kit: mps2 and mps3 boards.
   Source: Arm Cortex-M System Design Kit TRM (DDI 0479), section 4.3, APB UART. */
#include "ek_config.h"
#include "ek_port.h"

enum { TX_FULL = 1, RX_FULL = 2, TX_ENABLE = 1, RX_ENABLE = 2 };

struct uart {
    volatile uint32_t data, state, control, interrupt, divider;
};

static struct uart *uart(void)
{
    return (struct uart *)EK_CONFIG_UART_BASE;
}

void ek_uart_init(void)
{
    uint32_t divider = EK_CONFIG_UART_CLOCK_HZ / EK_CONFIG_UART_BAUD;
    uart()->divider = divider < 16 ? 16 : divider;
    uart()->control = TX_ENABLE | RX_ENABLE;
    (void)uart()->data; /* QEMU only looks for input after a byte was read, not after reception was enabled */
}

void ek_uart_send(uint8_t byte)
{
    while (uart()->state & TX_FULL) {
    }
    uart()->data = byte;
}

uint8_t ek_uart_receive(void)
{
    while (!(uart()->state & RX_FULL)) {
    }
    return (uint8_t)uart()->data;
}
