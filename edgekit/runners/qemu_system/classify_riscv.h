/* Sorts the instructions of 32-bit RISC-V processors into the classes that edgekit counts.
 * Encodings: The RISC-V Instruction Set Manual, volume I, version 20191213, chapters 16 and 24. */
#ifndef EDGEKIT_CLASSIFY_RISCV_H
#define EDGEKIT_CLASSIFY_RISCV_H

#include "classes.h"

struct pattern {
    uint32_t mask, value;
    enum insn_class class;
};

/* The first match wins. */
static const struct pattern narrow[] = {
    {0x6003, 0x4000, CLASS_LOAD},   /* C.LW */
    {0xe003, 0x6000, CLASS_LOAD},   /* C.FLW */
    {0x6003, 0xc000, CLASS_STORE},  /* C.SW */
    {0xc003, 0xc000, CLASS_STORE},  /* C.SW, C.FSW */
    {0x6003, 0x2001, CLASS_BRANCH}, /* C.JAL, C.J */
    {0xc003, 0xc001, CLASS_BRANCH}, /* C.BEQZ, C.BNEZ */
    {0xc003, 0x4002, CLASS_LOAD},   /* C.LWSP, C.FLWSP */
    {0xc003, 0xc002, CLASS_STORE},  /* C.SWSP, C.FSWSP */
    {0xe07f, 0x8002, CLASS_BRANCH}, /* C.JR, C.JALR, C.EBREAK */
    {0x0000, 0x0000, CLASS_INT_ALU},
};

static const struct pattern wide[] = {
    {0x0000007b, 0x00000003, CLASS_LOAD},    /* LB to LHU, FLW */
    {0x0000007b, 0x00000023, CLASS_STORE},   /* SB to SW, FSW */
    {0x0000007f, 0x00000063, CLASS_BRANCH},  /* BEQ to BGEU */
    {0x00000077, 0x00000067, CLASS_BRANCH},  /* JALR, JAL */
    {0x0000007f, 0x00000073, CLASS_BRANCH},  /* system */
    {0xfe00407f, 0x02000033, CLASS_INT_MUL}, /* MUL to MULHU */
    {0xfe00407f, 0x02004033, CLASS_DIV},     /* DIV to REMU */
    {0x00000060, 0x00000040, CLASS_FP},      /* floating point */
    {0x00000000, 0x00000000, CLASS_INT_ALU},
};

static size_t code_bytes(const uint8_t *code)
{
    return (code[0] & 3) == 3 ? 4 : 2;
}

static enum insn_class classify_code(const uint8_t *code, size_t bytes)
{
    uint32_t word = (uint32_t)(code[0] | code[1] << 8);
    const struct pattern *one = narrow;
    if (bytes == 4) {
        word |= (uint32_t)(code[2] | code[3] << 8) << 16;
        one = wide;
    }
    while ((word & one->mask) != one->value)
        one++;
    return one->class;
}

#endif
