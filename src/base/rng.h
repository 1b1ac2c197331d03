/* Counter-based random numbers: the value depends on (seed, stream, counter) alone, so any rank or thread can draw any
 * of them. Generator: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
 * 2011). */
#ifndef IVF_BASE_RNG_H
#define IVF_BASE_RNG_H

#include <stdint.h>

/* Streams in use, so that no two purposes share numbers. */
enum ivf_rng_stream {
    IVF_RNG_SAMPLE = 1,
    IVF_RNG_KMEANS = 2,
    IVF_RNG_PQ = 3,
    IVF_RNG_OPQ = 20,
    IVF_RNG_GENERATE = 4, /* and the 15 after it */
    IVF_RNG_TREE = 21,
    IVF_RNG_GIVEN = 22,
    IVF_RNG_TUNE = 23,
    IVF_RNG_TEST = 64,
};

/* Local. 64 random bits. */
uint64_t ivf_rng_bits(uint64_t seed, uint32_t stream, uint64_t counter);

/* Local. Uniform in [0, below), below > 0 (multiply-shift; bias under 2^-64 * below). */
uint64_t ivf_rng_below(uint64_t seed, uint32_t stream, uint64_t counter, uint64_t below);

/* Local. Uniform in (0, 1), and standard normal (Box-Muller). */
double ivf_rng_uniform(uint64_t seed, uint32_t stream, uint64_t counter);
double ivf_rng_normal(uint64_t seed, uint32_t stream, uint64_t counter);

/* A pseudo-random permutation of [0, n): a Feistel network over the next even power of two, walked until the image
 * falls inside (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Takes no memory; the image of 0..s-1
 * is a uniform sample of s distinct numbers. */
enum { IVF_PERMUTATION_ROUNDS = 4 };

typedef struct {
    uint64_t n;
    uint64_t keys[IVF_PERMUTATION_ROUNDS];
    int half_bits;
} ivf_permutation;

/* Local. n >= 1. */
ivf_permutation ivf_permutation_make(uint64_t n, uint64_t seed, uint32_t stream);

/* Local. The image of `index` < n, and the index of an image: some 10 to 40 ns. */
uint64_t ivf_permutation_at(const ivf_permutation *permutation, uint64_t index);
uint64_t ivf_permutation_index(const ivf_permutation *permutation, uint64_t image);

#endif
