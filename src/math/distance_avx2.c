/* Distances in AVX2: a block is two registers. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    __m256 low;
    __m256 high;
} block;

static inline block block_zero(void)
{
    return (block){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

static inline block block_sub(block a, block b)
{
    return (block){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

static inline block block_fma(block a, block b, block c)
{
    return (block){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

static inline block block_add(block a, block b)
{
    return (block){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

/* Eight lanes of which those below `count` are taken. */
static inline __m256i first(int count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline block block_load(const float *from)
{
    return (block){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}

static inline block block_load_some(const float *from, int count)
{
    block b = {_mm256_maskload_ps(from, first(count)), _mm256_setzero_ps()};
    if (count > 8)
        b.high = _mm256_maskload_ps(from + 8, first(count - 8));
    return b;
}

static inline block block_load_half(const uint16_t *from)
{
    return (block){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)),
                   _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + 8)))};
}

/* AVX2 has no masked load of 16-bit elements. */
static inline block block_load_half_some(const uint16_t *from, int count)
{
    uint16_t padded[16] = {0};
    memcpy(padded, from, (size_t)count * sizeof *padded);
    return block_load_half(padded);
}

static inline float block_join(block sum)
{
    __m256 eight = _mm256_add_ps(sum.low, sum.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "math/distance_blocks.h"

const ivf_distance_kernels ivf_distance_avx2 = {l2_f32, dot_f32, l2_f16, dot_f16};

#endif
