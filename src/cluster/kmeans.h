/* k-means: rows in memory to centroids. Knows no file. */
#ifndef IVF_CLUSTER_KMEANS_H
#define IVF_CLUSTER_KMEANS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/share.h"
#include "comm/context.h"

typedef enum {
    IVF_KMEANS_EXACT, /* every iteration compares all rows with all centroids in single precision */
} ivf_kmeans_mode;

typedef struct {
    int32_t k;
    int d;
    ivf_metric metric; /* IVF_COSINE, IVF_IP: spherical, centroids scaled to norm 1 (rows are normalised by the caller
                          for IVF_COSINE) */
    ivf_kmeans_mode mode;
    int iterations;   /* at most; 1 to IVF_KMEANS_ITERATIONS */
    double tolerance; /* stops when the objective falls by less than this share in one iteration; 0: only when no
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
                                                each update, after repairs */
    char steps[IVF_KMEANS_ITERATIONS + 1];   /* what each iteration was, a letter each: F, all rows to all centroids in
                                                single precision */
    int64_t repairs;                         /* empty cells that were given a row of another cell */
    const char *stopped;                     /* "iterations", "tolerance", "settled"; static storage */
    double imbalance;                        /* k * sum(size^2) / n^2 of the last assignment: 1 is perfectly even */
} ivf_kmeans_report;

/* Local, uses the team. Lloyd's iterations from k distinct rows of x[n][d] drawn with the seed (spherical: rows of
 * distinct direction); centroids[k][d] out. Empty cells take the farthest row of the cell with the largest objective,
 * one per cell, never one that equals that cell's centroid. Fails with MPIVF_BAD_INPUT when x has fewer than k distinct
 * rows (names both numbers) or rows so close that single precision cannot keep k cells apart, unless `spare`. x is
 * finite and n below 2^32. Bit-identical for any number of threads: assignments by math/panels.h, all sums in 64-bit
 * fixed point. Cost: iterations * n * k * d multiply-adds; memory: 12 n + k * (4 d + 40) bytes, 4 d for each thread,
 * and for sums 8 k d bytes or 32 MiB, whichever is less. */
int ivf_kmeans(const ivf_kmeans_params *params, const float *x, int64_t n, float *centroids, ivf_kmeans_report *report);

/* Collective. The same over the rows of all ranks: x holds this rank's by `share` (places below 2^32; the same total
 * and size on every rank), and every rank gets the centroids and the report: those that the local form gives for the
 * rows in the order of their places, bit for bit, whatever the number of ranks and threads. Every rank computes its
 * share of the work, and fails alike.
 *
 * Communication of a rank, as bytes that it hands to collectives, for k cells:
 *     seeds:      4 d k broadcast; for each round 8 broadcast, 8 gathered and 4 (d + 1) more for each of the round's
 *                 candidates that it holds. A round has as many candidates as are missing, but at least 256 and at most
 *                 32 MiB of them; more rounds follow only for want of memory and when some were copies
 *     iteration:  8 k (d + 2) + 8 in all-reduces
 *     repair:     32 k + 8 in all-reduces, after an assignment that left cells empty
 * and 4 for each agreement: 4 in all, one for each round, iteration and repair. */
int ivf_kmeans_all(const ivf_ctx *ctx, const ivf_kmeans_params *params, const float *x, const ivf_share *share,
                   float *centroids, ivf_kmeans_report *report);

#endif
