/* The lists of a committed version, each put together from all fragments, in the order and layout in which FAISS keeps
 * them: for each list its codes, then its ids (8 bytes each), without gaps. For export. */
#ifndef IVF_INTEROP_LISTS_H
#define IVF_INTEROP_LISTS_H

#include <stdint.h>

#include "comm/context.h"
#include "index/manifest.h"
#include "io/outfile.h"

typedef struct ivf_lists ivf_lists;

/* Collective. Finds out where the lists lie in each fragment. The fragments' tables of lists are read once, each by one
 * rank, and held against their checksums and the manifest. `index` and `manifest` are borrowed. NULL on every rank,
 * with a failure recorded (MPIVF_CORRUPT, naming the fragment), when something does not fit. Memory: 40 bytes a
 * fragment, 16 bytes a list; communication: 40 bytes a fragment and 8 bytes a list. */
ivf_lists *ivf_lists_open(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest);
void ivf_lists_close(ivf_lists *lists);

/* Bytes that all lists take; and where list l begins among them (l = nlist: where the last one ends). */
int64_t ivf_lists_bytes(const ivf_lists *lists);
int64_t ivf_lists_offset(const ivf_lists *lists, int32_t l);

/* Collective. All lists into `file`, from `base` on, each rank groups of lists that it draws by ticket. Every list of
 * every fragment is held against its checksum, and all ids against the manifest's digest. Memory of a rank: a
 * group, which is at most 64 MiB, and 44 bytes a list of it; a list that is longer is copied in pieces. */
int ivf_lists_write(const ivf_ctx *ctx, ivf_lists *lists, const ivf_outfile *file, int64_t base);

#endif
