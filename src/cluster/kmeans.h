/* k-means: rows in memory to centroids. Knows no file. */
#ifndef IVF_CLUSTER_KMEANS_H
#define IVF_CLUSTER_KMEANS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/keeper.h"
#include "base/metric.h"
#include "base/share.h"
#include "comm/context.h"

typedef enum {
    IVF_KMEANS_EXACT, /* every iteration compares all rows with all centroids in single precision */
    IVF_KMEANS_FAST,  /* 8-bit arithmetic, a part of the rows first, later the centroids near a row's last one */
} ivf_kmeans_mode;

/* How fast mode compares rows with all centroids. */
typedef enum {
    IVF_KMEANS_BY_SIZE,      /* hierarchical for many centroids */
    IVF_KMEANS_FLAT,         /* one by one */
    IVF_KMEANS_HIERARCHICAL, /* through a tree over them, from 512 on */
} ivf_kmeans_shape;

typedef struct {
    int32_t k;
    int d;
    ivf_metric metric; /* IVF_COSINE, IVF_IP: spherical, centroids scaled to norm 1 (rows are normalised by the caller
                          for IVF_COSINE) */
    ivf_kmeans_mode mode;
    ivf_kmeans_shape shape;
    int iterations;   /* over all rows, at most; 1 to IVF_KMEANS_ITERATIONS */
    double tolerance; /* stops when the objective falls by less than this share in one iteration; 0: only when no
                         centroid moves any more */
    uint64_t seed;
    uint32_t stream; /* of base/rng.h */
    bool spare;      /* fewer than k distinct rows will do: the centroids left over are copies of the first, which ties
                        (to the lowest number) never choose; for codebooks, not for lists */
    const ivf_keeper *keeper; /* of the work between iterations, and of the outcome; NULL: none, on all ranks alike */
    const char *kept_as;      /* under this name */
    int64_t sum_bytes;        /* that sums may take, at least one cell's; 0: 32 MiB. Changes no result */
} ivf_kmeans_params;

enum {
    IVF_KMEANS_ITERATIONS = 1000, /* largest that is accepted */
    IVF_KMEANS_STEPS = IVF_KMEANS_ITERATIONS + 8,
};

typedef struct {
    int iterations;                     /* done, those over a part of the rows included */
    double objective[IVF_KMEANS_STEPS]; /* sum over rows of the squared distance (or of minus the score) before each
                                           update, after repairs; for a part of the rows as if it were all */
    char steps[IVF_KMEANS_STEPS + 1];   /* what each iteration was, a letter each: F all rows with all centroids, in
                                           single precision; Q the same in 8 bits; T the same through a tree; R with
                                           near centroids; m like the first three, and then centroids that serve little
                                           were moved; small letters: over a part of the rows */
    int64_t repairs;                    /* empty cells that were given a row of another cell */
    const char *stopped;                /* "iterations", "tolerance", "settled"; static storage */
    double imbalance;                   /* k * sum(size^2) / n^2 of the last assignment: 1 is perfectly even */
} ivf_kmeans_report;

/* Local, uses the team. Lloyd's iterations from k distinct rows of x[n][d] drawn with the seed (spherical: rows of
 * distinct direction); centroids[k][d] out, means of their rows. Empty cells take the farthest row of the cell with the
 * largest objective, one per cell, never one that equals that cell's centroid. Fails with MPIVF_BAD_INPUT when x has
 * fewer than k distinct rows (names both numbers) or rows so close that single precision cannot keep k cells apart,
 * unless `spare`. x is finite and n below 2^31; fast mode wants rows in random order, for its part of them is the
 * first. Bit-identical for any number of threads: all sums are of integers.
 *
 * With a keeper it goes on after the last iteration that was kept, with the same outcome to the bit, whatever ranks and
 * threads there were; rows and parameters must be the same. Kept are 4 k d bytes, hierarchical 9 k and the nodes (k d /
 * 4 bytes, for many centroids) more, and 4 n where the next iteration wants to know the cells of the rows, for which it
 * takes 4 MiB when it goes on, and 8 MiB on rank 0 of several.
 *
 * Exact: iterations * n * k * d multiply-adds, by math/panels.h; memory: 12 n + k * (4 d + 72) bytes, 4 d for each
 * thread, and for sums 8 k d bytes or 32 MiB, whichever is less. Fast (fast.c): some 2.5 n k d in 8 bits, and k * k * d
 * for each restricted iteration; in memory n * (d + 1) and k * (8 d + 530) bytes more, and for each thread 96 * 6 d and
 * 110 k; hierarchical (upper.c): a tree of 8 k d bytes, and for each thread 32 k and 4096 d. */
int ivf_kmeans(const ivf_kmeans_params *params, const float *x, int64_t n, float *centroids, ivf_kmeans_report *report);

/* Collective. The same over the rows of all ranks: x holds this rank's by `share` (places below 2^31; the same total
 * and size on every rank), and every rank gets the centroids and the report: those that the local form gives for the
 * rows in the order of their places, bit for bit, whatever the number of ranks and threads. Every rank computes its
 * share of the work, and fails alike.
 *
 * Communication of a rank, as bytes that it hands to collectives, for k cells; what grows with n is only where rows
 * are copies of each other:
 *     seeds:      4 d k broadcast; for each round 8 broadcast, 8 gathered and 4 (d + 1) more for each of the round's
 *                 candidates that it holds. A round has as many candidates as are missing, but at least 256 and at most
 *                 32 MiB of them; more rounds follow only for want of memory and when some were copies
 *     iteration:  8 k (d + 3) in all-reduces
 *     repair:     40 k in all-reduces, after an assignment that left cells empty
 *     fast, once: 4 d (4096 or all rows, if they are fewer) broadcast, 4 (d + 1) gathered for each of these that it
 *                 holds, 16 in all-reduces; at the end 8 k d in all-reduces
 *     m, q, Q, R: 4 k L / ranks (L = 96, hierarchical 64, or k if that is less) to an all-gather of 4 k L bytes; so for
 *                 T, and for m hierarchical twice; q, Q: 8 k in all-reduces
 *     m:          M = ceil(0.15 k) founders at most: 16 gathered for each that it proposes (at most M), 4 (d + 1) for
 *                 each that it holds; 4 M (d + 4) broadcast
 *     T, m hierarchical: that of ivf_tree_grow
 *     keeper:     at the start 176 broadcast, and what is kept, if anything is; 8 more in each iteration; where one is
 *                 kept whose rows' cells are wanted, 4 gathered for each of its rows, 4 MiB at a time, and 8 each time
 * and 4 for each agreement: a fixed number for each of these. */
int ivf_kmeans_all(const ivf_ctx *ctx, const ivf_kmeans_params *params, const float *x, const ivf_share *share,
                   float *centroids, ivf_kmeans_report *report);

/* Local. Bytes that this takes on the rank that needs most, with so many ranks that hold the `total` rows and threads
 * on each, beside rows and centroids: what is kept, and of the steps the one that needs most. */
int64_t ivf_kmeans_memory(const ivf_kmeans_params *params, int64_t total, int ranks, int threads);

#endif
