/* edgekit's trace plugin for qemu-system: what observed runs of a firmware execute, step by step.
 *
 * An observed run is what lies between the functions at `begin` and `end`; the one at `step`, which is called before
 * the first step and after each, starts a new phase. For each phase the report gives exact counts, and for each block
 * of straight-line code how often it ran, and how many loads and stores of which memory it executed. One processor
 * only.
 *
 * Arguments: out=FILE, begin=ADDRESS, end=ADDRESS, step=ADDRESS; skip=LOW:HIGH (code that is not counted, up to 8),
 * memory=LOW:HIGH (up to 4; what lies in none counts as another memory), accesses=1 to count loads, stores and jumps.
 * Addresses in hex. Report, one record a line:
 *   edgekit-firmware-trace 1
 *   classes <name of each class>
 *   phase <instructions> <one count per class, in that order>
 *   block <block> <address> <instructions> <code in hex>       (before its first use)
 *   use <block> <executions> <those after which another block than the next in memory came> <those that a jump led to>
 *       <loads of each memory, then of others> <stores, likewise>                            (of the phase before)
 *   end                                                        (of an observed run)
 */
#ifdef EDGEKIT_RISCV
#include "classify_riscv.h"
#else
#include "classify_thumb.h"
#endif

#define MEMORIES 5
#define SKIPPED 8

struct block_memory {
    uint64_t loads[MEMORIES], stores[MEMORIES];
};

#include "blocks.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

struct range {
    uint64_t low, high;
};

static struct range memories[MEMORIES - 1], skipped[SKIPPED];
static size_t memory_count, skip_count;
static uint64_t begin_at, end_at, step_at;
static bool recording, count_accesses;
static FILE *report;

static bool within(const struct range *range, uint64_t address)
{
    return address >= range->low && address < range->high;
}

static void on_memory(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)cpu;
    if (!recording)
        return;
    struct block *block = data;
    size_t index = 0;
    while (index < memory_count && !within(&memories[index], address))
        index++;
    (qemu_plugin_mem_is_store(info) ? block->memory.stores : block->memory.loads)[index]++;
}

/* Counts a block, and the jump that led to it; observed runs with `accesses` only. */
static void on_block(unsigned cpu, void *data)
{
    static struct block *last;
    struct block *block = data;
    (void)cpu;
    block->count++;
    if (last && last->address + last->bytes != block->address) {
        last->taken++;
        block->entered++;
    }
    last = block;
}

static void close_phase(void)
{
    write_counts(report);
    fputc('\n', report);
    for (size_t i = 0; i < block_count; i++) {
        struct block *block = blocks[i];
        bool known = block->id != 0;
        uint64_t runs = runs_of(block);
        if (!runs)
            continue;
        if (!known)
            write_block(report, block);
        fprintf(report, "use %u %" PRIu64 " %" PRIu64 " %" PRIu64, block->id, runs, block->taken, block->entered);
        for (size_t m = 0; m <= memory_count; m++)
            fprintf(report, " %" PRIu64, block->memory.loads[m]);
        for (size_t m = 0; m <= memory_count; m++)
            fprintf(report, " %" PRIu64, block->memory.stores[m]);
        fputc('\n', report);
    }
}

static void on_begin(unsigned cpu, void *data)
{
    (void)cpu, (void)data;
    recording = true;
    open_phase();
}

static void on_step(unsigned cpu, void *data)
{
    (void)cpu, (void)data;
    if (!recording)
        return;
    close_phase();
    open_phase();
}

static void on_end(unsigned cpu, void *data)
{
    (void)cpu, (void)data;
    if (!recording)
        return;
    close_phase();
    recording = false;
    fputs("end\n", report);
    fflush(report);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    qemu_plugin_vcpu_udata_cb marked = address == begin_at  ? on_begin
                                       : address == end_at  ? on_end
                                       : address == step_at ? on_step
                                                            : NULL;
    if (marked)
        qemu_plugin_register_vcpu_tb_exec_cb(tb, marked, QEMU_PLUGIN_CB_NO_REGS, NULL);
    for (size_t i = 0; i < skip_count; i++)
        if (within(&skipped[i], address))
            return;
    struct block *block = find_block(tb);
    if (!count_accesses) {
        qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &block->count, 1);
        return;
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, block);
    for (size_t i = 0; i < block->instructions; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_memory, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, block);
}

static bool argument(const char *text)
{
    struct range range;
    unsigned flag;
    if (!strncmp(text, "out=", 4))
        return (report = fopen(text + 4, "w")) != NULL;
    if (sscanf(text, "begin=%" SCNx64, &begin_at) == 1 || sscanf(text, "end=%" SCNx64, &end_at) == 1 ||
        sscanf(text, "step=%" SCNx64, &step_at) == 1)
        return true;
    if (sscanf(text, "accesses=%u", &flag) == 1)
        return count_accesses = flag != 0, true;
    if (sscanf(text, "skip=%" SCNx64 ":%" SCNx64, &range.low, &range.high) == 2 && skip_count < SKIPPED)
        return skipped[skip_count++] = range, true;
    if (sscanf(text, "memory=%" SCNx64 ":%" SCNx64, &range.low, &range.high) == 2 && memory_count < MEMORIES - 1)
        return memories[memory_count++] = range, true;
    return false;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    if (!info->system_emulation) {
        fputs("edgekit trace plugin: only for qemu-system\n", stderr);
        return 1;
    }
    for (int i = 0; i < argc; i++)
        if (!argument(argv[i])) {
            fprintf(stderr, "edgekit trace plugin: wrong argument %s\n", argv[i]);
            return 1;
        }
    if (!report) {
        fputs("edgekit trace plugin: no report file\n", stderr);
        return 1;
    }
    fputs("edgekit-firmware-trace 1\nclasses", report);
    for (int c = 0; c < CLASSES; c++)
        fprintf(report, " %s", class_names[c]);
    fputc('\n', report);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
