/* The same, four lanes a register; wider ones would not help, since memory is the limit. */
#include "math/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "math/blocksum_stripe.h"

enum { HALF = 4 /* lanes */ };

static inline __m256i load(const void *from)
{
    return _mm256_loadu_si256(from);
}

static inline __m256i add_half(__m256i sum, __m256i words, const uint64_t *key)
{
    const __m256i mixed = _mm256_xor_si256(words, load(key));
    const __m256i product = _mm256_mul_epu32(mixed, _mm256_srli_epi64(mixed, 32));
    const __m256i neighbours = _mm256_shuffle_epi32(words, _MM_SHUFFLE(1, 0, 3, 2));
    return _mm256_add_epi64(sum, _mm256_add_epi64(product, neighbours));
}

static void make(const uint8_t *data, int64_t n, ivf_blocksum *sums)
{
    for (int64_t b = 0; b < n; b++) {
        __m256i low = _mm256_setzero_si256();
        __m256i high = _mm256_setzero_si256();
        for (int s = 0; s < IVF_STRIPES; s++, data += IVF_STRIPE_BYTES) {
            low = add_half(low, load(data), ivf_blocksum_secret + s);
            high = add_half(high, load(data + IVF_STRIPE_BYTES / 2), ivf_blocksum_secret + s + HALF);
        }
        _mm256_storeu_si256((__m256i *)(void *)sums[b].lanes, low);
        _mm256_storeu_si256((__m256i *)(void *)(sums[b].lanes + HALF), high);
    }
}

const ivf_blocksum_kernels ivf_blocksum_avx2 = {make};

#endif
