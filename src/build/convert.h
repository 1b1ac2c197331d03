/* Vectors from any input format to another, and ground truth from one layout to another. */
#ifndef IVF_BUILD_CONVERT_H
#define IVF_BUILD_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "comm/context.h"
#include "io/dataset.h"

typedef struct {
    ivf_dataset_spec input;
    const char *output;  /* the ending decides (io/writer.h) */
    const char *h5_path; /* of the dataset that is written into HDF5 */
    bool keeps_type;     /* .npy and HDF5: as in the input, f64 as f32 */
    ivf_element type;    /* else: F32, F16, U8, I8 */
} ivf_convert_config;

typedef struct {
    int64_t rows;
    int d;
    ivf_element from, to;
} ivf_convert_report;

/* Collective. Writes all rows, in their order; ranks draw blocks by ticket. MPIVF_BAD_INPUT names the first row of a
 * block with a value that the output's type cannot hold: for integers one that is not whole or out of range, for f16
 * one beyond +-65504; f16 is else rounded. Nothing is left then. Memory of a rank: 12 MiB, or three rows if that is
 * more. */
int ivf_convert(const ivf_ctx *ctx, const ivf_convert_config *config, ivf_convert_report *report);

typedef struct {
    int64_t queries;
    int k;
} ivf_convert_truth_report;

/* Collective, done by rank 0. Ground truth as io/groundtruth reads it to what io/results writes. MPIVF_BAD_INPUT when
 * it has no distances, which all of these hold. Memory: 12 bytes a neighbour. */
int ivf_convert_truth(const ivf_ctx *ctx, const char *input, const char *output, ivf_convert_truth_report *report);

#endif
