/* Kernels for CUDA. The functions at the end are the same as in OpenCL C; what comes before them gives CUDA C++ the
   words that they use. It needs no header: NVRTC compiles this file as it is, and so does nvcc.

   Another C++ compiler makes of it a library in which a function is one work-item: edgekit's emulator calls it for every
   thread of every block. Halves are converted there by the rules of IEEE 754, as the GPU does. */

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

#define __kernel extern "C" __global__ __launch_bounds__(128)
#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#ifndef INFINITY /* nvcc includes math.h by itself */
#define INFINITY __int_as_float(0x7f800000)
#endif
#define EK_ALIGNED(pointer, bytes)

struct half { unsigned short bits; };

DEVICE float ek_float(half h) { float made; asm("cvt.f32.f16 %0, %1;" : "=f"(made) : "h"(h.bits)); return made; }
DEVICE half ek_half(float f) { half made; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(made.bits) : "f"(f)); return made; }

DEVICE int max(int a, int b) { return a > b ? a : b; }
DEVICE int min(int a, int b) { return a < b ? a : b; }

#else

#include <cmath>
#include <cstdlib>
#include <cstring>

struct ek_place { unsigned x, y, z; };
extern "C" __attribute__((visibility("default"))) ek_place blockIdx, blockDim, threadIdx;
ek_place blockIdx, blockDim, threadIdx;

#define __kernel extern "C" __attribute__((visibility("default")))
#define DEVICE static inline
#define DEVICE_MEMBER inline
#define EK_ALIGNED(pointer, bytes) if (reinterpret_cast<size_t>(pointer) % (bytes)) std::abort()

struct half { unsigned short bits; };

DEVICE float ek_float(half h)
{
    const unsigned exponent = h.bits >> 10 & 31, fraction = h.bits & 1023;
    const unsigned sign = static_cast<unsigned>(h.bits & 0x8000) << 16;
    float made;
    if (exponent == 0) { /* zero or below the smallest normal number */
        made = std::ldexp(static_cast<float>(fraction), -24);
        return sign ? -made : made;
    }
    const unsigned bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    std::memcpy(&made, &bits, sizeof made);
    return made;
}

DEVICE half ek_half(float f)
{
    unsigned bits;
    std::memcpy(&bits, &f, sizeof bits);
    const unsigned sign = bits >> 16 & 0x8000, whole = bits & 0x7fffffff;
    unsigned made;
    if (whole > 0x7f800000)
        made = 0x7fff; /* not a number */
    else if (whole >= 0x477ff000)
        made = 0x7c00; /* rounds to infinity */
    else if (whole < 0x38800000) /* fixed point below the smallest normal number, to nearest, half to even */
        made = static_cast<unsigned>(std::nearbyint(std::ldexp(std::fabs(f), 24)));
    else
        made = (whole - 0x38000000 + 0xfff + (whole >> 13 & 1)) >> 13;
    return half{static_cast<unsigned short>(sign | made)};
}

DEVICE int max(int a, int b) { return a > b ? a : b; }
DEVICE int min(int a, int b) { return a < b ? a : b; }
DEVICE float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

#endif

#define __global
#define restrict __restrict__
typedef unsigned int uint;

DEVICE int get_global_id(int axis)
{
    return axis == 0 ? blockIdx.x * blockDim.x + threadIdx.x
         : axis == 1 ? blockIdx.y * blockDim.y + threadIdx.y : blockIdx.z * blockDim.z + threadIdx.z;
}

/* Vectors of two and four floats. */

#define float2 ek_float2
#define float4 ek_float4

struct alignas(8) float2 {
    float s0, s1;
    DEVICE_MEMBER float2() {}
    DEVICE_MEMBER explicit float2(float all) : s0(all), s1(all) {}
    DEVICE_MEMBER float2(float a, float b) : s0(a), s1(b) {}
};

struct alignas(16) float4 {
    float s0, s1, s2, s3;
    DEVICE_MEMBER float4() {}
    DEVICE_MEMBER explicit float4(float all) : s0(all), s1(all), s2(all), s3(all) {}
    DEVICE_MEMBER float4(float a, float b, float c, float d) : s0(a), s1(b), s2(c), s3(d) {}
};

