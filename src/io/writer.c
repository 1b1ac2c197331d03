/* A matrix in a file that all ranks write (io/outfile.h): rows at places that follow from their numbers, so that the
 * bytes depend neither on the ranks nor on their order. */
#include "io/writer.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "io/h5.h"
#include "io/npyhead.h"
#include "io/outfile.h"
#include "io/publish.h"
#include "math/pack.h"

enum { PIECE_BYTES = 4 << 20, D_MOST = 1 << 24 };

/* What stands before the rows, and before each row. */
typedef enum { HEAD_NONE, HEAD_COUNTS, HEAD_NPY, HEAD_HDF5 } head_kind;

typedef struct {
    const char *ending;
    ivf_element type;
    head_kind head;
    bool has_prefix; /* each row begins with its d as i32 */
} format;

static const format formats[] = {
    {".npy", IVF_F32, HEAD_NPY, false},       {".fbin", IVF_F32, HEAD_COUNTS, false},
    {".f16bin", IVF_F16, HEAD_COUNTS, false}, {".u8bin", IVF_U8, HEAD_COUNTS, false},
    {".i8bin", IVF_I8, HEAD_COUNTS, false},   {".fvecs", IVF_F32, HEAD_NONE, true},
    {".bvecs", IVF_U8, HEAD_NONE, true},      {".h5", IVF_F32, HEAD_HDF5, false},
    {".hdf5", IVF_F32, HEAD_HDF5, false},
};

struct ivf_writer {
    const char *path; /* borrowed while it is opened */
    ivf_outfile *file;
    const format *format;
    ivf_element type;
    int64_t rows;
    int d;
    int64_t head;   /* bytes before row 0 */
    int64_t stride; /* bytes from row to row */
    int64_t bytes;  /* of the file */
    int64_t put;    /* rows put by this rank */
    int64_t piece_rows;
    uint8_t *piece; /* [piece_rows][stride], owned */
};

static const format *format_of(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        size_t ending = strlen(formats[i].ending);
        if (length > ending && strcasecmp(path + length - ending, formats[i].ending) == 0)
            return &formats[i];
    }
    return NULL;
}

static int64_t prefix_bytes(const ivf_writer *w)
{
    return w->format->has_prefix ? (int64_t)sizeof(int32_t) : 0;
}

/* Where everything lies in the file. */
static int lay_out(ivf_writer *w)
{
    static const int64_t heads[] = {
        [HEAD_NONE] = 0, [HEAD_COUNTS] = 8, [HEAD_NPY] = IVF_NPY_HEAD_BYTES, [HEAD_HDF5] = 0};
    if (w->rows < 0 || w->d < 1 || w->d > D_MOST)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "%s: cannot hold %" PRId64 " rows of %d elements; 1 to %d elements are possible", w->path,
                        w->rows, w->d, (int)D_MOST);
    if (w->format->head == HEAD_COUNTS && w->rows > UINT32_MAX)
        return ivf_fail(MPIVF_BAD_INPUT, "%s: %" PRId64 " rows are more than the format's 32 bits hold; write .npy",
                        w->path, w->rows);
    w->head = heads[w->format->head];
    w->stride = prefix_bytes(w) + w->d * (int64_t)ivf_element_size(w->type);
    if (__builtin_mul_overflow(w->rows, w->stride, &w->bytes) || __builtin_add_overflow(w->bytes, w->head, &w->bytes))
        return ivf_fail(MPIVF_BAD_INPUT, "%s: %" PRId64 " rows of %d elements exceed what a file can hold", w->path,
                        w->rows, w->d);
    w->piece_rows = ivf_max_i64(1, ivf_min_i64(PIECE_BYTES / w->stride, w->rows));
    return MPIVF_OK;
}

/* The types of math/pack. */
static bool is_packable(ivf_element type)
{
    return type == IVF_F32 || type == IVF_F16 || type == IVF_U8 || type == IVF_I8;
}

