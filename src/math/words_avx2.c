/* Word kernels in AVX2: two vectors to a group of words, tiles of 4 rows. */
#include "math/words_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

typedef __m256i vec;

enum { LANES = 8, VECTORS = 2, ROWS = 4 };

static inline vec vec_load(const int32_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

static inline vec vec_lowest(void)
{
    return _mm256_set1_epi32(INT32_MIN);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_epi32(a, b);
}

static inline vec vec_dot(vec sum, vec c, const int32_t *x)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(c, _mm256_set1_epi32(*x)));
}

static inline vec vec_join(vec key, vec lane)
{
    return _mm256_or_si256(_mm256_andnot_si256(_mm256_set1_epi32(0xF0), key), lane);
}

static inline void store_largest(const vec best[ROWS], int32_t keys[ROWS])
{
    const vec a = vec_max(_mm256_unpacklo_epi32(best[0], best[1]), _mm256_unpackhi_epi32(best[0], best[1]));
    const vec b = vec_max(_mm256_unpacklo_epi32(best[2], best[3]), _mm256_unpackhi_epi32(best[2], best[3]));
    const vec c = vec_max(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    const __m128i all = _mm_max_epi32(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
    _mm_storeu_si128((__m128i *)(void *)keys, all);
}

#include "math/words_tile.h"

/* As round_plain, 8 values at a time. */
static bool round_values(const float *x, const float *centre, const float *scale, float limit, int count, int16_t *q)
{
    const __m256i most = _mm256_set1_epi32((int32_t)limit);
    __m256i beyond = _mm256_setzero_si256();
    int j = 0;
    for (; j + LANES <= count; j += LANES) {
        __m256 t = _mm256_sub_ps(_mm256_loadu_ps(x + j), _mm256_loadu_ps(centre + j));
        t = _mm256_mul_ps(t, _mm256_loadu_ps(scale + j));
        t = _mm256_min_ps(_mm256_max_ps(t, _mm256_set1_ps(-ROUND_MOST)), _mm256_set1_ps(ROUND_MOST));
        const __m256i rounded = _mm256_cvtps_epi32(t);
        const __m256i far = _mm256_cmpgt_epi32(_mm256_abs_epi32(rounded), most);
        const __m256i kept = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(INT16_MIN), far);
        beyond = _mm256_or_si256(beyond, far);
        _mm_storeu_si128((__m128i *)(void *)(q + j),
                         _mm_packs_epi32(_mm256_castsi256_si128(kept), _mm256_extracti128_si256(kept, 1)));
    }
    const bool last = round_plain(x + j, centre + j, scale + j, limit, count - j, q + j);
    return last || !_mm256_testz_si256(beyond, beyond);
}

const ivf_words_kernels ivf_words_avx2 = {.round = round_values, .best = find_best, .add = add_rows};

#endif
