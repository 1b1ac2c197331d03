/* Which table serves which SIMD level. */
#include "math/kernels.h"

typedef struct {
    const ivf_distance_kernels *distance;
    const ivf_convert_kernels *convert;
    const ivf_blocksum_kernels *blocksum;
    const ivf_panels_kernels *panels;
    const ivf_grid_kernels *grid;
    const ivf_coarse_kernels *coarse;
} kernel_set;

#if defined(__x86_64__)
#define PLAIN_COARSE (&ivf_coarse_sse2)
#else
#define PLAIN_COARSE (&ivf_coarse_reference)
#endif

static const kernel_set sets[IVF_SIMD_COUNT] = {
    [IVF_SIMD_REFERENCE] = {&ivf_distance_reference, &ivf_convert_reference, &ivf_blocksum_reference,
                            &ivf_panels_reference, &ivf_grid_reference, &ivf_coarse_reference},
    [IVF_SIMD_BLAS] = {&ivf_distance_reference, &ivf_convert_reference, &ivf_blocksum_reference, &ivf_panels_blas,
                       &ivf_grid_reference, PLAIN_COARSE},
#if defined(__x86_64__)
    [IVF_SIMD_AVX2] = {&ivf_distance_avx2, &ivf_convert_avx2, &ivf_blocksum_avx2, &ivf_panels_avx2, &ivf_grid_avx2,
                       &ivf_coarse_avx2},
    [IVF_SIMD_AVX512] = {&ivf_distance_avx512, &ivf_convert_avx2, &ivf_blocksum_avx2, &ivf_panels_avx512,
                         &ivf_grid_avx2, &ivf_coarse_avx512},
    [IVF_SIMD_VNNI] = {&ivf_distance_avx512, &ivf_convert_avx2, &ivf_blocksum_avx2, &ivf_panels_avx512, &ivf_grid_avx2,
                       &ivf_coarse_vnni},
#endif
};

const ivf_distance_kernels *ivf_kernels_distance(void)
{
    return sets[ivf_simd_level()].distance;
}

const ivf_convert_kernels *ivf_kernels_convert(void)
{
    return sets[ivf_simd_level()].convert;
}

const ivf_blocksum_kernels *ivf_kernels_blocksum(void)
{
    return sets[ivf_simd_level()].blocksum;
}

const ivf_panels_kernels *ivf_kernels_panels(void)
{
    return sets[ivf_simd_level()].panels;
}

const ivf_grid_kernels *ivf_kernels_grid(void)
{
    return sets[ivf_simd_level()].grid;
}

const ivf_coarse_kernels *ivf_kernels_coarse(void)
{
    return sets[ivf_simd_level()].coarse;
}
