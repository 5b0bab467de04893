/* QEMU's machine mps2-an386: a Cortex-M4 on an FPGA board. Source: Arm application note AN386 (DAI 0386).

   QEMU has no cycle counter. With `-icount shift=0` an instruction takes a nanosecond of its time, and SysTick, at
   25 MHz, counts once in 40. */
#ifndef EK_CONFIG_H
#define EK_CONFIG_H

#define EK_CONFIG_UART_BASE 0x40004000u
#define EK_CONFIG_UART_CLOCK_HZ 25000000u
#define EK_CONFIG_UART_BAUD 115200u
#define EK_CONFIG_TICK 40u
#define EK_CONFIG_UNIT "instructions"

#endif
