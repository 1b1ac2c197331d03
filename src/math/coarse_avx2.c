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

/* Chains side by side, as many as hide the latency of an addition. */
void ivf_coarse_rescore_avx2(const float *const *x, const float *const *c, int count, int d, float *score)
{
    const float *left[IVF_COARSE_CHAINS];
    const float *right[IVF_COARSE_CHAINS];
    float chain[IVF_COARSE_CHAINS];
    for (int i = 0; i < IVF_COARSE_CHAINS; i++) {
        int known = i < count ? i : 0;
        left[i] = x[known];
        right[i] = c[known];
        chain[i] = score[known];
    }
    for (int j = 0; j < d; j++) {
#pragma GCC unroll 16
        for (int i = 0; i < IVF_COARSE_CHAINS; i++)
            chain[i] = fmaf(left[i][j], right[i][j], chain[i]);
    }
    for (int i = 0; i < count; i++)
        score[i] = chain[i];
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
                                            .choose = choose};

#endif