static int prepare(const char *path, ivf_element npy_type, int64_t rows, int d, ivf_writer **writer)
{
    const format *f = format_of(path);
    *writer = NULL;
    if (f == NULL)
        return ivf_fail(MPIVF_USAGE,
                        "%s: vectors go to names that end in .npy, .fbin, .f16bin, .u8bin, .i8bin, .fvecs, .bvecs, "
                        ".h5 or .hdf5",
                        path);
    const bool names_no_type = f->head == HEAD_NPY || f->head == HEAD_HDF5;
    if (names_no_type && !is_packable(npy_type))
        return ivf_fail(MPIVF_USAGE, "%s: vectors of %s are not written", path, ivf_element_name(npy_type));
    ivf_writer *w = ivf_new_zero(1, sizeof *w);
    if (w == NULL)
        return MPIVF_FAILED;
    w->path = path;
    w->format = f;
    w->type = names_no_type ? npy_type : f->type;
    w->rows = rows;
    w->d = d;
    *writer = w;
    int rc = lay_out(w);
    if (rc != MPIVF_OK)
        return rc;
    w->piece = ivf_new(ivf_to_size(w->piece_rows), ivf_to_size(w->stride));
    return w->piece != NULL ? MPIVF_OK : MPIVF_FAILED;
}

static int put_head(const ivf_writer *w)
{
    char npy[IVF_NPY_HEAD_BYTES];
    const uint32_t counts[2] = {(uint32_t)w->rows, (uint32_t)w->d};
    if (w->format->head == HEAD_NPY) {
        ivf_npyhead_make(w->type, w->rows, w->d, npy);
        return ivf_outfile_put(w->file, npy, sizeof npy, 0);
    }
    return w->format->head == HEAD_COUNTS ? ivf_outfile_put(w->file, counts, sizeof counts, 0) : MPIVF_OK;
}

static void free_writer(ivf_writer *w)
{
    if (w != NULL)
        ivf_free(w->piece);
    ivf_free(w);
}

/* Rank 0: an HDF5 file in which the rows have a place, but nothing is written there yet. */
static int make_hdf5(ivf_writer *w, const char *h5_path, char temp[IVF_PATH_BYTES])
{
    const ivf_array rows = {.name = h5_path, .type = w->type, .rank = 2, .dims = {w->rows, w->d}};
    ivf_h5 *file = NULL;
    int rc = ivf_publish_name(w->path, temp);
    if (rc == MPIVF_OK)
        rc = ivf_h5_create(temp, &file);
    if (rc != MPIVF_OK) {
        temp[0] = '\0';
        return rc;
    }
    rc = ivf_h5_reserve(file, &rows, &w->head);
    if (rc == MPIVF_OK)
        rc = ivf_h5_close(file);
    else
        ivf_h5_abandon(file);
    if (rc != MPIVF_OK)
        temp[0] = '\0';
    return rc;
}

/* Collective. */
static int open_hdf5(const ivf_ctx *ctx, ivf_writer *w, const char *h5_path)
{
    char temp[IVF_PATH_BYTES] = "";
    int rc = w->rows > 0 ? MPIVF_OK : ivf_fail(MPIVF_BAD_INPUT, "%s: there are no rows to write", w->path);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
        rc = make_hdf5(w, h5_path, temp);
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &w->head, sizeof w->head);
    w->bytes += w->head;
    return ivf_outfile_adopt(ctx, w->path, temp, w->bytes, &w->file);
}

int ivf_writer_open(const ivf_ctx *ctx, const char *path, ivf_element npy_type, int64_t rows, int d,
                    ivf_writer **writer)
{
    return ivf_writer_open_named(ctx, path, "train", npy_type, rows, d, writer);
}

ivf_element ivf_writer_type(const ivf_writer *writer)
{
    return writer->type;
}

