/* Integer products in AVX2: values widened to 16 bits, two products in each lane (vpmaddwd), a tile in two vectors;
 * and what is done for single rows, which AVX-512 uses as well. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>

typedef __m256i vec;
typedef __m256i mask;

enum { VECS = 2, COLS = 1 };
#define COL_SIZES(F) F(1)

static inline vec vec_load(const void *from)
{
    return _mm256_loadu_si256(from);
}

static inline void vec_store(int32_t *to, vec v)
{
    _mm256_storeu_si256((__m256i *)to, v);
}

static inline vec vec_set1(int32_t value)
{
    return _mm256_set1_epi32(value);
}

static inline vec vec_set1_from(const uint8_t *from)
{
    int32_t value = 0;
    __builtin_memcpy(&value, from, sizeof value);
    return _mm256_set1_epi32(value);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_epi32(a, b);
}

static inline mask vec_greater(vec a, vec b)
{
    return _mm256_cmpgt_epi32(a, b);
}

static inline vec vec_select(mask chosen, vec a, vec b)
{
    return _mm256_blendv_epi8(b, a, chosen);
}

static inline vec vec_dot(vec sum, vec centroids, vec row)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(centroids, row));
}

#include "math/coarse_pairs.h"

#include "math/coarse_blocks.h"
#include "math/coarse_row.h"

/* Four neighbouring values of eight vectors: one vec for each of the four. */
static inline void load_columns(const float *const *from, ptrdiff_t at, __m256 column[4])
{
    __m256 row[4];
    for (int i = 0; i < 4; i++)
        row[i] =
            _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from[i] + at)), _mm_loadu_ps(from[i + 4] + at), 1);
    __m256 low = _mm256_unpacklo_ps(row[0], row[1]);
    __m256 high = _mm256_unpackhi_ps(row[0], row[1]);
    __m256 next_low = _mm256_unpacklo_ps(row[2], row[3]);
    __m256 next_high = _mm256_unpackhi_ps(row[2], row[3]);
    column[0] = _mm256_shuffle_ps(low, next_low, 0x44);
    column[1] = _mm256_shuffle_ps(low, next_low, 0xee);
    column[2] = _mm256_shuffle_ps(high, next_high, 0x44);
    column[3] = _mm256_shuffle_ps(high, next_high, 0xee);
}

/* A chain in each lane: they are long, and have to hide the latency of each other's additions. */
void ivf_coarse_rescore_avx2(const float *const *x, const float *const *c, int count, int d, float *score)
{
    const float *left[IVF_COARSE_CHAINS];
    const float *right[IVF_COARSE_CHAINS];
    _Alignas(32) float chain[IVF_COARSE_CHAINS];
    for (int i = 0; i < IVF_COARSE_CHAINS; i++) {
        int known = i < count ? i : 0;
        left[i] = x[known];
        right[i] = c[known];
        chain[i] = score[known];
    }
    __m256 sum = _mm256_load_ps(chain);
    int whole = d / 4 * 4;
    for (int j = 0; j < whole; j += 4) {
        __m256 a[4];
        __m256 b[4];
        load_columns(left, j, a);
        load_columns(right, j, b);
        for (int i = 0; i < 4; i++)
            sum = _mm256_fmadd_ps(a[i], b[i], sum);
    }
    _mm256_store_ps(chain, sum);
    for (int i = 0; i < count; i++) {
        for (int j = whole; j < d; j++)
            chain[i] = fmaf(left[i][j], right[i][j], chain[i]);
        score[i] = chain[i];
    }
}

uint32_t ivf_coarse_near_avx2(const int32_t score[IVF_COARSE_LANES], int32_t margin)
{
    vec first = vec_load(score);
    vec second = vec_load(score + LANES / VECS);
    vec most = vec_max(first, second);
    most = vec_max(most, _mm256_permute2x128_si256(most, most, 1));
    most = vec_max(most, _mm256_shuffle_epi32(most, 0x4e));
    most = vec_max(most, _mm256_shuffle_epi32(most, 0xb1));
    int32_t largest = _mm256_cvtsi256_si32(most);
    vec below = vec_set1(largest > INT32_MIN + margin ? largest - margin - 1 : INT32_MIN);
    int low = _mm256_movemask_ps(_mm256_castsi256_ps(vec_greater(first, below)));
    int high = _mm256_movemask_ps(_mm256_castsi256_ps(vec_greater(second, below)));
    return (uint32_t)low | (uint32_t)high << (LANES / VECS);
}

int64_t ivf_coarse_distance_avx2(const int8_t *q, const int8_t *mean, int quads)
{
    return square_distance(q, mean, quads);
}

/* By eights, most of which have none. */
static int64_t collect(const int32_t *scores, int64_t slots, int32_t low, int32_t *slot, int32_t *kept)
{
    int64_t count = 0;
    for (int64_t first = 0; first < slots; first += LANES / VECS) {
        mask below = vec_greater(vec_set1(low), vec_load(scores + first));
        if (_mm256_movemask_epi8(below) == -1)
            continue;
        for (int64_t i = first; i < first + LANES / VECS; i++) {
            slot[count] = (int32_t)i;
            kept[count] = scores[i];
            count += scores[i] >= low;
        }
    }
    return count;
}

#include "math/coarse_choose.h"

const ivf_coarse_kernels ivf_coarse_avx2 = {.values = 2,
                                            .pack = pack,
                                            .scan = scan,
                                            .scores = scores,
                                            .rescore = ivf_coarse_rescore_avx2,
                                            .distance = ivf_coarse_distance_avx2,
                                            .near = ivf_coarse_near_avx2,
                                            .choose = choose};

#endif
