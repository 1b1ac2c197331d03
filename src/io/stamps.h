/* Files that must stay as they are while they are read, or until they are read again: size, time of change and a
 * sampled checksum of each, taken at the beginning and compared at the end. For builds, whose input may be large and
 * many, and for searches that go back to it. */
#ifndef IVF_IO_STAMPS_H
#define IVF_IO_STAMPS_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"

/* What is looked at: the whole of a file of up to 128 KiB, else that many pieces, the first at its head, the last at
 * its tail, the others evenly between (FORMAT.md). A change elsewhere shows in the time of change alone. */
enum { IVF_STAMP_PIECES = 8, IVF_STAMP_PIECE_BYTES = 16384 };

typedef struct {
    const char *path; /* borrowed */
    int64_t bytes;
    int64_t mtime_ns;
    uint64_t checksum; /* XXH3-64 of the pieces */
} ivf_stamp;

/* Collective. Fills in the checksums of stamps[count], on every rank; the ranks share the files, and the threads of
 * each its part. MPIVF_BAD_INPUT when a file's size or time is another already. At most 128 KiB are read of each file;
 * 8 bytes for each are summed over the ranks. */
int ivf_stamps_take(const ivf_ctx *ctx, ivf_stamp *stamps, int64_t count);

/* Collective. Looks at the files again: MPIVF_BAD_INPUT names the first one found that changed, and what. `changed`, on
 * every rank: whether one did; else a failure is that of a file that cannot be looked at now, and may be what it was.
 */
int ivf_stamps_check(const ivf_ctx *ctx, const ivf_stamp *stamps, int64_t count, bool *changed);

/* Collective. The same of stamps that were taken earlier than this run: the message says that a file is missing, or
 * changed `since` ("since ..."), and the remedy. A checksum of 0 is not known and not compared. */
int ivf_stamps_compare(const ivf_ctx *ctx, const ivf_stamp *stamps, int64_t count, const char *since,
                       const char *remedy);

#endif
