/* ESP32-C3: 160 MHz from the PLL, which the boot ROM starts, UART0 on GPIO20 and GPIO21 as the boot ROM leaves them.
   Starts by "direct boot" (chip revision 3 and later): the boot ROM maps the flash's first 4 MB to 0x42000000 for code
   and to 0x3C000000 for data, and jumps behind the magic number. All watchdogs are off.
   Sources: ESP32-C3 technical reference manual: 6 (reset and clock), 7 (boot), 10 (system timer), 12 (watchdogs), 1.12
   (performance counter); Espressif's esp32c3-direct-boot-example, README. Never run on a board. */
#include "ek_port.h"
#include "ek_registers.h"

enum {
    RTC_CNTL_OPTIONS0 = 0x60008000,
    RTC_CNTL_WDTCONFIG0 = 0x60008090,
    RTC_CNTL_WDTWPROTECT = 0x600080a8,
    RTC_CNTL_SWD_CONF = 0x600080ac,
    RTC_CNTL_SWD_WPROTECT = 0x600080b0,
    TIMG0 = 0x6001f000,
    TIMG1 = 0x60020000,
    SYSTIMER_UNIT0_OP = 0x60023004,
    SYSTIMER_UNIT0_VALUE_LO = 0x60023044,
    SYSTEM_CPU_PER_CONF = 0x600c0008,
    SYSTEM_SYSCLK_CONF = 0x600c0058
};

extern const uint32_t ek_direct_boot[2];
__attribute__((section(".boot"), used)) const uint32_t ek_direct_boot[2] = {0xaedb041d, 0xaedb041d};

static void watchdogs_off(void)
{
    ek_write(RTC_CNTL_WDTWPROTECT, 0x50d83aa1);
    ek_write(RTC_CNTL_WDTCONFIG0, 0);
    ek_write(RTC_CNTL_WDTWPROTECT, 0);
    ek_write(RTC_CNTL_SWD_WPROTECT, 0x8f1d312a);
    ek_set(RTC_CNTL_SWD_CONF, 1u << 31); /* SWD_AUTO_FEED_EN */
    ek_write(RTC_CNTL_SWD_WPROTECT, 0);
    for (uint32_t group = 0; group < 2; group++) {
        uint32_t base = group ? TIMG1 : TIMG0;
        ek_write(base + 0x64, 0x50d83aa1); /* TIMG_WDTWPROTECT */
        ek_write(base + 0x48, 0);          /* TIMG_WDTCONFIG0 */
        ek_write(base + 0x48, 1u << 22);   /* TIMG_WDT_CONF_UPDATE_EN */
        ek_write(base + 0x64, 0);
    }
}

/* The system timer, 16 MHz from the crystal. */
static int timer(uint32_t *ticks)
{
    ek_write(SYSTIMER_UNIT0_OP, 1u << 30);               /* UPDATE */
    if (!ek_wait(SYSTIMER_UNIT0_OP, 1u << 29, 1u << 29)) /* VALUE_VALID */
        return 0;
    *ticks = ek_read(SYSTIMER_UNIT0_VALUE_LO);
    return 1;
}

/* There is no flag that tells what the processor's clock is: it is measured, 1 ms long. */
static int is_fast(void)
{
    uint32_t begin, now, cycles;
    uint64_t start;
    ek_cycles_init();
    if (!timer(&begin))
        return 0;
    start = ek_cycles();
    do {
        if (!timer(&now))
            return 0;
    } while (now - begin < 16000);
    cycles = (uint32_t)(ek_cycles() - start) / ((now - begin) / 16); /* per us */
    return cycles >= 158 && cycles <= 162;
}

int ek_board_init(void)
{
    watchdogs_off();
    ek_change(RTC_CNTL_OPTIONS0, 1u << 6 | 1u << 8 | 1u << 10,
              0);                                    /* not BB_I2C_FORCE_PD, BBPLL_I2C_FORCE_PD, BBPLL_FORCE_PD */
    ek_change(SYSTEM_CPU_PER_CONF, 7, 1u << 2 | 1u); /* PLL_FREQ_SEL: 480 MHz; CPUPERIOD_SEL: 160 MHz */
    ek_change(SYSTEM_SYSCLK_CONF, 3u << 10 | 0x3ff, 1u << 10); /* SOC_CLK_SEL: PLL; PRE_DIV_CNT: / 1 */
    return is_fast();
}
