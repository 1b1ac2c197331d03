/* The constants of XXH3 that kernels and the rest share. Private to math/. */
#ifndef IVF_MATH_BLOCKSUM_STRIPE_H
#define IVF_MATH_BLOCKSUM_STRIPE_H

#include <stdint.h>

/* A block is 16 stripes of 8 words; the key of each begins one word behind that of the one before. */
enum { IVF_STRIPE_BYTES = 64, IVF_STRIPES = 16, IVF_SECRET_WORDS = 24 };

extern const uint64_t ivf_blocksum_secret[IVF_SECRET_WORDS];

#endif
