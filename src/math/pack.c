#include "math/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "math/convert.h"

/* Within +-2^22 the sum with 1.5 * 2^23 has no bits for a fraction, so that adding rounds as the processor does: to
 * nearest, ties to even. Unlike rintf this becomes vector code on every x86-64. */
static float round_small(float value)
{
    const float shift = 12582912.0F;
    return (value + shift) - shift;
}

/* NaN fails every comparison. */
static float clamp(float value, float low, float high)
{
    float known = value == value ? value : 0.0F;
    float above = known > low ? known : low;
    return above < high ? above : high;
}

static void pack_u8(const float *restrict from, int64_t n, uint8_t *restrict to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (uint8_t)(int)round_small(clamp(from[i], 0.0F, 255.0F));
}

static void pack_i8(const float *restrict from, int64_t n, int8_t *restrict to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (int8_t)(int)round_small(clamp(from[i], -128.0F, 127.0F));
}

void ivf_f32_to_element(ivf_element type, const float *from, int64_t n, void *to)
{
    switch (type) {
    case IVF_F32:
        memcpy(to, from, ivf_to_size(n) * sizeof *from);
        return;
    case IVF_F16:
        ivf_f32_to_f16(from, n, to);
        return;
    case IVF_U8:
        pack_u8(from, n, to);
        return;
    case IVF_I8:
        pack_i8(from, n, to);
        return;
    case IVF_F64:
    case IVF_I32:
    case IVF_I64:
    case IVF_U64:
        break;
    }
    /* Callers choose among the four above. */
    __builtin_unreachable();
}
