/* Ground truth for `eval --groundtruth`; read whole, by one rank. Memory: 12 bytes a neighbour, and 4 MiB
 * or one row of ids if that is more. */
#include "io/groundtruth.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/h5truth.h"
#include "io/rawfile.h"

enum { PIECE_BYTES = 4 << 20 };

/* Rows of 32-bit ids in a file. */
typedef struct {
    int64_t offset;
    int64_t prefix; /* bytes before each row: 4 (its k) in .ivecs, else 0 */
    int64_t stride;
} id_rows;

static bool ends_in(const char *path, const char *ending)
{
    size_t length = strlen(path);
    size_t tail = strlen(ending);
    return length > tail && strcasecmp(path + length - tail, ending) == 0;
}

static int widen_row(const ivf_rawfile *file, const id_rows *rows, const uint8_t *row, const ivf_groundtruth *truth,
                     int64_t query)
{
    int32_t value = 0;
    if (rows->prefix > 0)
        memcpy(&value, row, sizeof value);
    if (rows->prefix > 0 && value != truth->k)
        return ivf_fail(MPIVF_BAD_INPUT, "ground truth %s: query %" PRId64 " has %d neighbours, but query 0 has %d",
                        file->path, query, value, truth->k);
    for (int j = 0; j < truth->k; j++) {
        memcpy(&value, row + rows->prefix + (size_t)j * sizeof value, sizeof value);
        truth->ids[query * truth->k + j] = value;
    }
    return MPIVF_OK;
}

static int read_ids(const ivf_rawfile *file, const id_rows *rows, ivf_groundtruth *truth)
{
    int64_t piece_rows = ivf_max_i64(1, ivf_min_i64(truth->queries, PIECE_BYTES / rows->stride));
    uint8_t *piece = ivf_new(ivf_to_size(piece_rows), ivf_to_size(rows->stride));
    truth->ids = ivf_new(ivf_to_size(truth->queries), ivf_to_size(truth->k) * sizeof *truth->ids);
    int rc = piece != NULL && truth->ids != NULL ? MPIVF_OK : MPIVF_FAILED;
    for (int64_t first = 0; rc == MPIVF_OK && first < truth->queries; first += piece_rows) {
        int64_t n = ivf_min_i64(piece_rows, truth->queries - first);
        rc = ivf_rawfile_read(file, rows->offset + first * rows->stride, ivf_to_size(n * rows->stride), piece);
        for (int64_t i = 0; rc == MPIVF_OK && i < n; i++)
            rc = widen_row(file, rows, piece + i * rows->stride, truth, first + i);
    }
    ivf_free(piece);
    return rc;
}

/* Each row: i32 k, then k ids (corpus-texmex.irisa.fr). */
static int read_ivecs(const ivf_rawfile *file, ivf_groundtruth *truth)
{
    int32_t k = 0;
    int rc = ivf_rawfile_read(file, 0, sizeof k, &k);
    if (rc != MPIVF_OK)
        return rc;
    int64_t stride = 4 + 4 * (int64_t)k;
    if (k < 1 || file->bytes % stride != 0)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: the first row has %d neighbours, which its %" PRId64
                        " bytes are no whole number of rows of",
                        file->path, k, file->bytes);
    truth->k = k;
    truth->queries = file->bytes / stride;
    const id_rows rows = {.offset = 0, .prefix = 4, .stride = stride};
    return read_ids(file, &rows, truth);
}

/* u32 queries, u32 k, i32 ids[queries][k], and in most files f32 distances[queries][k] (big-ann-benchmarks). */
static int read_big_ann(const ivf_rawfile *file, ivf_groundtruth *truth)
{
    uint32_t counts[2] = {0};
    int rc = ivf_rawfile_read(file, 0, sizeof counts, counts);
    if (rc != MPIVF_OK)
        return rc;
    if (counts[0] == 0 || counts[1] == 0 || counts[1] > INT_MAX)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: its head says %" PRIu32 " queries with %" PRIu32 " neighbours each",
                        file->path, counts[0], counts[1]);
    uint64_t count = (uint64_t)counts[0] * counts[1];
    bool fits = count <= INT64_MAX / 8 - 1;
    bool has_ids_alone = fits && (uint64_t)file->bytes == 8 + 4 * count;
    if (!has_ids_alone && (!fits || (uint64_t)file->bytes != 8 + 8 * count))
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: its head says %" PRIu32 " queries with %" PRIu32
                        " neighbours each: 8 + 8 * %" PRIu64 " bytes, or 8 + 4 * %" PRIu64
                        " without distances, but it has %" PRId64 "; other forms are .h5 and .ivecs",
                        file->path, counts[0], counts[1], count, count, file->bytes);
    truth->queries = counts[0];
    truth->k = (int)counts[1];
    const id_rows rows = {.offset = 8, .prefix = 0, .stride = 4 * (int64_t)truth->k};
    rc = read_ids(file, &rows, truth);
    if (rc != MPIVF_OK || has_ids_alone)
        return rc;
    truth->distances = ivf_new(count, sizeof *truth->distances);
    if (truth->distances == NULL)
        return MPIVF_FAILED;
    return ivf_rawfile_read(file, 8 + (int64_t)count * 4, count * sizeof *truth->distances, truth->distances);
}

static int check_ids(const char *path, const ivf_groundtruth *truth)
{
    for (int64_t i = 0; i < truth->queries * truth->k; i++)
        if (truth->ids[i] < -1)
            return ivf_fail(MPIVF_BAD_INPUT,
                            "ground truth %s: neighbour %" PRId64 " of query %" PRId64 " has the id %" PRId64, path,
                            i % truth->k, i / truth->k, truth->ids[i]);
    return MPIVF_OK;
}

static bool is_hdf5(const char *path)
{
    return ends_in(path, ".h5") || ends_in(path, ".hdf5");
}

static int read_open(const ivf_rawfile *file, ivf_groundtruth *truth)
{
    if (is_hdf5(file->path))
        return ivf_h5truth_read(file, truth);
    if (ends_in(file->path, ".ivecs"))
        return read_ivecs(file, truth);
    return read_big_ann(file, truth);
}

int ivf_groundtruth_read(const char *path, ivf_groundtruth *truth)
{
    ivf_rawfile file;
    *truth = (ivf_groundtruth){0};
    int rc = ivf_rawfile_open(path, &file);
    if (rc != MPIVF_OK)
        return rc;
    rc = read_open(&file, truth);
    if (rc == MPIVF_OK)
        rc = check_ids(path, truth);
    ivf_rawfile_close(&file);
    if (rc != MPIVF_OK)
        ivf_groundtruth_free(truth);
    return rc;
}

/* HDF5 files may hold much else, and be compressed; others have two thirds of it at least. */
int64_t ivf_groundtruth_memory(const char *path)
{
    ivf_rawfile file;
    ivf_error before = *ivf_error_last();
    if (ivf_rawfile_open(path, &file) != MPIVF_OK) {
        ivf_error_set(&before);
        return 0;
    }
    const int64_t bytes = is_hdf5(path) ? ivf_h5truth_memory(&file) : ivf_min_i64(file.bytes, INT64_MAX / 8) * 3;
    ivf_rawfile_close(&file);
    return bytes;
}

void ivf_groundtruth_free(ivf_groundtruth *truth)
{
    ivf_free(truth->ids);
    ivf_free(truth->distances);
    *truth = (ivf_groundtruth){0};
}
