/* The kernels of codec/ for AVX2. */
#include "codec/kernels_body.h"

const ivf_codec_kernels ivf_codec_kernels_avx2 = IVF_CODEC_KERNELS;
