/* The input: an ordered list of shards, each a matrix [rows][d] in a file of any known format. Global row = position in
 * that order.
 *
 * Formats by name: .npy (versions 1 to 3, C order; f32, f64, f16, u8, i8), .fvecs, .bvecs, .fbin, .f16bin, .u8bin,
 * .i8bin (also with ".crop_nb_N" behind), .h5/.hdf5 (dataset `h5_path` of those types, in any layout). Layouts:
 * FORMAT.md. */
#ifndef IVF_IO_DATASET_H
#define IVF_IO_DATASET_H

#include <stdint.h>

#include "base/array.h"
#include "comm/context.h"

typedef struct ivf_dataset ivf_dataset;

/* What identifies a shard: stored in the manifest. */
typedef struct {
    const char *path;   /* absolute, borrowed from the dataset */
    const char *format; /* "npy", "fvecs", ...; static storage */
    int64_t rows;
    int64_t first_row; /* global row of its row 0 */
    int64_t bytes;     /* of the file */
    int64_t mtime_ns;
} ivf_shard;

typedef struct {
    const char *const *inputs; /* files, folders (known formats below, sorted), globs, or @LIST (a file with one of
                                  these a line); borrowed */
    int count;
    const char *h5_path; /* dataset inside HDF5 files */
} ivf_dataset_spec;

/* Collective. Rank 0 expands the inputs, opens every shard once and checks it (magic, sizes, d and element type alike);
 * the others get the list. MPIVF_BAD_INPUT with one line for: nothing found, missing or unreadable file, unknown
 * format, wrong magic, size that contradicts the header (both numbers), d = 0, d or type that differ between shards
 * (names both), a file given twice, no rows at all; a shard without rows among others is warned of. *dataset is NULL on
 * failure. */
int ivf_dataset_open(const ivf_ctx *ctx, const ivf_dataset_spec *spec, ivf_dataset **dataset);

/* Local. Closes this rank's files. */
void ivf_dataset_close(ivf_dataset *dataset);

/* Local. */
int64_t ivf_dataset_rows(const ivf_dataset *dataset);
int ivf_dataset_d(const ivf_dataset *dataset);
ivf_element ivf_dataset_type(const ivf_dataset *dataset);
int ivf_dataset_shards(const ivf_dataset *dataset);
ivf_shard ivf_dataset_shard(const ivf_dataset *dataset, int shard);

/* Local. The shard that holds a global row. */
int ivf_dataset_shard_of(const ivf_dataset *dataset, int64_t row);

/* Local. Rows first..first+n-1 as f32 into x[n][d], across shard borders. Thread-safe (HDF5 calls take a lock). Raw
 * formats and contiguous HDF5: pread. A short read is MPIVF_BAD_INPUT (the file shrank), an I/O error MPIVF_FAILED;
 * both name the file. */
int ivf_dataset_read(ivf_dataset *dataset, int64_t first, int64_t n, float *x);

/* Local, thread-safe. Scattered rows, ascending and distinct, as f32 into x[n][d]. Rows at most `gap` bytes apart are
 * read together, in pieces of 4 MiB at most, by all threads of base/team.h: IVF_DATASET_GAP where what lies between
 * comes from a disk, where a request costs more than so many bytes do. */
enum { IVF_DATASET_GAP = 64 << 10 };
int ivf_dataset_read_rows(ivf_dataset *dataset, const int64_t *rows, int64_t n, int64_t gap, float *x);

/* Local. Bytes that a thread takes for itself while it reads many rows, and scattered ones of any number. */
int64_t ivf_dataset_read_memory(const ivf_dataset *dataset);
int64_t ivf_dataset_rows_memory(const ivf_dataset *dataset);

/* Local. So many scattered rows, and fewer, have gaps between them that are too wide to be read: a thread then takes
 * what it takes for many rows, as it does for all of them. */
int64_t ivf_dataset_few(const ivf_dataset *dataset);

/* What HDF5 takes of a rank's memory beside that, for shards in chunks: with as many open files and as many chunks in
 * memory as serve, or with as few as possible. All 0 where no shard is read through HDF5. */
typedef struct {
    int64_t own;   /* bytes that it takes whatever the chunks are */
    int64_t least; /* bytes */
    int64_t usual; /* bytes */
} ivf_dataset_caches;

/* Local. */
ivf_dataset_caches ivf_dataset_caches_of(const ivf_dataset *dataset);

/* Local, while nobody reads. Closes this rank's files, and with them gives back what HDF5 keeps; from now on it takes
 * at most `bytes`, or the least where that is more. Shards that are read by turns are then opened, and chunks
 * decompressed, more often. */
void ivf_dataset_limit_caches(ivf_dataset *dataset, int64_t bytes);

/* Local, while nobody reads. Closes this rank's files until they are needed again. */
void ivf_dataset_rest(ivf_dataset *dataset);

/* Local. Bytes read from files so far. */
int64_t ivf_dataset_bytes_read(const ivf_dataset *dataset);

#endif
