/* Functions whose results have the same bits as those of edgekit/tasks/exact.py, which describes them. */
#ifndef EDGEKIT_EXACT_H
#define EDGEKIT_EXACT_H

#include <stdint.h>

/* e to the x, for x limited to -700..700; what is not a number counts as -700. */
double exact_exp(double x);
/* The natural logarithm of a finite number above 0. */
double exact_log(double x);
/* Cosine and sine of part / whole of a full turn; whole is at most 2^60. */
void exact_turn(uint64_t part, uint64_t whole, double *cosine, double *sine);

#endif
