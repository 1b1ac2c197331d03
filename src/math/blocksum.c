#include "math/blocksum.h"

#include <string.h>

#include "base/hash.h"
#include "math/blocksum_stripe.h"
#include "math/kernels.h"

/* Bytes of the secret, where the keys begin that are not those of a block's stripes. */
enum { KEY_BETWEEN = 128, KEY_LAST = 121, KEY_MERGE = 11 };

#define PRIME32_1 UINT64_C(0x9e3779b1)
#define PRIME32_2 UINT64_C(0x85ebca77)
#define PRIME32_3 UINT64_C(0xc2b2ae3d)
#define PRIME64_1 UINT64_C(0x9e3779b185ebca87)
#define PRIME64_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define PRIME64_3 UINT64_C(0x165667b19e3779f9)
#define PRIME64_4 UINT64_C(0x85ebca77c2b2ae63)
#define PRIME64_5 UINT64_C(0x27d4eb2f165667c5)

const uint64_t ivf_blocksum_secret[IVF_SECRET_WORDS] = {
    0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072, 0x78e5c0cc4ee679cb,
    0x2172ffcc7dd05a82, 0x8e2443f7744608b8, 0x4c263a81e69035e0, 0xcb00c391bb52283c, 0xa32e531b8b65d088,
    0x4ef90da297486471, 0xd8acdea946ef1938, 0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, 0x3159b4cd4be0518a,
    0x647378d9c97e9fc8, 0xc3ebd33483acc5ea, 0xeb6313faffa081c5, 0x49daf0b751dd0d17, 0x9e68d429265516d3,
    0xfca1477d58be162b, 0xce31d07ad1b8f88f, 0x280416958f3acb45, 0x7e404bbbcafbd7af};

static uint64_t word_at(const void *bytes, int64_t at)
{
    uint64_t word;
    memcpy(&word, (const char *)bytes + at, sizeof word);
    return word;
}

static uint64_t key_at(int64_t at)
{
    return word_at(ivf_blocksum_secret, at);
}

void ivf_blocksum_make(const void *data, int64_t n, ivf_blocksum *sums)
{
    ivf_kernels_blocksum()->make(data, n, sums);
}

void ivf_blocksum_begin(ivf_blocksum *state)
{
    *state = (ivf_blocksum){
        {PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1},
    };
}

void ivf_blocksum_add(ivf_blocksum *state, const ivf_blocksum *sums, int64_t n)
{
    for (int64_t b = 0; b < n; b++)
        for (int i = 0; i < IVF_BLOCKSUM_LANES; i++) {
            uint64_t lane = state->lanes[i] + sums[b].lanes[i];
            lane ^= lane >> 47;
            state->lanes[i] = (lane ^ key_at(KEY_BETWEEN + 8 * (int64_t)i)) * PRIME32_1;
        }
}

int64_t ivf_blocksum_count(int64_t bytes)
{
    return bytes > IVF_BLOCKSUM_BLOCK ? (bytes - 1) / IVF_BLOCKSUM_BLOCK : 0;
}

int64_t ivf_blocksum_tail(int64_t bytes)
{
    const int64_t count = ivf_blocksum_count(bytes);
    return count > 0 ? count * IVF_BLOCKSUM_BLOCK - IVF_STRIPE_BYTES : 0;
}

static void add_stripe(ivf_blocksum *state, const char *stripe, int64_t key)
{
    for (int i = 0; i < IVF_BLOCKSUM_LANES; i++) {
        const uint64_t word = word_at(stripe, 8 * (int64_t)i);
        const uint64_t mixed = word ^ key_at(key + 8 * (int64_t)i);
        state->lanes[i ^ 1] += word;
        state->lanes[i] += (mixed & UINT32_MAX) * (mixed >> 32);
    }
}

/* The two halves of the product, each xor the other. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t ivf_blocksum_end(const ivf_blocksum *state, int64_t bytes, const void *tail)
{
    if (ivf_blocksum_count(bytes) == 0)
        return ivf_hash64(tail, (size_t)bytes);
    ivf_blocksum end = *state;
    const char *rest = (const char *)tail + IVF_STRIPE_BYTES;
    const int64_t left = bytes - ivf_blocksum_count(bytes) * IVF_BLOCKSUM_BLOCK;
    for (int64_t s = 0; s < (left - 1) / IVF_STRIPE_BYTES; s++)
        add_stripe(&end, rest + s * IVF_STRIPE_BYTES, 8 * s);
    add_stripe(&end, rest + left - IVF_STRIPE_BYTES, KEY_LAST);
    uint64_t hash = (uint64_t)bytes * PRIME64_1;
    for (int i = 0; i < IVF_BLOCKSUM_LANES; i += 2)
        hash += fold(end.lanes[i] ^ key_at(KEY_MERGE + 8 * (int64_t)i),
                     end.lanes[i + 1] ^ key_at(KEY_MERGE + 8 * (int64_t)i + 8));
    hash ^= hash >> 37;
    hash *= UINT64_C(0x165667919e3779f9);
    return hash ^ hash >> 32;
}
