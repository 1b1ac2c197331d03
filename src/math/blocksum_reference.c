/* What blocks add to XXH3, in plain C. */
#include <string.h>

#include "math/blocksum_stripe.h"
#include "math/kernels.h"

static void make(const uint8_t *data, int64_t n, ivf_blocksum *sums)
{
    uint64_t words[IVF_BLOCKSUM_LANES];
    for (int64_t b = 0; b < n; b++) {
        sums[b] = (ivf_blocksum){{0}};
        for (int s = 0; s < IVF_STRIPES; s++, data += IVF_STRIPE_BYTES) {
            memcpy(words, data, sizeof words);
            for (int i = 0; i < IVF_BLOCKSUM_LANES; i++) {
                const uint64_t mixed = words[i] ^ ivf_blocksum_secret[s + i];
                sums[b].lanes[i ^ 1] += words[i];
                sums[b].lanes[i] += (mixed & UINT32_MAX) * (mixed >> 32);
            }
        }
    }
}

const ivf_blocksum_kernels ivf_blocksum_reference = {make};
