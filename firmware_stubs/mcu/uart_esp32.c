/* The UART of ESP32-C3, clocked by the crystal.
   Source: ESP32-C3 technical reference manual, 26 (UART controller). Never run on a board. */
#include "ek_config.h"
#include "ek_port.h"
#include "ek_registers.h"

enum {
    UART_FIFO = EK_CONFIG_UART_BASE,
    UART_CLKDIV = EK_CONFIG_UART_BASE + 0x14,
    UART_STATUS = EK_CONFIG_UART_BASE + 0x1c,
    UART_CONF0 = EK_CONFIG_UART_BASE + 0x20,
    UART_CLK_CONF = EK_CONFIG_UART_BASE + 0x78,
    UART_ID = EK_CONFIG_UART_BASE + 0x80,
    FIFO_BYTES = 128
};

void ek_uart_init(void)
{
    uint32_t sixteenths = (EK_CONFIG_UART_CLOCK_HZ * 16u + EK_CONFIG_UART_BAUD / 2) / EK_CONFIG_UART_BAUD;
    ek_write(UART_CLK_CONF, 3u << 24 | 1u << 22 | 3u << 20); /* RX, TX, SCLK_EN; SCLK_SEL: crystal; SCLK_DIV_NUM: / 1 */
    ek_write(UART_CLKDIV, sixteenths >> 4 | (sixteenths & 15) << 20);
    ek_write(UART_CONF0, 1u << 4 | 3u << 2); /* STOP_BIT_NUM: 1; BIT_NUM: 8 */
    ek_set(UART_ID, 1u << 31);               /* REG_UPDATE */
    ek_wait(UART_ID, 1u << 31, 0);
}

void ek_uart_send(uint8_t byte)
{
    while ((ek_read(UART_STATUS) >> 16 & 0x3ff) >= FIFO_BYTES) { /* TXFIFO_CNT */
    }
    ek_write(UART_FIFO, byte);
}

uint8_t ek_uart_receive(void)
{
    while (!(ek_read(UART_STATUS) & 0x3ff)) { /* RXFIFO_CNT */
    }
    return (uint8_t)ek_read(UART_FIFO);
}
