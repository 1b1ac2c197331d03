/* One shard file of any known format: what it holds and where (its layout), and its rows. For io/dataset and io/ids.
 *
 * All formats but filtered HDF5 come down to rows at a fixed stride from an offset, so that rank 0 alone reads headers:
 * the other ranks get layouts and pread. Reading takes scratch space of one piece (4 MiB, or one row if that is more);
 * f32 rows without prefixes go straight to the caller. */
#ifndef IVF_IO_SOURCE_H
#define IVF_IO_SOURCE_H

#include <stdint.h>

#include "base/array.h"
#include "io/rawfile.h"

enum {
    IVF_D_MOST = 1 << 20,     /* widest row: beyond any embedding, and far below what overflows */
    IVF_SPAN_BYTES = 4 << 20, /* one piece of reading */
};

/* What the user wants from a file. */
typedef enum {
    IVF_VECTORS, /* [rows][d] of f32, f64, f16, u8, i8 */
    IVF_ID_LIST, /* [rows] of i64 or u64 */
} ivf_contents;

typedef struct {
    int64_t rows;
    int64_t bytes; /* of the file */
    int64_t mtime_ns;
    int64_t offset; /* of row 0 in the file; -1 when rows come through HDF5 alone */
    int32_t d;      /* 1 for ids; 0 when there are no rows */
    int32_t prefix; /* bytes before each row: 4 (its d) in .fvecs and .bvecs, else 0 */
    ivf_element type;
    int32_t format; /* index into the known formats */
    int32_t held;   /* rows of chunks that HDF5 keeps in memory while the file is open, 1 or more where there are any */
    int64_t chunks; /* bytes of one of these: of the chunks that hold a row; 0 where rows are in no chunks */
} ivf_layout;

typedef struct ivf_source ivf_source;

/* Local. The format that a name's ending tells (".npy", also ".u8bin.crop_nb_1000" as big-ann tools make them), or -1;
 * its short name; and the endings of all formats in one line. */
int ivf_source_format(const char *path);
const char *ivf_source_format_name(int format);
const char *ivf_source_known(void);

/* Local. Bytes from one row to the next, prefix included. */
size_t ivf_layout_stride(const ivf_layout *layout);

/* Local. Checks a file against its headers without reading rows (except the first d of .fvecs), and leaves it closed.
 * `file` returns what identifies it. MPIVF_BAD_INPUT with one line when it cannot be used. */
int ivf_source_probe(const char *path, const char *h5_path, ivf_contents contents, ivf_layout *layout,
                     ivf_rawfile *file);

/* Local. Opens a file for reading by the layout that was found before, perhaps on another rank; refuses it when its
 * size is another now. `path`, `h5_path` and `layout` are borrowed until the close. */
int ivf_source_open(const char *path, const char *h5_path, const ivf_layout *layout, ivf_source **source);
void ivf_source_close(ivf_source *source);

/* Local, thread-safe. Rows first..first+n-1 as the file has them, prefixes included, into raw[n][stride]. */
int ivf_source_fetch(ivf_source *source, int64_t first, int64_t n, void *raw);

/* Local, thread-safe. Rows first..first+n-1 as f32 into x[n][d]. */
int ivf_source_read(ivf_source *source, int64_t first, int64_t n, float *x);

/* Local, thread-safe. Rows picks[i] - base, ascending, as f32 into x[n][d], by one fetch from the first to the last of
 * them. */
int ivf_source_read_span(ivf_source *source, const int64_t *picks, int64_t n, int64_t base, float *x);

/* Local. Bytes that ivf_source_read takes for itself: a piece of rows that must be converted. */
int64_t ivf_source_memory(const ivf_layout *layout);

/* Local. Bytes that HDF5 takes to read a file of chunks: what passes through whatever is kept, and what an open file
 * keeps. 0 where rows do not come through HDF5. */
int64_t ivf_source_passing(const ivf_layout *layout);
int64_t ivf_source_kept(const ivf_layout *layout);

#endif
