/* What the files of api/ share. */
#ifndef IVF_API_INTERNAL_H
#define IVF_API_INTERNAL_H

#include "comm/context.h"
#include "mpivf/search.h"
#include "search/searcher.h"

struct mpivf_index {
    ivf_ctx *ctx;
    ivf_searcher *searcher;
    int64_t queries; /* that a call searches for at a time, at most; the same on every rank */
    int64_t found;   /* bytes for their neighbours */
    char factory[64];
};

/* Local. Options as the caller's version of the header has them, given[0] being their size, as `size` bytes of this
 * version: fields that the caller does not know are 0; fields that this version does not know must be. `type` is for
 * the message. */
int ivf_api_options(const void *given, const char *type, void *options, size_t size);

/* Collective. Opens an index over the ranks of a context, which it takes over, also on failure; NULL: none could be
 * made, and why has been recorded. Rank 0's options count. */
int ivf_api_open(ivf_ctx *ctx, const char *path, const mpivf_open_options *options, mpivf_index **index);

#endif
