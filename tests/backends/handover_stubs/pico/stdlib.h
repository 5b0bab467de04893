/* What the Pico example uses, as the SDK's manual declares it: enough to compile, not to run. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
bool stdio_init_all(void);
uint64_t time_us_64(void);
