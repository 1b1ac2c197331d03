/* --ids of search: queries that are rows of the index. */
#ifndef IVF_CLI_BYID_H
#define IVF_CLI_BYID_H

#include <stdint.h>

#include "cli/options.h"
#include "search/searcher.h"

typedef struct {
    uint64_t *ids; /* [n], owned */
    int64_t n;
    float *x; /* [n][d], owned: their vectors */
} ivf_byid;

/* Local. */
bool ivf_byid_is_asked(const ivf_options *options);

/* Collective. The ids that --ids names, on every rank; rank 0 reads a file. MPIVF_USAGE, MPIVF_BAD_INPUT. */
int ivf_byid_read(const ivf_ctx *ctx, const ivf_options *options, ivf_byid *rows);

/* Collective. Their vectors, from a searcher that was opened with vectors. MPIVF_BAD_INPUT names ids that are not in
 * the index. */
int ivf_byid_fetch(const ivf_ctx *ctx, const ivf_searcher *searcher, ivf_byid *rows);
void ivf_byid_free(ivf_byid *rows);

/* Local. Takes each row out of its own neighbours found[n][k + 1], or the last one where it is not among them, and
 * closes the gaps: found[n][k]. */
void ivf_byid_leave_out(const ivf_byid *rows, ivf_neighbor *found, int k);

#endif
