/* Half precision by the F16C instructions; wider registers would not help, since memory is the limit. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8 };

static inline __m128i to_half(__m256 value)
{
    return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static void f32_to_f16(const float *from, int64_t n, uint16_t *to)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm_storeu_si128((__m128i *)(to + i), to_half(_mm256_loadu_ps(from + i)));
    float values[LANES] = {0};
    uint16_t halves[LANES];
    memcpy(values, from + i, (size_t)(n - i) * sizeof *from);
    _mm_storeu_si128((__m128i *)halves, to_half(_mm256_loadu_ps(values)));
    memcpy(to + i, halves, (size_t)(n - i) * sizeof *to);
}

static void f16_to_f32(const uint16_t *from, int64_t n, float *to)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i))));
    uint16_t halves[LANES] = {0};
    float values[LANES];
    memcpy(halves, from + i, (size_t)(n - i) * sizeof *from);
    _mm256_storeu_ps(values, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)halves)));
    memcpy(to + i, values, (size_t)(n - i) * sizeof *to);
}

const ivf_convert_kernels ivf_convert_avx2 = {f32_to_f16, f16_to_f32};

#endif
