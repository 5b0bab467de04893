/* What the server needs of a processor, a UART and a board. C99, freestanding. */
#ifndef EK_PORT_H
#define EK_PORT_H

#include <stddef.h>
#include <stdint.h>

/* The linker script's: addresses, not objects. */
extern uint32_t ek_stack_low[], ek_stack_top[];

/* The board: clocks and pins. Called once, before anything else here. Returns 0 if the processor does not run at the
   clock that it should: results are right, times are not. */
int ek_board_init(void);

void ek_uart_init(void);
void ek_uart_send(uint8_t byte);
/* Waits for a byte. */
uint8_t ek_uart_receive(void);

void ek_cycles_init(void);
/* Core cycles since some start. In an emulator, which counts by itself: 0. */
uint64_t ek_cycles(void);

/* Called by the fault handlers: tells the host where it happened, and stays there. */
void ek_fault(uint32_t where);

#endif
