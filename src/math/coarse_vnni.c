/* Integer products with AVX-512's vpdpbusd: four products of u8 and i8 in each lane, added to 32 bits. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

typedef __m512i vec;
typedef __mmask16 mask;

enum { VECS = 1, COLS = 4 };
#define COL_SIZES(F) F(1) F(2) F(3) F(4)

#include "math/coarse_wide.h"

/* Not the intrinsic: gcc 12 copies sums about with it, which halves the speed. */
static inline vec vec_dot(vec sum, vec centroids, vec row)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(centroids), "v"(row));
    return sum;
}

/* Rows are read as they are. */
typedef struct {
    char none;
} widened;

static inline const uint8_t *const *widen(const uint8_t *const *rows, int count, int quads, widened *room)
{
    (void)count;
    (void)quads;
    (void)room;
    return rows;
}

/* 16 bytes of lanes `first`, + 4, + 8 and + 12. */
static inline vec four_lanes(const uint8_t *const *lanes, int first, ptrdiff_t at)
{
    vec v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(lanes[first] + at)));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(lanes[first + 4] + at)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(lanes[first + 8] + at)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(lanes[first + 12] + at)), 3);
}

/* Four steps of a tile: 4 bytes of each lane, the next 4, ... */
static inline void pack_4(const uint8_t *const *lanes, ptrdiff_t at, int32_t *to)
{
    vec a = four_lanes(lanes, 0, at);
    vec b = four_lanes(lanes, 1, at);
    vec c = four_lanes(lanes, 2, at);
    vec d = four_lanes(lanes, 3, at);
    vec ab_low = _mm512_unpacklo_epi32(a, b);
    vec ab_high = _mm512_unpackhi_epi32(a, b);
    vec cd_low = _mm512_unpacklo_epi32(c, d);
    vec cd_high = _mm512_unpackhi_epi32(c, d);
    vec_store(to, _mm512_unpacklo_epi64(ab_low, cd_low));
    vec_store(to + IVF_COARSE_LANES, _mm512_unpackhi_epi64(ab_low, cd_low));
    vec_store(to + (ptrdiff_t)2 * IVF_COARSE_LANES, _mm512_unpacklo_epi64(ab_high, cd_high));
    vec_store(to + (ptrdiff_t)3 * IVF_COARSE_LANES, _mm512_unpackhi_epi64(ab_high, cd_high));
}

static void pack(const uint8_t *const lanes[IVF_COARSE_LANES], int steps, uint8_t *tile)
{
    int32_t *to = (int32_t *)tile;
    ptrdiff_t step = 0;
    for (; step + 4 <= steps; step += 4)
        pack_4(lanes, step * 4, to + step * IVF_COARSE_LANES);
    for (; step < steps; step++) {
        for (ptrdiff_t lane = 0; lane < IVF_COARSE_LANES; lane++)
            memcpy(to + step * IVF_COARSE_LANES + lane, lanes[lane] + step * 4, 4);
    }
}

#include "math/coarse_blocks.h"

const ivf_coarse_kernels ivf_coarse_vnni = {.values = 4,
                                            .pack = pack,
                                            .scan = scan,
                                            .scores = scores,
                                            .rescore = ivf_coarse_rescore_avx2,
                                            .distance = ivf_coarse_distance_avx2,
                                            .near = ivf_coarse_near_avx2,
                                            .choose = ivf_coarse_choose_avx512};

#endif
