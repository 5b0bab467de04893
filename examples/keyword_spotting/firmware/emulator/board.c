/* The emulated machine needs neither clocks nor pins. */
#include "ek_port.h"

void ek_board_init(void)
{
}
