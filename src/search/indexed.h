/* The files that a version of an index was made of, for who goes back to them: are they what they were? */
#ifndef IVF_SEARCH_INDEXED_H
#define IVF_SEARCH_INDEXED_H

#include "index/manifest.h"
#include "io/dataset.h"
#include "io/ids.h"

/* Collective. Opens them where the manifest says that they are. MPIVF_BAD_INPUT names one that is missing or changed,
 * by its size, time or sampled checksum (io/stamps.h), and the remedy. *dataset is NULL on failure. */
int ivf_indexed_open(const ivf_ctx *ctx, const ivf_manifest *manifest, const char *remedy, ivf_dataset **dataset);

/* Collective. The same of files that were moved, whose times say nothing. Of an import, whose rows are in none of its
 * files, only the numbers of rows and of values are compared. */
int ivf_indexed_open_moved(const ivf_ctx *ctx, const ivf_manifest *manifest, const char *const *paths, int count,
                           const char *remedy, ivf_dataset **dataset);

/* Collective. Opens the file of ids at a path (NULL: ids are row numbers) and reads it through, in shares of the ranks:
 * MPIVF_BAD_INPUT when it holds other ids than were indexed. 512 KiB. *ids is NULL on failure. */
int ivf_indexed_open_ids(const ivf_ctx *ctx, const ivf_manifest *manifest, const char *path, const char *remedy,
                         ivf_ids **ids);

/* Local. The failure of a file whose ids have another digest than the manifest's. */
int ivf_indexed_refuse_ids(const char *path, const char *remedy);

/* Local, uses the team. x[n][d] are rows[n] of the dataset, which are in the index: MPIVF_BAD_INPUT names file and row
 * of one that could not be, having NaN in it or no direction for the cosine. */
int ivf_indexed_check_rows(const ivf_manifest *manifest, const ivf_dataset *dataset, const int64_t *rows, int64_t n,
                           const float *x, const char *remedy);

#endif
