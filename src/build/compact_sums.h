/* Checksums of a file that all ranks write in no order, of which nothing but its ends is read again: who puts bytes
 * knows their blocks' sums (math/blocksum.h). The sums, a sixteenth of the file, lie in a second file beside it that
 * never gets a name; whoever wants the checksum of a range, or of the whole, goes through them in order. */
#ifndef IVF_BUILD_COMPACT_SUMS_H
#define IVF_BUILD_COMPACT_SUMS_H

#include "comm/context.h"
#include "io/outfile.h"

typedef struct ivf_compact_sums ivf_compact_sums;

/* A range of the file that is put together by ranks; it begins at a multiple of IVF_BLOCKSUM_BLOCK. */
typedef struct {
    int64_t at, bytes;
} ivf_compact_range;

/* Local. Bytes of memory. */
int64_t ivf_compact_sums_memory(void);

/* Collective. For a file of at most `bytes`, borrowed, that gets the name `path`. The second file needs bytes / 16 of
 * the disk. On failure *sums is NULL. */
int ivf_compact_sums_open(const ivf_ctx *ctx, const char *path, const ivf_outfile *file, int64_t bytes,
                          ivf_compact_sums **sums);

/* Local. Puts bytes into the file, and the sums of the blocks that lie in them whole into the other. By one thread of a
 * rank at a time. */
int ivf_compact_sums_put(ivf_compact_sums *sums, const void *data, int64_t bytes, int64_t at);

/* Local, after what lies on both sides of `border` was put: the sums of the block that has bytes of both, if it lies in
 * the range whole. */
int ivf_compact_sums_mend(ivf_compact_sums *sums, ivf_compact_range range, int64_t border);

/* Local, after all of it was put and mended. Reads a sixteenth of the range, and its end. */
int ivf_compact_sums_range(ivf_compact_sums *sums, ivf_compact_range range, uint64_t *checksum);

/* Local. Size and checksum of the whole file as it is now: of the ranges the same is read, and all that lies
 * elsewhere. */
int ivf_compact_sums_whole(ivf_compact_sums *sums, const ivf_compact_range *ranges, int count, int64_t *bytes,
                           uint64_t *checksum);

/* Collective. Removes the second file; NULL is allowed, on every rank. */
void ivf_compact_sums_close(const ivf_ctx *ctx, ivf_compact_sums *sums);

#endif