#define EK_OPERATOR(op)                                                                                               \
    DEVICE float2 operator op(float2 a, float2 b) { return float2(a.s0 op b.s0, a.s1 op b.s1); }                      \
    DEVICE float4 operator op(float4 a, float4 b)                                                                     \
    { return float4(a.s0 op b.s0, a.s1 op b.s1, a.s2 op b.s2, a.s3 op b.s3); }                                        \
    DEVICE float2 operator op(float2 a, float b) { return a op float2(b); }                                           \
    DEVICE float4 operator op(float4 a, float b) { return a op float4(b); }                                           \
    DEVICE float2 operator op(float a, float2 b) { return float2(a) op b; }                                           \
    DEVICE float4 operator op(float a, float4 b) { return float4(a) op b; }
EK_OPERATOR(+)
EK_OPERATOR(-)
EK_OPERATOR(*)
EK_OPERATOR(/)
DEVICE float2 operator-(float2 a) { return float2(-a.s0, -a.s1); }
DEVICE float4 operator-(float4 a) { return float4(-a.s0, -a.s1, -a.s2, -a.s3); }
DEVICE float2 &operator+=(float2 &a, float2 b) { return a = a + b; }
DEVICE float4 &operator+=(float4 &a, float4 b) { return a = a + b; }

/* Functions of floats and vectors, by OpenCL's names. */

#define EK_FUNCTION(name, one)                                                                                        \
    DEVICE float ek_##name(float a) { return one(a); }                                                                \
    DEVICE float2 ek_##name(float2 a) { return float2(one(a.s0), one(a.s1)); }                                        \
    DEVICE float4 ek_##name(float4 a) { return float4(one(a.s0), one(a.s1), one(a.s2), one(a.s3)); }
EK_FUNCTION(exp, expf)
EK_FUNCTION(expm1, expm1f)
EK_FUNCTION(erf, erff)
EK_FUNCTION(tanh, tanhf)
EK_FUNCTION(log, logf)
EK_FUNCTION(sqrt, sqrtf)
EK_FUNCTION(rsqrt, rsqrtf)
EK_FUNCTION(sin, sinf)
EK_FUNCTION(cos, cosf)
EK_FUNCTION(floor, floorf)
EK_FUNCTION(ceil, ceilf)
EK_FUNCTION(rint, rintf)
EK_FUNCTION(fabs, fabsf)
#define exp ek_exp
#define expm1 ek_expm1
#define erf ek_erf
#define tanh ek_tanh
#define log ek_log
#define sqrt ek_sqrt
#define rsqrt ek_rsqrt
#define sin ek_sin
#define cos ek_cos
#define floor ek_floor
#define ceil ek_ceil
#define rint ek_rint
#define fabs ek_fabs

#define EK_FUNCTION2(name, one)                                                                                       \
    DEVICE float ek_##name(float a, float b) { return one(a, b); }                                                    \
    DEVICE float2 ek_##name(float2 a, float2 b) { return float2(one(a.s0, b.s0), one(a.s1, b.s1)); }                  \
    DEVICE float4 ek_##name(float4 a, float4 b)                                                                       \
    { return float4(one(a.s0, b.s0), one(a.s1, b.s1), one(a.s2, b.s2), one(a.s3, b.s3)); }                            \
    DEVICE float2 ek_##name(float2 a, float b) { return ek_##name(a, float2(b)); }                                    \
    DEVICE float4 ek_##name(float4 a, float b) { return ek_##name(a, float4(b)); }
EK_FUNCTION2(fmax, fmaxf)
EK_FUNCTION2(fmin, fminf)
EK_FUNCTION2(pow, powf)
#define fmax ek_fmax
#define fmin ek_fmin
#define pow ek_pow

