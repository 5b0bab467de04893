/* Sorts the instructions of M-profile processors into the classes that edgekit counts.
 * Encodings: Arm v8-M Architecture Reference Manual (DDI 0553), chapter C2. */
#ifndef EDGEKIT_CLASSIFY_THUMB_H
#define EDGEKIT_CLASSIFY_THUMB_H

#include "classes.h"

struct pattern {
    uint32_t mask, value; /* the first halfword is the upper one */
    enum insn_class class;
};

/* The first match wins. */
static const struct pattern narrow[] = {
    {0xffc0, 0x4340, CLASS_INT_MUL}, /* MUL */
    {0xff00, 0x4700, CLASS_BRANCH},  /* BX, BLX */
    {0xff87, 0x4487, CLASS_BRANCH},  /* ADD pc */
    {0xff87, 0x4687, CLASS_BRANCH},  /* MOV pc */
    {0xf800, 0x4800, CLASS_LOAD},    /* literal */
    {0xfe00, 0x5600, CLASS_LOAD},    /* LDRSB, register */
    {0xf800, 0x5000, CLASS_STORE},   /* STR, STRH, register */
    {0xfe00, 0x5400, CLASS_STORE},   /* STRB, register */
    {0xf800, 0x5800, CLASS_LOAD},    /* LDR, LDRH, LDRB, LDRSH, register */
    {0xe800, 0x6000, CLASS_STORE},   /* STR, STRB */
    {0xe800, 0x6800, CLASS_LOAD},    /* LDR, LDRB */
    {0xe800, 0x8000, CLASS_STORE},   /* STRH, STR sp */
    {0xf800, 0x8800, CLASS_LOAD},    /* LDRH */
    {0xf800, 0x9800, CLASS_LOAD},    /* LDR sp */
    {0xfe00, 0xb400, CLASS_STORE},   /* PUSH */
    {0xfe00, 0xbc00, CLASS_LOAD},    /* POP */
    {0xf500, 0xb100, CLASS_BRANCH},  /* CBZ, CBNZ */
    {0xf800, 0xc000, CLASS_STORE},   /* STM */
    {0xf800, 0xc800, CLASS_LOAD},    /* LDM */
    {0xf000, 0xd000, CLASS_BRANCH},  /* B, SVC, UDF */
    {0xf800, 0xe000, CLASS_BRANCH},  /* B */
    {0x0000, 0x0000, CLASS_INT_ALU},
};

static const struct pattern wide[] = {
    {0xfff0ffe0, 0xe8d0f000, CLASS_BRANCH},       /* TBB, TBH */
    {0xfe100000, 0xe8000000, CLASS_STORE},        /* STM, STRD, STREX */
    {0xfe100000, 0xe8100000, CLASS_LOAD},         /* LDM, LDRD, LDREX */
    {0xfe000000, 0xea000000, CLASS_INT_ALU},      /* shifted register */
    {0xffe00e00, 0xec000e00, CLASS_VEC_ALU},      /* VMOV between two registers and lanes */
    {0xee100e00, 0xec000e00, CLASS_VEC_STORE},    /* VSTRB and kin */
    {0xee100e00, 0xec100e00, CLASS_VEC_LOAD},     /* VLDRB and kin */
    {0xeff00e00, 0xeee00e00, CLASS_VEC_ALU},      /* VMAXV, VMINV */
    {0xef810e01, 0xee800e00, CLASS_VEC_MAC},      /* VMLADAV, VMLALDAV, VRMLALDAVH */
    {0xef810f01, 0xee810e00, CLASS_VEC_MAC},      /* the same, of words; VADDV has another bit 8 */
    {0xef800f70, 0xee000e40, CLASS_VEC_MAC},      /* VMLA, VMLAS */
    {0xffa00f50, 0xef000c50, CLASS_VEC_MAC},      /* VFMA, VFMS (vector) */
    {0xef000e00, 0xee000e00, CLASS_VEC_ALU},      /* other MVE between registers */
    {0xef000000, 0xef000000, CLASS_VEC_ALU},      /* MVE, as the data processing of Advanced SIMD */
    {0xfe100e00, 0xec000a00, CLASS_STORE},        /* VSTR, VSTM, VPUSH */
    {0xfe100e00, 0xec100a00, CLASS_LOAD},         /* VLDR, VLDM, VPOP */
    {0xffb00e50, 0xee800a00, CLASS_DIV},          /* VDIV */
    {0xffbf0ed0, 0xeeb10ac0, CLASS_DIV},          /* VSQRT */
    {0xec000000, 0xec000000, CLASS_FP},           /* other coprocessor instructions: the FPU's */
    {0xf8008000, 0xf0008000, CLASS_BRANCH},       /* B, BL, loops, system */
    {0xf8000000, 0xf0000000, CLASS_INT_ALU},      /* immediates, SSAT, USAT, bit fields */
    {0xfe100000, 0xf8000000, CLASS_STORE},        /* STR and kin */
    {0xfe100000, 0xf8100000, CLASS_LOAD},         /* LDR and kin */
    {0xffeff0c0, 0xfa2ff080, CLASS_INT_DSP},      /* SXTB16, UXTB16 */
    {0xffe0f0c0, 0xfa20f080, CLASS_INT_DSP},      /* SXTAB16, UXTAB16 */
    {0xff80f080, 0xfa80f000, CLASS_INT_DSP},      /* parallel additions */
    {0xfff0f0c0, 0xfa80f080, CLASS_INT_DSP},      /* QADD and kin */
    {0xfff0f0f0, 0xfaa0f080, CLASS_INT_DSP},      /* SEL */
    {0xff000000, 0xfa000000, CLASS_INT_ALU},      /* shifts, extensions, REV, CLZ */
    {0xfff0f0f0, 0xfb00f000, CLASS_INT_MUL},      /* MUL */
    {0xffe00000, 0xfb200000, CLASS_INT_DUAL_MAC}, /* SMLAD, SMUAD */
    {0xfff00000, 0xfb400000, CLASS_INT_DUAL_MAC}, /* SMLSD, SMUSD */
    {0xff80f000, 0xfb00f000, CLASS_INT_MUL},      /* SMULxy, SMMUL, ... */
    {0xff800000, 0xfb000000, CLASS_INT_MAC},      /* MLA, MLS, SMLAxy, SMMLA, ... */
    {0xffd000f0, 0xfb9000f0, CLASS_DIV},          /* SDIV, UDIV */
    {0xffd00000, 0xfb800000, CLASS_INT_MUL},      /* SMULL, UMULL */
    {0xfff000c0, 0xfbc000c0, CLASS_INT_DUAL_MAC}, /* SMLALD */
    {0xfff00000, 0xfbd00000, CLASS_INT_DUAL_MAC}, /* SMLSLD */
    {0xff800000, 0xfb800000, CLASS_INT_MAC},      /* SMLAL, UMLAL, SMLALxy, UMAAL */
    {0x00000000, 0x00000000, CLASS_INT_ALU},
};

static size_t code_bytes(const uint8_t *code)
{
    return code[1] >> 3 >= 0x1d ? 4 : 2;
}

static enum insn_class classify_code(const uint8_t *code, size_t bytes)
{
    uint32_t word = (uint32_t)(code[0] | code[1] << 8);
    const struct pattern *one = narrow;
    if (bytes == 4) {
        word = word << 16 | (uint32_t)(code[2] | code[3] << 8);
        one = wide;
    }
    while ((word & one->mask) != one->value)
        one++;
    return one->class;
}

#endif
