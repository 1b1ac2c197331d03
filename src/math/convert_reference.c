/* Half precision in plain C (IEEE 754-2019, binary16), for CPUs without F16C and as the oracle of those with it. NaN
 * keeps its sign and the upper bits of its payload and becomes quiet, as the instructions do. */
#include <string.h>

#include "math/kernels.h"

enum { HALF_BITS = 10, FLOAT_BITS = 23, SHIFT = FLOAT_BITS - HALF_BITS, BIAS_STEP = 127 - 15 };

static uint32_t bits_of(float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* value / 2^shift, to nearest, ties to even; 1 <= shift <= 31. */
static uint32_t shift_rounded(uint32_t value, int shift)
{
    uint32_t half = UINT32_C(1) << (shift - 1);
    uint32_t rest = value & (2 * half - 1);
    uint32_t quotient = value >> shift;
    return quotient + (rest > half || (rest == half && (quotient & 1) != 0));
}

static uint16_t half_of(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (magnitude >> SHIFT & 0x3ff));
    int exponent = (int)(magnitude >> FLOAT_BITS) - BIAS_STEP;
    if (exponent >= 31)
        return (uint16_t)(sign | 0x7c00);
    if (exponent > 0) /* rounding up may carry into the exponent, and from the largest half to infinity: as it should */
        return (uint16_t)(sign | shift_rounded(magnitude - ((uint32_t)BIAS_STEP << FLOAT_BITS), SHIFT));
    if (exponent < -HALF_BITS)
        return (uint16_t)sign;
    uint32_t significand = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_rounded(significand, SHIFT + 1 - exponent));
}

static float float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> HALF_BITS & 0x1f;
    uint32_t significand = half & 0x3ff;
    if (exponent == 0x1f)
        return float_of(sign | 0x7f800000 | significand << SHIFT | (significand != 0 ? UINT32_C(1) << 22 : 0));
    if (exponent == 0) { /* subnormal halves are normal floats: significand * 2^-24, exactly */
        float magnitude = (float)significand * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    return float_of(sign | (exponent + BIAS_STEP) << FLOAT_BITS | significand << SHIFT);
}

static void f32_to_f16(const float *from, int64_t n, uint16_t *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = half_of(from[i]);
}

static void f16_to_f32(const uint16_t *from, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = float_of_half(from[i]);
}

const ivf_convert_kernels ivf_convert_reference = {f32_to_f16, f16_to_f32};
