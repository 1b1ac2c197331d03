/* What each SIMD level implements: one table of functions for each family. Private to math/.
 *
 * The tables of AVX2 and AVX-512 give the bits of the reference. For distances that takes a fixed order of summation:
 * element i of a vector goes to lane i % 16 of accumulator (i / 16) % 4, as a fused multiply-add in ascending order of
 * i, where the vector is extended with zeros to a multiple of 16; then the accumulators are added as (0 + 1) + (2 + 3),
 * and lanes l and l + 8, l + 4, l + 2, l + 1 in turn. */
#ifndef IVF_MATH_KERNELS_H
#define IVF_MATH_KERNELS_H

#include <stdint.h>

#include "math/panels.h"
#include "math/simd.h"

enum { IVF_LANES = 16, IVF_ACCUMULATORS = 4 };

/* One query[d] against rows[n][d], for both kinds of keys: the squared distance, or minus the product. */
typedef struct {
    void (*l2_f32)(const float *query, const float *rows, int64_t n, int d, float *keys);
    void (*dot_f32)(const float *query, const float *rows, int64_t n, int d, float *keys);
    void (*l2_f16)(const float *query, const uint16_t *rows, int64_t n, int d, float *keys);
    void (*dot_f16)(const float *query, const uint16_t *rows, int64_t n, int d, float *keys);
} ivf_distance_kernels;

typedef struct {
    void (*f32_to_f16)(const float *from, int64_t n, uint16_t *to);
    void (*f16_to_f32)(const uint16_t *from, int64_t n, float *to);
} ivf_convert_kernels;

/* The level decides the layout: `width` vectors to a panel, stored [panel][d][width]. */
typedef struct {
    int width;
    int rows; /* of a register tile: multiples of it are the most efficient */
    void (*best)(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score);
    void (*scores)(const ivf_panels *panels, const float *x, int64_t n, float *out);
} ivf_panels_kernels;

struct ivf_panels {
    const ivf_panels_kernels *kernels;
    int64_t k;
    int64_t count; /* of panels */
    int d;
    float *packed; /* [count][d][width], owned; padding vectors are zero */
    float *bias;   /* [count][width], owned; -|c|^2 / 2 or 0; of padding vectors -INFINITY */
};

/* Local. The table of the level in use; levels without one of their own share the reference's. */
const ivf_distance_kernels *ivf_kernels_distance(void);
const ivf_convert_kernels *ivf_kernels_convert(void);
const ivf_panels_kernels *ivf_kernels_panels(void);

extern const ivf_distance_kernels ivf_distance_reference;
extern const ivf_convert_kernels ivf_convert_reference;
extern const ivf_panels_kernels ivf_panels_reference;
extern const ivf_panels_kernels ivf_panels_blas;
#if defined(__x86_64__)
extern const ivf_distance_kernels ivf_distance_avx2;
extern const ivf_distance_kernels ivf_distance_avx512;
extern const ivf_convert_kernels ivf_convert_avx2;
extern const ivf_panels_kernels ivf_panels_avx2;
extern const ivf_panels_kernels ivf_panels_avx512;
#endif

#endif
