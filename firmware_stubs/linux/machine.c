#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_text(const char *root, const char *path, char *text, int size)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = fopen(full, "r");
    if (!file)
        return;
    if (fgets(text, size, file))
        text[strcspn(text, "\n")] = 0;
    fclose(file);
}

/* Take the value of the first line of /proc/cpuinfo that starts with `key`. */
static void read_cpuinfo(const char *root, const char *key, char *value, size_t size)
{
    char path[512], line[512];
    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (colon && !strncmp(line, key, strlen(key))) {
            const char *text = colon + 1 + strspn(colon + 1, " \t");
            snprintf(value, size, "%.*s", (int)strcspn(text, "\n"), text);
            break;
        }
    }
    fclose(file);
}

/* Arm's cpuinfo gives part numbers, not names (Main ID Register, Arm Cortex technical reference manuals). */
static const char *arm_core(const char *part)
{
    static const struct {
        const char *part, *name;
    } cores[] = {
        {"0xd03", "Cortex-A53"},  {"0xd04", "Cortex-A35"}, {"0xd05", "Cortex-A55"},   {"0xd07", "Cortex-A57"},
        {"0xd08", "Cortex-A72"},  {"0xd09", "Cortex-A73"}, {"0xd0a", "Cortex-A75"},   {"0xd0b", "Cortex-A76"},
        {"0xd0c", "Neoverse-N1"}, {"0xd41", "Cortex-A78"}, {"0xd42", "Cortex-A78AE"}, {"0xd44", "Cortex-X1"},
    };
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (!strcmp(part, cores[i].part))
            return cores[i].name;
    return part;
}

/* A clock as text, in 1/`per` MHz; 0 if it is no number, or none that a clock can have. */
static double megahertz(const char *text, double per)
{
    double value = strtod(text, NULL) / per;
    return value > 0 && value < 1e6 ? value : 0;
}

void machine_read(struct machine *machine, const char *root)
{
    char text[128] = "";
    memset(machine, 0, sizeof *machine);
    read_text(root, "/sys/firmware/devicetree/base/model", machine->model, sizeof machine->model);
    if (!machine->model[0])
        read_text(root, "/sys/class/dmi/id/product_name", machine->model, sizeof machine->model);
    read_cpuinfo(root, "model name", machine->cpu, sizeof machine->cpu);
    if (!machine->cpu[0]) {
        read_cpuinfo(root, "CPU part", text, sizeof text);
        snprintf(machine->cpu, sizeof machine->cpu, "%s", arm_core(text));
    }
    text[0] = 0;
    read_text(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", text, sizeof text);
    machine->clock_mhz = megahertz(text, 1000);
    if (machine->clock_mhz == 0) {
        text[0] = 0;
        read_cpuinfo(root, "cpu MHz", text, sizeof text);
        machine->clock_mhz = megahertz(text, 1);
    }
}

long long machine_peak_bytes(void)
{
    /* Not getrusage: its ru_maxrss survives exec and would count the program that started this one. */
    char line[128];
    long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}
