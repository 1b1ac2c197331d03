/* Whether a set of ids that is spread over the ranks holds one twice. For io/ids. */
#ifndef IVF_IO_DISTINCT_H
#define IVF_IO_DISTINCT_H

#include <stdint.h>

#include "comm/context.h"

/* Collective. *twice is the smallest id that occurs more than once among the `n` ids of this rank and those of the
 * others, or UINT64_MAX, which is no id. `ids` comes from ivf_new, is overwritten, and is given back here. Every rank
 * sorts its ids, sends each once to the rank of its hash class, and sorts what it got: 16 bytes for each id of a rank
 * at a time. */
int ivf_distinct_check(const ivf_ctx *ctx, uint64_t *ids, int64_t n, uint64_t *twice);

#endif
