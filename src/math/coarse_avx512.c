/* Integer products in AVX-512 without VNNI: values widened to 16 bits, two products in each lane (vpmaddwd). */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

typedef __m512i vec;
typedef __mmask16 mask;

enum { VECS = 1, COLS = 4 };
#define COL_SIZES(F) F(1) F(2) F(3) F(4)

#include "math/coarse_wide.h"

static inline vec vec_dot(vec sum, vec centroids, vec row)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(centroids, row));
}

#include "math/coarse_pairs.h"

#include "math/coarse_blocks.h"

const ivf_coarse_kernels ivf_coarse_avx512 = {.values = 2,
                                              .pack = pack,
                                              .scan = scan,
                                              .scores = scores,
                                              .rescore = ivf_coarse_rescore_avx2,
                                              .distance = ivf_coarse_distance_avx2};

#endif
