/* The list of a dataset's shards: found and checked by rank 0, known to all. About 100 bytes and the path for each
 * shard. */
#ifndef IVF_IO_SHARDS_H
#define IVF_IO_SHARDS_H

#include <stdint.h>

#include "comm/context.h"
#include "io/source.h"

typedef struct {
    int count;
    int d;
    ivf_element type;
    ivf_layout *layouts; /* [count], owned */
    int64_t *first_rows; /* [count + 1], owned: global row of each shard's row 0, then the rows of all */
    char **paths;        /* [count], owned; into names */
    char *names;         /* the paths, each with its 0 byte, owned */
} ivf_shards;

/* Collective. Rank 0 expands the inputs (io/inputs.h) and opens every file once, one after the other; a refused one is
 * MPIVF_BAD_INPUT on every rank. On failure *shards is empty. */
int ivf_shards_find(const ivf_ctx *ctx, const char *const *inputs, int count, const char *h5_path, ivf_shards *shards);

/* Local. */
void ivf_shards_free(ivf_shards *shards);

#endif
