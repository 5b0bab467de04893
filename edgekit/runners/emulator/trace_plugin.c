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
#include "qemu_plugin.h"

#include <inttypes.h>
#include <stdio.h>

#define MARKER 5000
#define CLOCK_GETTIME 113 /* aarch64 */
#define BUCKETS 65536
#define MAX_CODE 4096

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

struct block {
    uint64_t address, count, counted; /* counted: `count` when the phase began */
    struct misses misses;
    uint32_t instructions, id; /* id: 1 and up once it was reported */
    uint16_t classes[CLASSES];
    uint8_t *code;
    struct block *next;
};

static struct block *buckets[BUCKETS], **blocks;
static size_t block_count, block_capacity;
static uint64_t load_bytes, store_bytes;
static uint32_t last_id;
static bool recording, model_caches;
static FILE *report;

static void on_memory(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)cpu; /* also outside the marked inference: it must meet the caches as the ones before left them */
    struct block *block = data;
    uint64_t size = 1u << qemu_plugin_mem_size_shift(info);
    *(qemu_plugin_mem_is_store(info) ? &store_bytes : &load_bytes) += size;
    uint64_t first = address >> LINE_SHIFT, last = (address + size - 1) >> LINE_SHIFT;
    cache_access(first, &block->misses);
    if (last != first)
        cache_access(last, &block->misses);
}

static void *checked(void *pointer)
{
    if (!pointer) {
        fputs("edgekit trace plugin: out of memory\n", stderr);
        exit(1);
    }
    return pointer;
}

static struct block *new_block(uint64_t address, const uint8_t *code, uint32_t instructions)
{
    struct block *block = checked(calloc(1, sizeof *block));
    block->address = address;
    block->instructions = instructions;
    block->code = checked(malloc(instructions * 4));
    memcpy(block->code, code, instructions * 4);
    for (uint32_t i = 0; i < instructions; i++) {
        uint32_t word;
        memcpy(&word, code + i * 4, 4);
        block->classes[classify(word)]++;
    }
    if (block_count == block_capacity) {
        block_capacity = block_capacity ? block_capacity * 2 : 4096;
        blocks = checked(realloc(blocks, block_capacity * sizeof *blocks));
    }
    blocks[block_count++] = block;
    return block;
}

/* QEMU may translate the same code again (its buffer was flushed): such a block keeps its counters. */
static struct block *find_block(uint64_t address, const uint8_t *code, uint32_t instructions)
{
    struct block **slot = &buckets[(address >> 2) % BUCKETS];
    for (struct block *block = *slot; block; block = block->next)
        if (block->address == address && block->instructions == instructions &&
            !memcmp(block->code, code, instructions * 4))
            return block;
    struct block *block = new_block(address, code, instructions);
    block->next = *slot;
    return *slot = block;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint8_t code[MAX_CODE];
    size_t instructions = qemu_plugin_tb_n_insns(tb);
    if (instructions > MAX_CODE / 4)
        instructions = MAX_CODE / 4; /* QEMU's own limit is 512 */
    for (size_t i = 0; i < instructions; i++)
        memcpy(code + i * 4, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), 4);
    struct block *block = find_block(qemu_plugin_tb_vaddr(tb), code, (uint32_t)instructions);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &block->count, 1);
    if (!model_caches)
        return;
    for (size_t i = 0; i < instructions; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_memory, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, block);
}

static void open_phase(void)
{
    for (size_t i = 0; i < block_count; i++) {
        blocks[i]->counted = blocks[i]->count;
        memset(&blocks[i]->misses, 0, sizeof blocks[i]->misses);
    }
    load_bytes = store_bytes = 0;
}

static void close_phase(void)
{
    uint64_t total = 0, classes[CLASSES] = {0};
    for (size_t i = 0; i < block_count; i++) {
        uint64_t runs = blocks[i]->count - blocks[i]->counted;
        total += runs * blocks[i]->instructions;
        for (int c = 0; c < CLASSES; c++)
            classes[c] += runs * blocks[i]->classes[c];
    }
    fprintf(report, "phase %" PRIu64, total);
    for (int c = 0; c < CLASSES; c++)
        fprintf(report, " %" PRIu64, classes[c]);
    fprintf(report, " %" PRIu64 " %" PRIu64 "\n", load_bytes, store_bytes);
    for (size_t i = 0; i < block_count; i++) {
        struct block *block = blocks[i];
        uint64_t runs = block->count - block->counted;
        if (!runs)
            continue;
        if (!block->id)
            block->id = ++last_id;
        fprintf(report, "use %u %" PRIu64, block->id, runs);
        for (int level = 0; level < LEVELS; level++)
            fprintf(report, " %" PRIu64, block->misses.all[level]);
        for (int level = 0; level < LEVELS; level++)
            fprintf(report, " %" PRIu64, block->misses.streamed[level]);
        fputc('\n', report);
    }
}

static void write_blocks(void)
{
    for (size_t i = 0; i < block_count; i++) {
        struct block *block = blocks[i];
        if (!block->id)
            continue;
        fprintf(report, "block %u %" PRIx64 " %u ", block->id, block->address, block->instructions);
        for (uint32_t k = 0; k < block->instructions * 4; k++)
            fprintf(report, "%02x", block->code[k]);
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
}

static void on_exit_(qemu_plugin_id_t id, void *data)
{
    (void)id, (void)data;
    if (recording)
        close_phase();
    write_blocks();
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
