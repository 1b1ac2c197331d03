#include "base/rng.h"

#include <math.h>

typedef struct {
    uint32_t word[4];
} block;

static block philox(uint64_t seed, uint32_t stream, uint32_t lane, uint64_t counter)
{
    block b = {{(uint32_t)counter, (uint32_t)(counter >> 32), stream, lane}};
    uint32_t key0 = (uint32_t)seed;
    uint32_t key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53U * b.word[0];
        uint64_t p1 = (uint64_t)0xCD9E8D57U * b.word[2];
        b = (block){{(uint32_t)(p1 >> 32) ^ b.word[1] ^ key0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ b.word[3] ^ key1,
                     (uint32_t)p0}};
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
    return b;
}

static uint64_t low_bits(block b)
{
    return (uint64_t)b.word[1] << 32 | b.word[0];
}

static uint64_t high_bits(block b)
{
    return (uint64_t)b.word[3] << 32 | b.word[2];
}

static double to_unit(uint64_t bits)
{
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

uint64_t ivf_rng_bits(uint64_t seed, uint32_t stream, uint64_t counter)
{
    return low_bits(philox(seed, stream, 0, counter));
}

uint64_t ivf_rng_below(uint64_t seed, uint32_t stream, uint64_t counter, uint64_t below)
{
    __extension__ typedef unsigned __int128 u128;
    return (uint64_t)(((u128)ivf_rng_bits(seed, stream, counter) * below) >> 64);
}

double ivf_rng_uniform(uint64_t seed, uint32_t stream, uint64_t counter)
{
    return to_unit(ivf_rng_bits(seed, stream, counter));
}

double ivf_rng_normal(uint64_t seed, uint32_t stream, uint64_t counter)
{
    block b = philox(seed, stream, 0, counter);
    return sqrt(-2 * log(to_unit(low_bits(b)))) * cos(2 * 3.14159265358979323846 * to_unit(high_bits(b)));
}

ivf_permutation ivf_permutation_make(uint64_t n, uint64_t seed, uint32_t stream)
{
    ivf_permutation p = {.n = n, .half_bits = 1};
    while (p.half_bits < 32 && n > (uint64_t)1 << (2 * p.half_bits))
        p.half_bits++;
    for (uint32_t round = 0; round < IVF_PERMUTATION_ROUNDS; round++)
        p.keys[round] = low_bits(philox(seed, stream, round + 1, 0));
    return p;
}

/* The round function: SplitMix64's finaliser of a half and the round's key. */
static uint64_t mix(uint64_t half, uint64_t key)
{
    uint64_t x = half ^ key;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static uint64_t encipher(const ivf_permutation *p, uint64_t value)
{
    const uint64_t mask = ((uint64_t)1 << p->half_bits) - 1;
    uint64_t left = value >> p->half_bits;
    uint64_t right = value & mask;
    for (int round = 0; round < IVF_PERMUTATION_ROUNDS; round++) {
        uint64_t next = left ^ (mix(right, p->keys[round]) & mask);
        left = right;
        right = next;
    }
    return left << p->half_bits | right;
}

static uint64_t decipher(const ivf_permutation *p, uint64_t value)
{
    const uint64_t mask = ((uint64_t)1 << p->half_bits) - 1;
    uint64_t left = value >> p->half_bits;
    uint64_t right = value & mask;
    for (int round = IVF_PERMUTATION_ROUNDS - 1; round >= 0; round--) {
        uint64_t before = right ^ (mix(left, p->keys[round]) & mask);
        right = left;
        left = before;
    }
    return left << p->half_bits | right;
}

uint64_t ivf_permutation_at(const ivf_permutation *permutation, uint64_t index)
{
    uint64_t value = encipher(permutation, index);
    while (value >= permutation->n)
        value = encipher(permutation, value);
    return value;
}

uint64_t ivf_permutation_index(const ivf_permutation *permutation, uint64_t image)
{
    uint64_t value = decipher(permutation, image);
    while (value >= permutation->n)
        value = decipher(permutation, value);
    return value;
}
