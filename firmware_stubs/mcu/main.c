/* A firmware with one network, which a host feeds over a UART. `ek_network.h` is written for each network. */
#include "ek_network.h"
#include "ek_port.h"
#include "ek_server.h"

/* The linker script places it where there is room. */
static uint8_t arena[EK_CONFIG_ARENA_BYTES ? EK_CONFIG_ARENA_BYTES : 1]
    __attribute__((aligned(EK_ARENA_ALIGNMENT), section(".arena")));
static uint32_t step_cycles[EK_CONFIG_STEPS ? EK_CONFIG_STEPS : 1];
static const uint8_t digest[32] = EK_CONFIG_DIGEST;

int main(void)
{
    const uint32_t clock_hz = ek_board_init() ? EK_CONFIG_CLOCK_HZ : 0;
    const struct ek_server server = {&EK_CONFIG_MODEL, digest, clock_hz, arena, step_cycles};
    ek_uart_init();
    ek_cycles_init();
    ek_serve(&server);
    return 0;
}
