/* One matrix file, written by all ranks. Rank 0 creates it and reserves its space; every rank opens the temporary name
 * and writes its own rows with pwrite at places that follow from the row numbers, so that the bytes depend neither on
 * the ranks nor on their order. Each step's outcome is agreed on, and a failure anywhere leaves no file.
 *
 * Independent writes rather than MPI-IO: they are as fast or faster, give the system's reason for a failure, and cannot
 * leave the other ranks waiting inside a collective write. */
#include "io/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "io/bytes.h"
#include "io/npyhead.h"
#include "io/publish.h"
#include "math/pack.h"

enum { PIECE_BYTES = 4 << 20, D_MOST = 1 << 24 };

/* What stands before the rows, and before each row. */
typedef enum { HEAD_NONE, HEAD_COUNTS, HEAD_NPY } head_kind;

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
    {".bvecs", IVF_U8, HEAD_NONE, true},
};

struct ivf_writer {
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
    int fd;
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
    static const int64_t heads[] = {[HEAD_NONE] = 0, [HEAD_COUNTS] = 8, [HEAD_NPY] = IVF_NPY_HEAD_BYTES};
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
                        "%s: vectors go to names that end in .npy, .fbin, .f16bin, .u8bin, .i8bin, .fvecs or .bvecs",
                        path);
    if (strlen(path) >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path has %zu characters; at most %d are possible", path,
                        strlen(path), IVF_PATH_BYTES - 1);
    if (f->head == HEAD_NPY && !is_packable(npy_type))
        return ivf_fail(MPIVF_USAGE, "%s: vectors of %s are not written", path, ivf_element_name(npy_type));
    ivf_writer *w = ivf_new_zero(1, sizeof *w);
    if (w == NULL)
        return MPIVF_FAILED;
    (void)snprintf(w->path, sizeof w->path, "%s", path);
    w->fd = -1;
    w->format = f;
    w->type = f->head == HEAD_NPY ? npy_type : f->type;
    w->rows = rows;
    w->d = d;
    *writer = w;
    int rc = lay_out(w);
    if (rc != MPIVF_OK)
        return rc;
    w->piece = ivf_new(ivf_to_size(w->piece_rows), ivf_to_size(w->stride));
    return w->piece != NULL ? MPIVF_OK : MPIVF_FAILED;
}

/* A filesystem that cannot reserve space still makes the file as long as it will be. */
static int reserve(const ivf_writer *w)
{
    int wrong = 0;
    if (w->bytes == 0)
        return MPIVF_OK;
    do
        wrong = fallocate(w->fd, 0, 0, w->bytes) == 0 ? 0 : errno;
    while (wrong == EINTR);
    if (wrong == EOPNOTSUPP || wrong == ENOSYS)
        wrong = ftruncate(w->fd, w->bytes) == 0 ? 0 : errno;
    return wrong == 0 ? MPIVF_OK : ivf_fail_errno(wrong, "%s: cannot reserve %" PRId64 " bytes", w->path, w->bytes);
}

static int write_at(const ivf_writer *w, const void *data, int64_t bytes, int64_t offset)
{
    int wrong = ivf_bytes_write(w->fd, data, ivf_to_size(bytes), offset);
    return wrong == 0 ? MPIVF_OK
                      : ivf_fail_errno(wrong, "%s: cannot write %" PRId64 " bytes at %" PRId64, w->path, bytes, offset);
}

static int create(ivf_writer *w)
{
    char npy[IVF_NPY_HEAD_BYTES];
    int rc = ivf_publish_create(w->path, w->temp, &w->fd);
    if (rc != MPIVF_OK) {
        w->temp[0] = '\0';
        return rc;
    }
    rc = reserve(w);
    if (rc != MPIVF_OK || w->format->head == HEAD_NONE)
        return rc;
    if (w->format->head == HEAD_NPY) {
        ivf_npyhead_make(w->type, w->rows, w->d, npy);
        return write_at(w, npy, w->head, 0);
    }
    const uint32_t counts[2] = {(uint32_t)w->rows, (uint32_t)w->d};
    return write_at(w, counts, w->head, 0);
}

