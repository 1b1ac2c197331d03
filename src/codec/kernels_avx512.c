/* The kernels of codec/ for AVX-512. */
#include "codec/kernels_body.h"

const ivf_codec_kernels ivf_codec_kernels_avx512 = IVF_CODEC_KERNELS;
