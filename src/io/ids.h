/* The ids of rows: the global row number, or a 64-bit array that the user gives. */
#ifndef IVF_IO_IDS_H
#define IVF_IO_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"
#include "io/stamps.h"

typedef struct ivf_ids ivf_ids;

/* Collective. `path` NULL: ids are global rows. Else a file of `rows` ids: .npy (i8 or u8 little-endian, 1-d),
 * .h5/.hdf5 (dataset `h5_path`), or, with any other name, raw little-endian i64. Duplicates are refused
 * (MPIVF_BAD_INPUT naming the id and both rows): every rank checks the ids of its hash class, so that memory per rank
 * is rows / ranks * 16 bytes. Also refused: a wrong count (both numbers), ids below 0 or above 2^63 - 1 (results are
 * signed 64-bit). *ids is NULL on failure. */
int ivf_ids_open(const ivf_ctx *ctx, const char *path, const char *h5_path, int64_t rows, ivf_ids **ids);

/* Collective. The same in two steps, or the first alone of a file whose ids were found to be distinct before: it reads
 * nothing yet. */
int ivf_ids_reopen(const ivf_ctx *ctx, const char *path, const char *h5_path, int64_t rows, ivf_ids **ids);
int ivf_ids_check(const ivf_ctx *ctx, ivf_ids *ids);
void ivf_ids_close(ivf_ids *ids);

/* Local. The largest id, which a file's check has seen. */
int64_t ivf_ids_largest(const ivf_ids *ids);

/* Local. The file of ids, absolute, so that it is found again from any folder; NULL when ids are row numbers. */
const char *ivf_ids_path(const ivf_ids *ids);

/* Local. All ids of a file, through ivf_new, whatever there are; each at most 2^63 - 1. */
int ivf_ids_load(const char *path, const char *h5_path, uint64_t **values, int64_t *n);

/* Local. The file of ids, without checksum; false when ids are row numbers. */
bool ivf_ids_stamp(const ivf_ids *ids, ivf_stamp *stamp);

/* Local. Ids of rows first..first+n-1 into out[n]. */
int ivf_ids_read(ivf_ids *ids, int64_t first, int64_t n, uint64_t *out);

/* Local. Bytes of a rank while ids of so many rows in a file are checked to be distinct: its share of them, twice. */
int64_t ivf_ids_memory(int64_t rows, int ranks);

/* Local. Bytes that HDF5 takes for as long as a file of ids in chunks is open. */
int64_t ivf_ids_caches(const ivf_ids *ids);

#endif
