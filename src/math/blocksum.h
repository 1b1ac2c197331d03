/* XXH3-64 of data whose parts are seen in any order and by anybody, for files that are put together so.
 *
 * For more than 240 bytes XXH3 goes through blocks of 1,024 bytes. What a block adds to the eight lanes of the state
 * depends on the block alone; only what happens between two blocks depends on the state. So a block's sums, a sixteenth
 * of it, are computed wherever the block is at hand, and whoever has the sums of all blocks gets the checksum out of
 * them in order. Data that begins at a multiple of a block in a file shares the sums with the file.
 *
 * Source: the XXH3 specification of xxHash 0.8, "Large inputs"; the results are those of base/hash.h. */
#ifndef IVF_MATH_BLOCKSUM_H
#define IVF_MATH_BLOCKSUM_H

#include <stdint.h>

enum { IVF_BLOCKSUM_BLOCK = 1024, IVF_BLOCKSUM_LANES = 8, IVF_BLOCKSUM_TAIL = IVF_BLOCKSUM_BLOCK + 64 };

/* What a block adds; and the state of XXH3 behind some blocks. */
typedef struct {
    uint64_t lanes[IVF_BLOCKSUM_LANES];
} ivf_blocksum;

/* Local. Of n whole blocks, at any address. */
void ivf_blocksum_make(const void *data, int64_t n, ivf_blocksum *sums);

/* Local. The state at first, and behind n more blocks. Blocks are added in order; of data of so many bytes all that
 * ivf_blocksum_count tells. */
void ivf_blocksum_begin(ivf_blocksum *state);
void ivf_blocksum_add(ivf_blocksum *state, const ivf_blocksum *sums, int64_t n);
int64_t ivf_blocksum_count(int64_t bytes);

/* Local. Where the tail of data of so many bytes begins, which the end needs: at most IVF_BLOCKSUM_TAIL bytes. */
int64_t ivf_blocksum_tail(int64_t bytes);

/* Local. The checksum. */
uint64_t ivf_blocksum_end(const ivf_blocksum *state, int64_t bytes, const void *tail);

#endif
