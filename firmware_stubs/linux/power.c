#include "power.h"

#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool ok = fgets(line, size, file) != NULL;
    fclose(file);
    if (ok)
        line[strcspn(line, "\n")] = 0;
    return ok;
}

static bool read_number(const char *path, double *value)
{
    char line[64], *end;
    if (!read_line(path, line, sizeof line))
        return false;
    *value = strtod(line, &end);
    return end != line;
}

/* ---- Jetson: INA3221 -------------------------------------------------------------------------------- */

/* Rails that carry the whole module or board; the others are parts of them. */
static bool is_total(const char *name)
{
    static const char *const totals[] = {"VDD_IN", "POM_5V_IN", "VDD_MUX"};
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++)
        if (!strcmp(name, totals[i]))
            return true;
    return false;
}

/* Collect the rails whose label files match `pattern`; the channel's number is the first digit of the name
 * (hwmon: in1_label) or the last (iio: rail_name_0). */
static void find_rails(struct power_meter *meter, const char *pattern, bool hwmon)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc && meter->rail_count < POWER_MAX_RAILS; i++) {
        struct power_rail rail;
        const char *path = found.gl_pathv[i], *base = strrchr(path, '/') + 1;
        int folder = (int)(base - path);
        char channel = hwmon ? base[2] : base[strlen(base) - 1];
        double ignored;
        memset(&rail, 0, sizeof rail);
        if (!read_line(path, rail.name, sizeof rail.name) || !strcmp(rail.name, "NC"))
            continue;
        if (hwmon) {
            snprintf(rail.voltage, POWER_PATH, "%.*sin%c_input", folder, path, channel);
            snprintf(rail.current, POWER_PATH, "%.*scurr%c_input", folder, path, channel);
            if (!read_number(rail.voltage, &ignored) || !read_number(rail.current, &ignored))
                continue;
        } else {
            snprintf(rail.power, POWER_PATH, "%.*sin_power%c_input", folder, path, channel);
            if (!read_number(rail.power, &ignored))
                continue;
        }
        meter->rail[meter->rail_count++] = rail;
    }
    globfree(&found);
}

static bool find_ina3221(struct power_meter *meter, const char *root)
{
    char pattern[POWER_PATH];
    snprintf(pattern, sizeof pattern, "%s/sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[1-3]_label", root);
    find_rails(meter, pattern, true);
    if (!meter->rail_count) {
        snprintf(pattern, sizeof pattern, "%s/sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[0-2]", root);
        find_rails(meter, pattern, false);
    }
    if (!meter->rail_count)
        return false;
    for (unsigned int i = 0; i < meter->rail_count; i++)
        if (is_total(meter->rail[i].name)) {
            meter->rail[0] = meter->rail[i];
            meter->rail_count = 1;
            meter->scope = "board_supply";
            snprintf(meter->source, sizeof meter->source, "INA3221, rail %s", meter->rail[0].name);
            return true;
        }
    meter->scope = "core_rail";
    snprintf(meter->source, sizeof meter->source, "INA3221, sum of %u rails from %s on", meter->rail_count,
             meter->rail[0].name);
    return true;
}

static bool read_rails(const struct power_meter *meter, double *watt)
{
    *watt = 0;
    for (unsigned int i = 0; i < meter->rail_count; i++) {
        const struct power_rail *rail = &meter->rail[i];
        double a, b;
        if (rail->power[0]) {
            if (!read_number(rail->power, &a))
                return false;
            *watt += 1e-3 * a;
        } else {
            if (!read_number(rail->voltage, &a) || !read_number(rail->current, &b))
                return false;
            *watt += 1e-6 * a * b;
        }
    }
    return true;
}

/* ---- Programs that read a meter ---------------------------------------------------------------------- */

