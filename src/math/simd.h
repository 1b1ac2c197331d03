/* Which instruction set the kernels use: the best the CPU has, or what MPIVF_SIMD (reference, blas, avx2, avx512, vnni)
 * asks for. Chosen once. */
#ifndef IVF_MATH_SIMD_H
#define IVF_MATH_SIMD_H

#include <stdbool.h>

typedef enum {
    IVF_SIMD_REFERENCE, /* plain C, the oracle of the tests */
    IVF_SIMD_BLAS,      /* OpenBLAS for products, plain C for the rest: any CPU */
    IVF_SIMD_AVX2,      /* with FMA and F16C */
    IVF_SIMD_AVX512,    /* F, BW, DQ, VL */
    IVF_SIMD_VNNI,      /* the same with VNNI: products of 8 and 16 bits */
    IVF_SIMD_COUNT
} ivf_simd;

/* Local. The level in use, its name, and whether this CPU can run a level. */
ivf_simd ivf_simd_level(void);
const char *ivf_simd_name(ivf_simd level);
bool ivf_simd_available(ivf_simd level);

/* Local. Chooses a level (tests and benches only; no kernel may be running). */
void ivf_simd_choose(ivf_simd level);

#endif
