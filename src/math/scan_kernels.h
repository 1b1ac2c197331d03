/* What each SIMD level implements of math/scan.h. Private to math/. */
#ifndef IVF_MATH_SCAN_KERNELS_H
#define IVF_MATH_SCAN_KERNELS_H

#include "math/scan.h"

typedef struct {
    int weight_max;
    void (*rows)(const ivf_scan_job *job, int d);
    void (*halves)(const ivf_scan_job *job, int d);
    void (*numbers)(const ivf_scan_job *job, int d, int bits);
    void (*bytes)(const ivf_scan_job *job, int m);
    void (*nibbles)(const ivf_scan_job *job, int m);
    void (*widen)(const uint8_t *bytes, int64_t count, int m, int quads, const uint32_t *words,
                  uint8_t *numbers); /* NULL: does not pay */
    int64_t (*choose)(const float *low, int64_t n, float most, int32_t *chosen);
} ivf_scan_kernels;

/* Weights: with products summed in pairs of 16 bits, 2 * 255 * weight must not overflow. */
enum { IVF_SCAN_WEIGHT_MAX = 127, IVF_SCAN_WEIGHT_MAX_PAIRS = 63 };

extern const ivf_scan_kernels ivf_scan_reference;
#if defined(__x86_64__)
extern const ivf_scan_kernels ivf_scan_avx2;
extern const ivf_scan_kernels ivf_scan_avx512;
extern const ivf_scan_kernels ivf_scan_vnni;
#endif

#endif
