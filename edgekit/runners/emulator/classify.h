/* Sorts A64 instructions into the classes that edgekit counts.
 * Encodings: Arm Architecture Reference Manual for A-profile (DDI 0487), chapter C4. */
#ifndef EDGEKIT_CLASSIFY_H
#define EDGEKIT_CLASSIFY_H

#include <stddef.h>
#include <stdint.h>

enum insn_class {
    CLASS_LOAD,
    CLASS_STORE,
    CLASS_FP_FMA_VEC,  /* vector floating-point multiply-accumulate */
    CLASS_FP_VEC,      /* any other vector floating-point operation */
    CLASS_INT8_DOT,    /* SDOT, UDOT, USDOT, SMMLA and kin */
    CLASS_INT_MLA_VEC, /* vector integer multiplies, with or without accumulation */
    CLASS_INT_VEC,     /* any other vector integer operation, moves and permutations */
    CLASS_FP_SCALAR,
    CLASS_BRANCH, /* branches, system instructions, exceptions */
    CLASS_INT_ALU,
    CLASSES
};

static const char *const class_names[CLASSES] = {
    "load", "store", "fp_fma_vec", "fp_vec", "int8_dot", "int_mla_vec", "int_vec", "fp_scalar", "branch", "int_alu",
};

struct pattern {
    uint32_t mask, value;
    enum insn_class class;
};

/* The first match wins. */
static const struct pattern simd_patterns[] = {
    {0x9fe0fc00, 0x0e809400, CLASS_INT8_DOT},    /* SDOT, UDOT (vector) */
    {0x9fc0f400, 0x0f80e000, CLASS_INT8_DOT},    /* SDOT, UDOT (by element) */
    {0xbfe0fc00, 0x0e809c00, CLASS_INT8_DOT},    /* USDOT (vector) */
    {0xbf40f400, 0x0f00f000, CLASS_INT8_DOT},    /* USDOT, SUDOT (by element) */
    {0x9fe0f400, 0x0e80a400, CLASS_INT8_DOT},    /* SMMLA, UMMLA, USMMLA */
    {0xbf20fc00, 0x0e20cc00, CLASS_FP_FMA_VEC},  /* FMLA, FMLS (vector) */
    {0xbf60fc00, 0x0e400c00, CLASS_FP_FMA_VEC},  /* FMLA, FMLS (vector, half) */
    {0xbf80b400, 0x0f801000, CLASS_FP_FMA_VEC},  /* FMLA, FMLS (by element) */
    {0xbfc0b400, 0x0f001000, CLASS_FP_FMA_VEC},  /* FMLA, FMLS (by element, half) */
    {0x9f20fc00, 0x0e208000, CLASS_INT_MLA_VEC}, /* SMLAL, UMLAL */
    {0x9f20fc00, 0x0e20a000, CLASS_INT_MLA_VEC}, /* SMLSL, UMLSL */
    {0x9f20fc00, 0x0e20c000, CLASS_INT_MLA_VEC}, /* SMULL, UMULL */
    {0x9f20fc00, 0x0e209400, CLASS_INT_MLA_VEC}, /* MLA, MLS */
    {0xbf20fc00, 0x0e209c00, CLASS_INT_MLA_VEC}, /* MUL */
    {0x9f20fc00, 0x0e20b400, CLASS_INT_MLA_VEC}, /* SQDMULH, SQRDMULH */
    {0x9f00b400, 0x0f002000, CLASS_INT_MLA_VEC}, /* SMLAL, SMLSL (by element) */
    {0x9f00f400, 0x0f00a000, CLASS_INT_MLA_VEC}, /* SMULL (by element) */
    {0xbf00b400, 0x2f000000, CLASS_INT_MLA_VEC}, /* MLA, MLS (by element) */
    {0xbf00f400, 0x0f008000, CLASS_INT_MLA_VEC}, /* MUL (by element) */
    {0xff000000, 0x1f000000, CLASS_FP_SCALAR},   /* FMADD and kin */
    {0x5f000000, 0x1e000000, CLASS_FP_SCALAR},   /* scalar arithmetic, comparisons, conversions */
    {0x9f20c400, 0x0e20c400, CLASS_FP_VEC},      /* three registers of the same type */
    {0x9f60c400, 0x0e400400, CLASS_FP_VEC},      /* the same, half precision */
    {0x9f3fcc00, 0x0e20c800, CLASS_FP_VEC},      /* comparisons with zero, FABS, FNEG */
    {0x9f3f8c00, 0x0e218800, CLASS_FP_VEC},      /* rounding, conversions, estimates */
    {0x9f3fec00, 0x0e216800, CLASS_FP_VEC},      /* FCVTN, FCVTL */
    {0x9f7e0c00, 0x0e780800, CLASS_FP_VEC},      /* two registers, half precision */
    {0x9f80f400, 0x0f809000, CLASS_FP_VEC},      /* FMUL, FMULX (by element) */
};

static enum insn_class classify_load_store(uint32_t w)
{
    int load = (w >> 22) & 1;
    if ((w & 0x3b000000) == 0x18000000) /* literal */
        return CLASS_LOAD;
    if ((w & 0x38000000) == 0x28000000 || /* pair */
        (w & 0xbe000000) == 0x0c000000 || /* SIMD structures */
        (w & 0x3f000000) == 0x08000000)   /* exclusive, ordered */
        return load ? CLASS_LOAD : CLASS_STORE;
    if ((w & 0x3f200c00) == 0x38200000) /* atomic read-modify-write */
        return CLASS_LOAD;
    if (w & (1u << 26)) /* SIMD register */
        return load ? CLASS_LOAD : CLASS_STORE;
    return (w >> 22) & 3 ? CLASS_LOAD : CLASS_STORE;
}

static enum insn_class classify(uint32_t w)
{
    uint32_t group = (w >> 25) & 15;
    if ((group & 5) == 4)
        return classify_load_store(w);
    if ((group & 14) == 10)
        return CLASS_BRANCH;
    if ((group & 7) != 7)
        return CLASS_INT_ALU;
    for (size_t i = 0; i < sizeof simd_patterns / sizeof *simd_patterns; i++)
        if ((w & simd_patterns[i].mask) == simd_patterns[i].value)
            return simd_patterns[i].class;
    return CLASS_INT_VEC;
}

#endif
