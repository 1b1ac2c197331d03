/* Small numbers packed without gaps: value i takes bits [i * bits, (i + 1) * bits) of a little-endian bit stream. This
 * is how FAISS packs PQ codes (PQEncoderGeneric) and the 4 and 6 bit codes of its ScalarQuantizer alike. Eight values
 * fill `bits` bytes exactly, so the work goes in groups of eight through one 64-bit word; inline, for the kernels of
 * every SIMD level. */
#ifndef IVF_CODEC_BITS_H
#define IVF_CODEC_BITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are loaded and stored as they are");

/* Codes are worked on in chunks of this many values, which fill whole bytes for any width. */
enum { IVF_BITS_CHUNK = 64, IVF_BITS_GROUP = 8 };

/* Local. Bytes that hold `count` values. */
static inline size_t ivf_bits_size(int count, int bits)
{
    return ((size_t)count * (size_t)bits + 7) / 8;
}

/* Local. values[count], each below 2^bits, to packed[ivf_bits_size]; bits left over in the last byte are 0. bits is 4
 * to 8. */
static inline void ivf_bits_pack(const uint8_t *values, int count, int bits, uint8_t *packed)
{
    for (int i = 0; i < count; i += IVF_BITS_GROUP) {
        int n = count - i < IVF_BITS_GROUP ? count - i : IVF_BITS_GROUP;
        uint64_t word = 0;
        for (int j = 0; j < n; j++)
            word |= (uint64_t)values[i + j] << (bits * j);
        size_t bytes = ivf_bits_size(n, bits);
        memcpy(packed, &word, bytes);
        packed += bytes;
    }
}

/* Eight words at a time, in one of the compiler's generic vectors: stored word by word, the result would stall whoever
 * loads it as a vector. */
typedef uint64_t ivf_bits_words __attribute__((vector_size(IVF_BITS_CHUNK)));

/* `bits` bytes as a word: two loads of four bytes that overlap, whose common bits are the same. */
static inline __attribute__((always_inline)) uint64_t ivf_bits_load(const uint8_t *packed, size_t bits)
{
    uint32_t low;
    uint32_t high;
    memcpy(&low, packed, sizeof low);
    memcpy(&high, packed + bits - 4, sizeof high);
    return low | (uint64_t)high << (8 * (bits - 4));
}

/* A whole chunk. The 8 * bits low bits of each word move apart to `bits` in each byte, by halves, three times. */
static inline __attribute__((always_inline)) void ivf_bits_unpack_chunk(const uint8_t *packed, size_t bits,
                                                                        uint8_t values[IVF_BITS_CHUNK])
{
    ivf_bits_words words = {
        ivf_bits_load(packed, bits),
        ivf_bits_load(packed + 1 * bits, bits),
        ivf_bits_load(packed + 2 * bits, bits),
        ivf_bits_load(packed + 3 * bits, bits),
        ivf_bits_load(packed + 4 * bits, bits),
        ivf_bits_load(packed + 5 * bits, bits),
        ivf_bits_load(packed + 6 * bits, bits),
        ivf_bits_load(packed + 7 * bits, bits),
    };
    const uint64_t quarters = ((uint64_t)1 << (4 * bits)) - 1;
    const uint64_t pairs = (((uint64_t)1 << (2 * bits)) - 1) * 0x0000000100000001U;
    const uint64_t ones = (((uint64_t)1 << bits) - 1) * 0x0001000100010001U;
    words = (words & quarters) | (words & (quarters << (4 * bits))) << (32 - 4 * bits);
    words = (words & pairs) | (words & (pairs << (2 * bits))) << (16 - 2 * bits);
    words = (words & ones) | (words & (ones << bits)) << (8 - bits);
    memcpy(values, &words, sizeof words);
}

/* Local. The reverse of packing, for at most a chunk; values beyond `count` become 0. Inlined with a constant width, so
 * that shifts, masks and sizes are constants. */
static inline __attribute__((always_inline)) void ivf_bits_unpack_as(const uint8_t *packed, int count, int bits,
                                                                     uint8_t values[IVF_BITS_CHUNK])
{
    uint8_t padded[IVF_BITS_CHUNK];
    if (count < IVF_BITS_CHUNK) {
        memset(padded, 0, sizeof padded);
        memcpy(padded, packed, ivf_bits_size(count, bits));
        packed = padded;
    }
    ivf_bits_unpack_chunk(packed, (size_t)bits, values);
}

/* Local. The same for a width that is not known. */
static inline void ivf_bits_unpack(const uint8_t *packed, int count, int bits, uint8_t values[IVF_BITS_CHUNK])
{
    if (bits == 4)
        ivf_bits_unpack_as(packed, count, 4, values);
    else if (bits == 5)
        ivf_bits_unpack_as(packed, count, 5, values);
    else if (bits == 6)
        ivf_bits_unpack_as(packed, count, 6, values);
    else if (bits == 7)
        ivf_bits_unpack_as(packed, count, 7, values);
    else
        ivf_bits_unpack_as(packed, count, 8, values);
}

#endif
