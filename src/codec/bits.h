/* Small numbers packed without gaps: value i takes bits [i * bits, (i + 1) * bits) of a little-endian bit stream. This
 * is how FAISS packs PQ codes (PQEncoderGeneric) and the 4 and 6 bit codes of its ScalarQuantizer alike. */
#ifndef IVF_CODEC_BITS_H
#define IVF_CODEC_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Codes are worked on in chunks of this many values, which fill whole bytes for any width. */
enum { IVF_BITS_CHUNK = 64 };

/* Local. Bytes that hold `count` values. */
size_t ivf_bits_size(int count, int bits);

/* Local. values[count], each below 2^bits, to packed[ivf_bits_size]; bits left over in the last byte are 0. bits is 4
 * to 8. */
void ivf_bits_pack(const uint8_t *values, int count, int bits, uint8_t *packed);

/* Local. The reverse; values has room for `count` rounded up to 8, of which the surplus ends up 0. */
void ivf_bits_unpack(const uint8_t *packed, int count, int bits, uint8_t *values);

#endif
