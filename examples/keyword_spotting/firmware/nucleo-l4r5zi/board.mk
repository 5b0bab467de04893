DRIVERS = $(STUBS)/mcu/uart_stm32.c $(STUBS)/mcu/board_stm32l4r5.c
