/* Elements of any input type to f32 and back. Input buffers come from files at any offset, so they are read through
 * memcpy. */
#include "math/convert.h"

#include <string.h>

#include "math/kernels.h"

static void f64_to_f32(const char *from, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++) {
        double value = 0;
        memcpy(&value, from + i * (int64_t)sizeof value, sizeof value);
        to[i] = (float)value;
    }
}

static void unaligned_f16_to_f32(const char *from, int64_t n, float *to)
{
    enum { BLOCK = 512 };
    uint16_t aligned[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = n - i < BLOCK ? n - i : BLOCK;
        memcpy(aligned, from + i * (int64_t)sizeof *aligned, (size_t)count * sizeof *aligned);
        ivf_f16_to_f32(aligned, count, to + i);
    }
}

static void u8_to_f32(const uint8_t *from, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)from[i];
}

static void i8_to_f32(const int8_t *from, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)from[i];
}

void ivf_to_f32(ivf_element type, const void *from, int64_t n, float *to)
{
    switch (type) {
    case IVF_F32:
        memcpy(to, from, (size_t)n * sizeof *to);
        break;
    case IVF_F64:
        f64_to_f32(from, n, to);
        break;
    case IVF_F16:
        unaligned_f16_to_f32(from, n, to);
        break;
    case IVF_U8:
        u8_to_f32(from, n, to);
        break;
    case IVF_I8:
        i8_to_f32(from, n, to);
        break;
    case IVF_I32:
    case IVF_I64:
    case IVF_U64:
    default:
        memset(to, 0, (size_t)n * sizeof *to);
        break;
    }
}

void ivf_f32_to_f16(const float *from, int64_t n, uint16_t *to)
{
    ivf_kernels_convert()->f32_to_f16(from, n, to);
}

void ivf_f16_to_f32(const uint16_t *from, int64_t n, float *to)
{
    ivf_kernels_convert()->f16_to_f32(from, n, to);
}
