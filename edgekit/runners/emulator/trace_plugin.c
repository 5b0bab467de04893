/* edgekit's trace plugin for qemu-user: what one inference executes, operator by operator.
 *
 * The guest marks an inference with syscall(5000, 1) ... syscall(5000, 0). Inside, every clock_gettime starts a
 * new phase: LiteRT and XNNPACK read the clock at operator boundaries when they profile. For each phase the
 * report gives exact instruction counts by class, and for each block of straight-line code how often it ran and
 * what it missed in the caches. One vCPU only: counters of several threads would race.
 *
 * Arguments: out=FILE, l1=KIB:WAYS l2=KIB:WAYS l3=KIB:WAYS (no l1: no cache model).
 * Report, one record a line:
 *   edgekit-trace 1
 *   phase <instructions> <one count per class, in the order of class_names> <load bytes> <store bytes>
 *   use <block> <executions> <L1 L2 L3 misses> <of which streamed: L1 L2 L3>       (of the phase before)
 *   block <block> <address> <instructions> <code in hex>
 *   end
 */
#include "cache_model.h"
#include "classify.h"

struct block_memory {
    struct misses misses;
};

static size_t code_bytes(const uint8_t *code)
{
    (void)code;
    return 4;
}

static enum insn_class classify_code(const uint8_t *code, size_t bytes)
{
    uint32_t word = 0;
    memcpy(&word, code, bytes < 4 ? bytes : 4);
    return classify(word);
}

#include "blocks.h"

#define MARKER 5000
#define CLOCK_GETTIME 113 /* aarch64 */

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static uint64_t load_bytes, store_bytes;
static bool recording, model_caches;
static FILE *report;

static void on_memory(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)cpu; /* also outside the marked inference: it must meet the caches as the ones before left them */
    struct block *block = data;
    uint64_t size = 1u << qemu_plugin_mem_size_shift(info);
    *(qemu_plugin_mem_is_store(info) ? &store_bytes : &load_bytes) += size;
    uint64_t first = address >> LINE_SHIFT, last = (address + size - 1) >> LINE_SHIFT;
    cache_access(first, &block->memory.misses);
    if (last != first)
        cache_access(last, &block->memory.misses);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    struct block *block = find_block(tb);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &block->count, 1);
    if (!model_caches)
        return;
    for (size_t i = 0; i < block->instructions; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_memory, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, block);
}

static void close_phase(void)
{
    write_counts(report);
    fprintf(report, " %" PRIu64 " %" PRIu64 "\n", load_bytes, store_bytes);
    for (size_t i = 0; i < block_count; i++) {
        struct block *block = blocks[i];
        uint64_t runs = runs_of(block);
        if (!runs)
            continue;
        fprintf(report, "use %u %" PRIu64, block->id, runs);
        for (int level = 0; level < LEVELS; level++)
            fprintf(report, " %" PRIu64, block->memory.misses.all[level]);
        for (int level = 0; level < LEVELS; level++)
            fprintf(report, " %" PRIu64, block->memory.misses.streamed[level]);
        fputc('\n', report);
    }
}

static void on_syscall(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != MARKER && !(number == CLOCK_GETTIME && recording))
        return;
    if (recording)
        close_phase();
    if (number == MARKER)
        recording = a1 != 0;
    open_phase();
    load_bytes = store_bytes = 0;
}

static void on_exit_(qemu_plugin_id_t id, void *data)
{
    (void)id, (void)data;
    if (recording)
        close_phase();
    for (size_t i = 0; i < block_count; i++)
        if (blocks[i]->id)
            write_block(report, blocks[i]);
    fputs("end\n", report);
    fclose(report);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    if (strcmp(info->target_name, "aarch64") || info->system_emulation) {
        fputs("edgekit trace plugin: only for qemu-aarch64\n", stderr);
        return 1;
    }
    for (int i = 0; i < argc; i++) {
        unsigned level, kib, ways;
        if (!strncmp(argv[i], "out=", 4)) {
            report = fopen(argv[i] + 4, "w");
        } else if (sscanf(argv[i], "l%u=%u:%u", &level, &kib, &ways) == 3 && level >= 1 && level <= LEVELS) {
            checked(cache_init(&caches[level - 1], kib, ways) ? caches : NULL);
            model_caches = true;
        } else {
            fprintf(stderr, "edgekit trace plugin: unknown argument %s\n", argv[i]);
            return 1;
        }
    }
    if (!report) {
        fputs("edgekit trace plugin: no report file\n", stderr);
        return 1;
    }
    fprintf(report, "edgekit-trace 1\nclasses");
    for (int c = 0; c < CLASSES; c++)
        fprintf(report, " %s", class_names[c]);
    fputc('\n', report);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
