DRIVERS = $(STUBS)/mcu/uart_cmsdk.c emulator/board.c
