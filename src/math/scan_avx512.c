/* Scans in AVX-512 without VNNI: products of u8 and i8 are added in pairs of 16 bits first. */
#include "math/scan_kernels.h"

#if defined(__x86_64__)

#include "math/scan_zmm.h"

enum { WEIGHT_MAX = IVF_SCAN_WEIGHT_MAX_PAIRS };

static inline ivec ivec_dot(ivec sum, ivec numbers, ivec weights)
{
    const ivec pairs = _mm512_maddubs_epi16(numbers, weights);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

const ivf_scan_kernels ivf_scan_avx512 = IVF_SCAN_KERNELS;

#endif
