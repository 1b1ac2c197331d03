/* Bit packing for sq.c and pq.c. Eight values fill `bits` bytes exactly, so the work goes in groups of eight through
 * one 64-bit word. */
#include "codec/bits.h"

#include <string.h>

enum { GROUP = 8 };

size_t ivf_bits_size(int count, int bits)
{
    return ((size_t)count * (size_t)bits + 7) / 8;
}

static inline uint64_t load_word(const uint8_t *bytes, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static inline void store_word(uint64_t word, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(word >> (8 * i));
}

void ivf_bits_pack(const uint8_t *values, int count, int bits, uint8_t *packed)
{
    if (bits == 8) {
        memcpy(packed, values, (size_t)count);
        return;
    }
    for (int i = 0; i < count; i += GROUP) {
        int n = count - i < GROUP ? count - i : GROUP;
        uint64_t word = 0;
        for (int j = 0; j < n; j++)
            word |= (uint64_t)values[i + j] << (bits * j);
        size_t bytes = ivf_bits_size(n, bits);
        store_word(word, packed, bytes);
        packed += bytes;
    }
}

/* Inlined with a constant width, so that the shifts are constants too. */
static inline __attribute__((always_inline)) void unpack(const uint8_t *packed, int count, int bits, uint8_t *values)
{
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    for (int i = 0; i < count; i += GROUP) {
        size_t bytes = count - i < GROUP ? ivf_bits_size(count - i, bits) : (size_t)bits;
        uint64_t word = bytes == (size_t)bits ? load_word(packed, (size_t)bits) : load_word(packed, bytes);
        for (int j = 0; j < GROUP; j++)
            values[i + j] = (uint8_t)(word >> (bits * j) & mask);
        packed += bytes;
    }
}

void ivf_bits_unpack(const uint8_t *packed, int count, int bits, uint8_t *values)
{
    switch (bits) {
    case 4:
        unpack(packed, count, 4, values);
        break;
    case 5:
        unpack(packed, count, 5, values);
        break;
    case 6:
        unpack(packed, count, 6, values);
        break;
    case 7:
        unpack(packed, count, 7, values);
        break;
    default:
        unpack(packed, count, 8, values);
        break;
    }
}
