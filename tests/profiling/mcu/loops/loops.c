/* Convolutions and dense layers in the way of well-known interpreters, whose times on boards are published.
 * LOOP 0: convolutions by a plain loop with shapes at run time; 1: the same by gathering windows of 16 bits and
 * multiplying two rows by two columns with SMLAD; 2: dense layers, two rows at a time with SMLAD.
 * Only their times matter: weights are zero, and nobody looks at the results. */
#include "loops.h"

enum { SIDE = 32, MOST = 64, AT_INPUT = 0, AT_MAP = 16, AT_RESULT = AT_MAP + 32768, AT_WINDOWS = AT_RESULT + 32768 };

static const struct ek_step steps[1] = {{"loop", 0}};
static const uint32_t one_byte[1] = {1};
/* Not static, so that the compiler cannot know what they hold. */
extern int32_t multipliers[MOST], shifts[MOST], bias[640];
extern const int8_t loop_weights[264192];
int32_t multipliers[MOST], shifts[MOST], bias[640];
const int8_t loop_weights[264192] = {1};

static int32_t requantized(int32_t x, int32_t multiplier, int32_t shift)
{
    int64_t product = (int64_t)x * multiplier + (1 << 30);
    int32_t high = (int32_t)(product >> 31), right = 8 - shift;
    int32_t mask = (1 << right) - 1, rest = high & mask, half = (mask >> 1) + (high < 0);
    int32_t y = (high >> right) + (rest > half) - 128;
    return y < -128 ? -128 : y > 127 ? 127 : y;
}

#if LOOP == 0
struct shape {
    int32_t rank, near[5];
    const int32_t *far;
};

static inline int32_t at(const struct shape *s, int32_t a, int32_t b, int32_t c, int32_t d)
{
    const int32_t *n = s->rank > 5 ? s->far : s->near;
    return ((a * n[1] + b) * n[2] + c) * n[3] + d;
}

__attribute__((noinline)) static void convolve(const struct shape *in, const int8_t *x, const struct shape *filter,
                                               const int8_t *w, const struct shape *out, int8_t *y, int32_t stride)
{
    int32_t pad = stride == 1 ? filter->near[1] / 2 : 0;
    for (int32_t i = 0; i < out->near[1]; i++)
        for (int32_t j = 0; j < out->near[2]; j++)
            for (int32_t o = 0; o < out->near[3]; o++) {
                int32_t sum = 0;
                for (int32_t p = 0; p < filter->near[1]; p++)
                    for (int32_t q = 0; q < filter->near[2]; q++) {
                        int32_t r = i * stride - pad + p, c = j * stride - pad + q;
                        if (r < 0 || r >= in->near[1] || c < 0 || c >= in->near[2])
                            continue;
                        for (int32_t k = 0; k < filter->near[3]; k++)
                            sum += w[at(filter, o, p, q, k)] * (x[at(in, 0, r, c, k)] + 128);
                    }
                y[at(out, 0, i, j, o)] = (int8_t)requantized(sum + bias[o], multipliers[o], shifts[o]);
            }
}

static void layer(uint8_t *arena, int32_t side, int32_t from, int32_t to, int32_t kernel, int32_t stride)
{
    struct shape in = {4, {1, side, side, from}, 0}, filter = {4, {to, kernel, kernel, from}, 0},
                 out = {4, {1, side / stride, side / stride, to}, 0};
    convolve(&in, (int8_t *)arena + AT_MAP, &filter, loop_weights, &out, (int8_t *)arena + AT_RESULT, stride);
}
#else
static inline uint32_t word(const void *from)
{
    uint32_t value;
    __builtin_memcpy(&value, from, 4);
    return value;
}

static inline uint32_t even(uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
    return pair;
}

static inline uint32_t odd(uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

static inline int32_t dual(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

static inline uint32_t low_pair(uint32_t first, uint32_t second)
{
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(first), "r"(second));
    return pair;
}

static inline uint32_t high_pair(uint32_t second, uint32_t first)
{
    uint32_t pair;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(second), "r"(first));
    return pair;
}

static inline uint32_t shifted_even(uint32_t offset, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2" : "=r"(pair) : "r"(offset), "r"(bytes));
    return pair;
}

static inline uint32_t shifted_odd(uint32_t offset, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(offset), "r"(bytes));
    return pair;
}

#define OFFSET (128u | 128u << 16)
#endif

#if LOOP == 1
__attribute__((noinline)) static int8_t *two_columns(const int8_t *w, const int16_t *x, int32_t rows, int32_t columns,
                                                     int8_t *y)
{
    for (int32_t row = 0; row < rows; row += 2, w += columns) {
        const int16_t *first = x, *second = x + columns;
        const int8_t *other = w + columns;
        int32_t a = bias[row], b = a, c = bias[row + 1], d = c;
        for (int32_t n = columns >> 2; n; n--, w += 4, other += 4, first += 4, second += 4) {
            uint32_t bytes = word(w), more = word(other), p = word(first), q = word(second);
            uint32_t w0 = low_pair(even(bytes), odd(bytes)), w1 = high_pair(odd(bytes), even(bytes));
            uint32_t v0 = low_pair(even(more), odd(more)), v1 = high_pair(odd(more), even(more));
            a = dual(w0, p, a), b = dual(w0, q, b), c = dual(v0, p, c), d = dual(v0, q, d);
            p = word(first + 2), q = word(second + 2);
            a = dual(w1, p, a), b = dual(w1, q, b), c = dual(v1, p, c), d = dual(v1, q, d);
        }
        for (int32_t n = columns & 3; n; n--, w++, other++, first++, second++)
            a += *w * *first, b += *w * *second, c += *other * *first, d += *other * *second;
        y[row] = (int8_t)requantized(a, multipliers[row], shifts[row]);
        y[row + rows] = (int8_t)requantized(b, multipliers[row], shifts[row]);
        y[row + 1] = (int8_t)requantized(c, multipliers[row + 1], shifts[row + 1]);
        y[row + 1 + rows] = (int8_t)requantized(d, multipliers[row + 1], shifts[row + 1]);
    }
    return y + 2 * rows;
}

