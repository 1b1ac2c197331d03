/* Data from every rank to every rank, each pair its own amount. */
#ifndef IVF_COMM_EXCHANGE_H
#define IVF_COMM_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "comm/context.h"
#include "comm/transfer.h"

/* Collective. Bytes offsets[r] to offsets[r + 1] of `data` go to rank r; `in` gets what came, rank after rank, and is
 * freed with ivf_gathered_free. One Alltoall of 8 bytes a pair, then ranks - 1 rounds in which each rank sends to one
 * and receives from one, in pieces of at most 64 MiB: no rank is flooded, and nothing is buffered beyond MPI's own.
 * Fails, on every rank alike, only when one cannot hold what it would get. */
int ivf_exchange(const ivf_ctx *ctx, const void *data, const int64_t *offsets, ivf_gathered *in);

#endif
