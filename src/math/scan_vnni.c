/* Scans with AVX-512's vpdpbusd: four products of u8 and i8 in each lane, added to 32 bits. */
#include "math/scan_kernels.h"

#if defined(__x86_64__)

#include "math/scan_zmm.h"

enum { WEIGHT_MAX = IVF_SCAN_WEIGHT_MAX };

/* Not the intrinsic: gcc 12 copies sums about with it, which halves the speed. */
static inline ivec ivec_dot(ivec sum, ivec numbers, ivec weights)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(numbers), "v"(weights));
    return sum;
}

const ivf_scan_kernels ivf_scan_vnni = IVF_SCAN_KERNELS;

#endif
