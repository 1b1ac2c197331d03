/* Memory that the ranks of a node hold once, together: what all of them read and none changes.
 *
 * A block is a file in memory without a name (memfd_create(2)), which the first rank of the node makes and the others
 * open through /proc. Nothing of it is in a filesystem, so it is gone with its last process however that ends, it knows
 * no limit such as that of /dev/shm (64 MiB in many containers), and it is counted once where a node's memory is. Where
 * the system does not allow it (no /proc, a limit of file sizes, namespaces of their own) each rank of the node gets a
 * block for itself; nothing else is different. MPI_Win_allocate_shared would do the same through a file in /dev/shm. */
#ifndef IVF_COMM_SHARED_H
#define IVF_COMM_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/context.h"

/* Collective. The fewest ranks on a node. Free of memory and of failures. */
int ivf_shared_node_ranks(const ivf_ctx *ctx);

typedef struct ivf_shared ivf_shared;

/* Collective. A block of `bytes` bytes, zero and aligned to a page. Ranks share it that give the same number of bytes
 * and the same `kind` (of processor, say) as the first one of their node. The same outcome on every rank; *shared is
 * NULL on failure. */
int ivf_shared_new(const ivf_ctx *ctx, size_t bytes, int64_t kind, ivf_shared **shared);

/* Collective. The same for ranks of one node that all fill the block, each a part of it, and that have no use for
 * blocks of their own: *shared is NULL, without a failure, where they cannot share one, or where there is one rank. */
int ivf_shared_join(const ivf_ctx *ctx, size_t bytes, ivf_shared **shared);

/* Local. The block here, the same memory for the ranks of a node and at a place of its own in each. */
void *ivf_shared_data(const ivf_shared *shared);

/* Local. Whether `data` is in the block. */
bool ivf_shared_holds(const ivf_shared *shared, const void *data);

/* Local. Whether this rank is to fill its block: one of each node, or all ranks of a node that cannot share. */
bool ivf_shared_fills(const ivf_shared *shared);

/* Collective. Rank 0's `bytes` bytes from `offset` on reach every block; only ranks that fill one take part in the
 * transfer. */
void ivf_shared_bcast(const ivf_ctx *ctx, ivf_shared *shared, size_t offset, size_t bytes);

/* Collective. Afterwards every block is as those that fill it have left it, and nobody writes to it any more. To be
 * called once for each block, also when filling it failed. */
void ivf_shared_finish(const ivf_ctx *ctx, ivf_shared *shared);

/* Local. Of a finished block; NULL is allowed. */
void ivf_shared_free(ivf_shared *shared);

#endif