__attribute__((noinline)) static void widen(const int8_t *x, int16_t *y, int32_t count)
{
    for (int32_t n = count >> 2; n; n--, x += 4, y += 4) {
        uint32_t bytes = word(x), e = shifted_even(OFFSET, bytes), o = shifted_odd(OFFSET, bytes);
        uint32_t low = low_pair(e, o), high = high_pair(o, e);
        __builtin_memcpy(y, &low, 4);
        __builtin_memcpy(y + 2, &high, 4);
    }
    for (int32_t n = count & 3; n; n--)
        *y++ = (int16_t)(*x++ + 128);
}

static void layer(uint8_t *arena, int32_t side, int32_t from, int32_t to, int32_t kernel, int32_t stride)
{
    const int8_t *x = (int8_t *)arena + AT_MAP;
    int16_t *windows = (int16_t *)(void *)(arena + AT_WINDOWS), *next = windows;
    int8_t *y = (int8_t *)arena + AT_RESULT;
    int32_t pad = stride == 1 ? kernel / 2 : 0, window = kernel * kernel * from;
    for (int32_t i = 0; i < side / stride; i++)
        for (int32_t j = 0; j < side / stride; j++) {
            for (int32_t r = i * stride - pad; r < i * stride - pad + kernel; r++)
                for (int32_t c = j * stride - pad; c < j * stride - pad + kernel; c++, next += from)
                    if (r < 0 || r >= side || c < 0 || c >= side)
                        __builtin_memset(next, 0, (uint32_t)from * 2);
                    else
                        widen(x + (r * side + c) * from, next, from);
            if (next == windows + 2 * window) {
                y = two_columns(loop_weights, windows, to, window, y);
                next = windows;
            }
        }
}
#endif

#if LOOP == 2
__attribute__((noinline)) static void dense(const int8_t *x, const int8_t *w, int8_t *y, int32_t columns, int32_t rows)
{
    for (int32_t row = 0; row < rows; row += 2, w += columns) {
        const int8_t *value = x, *other = w + columns;
        int32_t a = bias[row], b = bias[row + 1];
        for (int32_t n = columns >> 2; n; n--, value += 4, w += 4, other += 4) {
            uint32_t bytes = word(value), o = shifted_odd(OFFSET, bytes), e = shifted_even(OFFSET, bytes);
            bytes = word(w);
            a = dual(o, odd(bytes), a), a = dual(e, even(bytes), a);
            bytes = word(other);
            b = dual(o, odd(bytes), b), b = dual(e, even(bytes), b);
        }
        *y++ = (int8_t)requantized(a, 1 << 30, 0);
        *y++ = (int8_t)requantized(b, 1 << 30, 0);
    }
}
#endif

static void init(struct ek_instance *instance, void *arena)
{
    instance->arena = arena;
    instance->tick = 0;
    instance->context = 0;
}

static void *input(const struct ek_instance *instance, uint32_t index)
{
    return instance->arena + AT_INPUT + index;
}

static const void *output(const struct ek_instance *instance, uint32_t index)
{
    return instance->arena + AT_RESULT + index;
}

static void run(struct ek_instance *instance)
{
    if (instance->tick)
        instance->tick(instance->context);
#if LOOP == 2 /* the autoencoder */
    static const int16_t widths[11] = {640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640};
    const int8_t *w = loop_weights;
    for (int32_t n = 0; n < 10; w += widths[n] * widths[n + 1], n++)
        dense((int8_t *)instance->arena + AT_MAP, w, (int8_t *)instance->arena + AT_RESULT, widths[n], widths[n + 1]);
#else /* the convolutions of ResNet-8: side, channels in and out, kernel, stride */
    static const uint8_t layers[9][5] = {{32, 3, 16, 3, 1},  {32, 16, 16, 3, 1}, {32, 16, 16, 3, 1},
                                         {32, 16, 32, 3, 2}, {16, 32, 32, 3, 1}, {32, 16, 32, 1, 2},
                                         {16, 32, 64, 3, 2}, {8, 64, 64, 3, 1},  {16, 32, 64, 1, 2}};
    for (int32_t n = 0; n < 9; n++)
        layer(instance->arena, layers[n][0], layers[n][1], layers[n][2], layers[n][3], layers[n][4]);
#endif
    if (instance->tick)
        instance->tick(instance->context);
}

const struct ek_model loops_model = {
    EK_MODEL_ABI, "loops", 1, 1, 1, one_byte, one_byte, LOOPS_ARENA_BYTES, steps, init, input, output, run,
};
