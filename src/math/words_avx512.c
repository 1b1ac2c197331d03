/* Word kernels in AVX-512 without VNNI: a product of pairs and an addition. */
#include "math/words_kernels.h"

#if defined(__x86_64__)

#include "math/words_zmm.h"

static inline vec vec_dot(vec sum, vec c, const int32_t *x)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(c, _mm512_set1_epi32(*x)));
}

#include "math/words_tile.h"

const ivf_words_kernels ivf_words_avx512 = {.round = round_values, .best = find_best, .add = add_rows};

#endif
