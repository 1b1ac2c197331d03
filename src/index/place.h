/* Where the lists of a fragment lie in its file, for those who read some of them past HDF5: its datasets are contiguous
 * (FORMAT.md). The places themselves: index/fragment.h. */
#ifndef IVF_INDEX_PLACE_H
#define IVF_INDEX_PLACE_H

#include "comm/context.h"
#include "index/manifest.h"

/* Local. Opens fragment f's file through HDF5, once. Its size, shape and tables, which are held against their
 * checksums, are as the manifest says: MPIVF_CORRUPT names what is not. Adds the sizes of its lists to sizes[nlist]. 16
 * bytes a list meanwhile. */
int ivf_place_find(const char *index, const ivf_manifest *manifest, int64_t f, ivf_place *place, int64_t *sizes);

/* Collective. The same of all fragments, each by one rank, places[fragment_count] to all; the sizes of the lists are
 * the manifest's. Memory: 16 bytes a list; communication: 56 bytes a fragment and 8 bytes a list. */
int ivf_place_find_all(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, ivf_place *places);

#endif
