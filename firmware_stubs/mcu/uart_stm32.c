/* The USART and LPUART of STM32L4, L5, U5 and H7: registers of "version 2".
   Source: STM32L4+ reference manual (RM0432), chapters on the USART and the LPUART. An LPUART divides its clock by
   BRR / 256, a USART by BRR. Never run on a board. */
#include "ek_config.h"
#include "ek_port.h"

enum { UE = 1 << 0, RE = 1 << 2, TE = 1 << 3 };     /* CR1 */
enum { ORE = 1 << 3, RXNE = 1 << 5, TXE = 1 << 7 }; /* ISR */

#ifdef EK_CONFIG_UART_LOW_POWER
#define DIVIDER 256
#else
#define DIVIDER 1
#endif

struct uart {
    volatile uint32_t cr1, cr2, cr3, brr, gtpr, rtor, rqr, isr, icr, rdr, tdr, presc;
};

static struct uart *uart(void)
{
    return (struct uart *)EK_CONFIG_UART_BASE;
}

void ek_uart_init(void)
{
    uart()->cr1 = 0;
    uart()->brr = (uint32_t)((uint64_t)EK_CONFIG_UART_CLOCK_HZ * DIVIDER / EK_CONFIG_UART_BAUD);
    uart()->cr1 = UE | RE | TE;
}

void ek_uart_send(uint8_t byte)
{
    while (!(uart()->isr & TXE)) {
    }
    uart()->tdr = byte;
}

uint8_t ek_uart_receive(void)
{
    while (!(uart()->isr & RXNE))
        if (uart()->isr & ORE)
            uart()->icr = ORE;
    return (uint8_t)uart()->rdr;
}
