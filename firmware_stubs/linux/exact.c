#include "exact.h"

#include <math.h>
#include <stdbool.h>

/* Compiled without contraction of products and sums (-ffp-contract=off), so that all machines compute the same bits. */

static const double log2e = 1.4426950408889634, ln2_high = 6.93147180369123816490e-01,
                    ln2_low = 1.90821492927058770002e-10, root_half = 0.70710678118654752,
                    quarter_pi = 0.78539816339744831;

double exact_exp(double x)
{
    x = x > -700 ? x : -700;
    x = x < 700 ? x : 700;
    double k = rint(x * log2e);
    double r = (x - k * ln2_high) - k * ln2_low, sum = 1;
    for (int n = 13; n > 0; n--)
        sum = 1.0 + sum * r / n;
    return ldexp(sum, (int)k);
}

double exact_log(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < root_half) {
        m *= 2.0;
        e--;
    }
    double s = (m - 1.0) / (m + 1.0), square = s * s, sum = 0;
    for (int n = 11; n > 0; n--)
        sum = (sum + 1.0 / (2 * n + 1)) * square;
    return e * ln2_high + (2.0 * (s + s * sum) + e * ln2_low);
}

void exact_turn(uint64_t part, uint64_t whole, double *cosine, double *sine)
{
    uint64_t eighths = part % whole * 8, octant = eighths / whole, rest = eighths % whole;
    if (octant % 2)
        rest = whole - rest;
    double t = (double)rest / (double)whole * quarter_pi, square = t * t, c = 1, s = 1;
    for (int n = 9; n > 0; n--) {
        c = 1.0 - c * square / ((2 * n - 1) * (2 * n));
        s = 1.0 - s * square / ((2 * n) * (2 * n + 1));
    }
    s *= t;
    bool swapped = (octant + 1) / 2 % 2;
    double x = swapped ? s : c, y = swapped ? c : s;
    *cosine = octant >= 2 && octant < 6 ? -x : x;
    *sine = octant >= 4 ? -y : y;
}
