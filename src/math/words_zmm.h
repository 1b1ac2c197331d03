/* What the two AVX-512 forms of the word kernels share: all but the product. Tiles of 8 rows. */
#ifndef IVF_MATH_WORDS_ZMM_H
#define IVF_MATH_WORDS_ZMM_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "math/words_plain.h"

typedef __m512i vec;

enum { LANES = 16, VECTORS = 1, ROWS = 8 };

static inline vec vec_load(const int32_t *from)
{
    return _mm512_loadu_si512(from);
}

static inline vec vec_lowest(void)
{
    return _mm512_set1_epi32(INT32_MIN);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_epi32(a, b);
}

static inline vec vec_join(vec key, vec lane)
{
    return _mm512_or_si512(_mm512_andnot_si512(_mm512_set1_epi32(0xF0), key), lane);
}

static inline __m256i larger_half(vec v)
{
    return _mm256_max_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

/* Interleaves two vectors, halving what is left of each. */
static inline __m256i merge_32(__m256i a, __m256i b)
{
    return _mm256_max_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

static inline __m256i merge_64(__m256i a, __m256i b)
{
    return _mm256_max_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

static inline void store_largest(const vec best[ROWS], int32_t keys[ROWS])
{
    const __m256i ab = merge_32(larger_half(best[0]), larger_half(best[1]));
    const __m256i cd = merge_32(larger_half(best[2]), larger_half(best[3]));
    const __m256i ef = merge_32(larger_half(best[4]), larger_half(best[5]));
    const __m256i gh = merge_32(larger_half(best[6]), larger_half(best[7]));
    const __m256i abcd = merge_64(ab, cd);
    const __m256i efgh = merge_64(ef, gh);
    const __m256i all =
        _mm256_max_epi32(_mm256_permute2x128_si256(abcd, efgh, 0x20), _mm256_permute2x128_si256(abcd, efgh, 0x31));
    _mm256_storeu_si256((__m256i *)(void *)keys, all);
}

/* As round_plain (words_plain.h), 16 values at a time. */
static bool round_values(const float *x, const float *centre, const float *scale, float limit, int count, int16_t *q)
{
    const __m512i most = _mm512_set1_epi32((int32_t)limit);
    __mmask16 beyond = 0;
    for (int j = 0; j < count; j += LANES) {
        const __mmask16 here = (__mmask16)(0xFFFF >> (count - j < LANES ? LANES - (count - j) : 0));
        __m512 t = _mm512_sub_ps(_mm512_maskz_loadu_ps(here, x + j), _mm512_maskz_loadu_ps(here, centre + j));
        t = _mm512_mul_ps(t, _mm512_maskz_loadu_ps(here, scale + j));
        t = _mm512_min_ps(_mm512_max_ps(t, _mm512_set1_ps(-ROUND_MOST)), _mm512_set1_ps(ROUND_MOST));
        const __m512i rounded = _mm512_cvtps_epi32(t);
        const __mmask16 far = _mm512_cmpgt_epi32_mask(_mm512_abs_epi32(rounded), most);
        beyond = (__mmask16)(beyond | far);
        _mm512_mask_cvtepi32_storeu_epi16(q + j, here,
                                          _mm512_mask_mov_epi32(rounded, far, _mm512_set1_epi32(INT16_MIN)));
    }
    return beyond != 0;
}

#endif
