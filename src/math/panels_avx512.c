/* Products with packed vectors in AVX-512: tiles of 14 rows by 2 vectors take 28 of the 32 registers. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

typedef __m512 vec;
typedef __m512i ivec;
typedef __mmask16 mask;

enum { LANES = 16, COLS = 2, ROWS = 14, NARROW_VECTORS = 8 };
#define TILE_SIZES(F) F(14) F(8) F(4) F(2) F(1)

static inline vec vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void vec_store(float *to, vec v)
{
    _mm512_storeu_ps(to, v);
}

static inline vec vec_set1(float value)
{
    return _mm512_set1_ps(value);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* b where either is NaN, or both are zero. */
static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static inline mask vec_greater(vec a, vec b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

static inline ivec ivec_load(const int32_t *from)
{
    return _mm512_loadu_si512(from);
}

static inline void ivec_store(int32_t *to, ivec v)
{
    _mm512_storeu_si512(to, v);
}

static inline ivec ivec_set1(int32_t value)
{
    return _mm512_set1_epi32(value);
}

static inline ivec ivec_select(mask chosen, ivec a, ivec b)
{
    return _mm512_mask_mov_epi32(b, chosen, a);
}

/* The lowest of number * LANES + lane, over the lanes whose score is the largest. */
static inline int32_t vec_lowest_of_largest(vec score, ivec number)
{
    const ivec lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    mask largest = _mm512_cmp_ps_mask(score, _mm512_set1_ps(_mm512_reduce_max_ps(score)), _CMP_EQ_OQ);
    return _mm512_mask_reduce_min_epi32(largest, _mm512_add_epi32(_mm512_slli_epi32(number, 4), lane));
}

#include "math/panels_blocks.h"

const ivf_panels_kernels ivf_panels_avx512 = {.width = WIDTH, .rows = ROWS, .best = find_best, .scores = find_scores};

#endif
