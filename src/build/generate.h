/* Synthetic vectors for tests and for measuring at scale.
 *
 * The data: a mixture of `clusters` clusters. Cluster j (from 0) has weight 1 / sqrt(j + 1): a power law in which the
 * largest of 1000 is 16 times the mean. Its centre is normal with variance 1 in every coordinate; its spread s is
 * uniform in 0.5..1.5; its directions are one of 16 sets of `intrinsic` random normal vectors a_i, so that clusters
 * differ in shape. A row of cluster j is
 *
 *     centre + s * (sqrt(1 - noise) * sum_i z_i a_i / sqrt(intrinsic) + sqrt(noise) * e)
 *
 * with z_i normal and the coordinates of e bell-shaped (a sum of four uniform numbers), all of variance 1. So the rows
 * of a cluster have variance s^2 in every coordinate, of which the share `noise` is isotropic. As bytes: 128 + 30 x,
 * rounded and clamped to 0..255.
 *
 * Row r depends on the seed, the shape and r alone. Queries are drawn from the same clusters by other random streams.
 */
#ifndef IVF_BUILD_GENERATE_H
#define IVF_BUILD_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"

typedef struct {
    const char *output; /* .npy, .fbin, .f16bin, .fvecs; as bytes also .u8bin, .bvecs */
    int64_t rows;
    const char *queries_output; /* NULL: none */
    int64_t queries;
    int d;
    int32_t clusters;
    int intrinsic; /* 1..d */
    double noise;  /* 0..1 */
    bool as_bytes; /* whole numbers 0..255 */
    uint64_t seed;
} ivf_generate_config;

/* Collective. Writes the files; blocks of rows are drawn by ticket. MPIVF_USAGE when the shape is impossible or a
 * file's ending cannot hold the values. Memory per rank: (clusters + 16 * intrinsic) * d * 4 bytes, and a block of 4
 * MiB. */
int ivf_generate(const ivf_ctx *ctx, const ivf_generate_config *config);

#endif
