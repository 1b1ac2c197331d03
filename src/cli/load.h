/* Inputs as the options name them. */
#ifndef IVF_CLI_LOAD_H
#define IVF_CLI_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"
#include "comm/context.h"
#include "io/dataset.h"

/* Local. What --input and --dataset say; borrows from the options. MPIVF_USAGE when --dataset can have no effect: no
 * input could be HDF5. */
int ivf_load_input(const ivf_options *options, ivf_dataset_spec *spec);

/* Local. The same of another option with such paths. */
int ivf_load_inputs_of(const ivf_options *options, ivf_option_id id, ivf_dataset_spec *spec);

/* Local. Whether a file is HDF5 by its name. */
bool ivf_load_is_hdf5(const char *path);

/* Local. MPIVF_USAGE when --ids-dataset can have no effect: the ids are in no HDF5 file. */
int ivf_load_check_ids(const ivf_options *options);

typedef struct {
    float *x; /* [n][d], owned */
    int64_t n;
    int d;
} ivf_load_matrix;

/* Collective. The file of queries that option `id` names. MPIVF_BAD_INPUT when they have not `d` values. */
int ivf_load_open(const ivf_ctx *ctx, const ivf_options *options, ivf_option_id id, int d, ivf_dataset **dataset);

/* Collective. All rows of a dataset on every rank; rank 0 reads them. Memory: n * d * 4 bytes per rank. */
int ivf_load_rows(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_load_matrix *matrix);

/* Collective. Both, for --queries. */
int ivf_load_queries(const ivf_ctx *ctx, const ivf_options *options, int d, ivf_load_matrix *queries);

/* Collective. How many queries there are, for who plans before they are loaded; the file is only looked at. */
int ivf_load_count_queries(const ivf_ctx *ctx, const ivf_options *options, int64_t *n, int *d);

/* Collective. Bytes of rank 0's reading of a file of true neighbours, at most, for the same. */
int64_t ivf_load_truth_memory(const ivf_ctx *ctx, const char *path);
void ivf_load_free(ivf_load_matrix *matrix);

#endif