DEVICE float ek_fma(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE float2 ek_fma(float2 a, float2 b, float2 c) { return float2(fmaf(a.s0, b.s0, c.s0), fmaf(a.s1, b.s1, c.s1)); }
DEVICE float4 ek_fma(float4 a, float4 b, float4 c)
{
    return float4(fmaf(a.s0, b.s0, c.s0), fmaf(a.s1, b.s1, c.s1), fmaf(a.s2, b.s2, c.s2), fmaf(a.s3, b.s3, c.s3));
}
#define fma ek_fma

/* Loads and stores. Vectors lie at multiples of their size: shapes are literals, and edgekit chooses lanes that divide
   them; the emulator stops where one does not. */

struct alignas(4) ek_half2 { half s0, s1; };
struct alignas(8) ek_half4 { half s0, s1, s2, s3; };

#define EK_AT(kind, pointer, at) (reinterpret_cast<kind *>(pointer)[at])

DEVICE float2 vload2(int at, const float *p) { EK_ALIGNED(p, 8); return EK_AT(const float2, p, at); }
DEVICE float4 vload4(int at, const float *p) { EK_ALIGNED(p, 16); return EK_AT(const float4, p, at); }
DEVICE void vstore2(float2 v, int at, float *p) { EK_ALIGNED(p, 8); EK_AT(float2, p, at) = v; }
DEVICE void vstore4(float4 v, int at, float *p) { EK_ALIGNED(p, 16); EK_AT(float4, p, at) = v; }

DEVICE float vload_half(int at, const half *p) { return ek_float(p[at]); }
DEVICE float2 vload_half2(int at, const half *p)
{
    EK_ALIGNED(p, 4);
    const ek_half2 h = EK_AT(const ek_half2, p, at);
    return float2(ek_float(h.s0), ek_float(h.s1));
}
DEVICE float4 vload_half4(int at, const half *p)
{
    EK_ALIGNED(p, 8);
    const ek_half4 h = EK_AT(const ek_half4, p, at);
    return float4(ek_float(h.s0), ek_float(h.s1), ek_float(h.s2), ek_float(h.s3));
}
DEVICE void vstore_half(float v, int at, half *p) { p[at] = ek_half(v); }
DEVICE void vstore_half2(float2 v, int at, half *p)
{
    EK_ALIGNED(p, 4);
    EK_AT(ek_half2, p, at) = ek_half2{ek_half(v.s0), ek_half(v.s1)};
}
DEVICE void vstore_half4(float4 v, int at, half *p)
{
    EK_ALIGNED(p, 8);
    EK_AT(ek_half4, p, at) = ek_half4{ek_half(v.s0), ek_half(v.s1), ek_half(v.s2), ek_half(v.s3)};
}

/* What TVM's generator writes of single elements. */

#define EK_SCALAR(name, one)                                                                                          \
    DEVICE float ek_##name(float a) { return one(a); }
EK_SCALAR(round, roundf)
EK_SCALAR(trunc, truncf)
EK_SCALAR(tan, tanf)
EK_SCALAR(atan, atanf)
EK_SCALAR(asin, asinf)
EK_SCALAR(acos, acosf)
EK_SCALAR(sinh, sinhf)
EK_SCALAR(cosh, coshf)
EK_SCALAR(asinh, asinhf)
EK_SCALAR(acosh, acoshf)
EK_SCALAR(atanh, atanhf)
EK_SCALAR(log2, log2f)
EK_SCALAR(log10, log10f)
EK_SCALAR(exp2, exp2f)
#define round ek_round
#define trunc ek_trunc
#define tan ek_tan
#define atan ek_atan
#define asin ek_asin
#define acos ek_acos
#define sinh ek_sinh
#define cosh ek_cosh
#define asinh ek_asinh
#define acosh ek_acosh
#define atanh ek_atanh
#define log2 ek_log2
#define log10 ek_log10
#define exp2 ek_exp2

DEVICE float ek_fmod(float a, float b) { return fmodf(a, b); }
DEVICE int ek_isnan(float a) { return a != a; }
DEVICE int ek_isinf(float a) { return a == INFINITY || a == -INFINITY; }
#define fmod ek_fmod
#define isnan ek_isnan
#define isinf ek_isinf

DEVICE int ek_max(int a, int b) { return a > b ? a : b; }
DEVICE int ek_min(int a, int b) { return a < b ? a : b; }
DEVICE long ek_max(long a, long b) { return a > b ? a : b; }
DEVICE long ek_min(long a, long b) { return a < b ? a : b; }
DEVICE float ek_max(float a, float b) { return fmaxf(a, b); }
DEVICE float ek_min(float a, float b) { return fminf(a, b); }
#define max ek_max
#define min ek_min

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned long ulong;
#define convert_char(x) (static_cast<signed char>(x))
#define convert_uchar(x) (static_cast<uchar>(x))
#define convert_short(x) (static_cast<short>(x))
#define convert_ushort(x) (static_cast<ushort>(x))
#define convert_int(x) (static_cast<int>(x))
#define convert_uint(x) (static_cast<uint>(x))
#define convert_long(x) (static_cast<long>(x))
#define convert_ulong(x) (static_cast<ulong>(x))
#define convert_float(x) (static_cast<float>(x))

/* The network's kernels. */
