/* k-means for one codebook of a product quantizer: many rows of a few values, 16 to 256 words. */
#ifndef IVF_CODEC_CODEBOOK_H
#define IVF_CODEC_CODEBOOK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int words;
    int dsub;
    int iterations; /* at most; 1 to IVF_KMEANS_ITERATIONS */
    uint64_t seed;
    bool exact;   /* ivf_kmeans on all rows, in single precision */
    bool warm;    /* the words are there already, to be made better; not with `exact` */
    bool in_task; /* called inside a task of the team: one thread, and room for one */
} ivf_codebook_params;

/* Local, uses the team. x[n][dsub], rows in random order, to words[words][dsub]. Fewer than `words` distinct rows will
 * do: words left over repeat the first. Bit-identical for any number of threads and, but for `exact` and rows that
 * integers do not suit, for any SIMD level.
 *
 * Lloyd's iterations in 16-bit integers (math/words.h), of 25 the first 8 on an eighth of the rows and 10 on half of
 * them, where that leaves 32 for each word (measured: the squared error of other rows is 0.06 to 0.18 % above that of
 * 25 full ones). A word without rows takes a row of the largest cell. Rows beyond the grid, which outliers do not
 * stretch, are compared and summed in double precision. At the end each word becomes the mean of its rows' f32 values.
 * Stops early when no row changes its word. Cost: iterations * n * words * dsub / 2 multiply-adds; memory: n (2 dsub +
 * 2) bytes, and 8 words dsub for each thread. */
int ivf_codebook_train(const ivf_codebook_params *params, const float *x, int64_t n, float *words);

/* Local. Bytes that this takes for n rows with so many threads (1 in a task), beside rows and words. */
int64_t ivf_codebook_memory(const ivf_codebook_params *params, int64_t n, int threads);

#endif
