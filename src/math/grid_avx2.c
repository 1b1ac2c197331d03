/* Rows on a grid in AVX2: rounding, and sums. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "math/grid_round.h"

/* The 8 values at x; false where one does not fit. */
static inline bool round_8(const float *x, const float *centre, __m256 scale, int8_t *q)
{
    __m256 place = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(centre)), scale);
    __m256 within = _mm256_and_ps(_mm256_cmp_ps(place, _mm256_set1_ps(-128.5F), _CMP_GE_OQ),
                                  _mm256_cmp_ps(place, _mm256_set1_ps(127.5F), _CMP_LE_OQ));
    __m256 known = _mm256_and_ps(place, _mm256_cmp_ps(place, place, _CMP_ORD_Q));
    __m256 held = _mm256_min_ps(_mm256_max_ps(known, _mm256_set1_ps(-128.0F)), _mm256_set1_ps(127.0F));
    __m256i whole = _mm256_cvtps_epi32(held);
    __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)q, _mm_packs_epi16(pairs, pairs));
    return _mm256_movemask_ps(within) == 0xff;
}

static bool round_wide(const float *x, const float *centre, float scale, int d, int8_t *q)
{
    enum { WIDTH = 8 };
    int beyond = 0;
    int i = 0;
    for (; i + WIDTH <= d; i += WIDTH)
        beyond |= !round_8(x + i, centre + i, _mm256_set1_ps(scale), q + i);
    return round_row(x + i, centre + i, scale, d - i, q + i) || beyond != 0;
}

enum { LANES = 16, WIDE = 8, AHEAD = 6, LINE = 64 };

/* Columns first to first + 16 vecs - 1 of the rows, which are so few that 16 bits hold their sums. */
static inline __attribute__((always_inline)) void add_columns(const int8_t *q, int64_t stride, const int32_t *list,
                                                              int64_t n, const int vecs, int32_t *sums)
{
    __m256i part[WIDE];
#pragma GCC unroll 8
    for (int v = 0; v < vecs; v++)
        part[v] = _mm256_setzero_si256();
    for (int64_t i = 0; i < n; i++) {
        const int8_t *row = q + list[i] * stride;
        const int8_t *next = q + list[i + AHEAD < n ? i + AHEAD : i] * stride;
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            if (v * LANES % LINE == 0)
                __builtin_prefetch(next + (ptrdiff_t)v * LANES);
            __m128i values = _mm_loadu_si128((const __m128i *)(row + (ptrdiff_t)v * LANES));
            part[v] = _mm256_add_epi16(part[v], _mm256_cvtepi8_epi16(values));
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < vecs; v++) {
        __m256i *to = (__m256i *)(sums + (ptrdiff_t)v * LANES);
        __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(part[v]));
        __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(part[v], 1));
        _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), low));
        _mm256_storeu_si256(to + 1, _mm256_add_epi32(_mm256_loadu_si256(to + 1), high));
    }
}

static void add_few(const int8_t *q, int d, const int32_t *list, int64_t n, int32_t *sums)
{
    int64_t stride = ivf_grid_stride(d);
    int from = 0;
    for (; from + WIDE * LANES <= d; from += WIDE * LANES)
        add_columns(q + from, stride, list, n, WIDE, sums + from);
    for (; from + LANES <= d; from += LANES)
        add_columns(q + from, stride, list, n, 1, sums + from);
    for (int64_t i = 0; i < n; i++) {
        for (int j = from; j < d; j++)
            sums[j] += q[list[i] * stride + j];
    }
}

static void add_rows(const int8_t *q, int d, const int32_t *list, int64_t n, int32_t *sums)
{
    enum { FEW = 255 };
    for (int64_t from = 0; from < n; from += FEW)
        add_few(q, d, list + from, n - from < FEW ? n - from : FEW, sums);
}

const ivf_grid_kernels ivf_grid_avx2 = {.round = round_wide, .add = add_rows};

#endif
