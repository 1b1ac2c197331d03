/* One file of known size, written by all ranks at offsets of their own. It appears whole or not at all. */
#ifndef IVF_IO_OUTFILE_H
#define IVF_IO_OUTFILE_H

#include <stddef.h>
#include <stdint.h>

#include "comm/context.h"

typedef struct ivf_outfile ivf_outfile;

/* Collective. Rank 0 creates `path` under a temporary name and reserves `bytes` for it where the filesystem can; every
 * rank opens it. After a failure nothing is left, and *file is NULL. */
int ivf_outfile_open(const ivf_ctx *ctx, const char *path, int64_t bytes, ivf_outfile **file);

/* Collective. The same with a file that is there under a temporary name: `temp`, which rank 0 has made beside `path`
 * and which belongs to *file from then on, also after a failure. It is made `bytes` long, if it is shorter, and what is
 * in it stays. */
int ivf_outfile_adopt(const ivf_ctx *ctx, const char *path, const char *temp, int64_t bytes, ivf_outfile **file);

/* Local. Has what lies in a range written to disk from now on, without waiting, so that making it durable takes less.
 */
void ivf_outfile_hurry(const ivf_outfile *file, int64_t offset, int64_t bytes);

/* Local, thread-safe. Bytes that nobody puts are zero. */
int ivf_outfile_put(const ivf_outfile *file, const void *data, size_t bytes, int64_t offset);

/* Local, thread-safe. What this rank, or another one before an agreement, has put. */
int ivf_outfile_get(const ivf_outfile *file, void *data, size_t bytes, int64_t offset);

/* Local. Bytes that the file has now. */
int ivf_outfile_size(const ivf_outfile *file, int64_t *bytes);

/* Collective. Makes what was put so far durable, unless `rc` says that a rank failed; returns the agreed code. For
 * several files that are to get their names only when all are complete. */
int ivf_outfile_sync(const ivf_ctx *ctx, const ivf_outfile *file, int rc);

/* Collective. Makes the file durable and gives it its name; or, when `rc` says that a rank failed, removes it. Returns
 * the agreed code, and frees `file`, which may be NULL (on every rank). */
int ivf_outfile_close(const ivf_ctx *ctx, ivf_outfile *file, int rc);

/* Collective. Removes the file, which nobody wants. */
void ivf_outfile_drop(const ivf_ctx *ctx, ivf_outfile *file);

#endif
