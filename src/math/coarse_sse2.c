/* Integer products in SSE2, which every x86-64 has: values widened to 16 bits, two products in each lane (pmaddwd), a
 * tile in four vectors. For CPUs without AVX2; what is done for single rows stays plain C. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <emmintrin.h>

typedef __m128i vec;
typedef __m128i mask;

enum { VECS = 4, COLS = 1 };
#define COL_SIZES(F) F(1)

static inline vec vec_load(const void *from)
{
    return _mm_loadu_si128(from);
}

static inline void vec_store(int32_t *to, vec v)
{
    _mm_storeu_si128((__m128i *)to, v);
}

static inline vec vec_set1(int32_t value)
{
    return _mm_set1_epi32(value);
}

static inline vec vec_set1_from(const uint8_t *from)
{
    int32_t value = 0;
    __builtin_memcpy(&value, from, sizeof value);
    return _mm_set1_epi32(value);
}

static inline vec vec_greater(vec a, vec b)
{
    return _mm_cmpgt_epi32(a, b);
}

static inline vec vec_select(mask chosen, vec a, vec b)
{
    return _mm_or_si128(_mm_and_si128(chosen, a), _mm_andnot_si128(chosen, b));
}

static inline vec vec_max(vec a, vec b)
{
    return vec_select(vec_greater(a, b), a, b);
}

static inline vec vec_dot(vec sum, vec centroids, vec row)
{
    return _mm_add_epi32(sum, _mm_madd_epi16(centroids, row));
}

#include "math/coarse_pairs.h"

#include "math/coarse_blocks.h"

static void rescore(const float *const *x, const float *const *c, int count, int d, float *score)
{
    ivf_coarse_reference.rescore(x, c, count, d, score);
}

static int64_t distance(const int8_t *q, const int8_t *mean, int quads)
{
    return ivf_coarse_reference.distance(q, mean, quads);
}

static uint32_t near(const int32_t score[IVF_COARSE_LANES], int32_t margin)
{
    return ivf_coarse_reference.near(score, margin);
}

static void choose(const int32_t *from, int64_t slots, int p, int32_t *best, void *scratch)
{
    ivf_coarse_reference.choose(from, slots, p, best, scratch);
}

const ivf_coarse_kernels ivf_coarse_sse2 = {.values = 2,
                                            .pack = pack,
                                            .scan = scan,
                                            .scores = scores,
                                            .rescore = rescore,
                                            .distance = distance,
                                            .near = near,
                                            .choose = choose};

#endif
