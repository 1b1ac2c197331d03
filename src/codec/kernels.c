/* Which kernels serve which SIMD level. */
#include "codec/kernels.h"

#include "math/simd.h"

const ivf_codec_kernels *ivf_codec_kernels_now(void)
{
    static const ivf_codec_kernels *const of_level[IVF_SIMD_COUNT] = {
        [IVF_SIMD_REFERENCE] = &ivf_codec_kernels_reference,
        [IVF_SIMD_BLAS] = &ivf_codec_kernels_reference,
#if defined(__x86_64__)
        [IVF_SIMD_AVX2] = &ivf_codec_kernels_avx2,
        [IVF_SIMD_AVX512] = &ivf_codec_kernels_avx512,
        [IVF_SIMD_VNNI] = &ivf_codec_kernels_avx512,
#endif
    };
    return of_level[ivf_simd_level()];
}
