/* What the two ways to vectors share: of candidates, and by id. Private to search/. */
#ifndef IVF_SEARCH_VECTORS_INTERNAL_H
#define IVF_SEARCH_VECTORS_INTERNAL_H

#include "io/dataset.h"
#include "io/ids.h"
#include "search/idmap.h"
#include "search/kept.h"
#include "search/vectors.h"

struct ivf_vectors {
    const char *index; /* borrowed, like */
    const ivf_manifest *manifest;
    bool by_library;
    ivf_kept_share *kept; /* NULL: from the shards */
    ivf_dataset *dataset;
    ivf_ids *ids; /* NULL: ids are row numbers */
};

/* Collective. Of shards: the rows of the ids in the map, by number; -1 for what is no row's. */
int ivf_vectors_internal_rows(const ivf_ctx *ctx, ivf_vectors *v, const ivf_idmap *map, int64_t *rows);

/* Local. The rank that reads a row of the shards, the same for rows that follow each other. */
int64_t ivf_vectors_internal_reader(const ivf_ctx *ctx, int64_t row);

#endif
