/* The inner loops of math/words.h, one table for each SIMD level. Private to math/ and its tests. */
#ifndef IVF_MATH_WORDS_KERNELS_H
#define IVF_MATH_WORDS_KERNELS_H

#include "math/words.h"

enum {
    IVF_WORDS_LANES = 16,
    IVF_WORDS_NUMBERS =
        16, /* low bits of a score: 15 - group in the lowest four, 15 - lane in the next when lanes meet */
};

/* One sub-space. Word lane * groups + g is lane `lane` of group g. */
typedef struct {
    const int16_t *packed; /* [groups][pairs][IVF_WORDS_LANES][2], multiples of 16 */
    const int32_t *bias;   /* [groups][IVF_WORDS_LANES]: a multiple of 16, plus 15 - group */
    int pairs;
    int groups;
    int shift; /* groups = 1 << shift */
} ivf_words_book;

typedef struct {
    /* Rounds `count` values with a centre and scale each; whether one is beyond the limit. */
    bool (*round)(const float *x, const float *centre, const float *scale, float limit, int count, int16_t *q);
    /* Rows q, q + row_stride, ... */
    void (*best)(const ivf_words_book *book, const int16_t *q, ptrdiff_t row_stride, int64_t n, uint8_t *best,
                 ptrdiff_t stride);
    void (*add)(const int16_t *q, const uint8_t *best, int64_t n, int width, int64_t *sums, int64_t *counts);
} ivf_words_kernels;

struct ivf_words {
    const ivf_words_kernels *kernels;
    int m;
    int dsub;
    int words;
    int pairs;
    float *centre;   /* [m][dsub] */
    float *scale;    /* [m][dsub]: the same for all of a sub-space */
    float limit;     /* largest |q| */
    int16_t *packed; /* [m] of ivf_words_book */
    int32_t *bias;   /* [m] of ivf_words_book */
};

extern const ivf_words_kernels ivf_words_reference;
#if defined(__x86_64__)
extern const ivf_words_kernels ivf_words_avx2;
extern const ivf_words_kernels ivf_words_avx512;
extern const ivf_words_kernels ivf_words_vnni;
#endif

#endif