static int open_created(ivf_writer *w)
{
    w->fd = open(w->temp, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    return w->fd >= 0 ? MPIVF_OK
                      : ivf_fail_errno(errno, "%s: rank 0 has made the file, but it cannot be opened here", w->temp);
}

/* Lets go of everything; rank 0 also of a file that has not got its name. */
static void discard(const ivf_ctx *ctx, ivf_writer *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    if (ivf_ctx_is_root(ctx) && w->temp[0] != '\0')
        ivf_publish_discard(w->temp, -1);
    ivf_free(w->piece);
    ivf_free(w);
}

static int create_everywhere(const ivf_ctx *ctx, ivf_writer *w)
{
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? create(w) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, w->temp, sizeof w->temp);
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? MPIVF_OK : open_created(w));
}

int ivf_writer_open(const ivf_ctx *ctx, const char *path, ivf_element npy_type, int64_t rows, int d,
                    ivf_writer **writer)
{
    ivf_writer *w = NULL;
    int rc = ivf_agree(ctx, prepare(path, npy_type, rows, d, &w));
    if (rc == MPIVF_OK && w != NULL)
        rc = create_everywhere(ctx, w);
    *writer = rc == MPIVF_OK ? w : NULL;
    if (rc != MPIVF_OK)
        discard(ctx, w);
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
        return ivf_fail(MPIVF_FAILED, "%s: %" PRId64 " rows from %" PRId64 " on do not exist: there are %" PRId64,
                        w->path, n, first, w->rows);
    bool is_as_given = w->type == IVF_F32 && !w->format->has_prefix;
    int rc = MPIVF_OK;
    for (int64_t done = 0; rc == MPIVF_OK && done < n;) {
        int64_t count = is_as_given ? n : ivf_min_i64(w->piece_rows, n - done);
        const void *data = is_as_given ? x : pack_rows(w, count, x + done * w->d);
        rc = write_at(w, data, count * w->stride, w->head + (first + done) * w->stride);
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
        size_t bytes = ivf_to_size(n * w->stride);
        size_t got = 0;
        int wrong = ivf_bytes_read(w->fd, w->piece, bytes, row * w->stride, &got);
        if (wrong != 0 || got < bytes)
            return ivf_fail_errno(wrong != 0 ? wrong : EIO, "%s: cannot read back", w->temp);
        for (int64_t i = 0; rc == MPIVF_OK && i < n; i++) {
            int32_t prefix = 0;
            memcpy(&prefix, w->piece + i * w->stride, sizeof prefix);
            if (prefix == 0)
                rc = write_at(w, &d, sizeof d, (row + i) * w->stride);
        }
        row += n;
    }
    return rc;
}

static int make_durable(const ivf_writer *w)
{
    return fsync(w->fd) == 0 ? MPIVF_OK : ivf_fail_errno(errno, "%s: cannot make durable", w->path);
}

static int close_own(ivf_writer *w)
{
    int fd = w->fd;
    w->fd = -1;
    return close(fd) == 0 ? MPIVF_OK : ivf_fail_errno(errno, "%s: cannot close", w->path);
}

/* Gives the file its name, which ends the temporary one either way. */
static int publish(ivf_writer *w)
{
    int rc = ivf_publish_rename(w->temp, w->path, NULL, NULL);
    w->temp[0] = '\0';
    return rc;
}

int ivf_writer_close(const ivf_ctx *ctx, ivf_writer *writer, int rc)
{
    rc = ivf_agree(ctx, rc == MPIVF_OK && writer != NULL ? make_durable(writer) : rc);
    if (writer == NULL)
        return rc;
    if (rc == MPIVF_OK && writer->format->has_prefix) {
        int64_t put = writer->put;
        ivf_allsum_i64(ctx, &put, 1);
        if (put < writer->rows) {
            rc = complete_prefixes(ctx, writer);
            rc = ivf_agree(ctx, rc == MPIVF_OK ? make_durable(writer) : rc);
        }
    }
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, close_own(writer));
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? publish(writer) : MPIVF_OK);
    discard(ctx, writer);
    return rc;
}
