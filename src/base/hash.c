#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>

#include <xxhash.h>
#ifdef IVF_XXHASH_DISPATCH
#include <xxh_x86dispatch.h> /* puts the fastest that the CPU has in place of XXH3_64bits and XXH3_64bits_update */
#endif

#include "base/error.h"
#include "base/memory.h"

struct ivf_hasher {
    XXH3_state_t *state;
};

uint64_t ivf_hash64(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

ivf_hasher *ivf_hasher_new(void)
{
    ivf_hasher *hasher = ivf_new(1, sizeof *hasher);
    XXH3_state_t *state = XXH3_createState();
    if (hasher == NULL || state == NULL) {
        ivf_free(hasher);
        XXH3_freeState(state);
        (void)ivf_fail(MPIVF_FAILED, "out of memory for a checksum's state");
        return NULL;
    }
    (void)XXH3_64bits_reset(state);
    hasher->state = state;
    return hasher;
}

void ivf_hasher_add(ivf_hasher *hasher, const void *data, size_t bytes)
{
    (void)XXH3_64bits_update(hasher->state, data, bytes);
}

uint64_t ivf_hasher_end(const ivf_hasher *hasher)
{
    return XXH3_64bits_digest(hasher->state);
}

void ivf_hasher_reset(ivf_hasher *hasher)
{
    (void)XXH3_64bits_reset(hasher->state);
}

void ivf_hasher_free(ivf_hasher *hasher)
{
    if (hasher == NULL)
        return;
    XXH3_freeState(hasher->state);
    ivf_free(hasher);
}

void ivf_hash_text(uint64_t hash, char text[17])
{
    (void)snprintf(text, 17, "%016" PRIx64, hash);
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection, so that ids which differ mix to values which
 * differ. */
static uint64_t mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15U;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

uint64_t ivf_digest_ids(const uint64_t *ids, int64_t n)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += mix(ids[i]);
    return sum;
}
