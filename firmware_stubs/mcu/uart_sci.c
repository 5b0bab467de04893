/* Renesas's serial communication interface of RA8 ("SCI_B").
   Source: RA8D1 user's manual (R01UH0995), chapter on the SCI. Never run on a board. */
#include "ek_config.h"
#include "ek_port.h"
#include "ek_registers.h"

enum {
    RDR = EK_CONFIG_UART_BASE,
    TDR = EK_CONFIG_UART_BASE + 4,
    CCR0 = EK_CONFIG_UART_BASE + 8,
    CCR2 = EK_CONFIG_UART_BASE + 0x10,
    CCR3 = EK_CONFIG_UART_BASE + 0x14,
    CSR = EK_CONFIG_UART_BASE + 0x48,
    CFCLR = EK_CONFIG_UART_BASE + 0x68
};
#define RDRF (1u << 31)
#define TDRE (1u << 29)
#define ERRORS (1u << 24 | 1u << 27 | 1u << 28) /* ORER, PER, FER: the receiver waits until they are cleared */

void ek_uart_init(void)
{
    uint32_t divider = (EK_CONFIG_UART_CLOCK_HZ / 16 + EK_CONFIG_UART_BAUD / 2) / EK_CONFIG_UART_BAUD;
    ek_write(CCR0, 0);
    ek_write(CCR3, 2u << 8 | 1u << 12 | 1u << 15);              /* CHR: 8 bits; LSBF; RXDESEL: by the edge */
    ek_write(CCR2, 0xffu << 24 | (divider - 1) << 8 | 1u << 4); /* MDDR, unused; BRR; BGDM: TCLK / 16 / (BRR + 1) */
    ek_write(CFCLR, ERRORS | RDRF);
    ek_write(CCR0, 1u | 1u << 4); /* RE, TE */
}

void ek_uart_send(uint8_t byte)
{
    while (!(ek_read(CSR) & TDRE)) {
    }
    ek_write(TDR, byte);
}

uint8_t ek_uart_receive(void)
{
    uint32_t state;
    while (!((state = ek_read(CSR)) & RDRF))
        if (state & ERRORS)
            ek_write(CFCLR, ERRORS);
    return (uint8_t)ek_read(RDR);
}
