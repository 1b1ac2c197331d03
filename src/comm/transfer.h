/* Data between ranks, of any size: counts beyond 2^31 travel in pieces. All of these are exact (bytes or integers), so
 * their results do not depend on the order in which MPI combines them. Whoever waits for another rank here soon sleeps
 * between looks, which leaves the processors to those who still work (comm/wait.h). */
#ifndef IVF_COMM_TRANSFER_H
#define IVF_COMM_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

#include "comm/context.h"

/* Collective. Rank 0's `bytes` bytes reach every rank; `bytes` is the same everywhere. ceil(bytes / 64 MiB) broadcasts.
 */
void ivf_bcast(const ivf_ctx *ctx, void *data, size_t bytes);

/* Collective. Sums (modulo 2^64) or maxima of n integers, in place, on every rank (comm/reduce.h). */
void ivf_allsum_i64(const ivf_ctx *ctx, int64_t *values, int64_t n);
void ivf_allsum_u64(const ivf_ctx *ctx, uint64_t *values, int64_t n);
void ivf_allmax_i64(const ivf_ctx *ctx, int64_t *values, int64_t n);

/* Collective. Every rank's `count` doubles (the same on all ranks), rank after rank, into all[size][count] on rank 0;
 * `all` is not looked at elsewhere. */
void ivf_gather_f64(const ivf_ctx *ctx, const double *mine, int count, double *all);

/* What rank 0 got from ivf_gather_bytes. Free with ivf_gathered_free. */
typedef struct {
    uint8_t *data;    /* rank after rank, owned */
    int64_t *offsets; /* [size + 1], owned */
} ivf_gathered;

/* Collective. Byte strings of different lengths reach rank 0; elsewhere `out` is zeroed. One Gather of 8 bytes, then
 * messages of at most 64 MiB. Fails, on every rank alike, only when rank 0 cannot hold them. */
int ivf_gather_bytes(const ivf_ctx *ctx, const void *mine, size_t bytes, ivf_gathered *out);
void ivf_gathered_free(ivf_gathered *gathered);

/* Folds `from` into `into`; both hold `count` elements of a fixed size. Must be associative and commutative. */
typedef void ivf_merge(void *arg, void *into, const void *from, int64_t count);

/* Collective. A tree over the ranks folds `count` elements of `size` bytes each (same on every rank) into rank 0's
 * `data`; elsewhere `data` is left undefined. ceil(log2(ranks)) rounds. */
int ivf_merge_to_root(const ivf_ctx *ctx, void *data, int64_t count, size_t size, ivf_merge *merge, void *arg);

/* Collective. Every rank's part of `data` reaches every rank, in place: rank r's part is bytes offsets[r] ..
 * offsets[r + 1] - 1, with the same offsets[size + 1], ascending from 0, on every rank. ceil(total / 64 MiB)
 * all-gathers. Fails, on every rank alike, only for want of a few bytes of memory. */
int ivf_allgather_bytes(const ivf_ctx *ctx, void *data, const int64_t *offsets);

/* Collective. Every rank's part of a whole reaches rank 0: rank r's `mine` is bytes offsets[r] .. offsets[r + 1] - 1 of
 * `all`, with the same offsets[size + 1], ascending, on every rank. Rank 0's own part is where it belongs already, and
 * its `mine`, like the others' `all`, is not looked at. Messages of at most 64 MiB. */
void ivf_gather_parts(const ivf_ctx *ctx, const void *mine, void *all, const int64_t *offsets);

/* Collective. Waits for every rank. */
void ivf_barrier(const ivf_ctx *ctx);

#endif
