#include "cli/load.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "io/groundtruth.h"

/* Whether a path may lead to an HDF5 file: by its ending, or because it has no ending that says otherwise (folders,
 * lists). */
static bool may_be_hdf5(const char *path)
{
    static const char *const others[] = {".npy", ".fvecs", ".bvecs", ".fbin", ".f16bin", ".u8bin", ".i8bin"};
    const char *ending = strrchr(path, '.');
    if (path[0] == '@' || ending == NULL)
        return true;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcasecmp(ending, others[i]) == 0)
            return false;
    return true;
}

static int check_dataset_name(const ivf_options *options, ivf_option_id paths, ivf_option_id name)
{
    const ivf_option_value *value = ivf_options_value(options, paths);
    for (int i = 0; i < value->count; i++)
        if (may_be_hdf5(value->texts[i]))
            return MPIVF_OK;
    if (!ivf_options_differs(options, name))
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "--%s %s has no effect: %s is no HDF5 file", ivf_option_get(name)->name,
                    ivf_options_text(options, name), value->texts[0]);
}

static bool ends_in(const char *path, const char *ending)
{
    size_t length = strlen(path);
    return length >= strlen(ending) && strcasecmp(path + length - strlen(ending), ending) == 0;
}

bool ivf_load_is_hdf5(const char *path)
{
    return ends_in(path, ".h5") || ends_in(path, ".hdf5");
}

int ivf_load_check_ids(const ivf_options *options)
{
    const char *path = ivf_options_text(options, IVF_OPTION_IDS);
    if (path == NULL || ivf_load_is_hdf5(path) || !ivf_options_differs(options, IVF_OPTION_IDS_DATASET))
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "--ids-dataset %s has no effect: %s is no HDF5 file",
                    ivf_options_text(options, IVF_OPTION_IDS_DATASET), path);
}

int ivf_load_input(const ivf_options *options, ivf_dataset_spec *spec)
{
    return ivf_load_inputs_of(options, IVF_OPTION_INPUT, spec);
}

int ivf_load_inputs_of(const ivf_options *options, ivf_option_id id, ivf_dataset_spec *spec)
{
    const ivf_option_value *inputs = ivf_options_value(options, id);
    *spec = (ivf_dataset_spec){.inputs = (const char *const *)inputs->texts,
                               .count = inputs->count,
                               .h5_path = ivf_options_text(options, IVF_OPTION_DATASET)};
    return check_dataset_name(options, id, IVF_OPTION_DATASET);
}

int ivf_load_rows(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_load_matrix *matrix)
{
    *matrix = (ivf_load_matrix){.n = ivf_dataset_rows(dataset), .d = ivf_dataset_d(dataset)};
    size_t row_bytes = (size_t)matrix->d * sizeof *matrix->x;
    matrix->x = ivf_new(ivf_to_size(matrix->n), row_bytes);
    int rc = matrix->x == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
        rc = ivf_dataset_read(dataset, 0, matrix->n, matrix->x);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, matrix->x, ivf_to_size(matrix->n) * row_bytes);
    else
        ivf_load_free(matrix);
    return rc;
}

static int open_file(const ivf_ctx *ctx, const ivf_options *options, ivf_option_id id, ivf_dataset **dataset)
{
    const char *path = ivf_options_text(options, id);
    const ivf_dataset_spec spec = {
        .inputs = &path, .count = 1, .h5_path = ivf_options_text(options, IVF_OPTION_QUERIES_DATASET)};
    *dataset = NULL;
    int rc = check_dataset_name(options, id, IVF_OPTION_QUERIES_DATASET);
    return rc == MPIVF_OK ? ivf_dataset_open(ctx, &spec, dataset) : rc;
}

int ivf_load_open(const ivf_ctx *ctx, const ivf_options *options, ivf_option_id id, int d, ivf_dataset **dataset)
{
    int rc = open_file(ctx, options, id, dataset);
    if (rc != MPIVF_OK || ivf_dataset_d(*dataset) == d)
        return rc;
    rc = ivf_fail(MPIVF_BAD_INPUT, "%s: queries of %d values; the rows to search have %d",
                  ivf_options_text(options, id), ivf_dataset_d(*dataset), d);
    ivf_dataset_close(*dataset);
    *dataset = NULL;
    return rc;
}

int ivf_load_count_queries(const ivf_ctx *ctx, const ivf_options *options, int64_t *n, int *d)
{
    ivf_dataset *dataset = NULL;
    int rc = open_file(ctx, options, IVF_OPTION_QUERIES, &dataset);
    if (rc != MPIVF_OK)
        return rc;
    *n = ivf_dataset_rows(dataset);
    *d = ivf_dataset_d(dataset);
    ivf_dataset_close(dataset);
    return MPIVF_OK;
}

int ivf_load_queries(const ivf_ctx *ctx, const ivf_options *options, int d, ivf_load_matrix *queries)
{
    ivf_dataset *dataset = NULL;
    *queries = (ivf_load_matrix){0};
    int rc = ivf_load_open(ctx, options, IVF_OPTION_QUERIES, d, &dataset);
    if (rc == MPIVF_OK)
        rc = ivf_load_rows(ctx, dataset, queries);
    ivf_dataset_close(dataset);
    return rc;
}

int64_t ivf_load_truth_memory(const ivf_ctx *ctx, const char *path)
{
    int64_t bytes = ivf_ctx_is_root(ctx) ? ivf_groundtruth_memory(path) : 0;
    ivf_bcast(ctx, &bytes, sizeof bytes);
    return bytes;
}

void ivf_load_free(ivf_load_matrix *matrix)
{
    ivf_free(matrix->x);
    *matrix = (ivf_load_matrix){0};
}
