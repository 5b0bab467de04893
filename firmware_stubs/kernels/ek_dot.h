/* Copies, dot products, and the instructions of the DSP extension, which C functions stand for elsewhere. */
#ifndef EK_DOT_H
#define EK_DOT_H

#include "ek_math.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__GNUC__)
#define EK_HAS_DSP 1
#else
#define EK_HAS_DSP 0
#endif

/* The longest stretches of assembler need all of them; Clang does not always find that many. */
#if EK_HAS_DSP && !defined(__clang__)
#define EK_HAS_14_REGISTERS 1
#else
#define EK_HAS_14_REGISTERS 0
#endif

EK_INLINE int32_t ek_dot_s8(const int8_t *a, const int8_t *b, int32_t count, int32_t sum)
{
    for (int32_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Weights of four bits. */
EK_INLINE int ek_is_int4(int32_t flags)
{
    return EK_HAS_INT4 && flags & EK_INT4;
}

EK_INLINE int32_t ek_low_nibble(int8_t x)
{
    return (int8_t)(uint8_t)((uint8_t)x << 4) >> 4;
}

EK_INLINE int32_t ek_high_nibble(int8_t x)
{
    return x >> 4;
}

EK_INLINE int32_t ek_dot_s4(const int8_t *nibbles, const int8_t *x, int32_t count, int32_t sum)
{
    int32_t i = 0;
    for (; i + 1 < count; i += 2, nibbles++)
        sum += x[i] * ek_low_nibble(*nibbles) + x[i + 1] * ek_high_nibble(*nibbles);
    return i < count ? sum + x[i] * ek_low_nibble(*nibbles) : sum;
}

/* The products of `count` values with the weights of a channel, which are packed as rows. */
EK_INLINE int32_t ek_dot_row(const int8_t *weights, int32_t flags, int32_t channel, const int8_t *x, int32_t count)
{
    if (ek_is_int4(flags))
        return ek_dot_s4(weights + channel * ((count + 1) / 2), x, count, 0);
    return ek_dot_s8(weights + channel * ((count + 3) & ~3), x, count, 0);
}

/* Four bytes at any address. */
EK_INLINE uint32_t ek_load_word(const int8_t *x)
{
    uint32_t word;
    __builtin_memcpy(&word, x, 4);
    return word;
}

/* The first 1 to 3 bytes of a word, zeros in the others. */
EK_INLINE uint32_t ek_load_bytes(const int8_t *x, int32_t count)
{
    uint32_t word = (uint8_t)x[0];
    for (int32_t i = 1; i < count; i++)
        word |= (uint32_t)(uint8_t)x[i] << (8 * i);
    return word;
}

/* Halfwords, as SMLAD takes them. */
EK_INLINE int32_t ek_low_half(uint32_t x)
{
    return (int16_t)(uint16_t)x;
}

EK_INLINE int32_t ek_high_half(uint32_t x)
{
    return (int16_t)(uint16_t)(x >> 16);
}

EK_INLINE uint32_t ek_two_halves(int32_t low, int32_t high)
{
#if EK_HAS_DSP
    if (!__builtin_constant_p(low) || !__builtin_constant_p(high)) {
        uint32_t result;
        __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(low), "r"(high));
        return result;
    }
#endif
    return (uint32_t)(uint16_t)low | (uint32_t)(uint16_t)high << 16;
}

/* Bytes 0 and 2 as two halfwords. */
EK_INLINE uint32_t ek_even_bytes(uint32_t x)
{
#if EK_HAS_DSP
    uint32_t result;
    __asm("sxtb16 %0, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return ek_two_halves((int8_t)(uint8_t)x, (int8_t)(uint8_t)(x >> 16));
#endif
}

/* Bytes 1 and 3 as two halfwords. */
EK_INLINE uint32_t ek_odd_bytes(uint32_t x)
{
#if EK_HAS_DSP
    uint32_t result;
    __asm("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
    return result;
#else
    return ek_even_bytes(x >> 8);
#endif
}

/* sum + the products of both halfwords, wrapped. */
EK_INLINE int32_t ek_dual_mac(uint32_t a, uint32_t b, int32_t sum)
{
#if EK_HAS_DSP
    int32_t result;
    __asm("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    const int32_t products =
        (int32_t)((uint32_t)(ek_low_half(a) * ek_low_half(b)) + (uint32_t)(ek_high_half(a) * ek_high_half(b)));
    return (int32_t)((uint32_t)sum + (uint32_t)products);
#endif
}

/* sum + the product of the lower (b) or upper (t) halves. */
EK_INLINE int32_t ek_mac_bt(uint32_t a, uint32_t b, int32_t sum)
{
#if EK_HAS_DSP
    int32_t result;
    __asm("smlabt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return sum + ek_low_half(a) * ek_high_half(b);
#endif
}

EK_INLINE int32_t ek_mac_tb(uint32_t a, uint32_t b, int32_t sum)
{
    return ek_mac_bt(b, a, sum);
}

EK_INLINE int32_t ek_mac_bb(uint32_t a, uint32_t b, int32_t sum)
{
#if EK_HAS_DSP
    int32_t result;
    __asm("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return sum + ek_low_half(a) * ek_low_half(b);
#endif
}

EK_INLINE int32_t ek_mac_tt(uint32_t a, uint32_t b, int32_t sum)
{
#if EK_HAS_DSP
    int32_t result;
    __asm("smlatt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return sum + ek_high_half(a) * ek_high_half(b);
#endif
}

/* (2^32 * z + a * b + 2^31) / 2^32. */
EK_INLINE int32_t ek_high_mac(int32_t a, int32_t b, int32_t z)
{
#if EK_HAS_DSP
    int32_t result;
    __asm("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(z));
    return result;
#else
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32) + z;
#endif
}

EK_INLINE int32_t ek_high_mul(int32_t a, int32_t b)
{
#if EK_HAS_DSP
    int32_t result;
    __asm("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return ek_high_mac(a, b, 0);
#endif
}

EK_INLINE int32_t ek_saturate_s8(int32_t x)
{
#if EK_HAS_DSP
    int32_t result;
    __asm("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return ek_clamp(x, INT8_MIN, INT8_MAX);
#endif
}

/* ek_requantize(sum) + y_zero for layers that are EK_NARROW, power = 2^(32 + shift): the upper half of one product is
   the first rounding, the upper half of another one the second, where one less makes negative halves go away from
   zero. EK_NEAR takes four times the first result and a quarter of the power. */
EK_INLINE int32_t ek_requantize_narrow(int32_t twice_sum, int32_t multiplier, int32_t power, int32_t y_zero,
                                       int32_t flags)
{
    const int32_t once = ek_high_mul(twice_sum, multiplier);
    return ek_high_mac((flags & EK_NEAR ? once * 4 : once) + (once >> 31), power, y_zero);
}

EK_INLINE int8_t ek_limited_s8(const struct ek_conv_data *d, int32_t flags, int32_t y)
{
    return (int8_t)(flags & EK_SATURATES ? ek_saturate_s8(y) : ek_clamp(y, d->low, d->high));
}

/* The stored result for a channel's entry in `channels`. */
EK_INLINE int8_t ek_stored_narrow_s8(const struct ek_conv_data *d, int32_t flags, const int32_t *channel,
                                     int32_t twice_product)
{
    return ek_limited_s8(d, flags,
                         ek_requantize_narrow(twice_product + channel[0], channel[1], channel[2], d->y_zero, flags));
}

/* The stored result of a sum of products without bias. */
EK_INLINE int8_t ek_product_stored_s8(const struct ek_conv_data *d, int32_t flags, int32_t channel, int32_t product)
{
    if (EK_PACKING == EK_PACKING_PAIRS && flags & (EK_NARROW | EK_NEAR))
        return ek_stored_narrow_s8(d, flags, d->channels + 3 * channel, product * 2);
    return ek_stored_s8(d, flags, channel, product + d->bias[channel]);
}

#endif
