/* Blocks of straight-line code, as QEMU translates them: what both trace plugins count with.
 *
 * Before it is included: CLASSES, `code_bytes(code)` of an instruction, `classify_code(code, bytes)`, and `struct
 * block_memory`, what a plugin keeps of a block's memory accesses. The size that QEMU tells of an instruction is not
 * used: at the end of a page QEMU 7.2 reads the next instruction early, and counts its bytes, too. */
#ifndef EDGEKIT_BLOCKS_H
#define EDGEKIT_BLOCKS_H

#include "qemu_plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536
#define MAX_CODE 4096
#define MAX_INSTRUCTIONS 512 /* QEMU's own limit of one block */

struct block {
    uint64_t address, count, counted; /* counted: `count` when the phase began */
    uint64_t taken, entered; /* executions after which another block than the next came; into which a jump led */
    struct block_memory memory;
    uint32_t instructions, bytes, id; /* id: 1 and up once it was reported */
    uint16_t classes[CLASSES];
    uint8_t *code;
    struct block *next;
};

static struct block *buckets[BUCKETS], **blocks;
static size_t block_count, block_capacity;

static void *checked(void *pointer)
{
    if (!pointer) {
        fputs("edgekit trace plugin: out of memory\n", stderr);
        exit(1);
    }
    return pointer;
}

static struct block *new_block(const struct block *found, const uint8_t *code)
{
    struct block *block = checked(malloc(sizeof *block));
    *block = *found;
    block->code = checked(malloc(block->bytes));
    memcpy(block->code, code, block->bytes);
    if (block_count == block_capacity) {
        block_capacity = block_capacity ? block_capacity * 2 : 4096;
        blocks = checked(realloc(blocks, block_capacity * sizeof *blocks));
    }
    blocks[block_count++] = block;
    return block;
}

/* QEMU may translate the same code again (its buffer was flushed): such a block keeps its counters. */
static struct block *find_block(struct qemu_plugin_tb *tb)
{
    uint8_t code[MAX_CODE];
    size_t instructions = qemu_plugin_tb_n_insns(tb);
    struct block found = {.address = qemu_plugin_tb_vaddr(tb)};
    for (size_t i = 0; i < instructions && i < MAX_INSTRUCTIONS; i++) {
        const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint8_t *data = qemu_plugin_insn_data(insn);
        size_t size = code_bytes(data);
        if (found.bytes + size > MAX_CODE)
            break;
        memcpy(code + found.bytes, data, size);
        found.classes[classify_code(code + found.bytes, size)]++;
        found.bytes += (uint32_t)size;
        found.instructions++;
    }
    struct block **slot = &buckets[(found.address >> 1) % BUCKETS];
    for (struct block *block = *slot; block; block = block->next)
        if (block->address == found.address && block->bytes == found.bytes && !memcmp(block->code, code, found.bytes))
            return block;
    found.next = *slot;
    return *slot = new_block(&found, code);
}

/* Executions in this phase. Gives the block its number in the report. */
static uint64_t runs_of(struct block *block)
{
    static uint32_t last_id;
    uint64_t runs = block->count - block->counted;
    if (runs && !block->id)
        block->id = ++last_id;
    return runs;
}

static void open_phase(void)
{
    for (size_t i = 0; i < block_count; i++) {
        blocks[i]->counted = blocks[i]->count;
        blocks[i]->taken = blocks[i]->entered = 0;
        memset(&blocks[i]->memory, 0, sizeof blocks[i]->memory);
    }
}

/* What the phase executed: instructions, then those of each class. */
static void write_counts(FILE *report)
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
}

static void write_block(FILE *report, const struct block *block)
{
    fprintf(report, "block %u %" PRIx64 " %u ", block->id, block->address, block->instructions);
    for (uint32_t k = 0; k < block->bytes; k++)
        fprintf(report, "%02x", block->code[k]);
    fputc('\n', report);
}

#endif
