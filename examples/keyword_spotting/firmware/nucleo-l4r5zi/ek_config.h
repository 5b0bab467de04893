/* NUCLEO-L4R5ZI: LPUART1 on the ST-LINK's serial port, clocked by HSI16; SysTick counts core cycles at 120 MHz.
   Never run on a board. */
#ifndef EK_CONFIG_H
#define EK_CONFIG_H

#define EK_CONFIG_UART_BASE 0x40008000u
#define EK_CONFIG_UART_CLOCK_HZ 16000000u
#define EK_CONFIG_UART_BAUD 115200u
#define EK_CONFIG_UART_LOW_POWER 1
#define EK_CONFIG_TICK 1u
#define EK_CONFIG_UNIT "cycles"

#endif
