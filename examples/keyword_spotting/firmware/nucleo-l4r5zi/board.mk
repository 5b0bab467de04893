DRIVERS = $(STUBS)/mcu/uart_stm32.c $(STUBS)/cortex_m/board_stm32l4r5.c
