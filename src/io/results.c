/* Search results to files. Every file is written under a temporary name; all of a result's files are complete before
 * the first gets its name. Memory: one piece of converted ids. */
#include "io/results.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/bytes.h"
#include "io/h5.h"
#include "io/npyhead.h"
#include "io/publish.h"

enum { PIECE_IDS = 1 << 16, FILES = 2 };

typedef enum { FORM_H5, FORM_NPY, FORM_IBIN, FORM_BIN, FORM_UNKNOWN } form;

static const struct {
    const char *ending;
    form form;
} forms[] = {
    {".h5", FORM_H5}, {".hdf5", FORM_H5}, {".npy", FORM_NPY}, {".ibin", FORM_IBIN}, {".bin", FORM_BIN},
};

/* *stem is the length of the path without its ending. */
static form form_of(const char *path, size_t *stem)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t ending = strlen(forms[i].ending);
        if (length > ending && strcasecmp(name + length - ending, forms[i].ending) == 0) {
            *stem = strlen(path) - ending;
            return forms[i].form;
        }
    }
    return FORM_UNKNOWN;
}

int ivf_results_check_name(const char *path)
{
    size_t stem = 0;
    if (form_of(path, &stem) == FORM_UNKNOWN)
        return ivf_fail(MPIVF_USAGE, "%s: results go to names that end in .h5, .hdf5, .npy, .ibin or .bin", path);
    /* The longest of the names that come of it, and its temporary name. */
    if (strlen(path) > IVF_PATH_BYTES - 64)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path has %zu characters; at most %d are possible", path,
                        strlen(path), IVF_PATH_BYTES - 64);
    return MPIVF_OK;
}

/* A file that is written from its start to its end. */
typedef struct {
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES]; /* "" when there is none any more */
    int fd;                    /* -1 when closed */
    int64_t at;
} output;

static int output_open(output *out, const char *path, size_t stem, const char *ending)
{
    (void)snprintf(out->path, sizeof out->path, "%.*s%s", ivf_to_int((int64_t)stem), path, ending);
    out->at = 0;
    int rc = ivf_publish_create(out->path, out->temp, &out->fd);
    if (rc != MPIVF_OK)
        out->temp[0] = '\0';
    return rc;
}

static int output_put(output *out, const void *data, size_t bytes)
{
    int wrong = ivf_bytes_write(out->fd, data, bytes, out->at);
    out->at += (int64_t)bytes;
    return wrong == 0 ? MPIVF_OK : ivf_fail_errno(wrong, "%s: cannot write", out->path);
}

static int output_put_i32(output *out, const int64_t *ids, int64_t n)
{
    int32_t *piece = ivf_new(PIECE_IDS, sizeof *piece);
    int rc = piece != NULL ? MPIVF_OK : MPIVF_FAILED;
    for (int64_t first = 0; rc == MPIVF_OK && first < n; first += PIECE_IDS) {
        int64_t count = ivf_min_i64(PIECE_IDS, n - first);
        for (int64_t i = 0; i < count; i++)
            piece[i] = (int32_t)ids[first + i];
        rc = output_put(out, piece, ivf_to_size(count) * sizeof *piece);
    }
    ivf_free(piece);
    return rc;
}

static int output_put_counts(output *out, int64_t nq, int k)
{
    const uint32_t head[2] = {(uint32_t)nq, (uint32_t)k};
    return output_put(out, head, sizeof head);
}

static int output_close(output *out)
{
    int fd = out->fd;
    out->fd = -1;
    return close(fd) == 0 ? MPIVF_OK : ivf_fail_errno(errno, "%s: cannot close", out->path);
}

static int output_publish(output *out)
{
    int rc = ivf_publish_rename(out->temp, out->path, NULL, NULL);
    out->temp[0] = '\0';
    return rc;
}

typedef struct {
    const int64_t *ids;
    const float *distances;
    int64_t nq;
    int k;
    int64_t count; /* nq * k */
} results;

static int write_npy(output files[FILES], const char *path, size_t stem, const results *r)
{
    char head[IVF_NPY_HEAD_BYTES];
    int rc = output_open(&files[0], path, stem, ".ids.npy");
    if (rc == MPIVF_OK)
        rc = output_open(&files[1], path, stem, ".distances.npy");
    ivf_npyhead_make(IVF_I64, r->nq, r->k, head);
    if (rc == MPIVF_OK)
        rc = output_put(&files[0], head, sizeof head);
    if (rc == MPIVF_OK)
        rc = output_put(&files[0], r->ids, ivf_to_size(r->count) * sizeof *r->ids);
    ivf_npyhead_make(IVF_F32, r->nq, r->k, head);
    if (rc == MPIVF_OK)
        rc = output_put(&files[1], head, sizeof head);
    if (rc == MPIVF_OK)
        rc = output_put(&files[1], r->distances, ivf_to_size(r->count) * sizeof *r->distances);
    return rc;
}

