/* Distances in AVX-512: a block is a register. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

typedef __m512 block;

static inline block block_zero(void)
{
    return _mm512_setzero_ps();
}

static inline block block_sub(block a, block b)
{
    return _mm512_sub_ps(a, b);
}

static inline block block_fma(block a, block b, block c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline block block_add(block a, block b)
{
    return _mm512_add_ps(a, b);
}

static inline __mmask16 first(int count)
{
    return (__mmask16)((1U << count) - 1);
}

static inline block block_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline block block_load_some(const float *from, int count)
{
    return _mm512_maskz_loadu_ps(first(count), from);
}

static inline block block_load_half(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}

static inline block block_load_half_some(const uint16_t *from, int count)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(count), from));
}

static inline float block_join(block sum)
{
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "math/distance_blocks.h"

const ivf_distance_kernels ivf_distance_avx512 = {l2_f32, dot_f32, l2_f16, dot_f16};

#endif
