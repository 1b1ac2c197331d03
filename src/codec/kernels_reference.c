/* The kernels of codec/ for any CPU. */
#include "codec/kernels_body.h"

const ivf_codec_kernels ivf_codec_kernels_reference = IVF_CODEC_KERNELS;
