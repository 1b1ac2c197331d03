/* A rotation of rows before they are coded, trained for a product quantizer: OPQ, as in Ge, He, Ke, Sun, "Optimized
 * product quantization for approximate nearest neighbor search" (CVPR 2013). */
#ifndef IVF_CODEC_OPQ_H
#define IVF_CODEC_OPQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/keeper.h"
#include "base/share.h"
#include "comm/context.h"

enum { IVF_OPQ_ROWS = 65536, IVF_OPQ_ITERATIONS = 1000 };

/* Of a row. A decomposition, during which rank 0 shows no sign of life, takes their third power: some minutes of one
 * core here, which --stall-timeout outlasts. */
enum { IVF_OPQ_VALUES = 8192 };

typedef struct {
    int m; /* sub-vectors; divides d_out */
    int d;
    int d_out;      /* values of a rotated row: fewer than d (the rest is dropped), d, or more */
    int iterations; /* at most; 0: the start alone; at most IVF_OPQ_ITERATIONS */
    uint64_t seed;
    bool exact;               /* all iterations on all rows */
    const ivf_keeper *keeper; /* of the work between iterations, and of the outcome; NULL: none, on all ranks alike */
} ivf_opq_params;

typedef struct {
    int iterations; /* done */
    double start;   /* mean squared error of a row's code before the first of them, on the rows that it took, and */
    double error;   /* in the last one, on all rows */
} ivf_opq_report;

/* Collective. The rotation[d_out][d] (rotated row = rotation . row): orthonormal rows, or columns when d_out > d. x
 * holds this rank's rows of the share, of which only its part of the first IVF_OPQ_ROWS places is looked at; ranks 0 to
 * share->size - 1 hold rows, in random order. Every rank gets the rotation, with the same bits for any number of
 * holders and threads, on one kind of CPU: products and decompositions are OpenBLAS's.
 *
 * Start: principal components, dealt to the sub-vectors so that their variances have equal products (Ge's parametric
 * solution; all there is for fewer than 1024 rows), or the rows as they are where d_out = d and 4 passes of k-means end
 * better for them. Then iterations of: rotate and code the rows, move the codewords to their means, turn the rotation
 * to the best one for these codes (SVD). The first two thirds of them take a quarter of the rows where that leaves 64
 * for each codeword. They end early when they gain less than 0.01 %.
 *
 * With a keeper it goes on after the last pass that was kept, as "rotation", with the same bits, whatever ranks and
 * threads there were; rows and parameters must be the same. Kept are 4 d D + 1024 D bytes, twice that between the two
 * candidates for the start.
 *
 * MPIVF_BAD_INPUT: no rows, m does not divide d_out, more than IVF_OPQ_VALUES, a row's norm beyond 1e17.
 * Cost of an iteration: 2 n d d_out + 256 n d_out multiply-adds over the holders, and an SVD on rank 0. Memory: d_out *
 * 1024 * 8 bytes, 4 d^2 + 8 d d_out + 2048 d_out for each thread, m for each row.
 * Communication of a rank, D = d_out: the start all-reduces 8 (d^2 + d + 1) bytes and broadcasts 4 d D, and for each of
 * its one or two candidates 1024 D; their 4 passes each and every iteration all-reduce 8 (256 D + 256 m + 1), every
 * iteration also 8 d D, and broadcasts 4 d D. Agreements (8 bytes): 5, 9 to 20 more for the start, 4 an iteration.
 * With a keeper 3 more, and 128 broadcast and what was kept, if anything was. */
int ivf_opq_train(const ivf_ctx *ctx, const ivf_opq_params *params, const float *x, const ivf_share *share,
                  float *rotation, ivf_opq_report *report);

/* Local. Bytes that this takes on rank 0 with so many ranks that hold the `total` rows and threads on each, beside rows
 * and rotation. */
int64_t ivf_opq_memory(const ivf_opq_params *params, int64_t total, int holders, int threads);

#endif