static bool on_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[POWER_PATH];
    while (path && *path) {
        int length = (int)strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/%s", length, path, program);
        if (access(file, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

/* ---- Jetson: tegrastats ----------------------------------------------------------------------------- */

/* Whether a word is a reading, "5971mW/5971mW" or, in older systems, "5971/5971": now and on average. */
static bool reading(const char *word, double *milliwatt)
{
    char *end;
    for (int i = 0; i < 2; i++) {
        if (*word < '0' || *word > '9')
            return false;
        double value = strtod(word, &end);
        if (!i)
            *milliwatt = value;
        if (!strncmp(end, "mW", 2))
            end += 2;
        if (*end != (i ? 0 : '/'))
            return false;
        word = end + 1;
    }
    return true;
}

/* The power that a line of tegrastats tells: of the rail that carries everything, else the sum of all. Returns the
 * number of rails, 0 if there are none. `first` gets the name of the one, or of the first. */
static unsigned int read_tegrastats_line(char *line, double *watt, bool *total, char first[32])
{
    char *rest, *name = NULL;
    unsigned int rails = 0;
    *watt = 0;
    *total = false;
    for (char *word = strtok_r(line, " \t\r", &rest); word; name = word, word = strtok_r(NULL, " \t\r", &rest)) {
        double milliwatt;
        if (!name || !reading(word, &milliwatt))
            continue;
        if (!rails++ || is_total(name))
            snprintf(first, 32, "%s", name);
        if (is_total(name)) {
            *watt = 1e-3 * milliwatt;
            *total = true;
            return 1;
        }
        *watt += 1e-3 * milliwatt;
    }
    return rails;
}

/* Take what tegrastats has printed so far; returns true if a line was completed that tells power; of the last such one
 * `watt` is. */
static bool read_tegrastats(struct power_meter *meter, double *watt)
{
    bool any = false, total;
    double told;
    char name[32];
    ssize_t got;
    for (;;) {
        size_t used = strlen(meter->line);
        char *end;
        got = read(meter->lines, meter->line + used, sizeof meter->line - 1 - used);
        if (got <= 0)
            return any;
        meter->line[used + (size_t)got] = 0;
        while ((end = strchr(meter->line, '\n'))) {
            *end = 0;
            if (read_tegrastats_line(meter->line, &told, &total, name)) {
                *watt = told;
                any = true;
            }
            memmove(meter->line, end + 1, strlen(end + 1) + 1);
        }
        if (strlen(meter->line) == sizeof meter->line - 1) /* no line of tegrastats is as long */
            meter->line[0] = 0;
    }
}

static bool start_tegrastats(struct power_meter *meter)
{
    int ends[2];
    meter->line[0] = 0;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return false;
    meter->child = fork();
    if (meter->child == 0) {
        int nothing = open("/dev/null", O_RDWR);
        fcntl(ends[1], F_SETFL, 0);
        if (dup2(nothing, 0) >= 0 && dup2(ends[1], 1) >= 0 && dup2(nothing, 2) >= 0)
            execlp("tegrastats", "tegrastats", "--interval", "100", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    meter->lines = ends[0];
    if (meter->child > 0)
        return true;
    close(ends[0]);
    return false;
}

static void stop_tegrastats(struct power_meter *meter)
{
    if (meter->child <= 0)
        return;
    kill(meter->child, SIGKILL);
    waitpid(meter->child, NULL, 0);
    close(meter->lines);
    meter->child = 0;
}

static bool find_tegrastats(struct power_meter *meter)
{
    enum { PATIENCE_MS = 3000 };
    char name[32] = "", line[sizeof meter->line] = "";
    unsigned int rails = 0;
    double watt;
    bool total = false;
    if (!on_path("tegrastats"))
        return false;
    if (start_tegrastats(meter)) {
        struct pollfd one = {meter->lines, POLLIN, 0};
        size_t used = 0;
        while (!strchr(line, '\n') && used < sizeof line - 1 && poll(&one, 1, PATIENCE_MS) > 0) {
            ssize_t got = read(one.fd, line + used, sizeof line - 1 - used);
            if (got <= 0)
                break;
            used += (size_t)got;
            line[used] = 0;
        }
        line[strcspn(line, "\n")] = 0;
        rails = read_tegrastats_line(line, &watt, &total, name);
    }
    stop_tegrastats(meter);
    if (!rails)
        return false;
    meter->tegrastats = true;
    meter->scope = total ? "board_supply" : "core_rail";
    if (total)
        snprintf(meter->source, sizeof meter->source, "tegrastats, rail %s", name);
    else
        snprintf(meter->source, sizeof meter->source, "tegrastats, sum of %u rails from %s on", rails, name);
    return true;
}

/* ---- Raspberry Pi 5: the PMIC ------------------------------------------------------------------------ */

/* Sum volt x ampere over the converters: lines "NAME_A current(0)=0.04A" and "NAME_V volt(8)=3.7V". */
static bool read_pmic(double *watt)
{
    struct {
        char name[32];
        double ampere;
    } converter[32];
    unsigned int count = 0;
    char line[128];
    bool any = false;
    FILE *pipe = popen("vcgencmd pmic_read_adc 2>/dev/null", "r");
    if (!pipe)
        return false;
    *watt = 0;
    while (fgets(line, sizeof line, pipe)) {
        char name[32];
        double value;
        if (sscanf(line, " %31s current(%*d)=%lfA", name, &value) == 2 && count < 32) {
            name[strlen(name) - 1] = 0;
            memcpy(converter[count].name, name, sizeof name);
            converter[count++].ampere = value;
        } else if (sscanf(line, " %31s volt(%*d)=%lfV", name, &value) == 2) {
            name[strlen(name) - 1] = 0;
            for (unsigned int i = 0; i < count; i++)
                if (!strcmp(converter[i].name, name)) {
                    *watt += value * converter[i].ampere;
                    any = true;
                }
        }
    }
    pclose(pipe);
    return any;
}

static bool find_pmic(struct power_meter *meter)
{
    double watt;
    if (!on_path("vcgencmd") || !read_pmic(&watt))
        return false;
    meter->pmic = true;
    meter->scope = "board_supply";
    snprintf(meter->source, sizeof meter->source,
             "Raspberry Pi 5 PMIC, sum of its converters (their losses, USB and HDMI supplies not included)");
    return true;
}

/* ---- x86: RAPL --------------------------------------------------------------------------------------- */

static bool read_rapl(struct power_meter *meter, double *watt)
{
    double energy, time = now();
    if (!read_number(meter->counter, &energy))
        return false;
    uint64_t joules = (uint64_t)energy, last = meter->last_energy;
    double seconds = time - meter->last_time;
    uint64_t used = joules >= last ? joules - last : joules + meter->counter_range - last;
    bool first = meter->last_time == 0;
    if (!first && used == 0) /* it has not counted on yet; in a virtual machine it may never do */
        return false;
    meter->last_energy = joules;
    meter->last_time = time;
    if (first || seconds < 1e-3 || (joules < last && !meter->counter_range))
        return false;
    *watt = 1e-6 * (double)used / seconds;
    return true;
}

static bool find_rapl(struct power_meter *meter, const char *root)
{
#if defined(__x86_64__) || defined(__i386__) /* an emulated Arm program would see the host's */
    char path[POWER_PATH];
    double value = 0;
    snprintf(meter->counter, POWER_PATH, "%s/sys/class/powercap/intel-rapl:0/energy_uj", root);
    if (!read_number(meter->counter, &value))
        return false;
    snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:0/max_energy_range_uj", root);
    if (read_number(path, &value))
        meter->counter_range = (uint64_t)value;
    meter->scope = "core_rail";
    snprintf(meter->source, sizeof meter->source, "RAPL, processor package 0");
    return true;
#else
    (void)meter, (void)root, (void)read_rapl;
    return false;
#endif
}

/* ---- the thread ------------------------------------------------------------------------------------- */

static void sample(struct power_meter *meter)
{
    double watt;
    bool ok;
    if (meter->pmic)
        ok = read_pmic(&watt);
    else if (meter->tegrastats)
        ok = meter->child > 0 && read_tegrastats(meter, &watt);
    else
        ok = meter->rail_count ? read_rails(meter, &watt) : read_rapl(meter, &watt);
    if (ok && watt >= 0 && watt < 1e6 && meter->count < POWER_MAX_SAMPLES) /* meters may say "nan" */
        meter->watt[meter->count++] = watt;
}

static void *sampler(void *argument)
{
    struct power_meter *meter = argument;
    /* vcgencmd is a program and costs processor time: ask it less often than a file. */
    const struct timespec pause = {0, meter->pmic ? 100000000 : 20000000};
    while (!atomic_load(&meter->stop)) {
        sample(meter);
        nanosleep(&pause, NULL);
    }
    sample(meter);
    return NULL;
}

void power_find(struct power_meter *meter, const char *root)
{
    memset(meter, 0, sizeof *meter);
    if (!find_ina3221(meter, root) && !find_pmic(meter) && !find_tegrastats(meter))
        find_rapl(meter, root);
}

void power_start(struct power_meter *meter)
{
    atomic_store(&meter->stop, false);
    meter->count = 0;
    meter->last_time = 0;
    if (meter->tegrastats)
        start_tegrastats(meter);
    meter->running = meter->scope && pthread_create(&meter->thread, NULL, sampler, meter) == 0;
}

void power_stop(struct power_meter *meter)
{
    if (!meter->running)
        return;
    atomic_store(&meter->stop, true);
    pthread_join(meter->thread, NULL);
    meter->running = false;
    stop_tegrastats(meter);
    if (meter->count > 2 &&
        (meter->pmic || meter->tegrastats || meter->rail_count)) { /* the first reading may predate the load */
        meter->count--;
        memmove(meter->watt, meter->watt + 1, meter->count * sizeof *meter->watt);
    }
}
