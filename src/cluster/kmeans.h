/* k-means: rows in memory to centroids. Knows no file. */
#ifndef IVF_CLUSTER_KMEANS_H
#define IVF_CLUSTER_KMEANS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"

typedef struct {
    int32_t k;
    int d;
    ivf_metric metric; /* IVF_COSINE, IVF_IP: spherical, centroids scaled to norm 1 (rows are normalised by the caller
                          for IVF_COSINE) */
    int iterations;    /* at most; 1 to IVF_KMEANS_ITERATIONS */
    double tolerance;  /* stops when the objective falls by less than this share in one iteration; 0: only when no
                          centroid moves any more */
    uint64_t seed;
    uint32_t stream; /* of base/rng.h */
    bool spare;      /* fewer than k distinct rows will do: the centroids left over are copies of the first, which ties
                        (to the lowest number) never choose; for codebooks, not for lists */
} ivf_kmeans_params;

enum { IVF_KMEANS_ITERATIONS = 1000 }; /* largest that is accepted */

typedef struct {
    int iterations;                          /* done */
    double objective[IVF_KMEANS_ITERATIONS]; /* sum over rows of the squared distance (or of minus the score) before
                                                each update */
    int64_t repairs;                         /* empty cells that were given a row of another cell */
    const char *stopped;                     /* "iterations", "tolerance", "settled"; static storage */
    double imbalance;                        /* k * sum(size^2) / n^2 of the last assignment: 1 is perfectly even */
} ivf_kmeans_report;

/* Local, uses the team. Lloyd's iterations from k distinct rows of x[n][d] drawn with the seed (spherical: rows of
 * distinct direction); centroids[k][d] out. Empty cells take the farthest row of the cell with the largest objective,
 * one per cell, never one that equals that cell's centroid. Fails with MPIVF_BAD_INPUT when x has fewer than k distinct
 * rows (names both numbers) or rows so close that single precision cannot keep k cells apart, unless `spare`. x is
 * finite and n below 2^32. Bit-identical for any number of threads: assignments by math/panels.h, sums in 64-bit fixed
 * point scaled per cell, objective in fixed blocks. Cost: iterations * n * k * d multiply-adds; memory: k * (d + 9) * 4
 * + n * 16 bytes and 12 d for each thread. */
int ivf_kmeans(const ivf_kmeans_params *params, const float *x, int64_t n, float *centroids, ivf_kmeans_report *report);

#endif