int ivf_writer_open_named(const ivf_ctx *ctx, const char *path, const char *h5_path, ivf_element npy_type, int64_t rows,
                          int d, ivf_writer **writer)
{
    ivf_writer *w = NULL;
    int rc = ivf_agree(ctx, prepare(path, npy_type, rows, d, &w));
    if (rc == MPIVF_OK && w != NULL)
        rc =
            w->format->head == HEAD_HDF5 ? open_hdf5(ctx, w, h5_path) : ivf_outfile_open(ctx, path, w->bytes, &w->file);
    if (rc == MPIVF_OK && w != NULL) {
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? put_head(w) : MPIVF_OK);
        if (rc != MPIVF_OK)
            rc = ivf_outfile_close(ctx, w->file, rc);
    }
    *writer = rc == MPIVF_OK ? w : NULL;
    if (rc != MPIVF_OK)
        free_writer(w);
    return rc;
}

/* Rows with their prefixes into the piece; returns it. */
static const void *pack_rows(const ivf_writer *w, int64_t n, const float *x)
{
    int64_t prefix = prefix_bytes(w);
    const int32_t d = w->d;
    if (prefix == 0) {
        ivf_f32_to_element(w->type, x, n * d, w->piece);
        return w->piece;
    }
    for (int64_t i = 0; i < n; i++) {
        uint8_t *row = w->piece + i * w->stride;
        memcpy(row, &d, sizeof d);
        ivf_f32_to_element(w->type, x + i * d, d, row + prefix);
    }
    return w->piece;
}

int ivf_writer_put(ivf_writer *writer, int64_t first, int64_t n, const float *x)
{
    const ivf_writer *w = writer;
    if (first < 0 || n < 0 || n > w->rows || first > w->rows - n)
        return ivf_fail(MPIVF_FAILED, "%" PRId64 " rows from %" PRId64 " on cannot be written: there are %" PRId64, n,
                        first, w->rows);
    bool is_as_given = w->type == IVF_F32 && !w->format->has_prefix;
    int rc = MPIVF_OK;
    for (int64_t done = 0; rc == MPIVF_OK && done < n;) {
        int64_t count = is_as_given ? n : ivf_min_i64(w->piece_rows, n - done);
        const void *data = is_as_given ? x : pack_rows(w, count, x + done * w->d);
        rc = ivf_outfile_put(w->file, data, ivf_to_size(count * w->stride), w->head + (first + done) * w->stride);
        done += count;
    }
    if (rc == MPIVF_OK)
        writer->put += n;
    return rc;
}

/* Rows that nobody put lack their d. All rows are looked at, each rank taking a share. */
static int complete_prefixes(const ivf_ctx *ctx, const ivf_writer *w)
{
    int64_t share = ivf_ceil_div(w->rows, ivf_ctx_size(ctx));
    int64_t row = ivf_min_i64(w->rows, share * ivf_ctx_rank(ctx));
    int64_t end = ivf_min_i64(w->rows, row + share);
    const int32_t d = w->d;
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && row < end) {
        int64_t n = ivf_min_i64(w->piece_rows, end - row);
        rc = ivf_outfile_get(w->file, w->piece, ivf_to_size(n * w->stride), row * w->stride);
        for (int64_t i = 0; rc == MPIVF_OK && i < n; i++) {
            int32_t prefix = 0;
            memcpy(&prefix, w->piece + i * w->stride, sizeof prefix);
            if (prefix == 0)
                rc = ivf_outfile_put(w->file, &d, sizeof d, (row + i) * w->stride);
        }
        row += n;
    }
    return rc;
}

int ivf_writer_close(const ivf_ctx *ctx, ivf_writer *writer, int rc)
{
    rc = ivf_agree(ctx, rc);
    if (writer == NULL)
        return rc;
    if (rc == MPIVF_OK && writer->format->has_prefix) {
        int64_t put = writer->put;
        ivf_allsum_i64(ctx, &put, 1);
        if (put < writer->rows)
            rc = complete_prefixes(ctx, writer);
    }
    rc = ivf_outfile_close(ctx, writer->file, rc);
    free_writer(writer);
    return rc;
}
