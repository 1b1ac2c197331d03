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

static void pack(const uint8_t *const lanes[IVF_COARSE_LANES], int steps, uint8_t *tile)
{
    for (int quad = 0; quad < steps; quad++) {
        for (int lane = 0; lane < IVF_COARSE_LANES; lane++)
            __builtin_memcpy(tile + ((ptrdiff_t)quad * IVF_COARSE_LANES + lane) * 4, lanes[lane] + (ptrdiff_t)quad * 4,
                             4);
    }
}

#include "math/coarse_blocks.h"

const ivf_coarse_kernels ivf_coarse_vnni = {.values = 4,
                                            .pack = pack,
                                            .scan = scan,
                                            .scores = scores,
                                            .rescore = ivf_coarse_rescore_avx2,
                                            .distance = ivf_coarse_distance_avx2,
                                            .choose = ivf_coarse_choose_avx512};

#endif