/* big-ann-benchmarks: u32 nq, u32 k, then ids as i32, then distances; cuVS has them in two files. */
static int write_bin(output files[FILES], const char *path, size_t stem, const results *r, bool in_two)
{
    output *second = in_two ? &files[1] : &files[0];
    int rc = output_open(&files[0], path, stem, path + stem);
    if (rc == MPIVF_OK && in_two)
        rc = output_open(second, path, stem, ".fbin");
    if (rc == MPIVF_OK)
        rc = output_put_counts(&files[0], r->nq, r->k);
    if (rc == MPIVF_OK)
        rc = output_put_i32(&files[0], r->ids, r->count);
    if (rc == MPIVF_OK && in_two)
        rc = output_put_counts(second, r->nq, r->k);
    if (rc == MPIVF_OK)
        rc = output_put(second, r->distances, ivf_to_size(r->count) * sizeof *r->distances);
    return rc;
}

static int write_h5(output files[FILES], const char *path, const results *r)
{
    output *out = &files[0];
    ivf_h5 *file = NULL;
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    int rc = ivf_publish_name(path, out->temp);
    if (rc == MPIVF_OK)
        rc = ivf_h5_create(out->temp, &file);
    if (rc != MPIVF_OK) {
        out->temp[0] = '\0';
        return rc;
    }
    const ivf_array arrays[] = {
        {.name = "neighbors", .type = IVF_I64, .rank = 2, .dims = {r->nq, r->k}, .data = (void *)r->ids},
        {.name = "distances", .type = IVF_F32, .rank = 2, .dims = {r->nq, r->k}, .data = (void *)r->distances},
    };
    rc = ivf_h5_write(file, &arrays[0]);
    if (rc == MPIVF_OK)
        rc = ivf_h5_write(file, &arrays[1]);
    if (rc == MPIVF_OK)
        return ivf_h5_close(file);
    ivf_h5_abandon(file);
    return rc;
}

int ivf_results_check_numbers(const char *path, int64_t nq, int64_t largest)
{
    size_t stem = 0;
    const form f = form_of(path, &stem);
    if (f != FORM_IBIN && f != FORM_BIN)
        return MPIVF_OK;
    if (nq > UINT32_MAX)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "%s: %" PRId64 " queries are more than the format's 32 bits hold; write .h5 or "
                        ".npy",
                        path, nq);
    if (largest > INT32_MAX)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "%s: the id %" PRId64 " is more than the format's 32 bits hold; write .h5 or "
                        ".npy",
                        path, largest);
    return MPIVF_OK;
}

static int check_range(const char *path, const results *r)
{
    int64_t largest = -1;
    for (int64_t i = 0; i < r->count; i++)
        largest = ivf_max_i64(largest, r->ids[i]);
    return ivf_results_check_numbers(path, r->nq, largest);
}

static int write_files(output files[FILES], const char *path, const results *r)
{
    size_t stem = 0;
    form f = form_of(path, &stem);
    int rc = check_range(path, r);
    if (rc != MPIVF_OK)
        return rc;
    if (f == FORM_H5)
        return write_h5(files, path, r);
    if (f == FORM_NPY)
        return write_npy(files, path, stem, r);
    return write_bin(files, path, stem, r, f == FORM_IBIN);
}

int ivf_results_write(const char *path, const int64_t *ids, const float *distances, int64_t nq, int k)
{
    const results r = {.ids = ids, .distances = distances, .nq = nq, .k = k, .count = nq * k};
    int rc = ivf_results_check_name(path);
    if (rc != MPIVF_OK)
        return rc;
    output *files = ivf_new_zero(FILES, sizeof *files);
    if (files == NULL)
        return MPIVF_FAILED;
    for (int i = 0; i < FILES; i++)
        files[i].fd = -1;
    rc = write_files(files, path, &r);
    for (int i = 0; rc == MPIVF_OK && i < FILES; i++)
        if (files[i].fd >= 0)
            rc = output_close(&files[i]);
    for (int i = 0; rc == MPIVF_OK && i < FILES; i++)
        if (files[i].temp[0] != '\0')
            rc = output_publish(&files[i]);
    for (int i = 0; i < FILES; i++)
        if (files[i].temp[0] != '\0')
            ivf_publish_discard(files[i].temp, files[i].fd);
    ivf_free(files);
    return rc;
}
