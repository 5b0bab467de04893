/* The classes of instructions that edgekit counts on microcontrollers. */
#ifndef EDGEKIT_CLASSES_H
#define EDGEKIT_CLASSES_H

#include <stddef.h>
#include <stdint.h>

enum insn_class {
    CLASS_LOAD, /* of one or several registers, the FPU's too */
    CLASS_STORE,
    CLASS_INT_MUL,      /* one multiplication */
    CLASS_INT_MAC,      /* one multiplication with addition */
    CLASS_INT_DUAL_MAC, /* two: SMLAD and kin */
    CLASS_INT_DSP,      /* other operations on packed halfwords and bytes */
    CLASS_DIV,          /* divisions and square roots */
    CLASS_VEC_LOAD,
    CLASS_VEC_STORE,
    CLASS_VEC_MAC, /* vector multiplications with addition */
    CLASS_VEC_ALU, /* any other vector operation */
    CLASS_FP,      /* floating point, beside divisions */
    CLASS_BRANCH,  /* branches, loops, system instructions */
    CLASS_INT_ALU,
    CLASSES
};

static const char *const class_names[CLASSES] = {
    "load",     "store",     "int_mul", "int_mac", "int_dual_mac", "int_dsp", "div",
    "vec_load", "vec_store", "vec_mac", "vec_alu", "fp_scalar",    "branch",  "int_alu",
};

#endif
