/* The inner loops of scanning, compiled once for each SIMD level. Private to codec/. Every level gives the same bits:
 * the order of each sum is written down in kernels_body.h, and multiplications are never contracted. */
#ifndef IVF_CODEC_KERNELS_H
#define IVF_CODEC_KERNELS_H

#include <stdint.h>

enum {
    IVF_CODEC_LANES = 16
}; /* values that are worked on at once; tables of a scalar quantizer are padded to chunks */

typedef struct {
    /* codes[n] of d values of `bits` bits: sums over i of (offset[i] - slope[i] * value[i])^2, or of slope[i] *
     * value[i]. offset and slope are zero from d to the next multiple of IVF_BITS_CHUNK. */
    void (*sum_squares)(const float *offset, const float *slope, int d, int bits, const uint8_t *codes, int64_t n,
                        float *sums);
    void (*sum_products)(const float *slope, int d, int bits, const uint8_t *codes, int64_t n, float *sums);

    /* entries[words]: sums over j of (query[j] - book[j][w])^2, or of -query[j] * book[j][w], for a sub-codebook
     * book[dsub][words]; words is a multiple of 16. */
    void (*squares)(const float *query, const float *book, int dsub, int words, float *entries);
    void (*products)(const float *query, const float *book, int dsub, int words, float *entries);

    /* The same for one codeword of each of `count` sub-codebooks books[count][words][dsub], that which numbers[i] says,
     * and the slices of query[count * dsub]. */
    void (*squares_of)(const float *query, const float *books, int dsub, int words, const uint8_t *numbers, int count,
                       float *entries);
    void (*products_of)(const float *query, const float *books, int dsub, int words, const uint8_t *numbers, int count,
                        float *entries);

    /* codes[n] of m numbers of `bits` bits: sums over i of table[i][number[i]], table[m rounded up to
     * IVF_BITS_GROUP][2^bits], zero from m. */
    void (*sum_entries)(const float *table, int m, int bits, const uint8_t *codes, int64_t n, float *sums);

    /* The smallest and the largest of entries[words], words a multiple of 16; NaN is passed over or taken. */
    void (*range)(const float *entries, int words, float *low, float *high);
    /* steps[i] = (entries[i] - low) * inverse, rounded down, at most `largest` <= 255; low is the smallest. */
    void (*steps)(const float *entries, int words, float low, float inverse, float largest, uint8_t *steps);
    /* words[i] = steps[i] + 256 steps[i + 128]; 128 of them, as bytes. */
    void (*interleave)(const uint8_t steps[256], uint8_t *words);
} ivf_codec_kernels;

/* Local. Those of the level in use. */
const ivf_codec_kernels *ivf_codec_kernels_now(void);

extern const ivf_codec_kernels ivf_codec_kernels_reference;
#if defined(__x86_64__)
extern const ivf_codec_kernels ivf_codec_kernels_avx2;
extern const ivf_codec_kernels ivf_codec_kernels_avx512;
#endif

#endif
