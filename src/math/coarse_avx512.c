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

/* Its bits, counted in a general register: gcc 12, where it has to spill a mask, writes 2 bytes of it and counts 4. */
static inline int64_t count_of(mask m)
{
    uint32_t bits = _cvtmask16_u32(m);
    __asm__("" : "+r"(bits));
    return __builtin_popcount(bits);
}

static int64_t collect(const int32_t *scores, int64_t slots, int32_t low, int32_t *slot, int32_t *kept)
{
    int64_t count = 0;
    vec number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int64_t i = 0; i < slots; i += LANES) {
        vec score = vec_load(scores + i);
        mask reaches = _mm512_cmpge_epi32_mask(score, vec_set1(low));
        /* Compressed in a register: to memory, some processors take a hundred times as long. */
        vec_store(slot + count, _mm512_maskz_compress_epi32(reaches, number));
        vec_store(kept + count, _mm512_maskz_compress_epi32(reaches, score));
        count += count_of(reaches);
        number = _mm512_add_epi32(number, vec_set1(LANES));
    }
    return count;
}

#include "math/coarse_choose.h"

void ivf_coarse_choose_avx512(const int32_t *scores, int64_t slots, int p, int32_t *best, void *scratch)
{
    choose(scores, slots, p, best, scratch);
}

const ivf_coarse_kernels ivf_coarse_avx512 = {.values = 2,
                                              .pack = pack,
                                              .scan = scan,
                                              .scores = scores,
                                              .rescore = ivf_coarse_rescore_avx2,
                                              .distance = ivf_coarse_distance_avx2,
                                              .near = ivf_coarse_near_avx2,
                                              .choose = ivf_coarse_choose_avx512};

#endif
