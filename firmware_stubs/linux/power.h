/* The board's own power meters, read by a thread while inferences run.
 *
 * - Jetson: INA3221 over I2C, in sysfs (hwmon, or iio in older systems)
 * - Jetson whose sysfs shows none, as in a container: `tegrastats`, which prints the rails
 * - Raspberry Pi 5: the PMIC's converters, through `vcgencmd pmic_read_adc`
 * - x86: RAPL, the processor package's energy counter
 */
#ifndef EDGEKIT_POWER_H
#define EDGEKIT_POWER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { POWER_MAX_SAMPLES = 8192, POWER_MAX_RAILS = 12, POWER_PATH = 256 };

/* One supply rail: voltage (mV) and current (mA) files, or only a power (mW) file. */
struct power_rail {
    char name[32];
    char voltage[POWER_PATH], current[POWER_PATH], power[POWER_PATH];
};

struct power_meter {
    const char *scope; /* what the figures cover: "board_supply" or "core_rail"; NULL where there is no meter */
    char source[160];  /* which meter, in words */
    unsigned int rail_count;
    struct power_rail rail[POWER_MAX_RAILS];
    char counter[POWER_PATH]; /* RAPL: file with microjoules, which wraps at counter_range */
    uint64_t counter_range, last_energy;
    double last_time;
    bool pmic, tegrastats;
    pid_t child;     /* tegrastats, while it runs; 0 or less: it does not */
    int lines;       /* what it prints */
    char line[1024]; /* as far as its last one is there */

    pthread_t thread;
    bool running;
    atomic_bool stop;
    unsigned int count;
    double watt[POWER_MAX_SAMPLES];
};

/* Find a meter below `root` ("" for the real one). */
void power_find(struct power_meter *meter, const char *root);

void power_start(struct power_meter *meter);
void power_stop(struct power_meter *meter);

#endif
