/* Products with packed vectors in AVX2: tiles of 6 rows by 2 vectors take 12 of the 16 registers. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

typedef __m256 vec;
typedef __m256i ivec;
typedef __m256 mask;

enum { LANES = 8, COLS = 2, ROWS = 6, NARROW_VECTORS = 4 };
#define TILE_SIZES(F) F(6) F(4) F(2) F(1)

static inline vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void vec_store(float *to, vec v)
{
    _mm256_storeu_ps(to, v);
}

static inline vec vec_set1(float value)
{
    return _mm256_set1_ps(value);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* b where either is NaN, or both are zero. */
static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline mask vec_greater(vec a, vec b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}

static inline ivec ivec_load(const int32_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline void ivec_store(int32_t *to, ivec v)
{
    _mm256_storeu_si256((__m256i *)to, v);
}

static inline ivec ivec_set1(int32_t value)
{
    return _mm256_set1_epi32(value);
}

static inline ivec ivec_select(mask chosen, ivec a, ivec b)
{
    return _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(b), _mm256_castsi256_ps(a), chosen));
}

/* The lowest of number * LANES + lane, over the lanes whose score is the largest. */
static inline int32_t vec_lowest_of_largest(vec score, ivec number)
{
    vec top = _mm256_max_ps(score, _mm256_permute2f128_ps(score, score, 1));
    top = _mm256_max_ps(top, _mm256_permute_ps(top, 0x4e));
    top = _mm256_max_ps(top, _mm256_permute_ps(top, 0xb1));
    mask largest = _mm256_cmp_ps(score, top, _CMP_EQ_OQ);
    ivec whole = _mm256_add_epi32(_mm256_slli_epi32(number, 3), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    ivec low = ivec_select(largest, whole, _mm256_set1_epi32(INT32_MAX));
    low = _mm256_min_epi32(low, _mm256_permute2x128_si256(low, low, 1));
    low = _mm256_min_epi32(low, _mm256_shuffle_epi32(low, 0x4e));
    low = _mm256_min_epi32(low, _mm256_shuffle_epi32(low, 0xb1));
    return _mm256_cvtsi256_si32(low);
}

#include "math/panels_blocks.h"

const ivf_panels_kernels ivf_panels_avx2 = {.width = WIDTH, .rows = ROWS, .best = find_best, .scores = find_scores};

#endif
