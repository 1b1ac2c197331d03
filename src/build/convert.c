#include "build/convert.h"

#include <inttypes.h>
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "io/groundtruth.h"
#include "io/results.h"
#include "io/writer.h"

enum { BLOCK_BYTES = 4 << 20 };

typedef struct {
    ivf_dataset *dataset;
    ivf_writer *writer;
    ivf_element to;
    int64_t rows;
    int64_t block_rows;
    float *x; /* [block_rows][d] */
} conversion;

/* The values that a type holds: whole numbers from least to most, or any up to most. */
typedef struct {
    double least, most;
    bool whole;
} extent;

static extent extent_of(ivf_element type)
{
    switch (type) {
    case IVF_U8:
        return (extent){0, 255, true};
    case IVF_I8:
        return (extent){-128, 127, true};
    case IVF_F16:
        return (extent){-65504, 65504, false};
    default:
        return (extent){-INFINITY, INFINITY, false};
    }
}

static bool holds(const extent *e, float value)
{
    if (isnan(value))
        return !e->whole;
    return (double)value >= e->least && (double)value <= e->most && (!e->whole || rintf(value) == value);
}

static int check_block(const conversion *c, int64_t first, int64_t n)
{
    const int d = ivf_dataset_d(c->dataset);
    const extent e = extent_of(c->to);
    if (c->to == IVF_F32 || c->to == ivf_dataset_type(c->dataset))
        return MPIVF_OK;
    for (int64_t i = 0; i < n * d; i++) {
        if (holds(&e, c->x[i]))
            continue;
        const int64_t row = first + i / d;
        const ivf_shard shard = ivf_dataset_shard(c->dataset, ivf_dataset_shard_of(c->dataset, row));
        return ivf_fail(MPIVF_BAD_INPUT, "row %" PRId64 " of %s holds %g, which %s cannot; write f32",
                        row - shard.first_row, shard.path, (double)c->x[i], ivf_element_name(c->to));
    }
    return MPIVF_OK;
}

static int convert_block(const conversion *c, int64_t first)
{
    const int64_t n = ivf_min_i64(c->block_rows, c->rows - first);
    int rc = ivf_stop_point();
    if (rc == MPIVF_OK)
        rc = ivf_dataset_read(c->dataset, first, n, c->x);
    if (rc == MPIVF_OK)
        rc = check_block(c, first, n);
    return rc == MPIVF_OK ? ivf_writer_put(c->writer, first, n, c->x) : rc;
}

/* Blocks of this rank, until none is left or one fails. */
static int convert_blocks(const conversion *c, ivf_tickets *tickets, ivf_progress *progress)
{
    int rc = MPIVF_OK;
    for (int64_t t = ivf_tickets_draw(tickets); t >= 0 && rc == MPIVF_OK; t = ivf_tickets_draw(tickets)) {
        rc = convert_block(c, t * c->block_rows);
        ivf_progress_add(progress, ivf_min_i64(c->block_rows, c->rows - t * c->block_rows));
    }
    if (rc != MPIVF_OK)
        ivf_tickets_withdraw(tickets);
    return rc;
}

static int convert_rows(const ivf_ctx *ctx, conversion *c)
{
    const int64_t row_bytes = (int64_t)sizeof(float) * ivf_dataset_d(c->dataset);
    c->block_rows = ivf_min_i64(ivf_max_i64(BLOCK_BYTES / row_bytes, 1), c->rows);
    c->x = ivf_new(ivf_to_size(c->block_rows), ivf_to_size(row_bytes));
    int rc = ivf_agree(ctx, c->x == NULL ? MPIVF_FAILED : MPIVF_OK);
    ivf_tickets *tickets = rc == MPIVF_OK ? ivf_tickets_open(ctx, ivf_ceil_div(c->rows, c->block_rows)) : NULL;
    ivf_progress *progress = tickets != NULL ? ivf_progress_open(ctx, "convert", "rows", c->rows) : NULL;
    if (progress != NULL) {
        rc = convert_blocks(c, tickets, progress);
        ivf_progress_close(ctx, progress);
    } else {
        rc = MPIVF_FAILED;
    }
    if (tickets != NULL)
        ivf_tickets_close(ctx, tickets);
    ivf_free(c->x);
    return rc;
}

static ivf_element wanted_type(const ivf_convert_config *config, ivf_element from)
{
    if (!config->keeps_type)
        return config->type;
    return from == IVF_F64 ? IVF_F32 : from;
}

int ivf_convert(const ivf_ctx *ctx, const ivf_convert_config *config, ivf_convert_report *report)
{
    conversion c = {0};
    int rc = ivf_dataset_open(ctx, &config->input, &c.dataset);
    if (rc != MPIVF_OK)
        return rc;
    c.rows = ivf_dataset_rows(c.dataset);
    *report = (ivf_convert_report){.rows = c.rows, .d = ivf_dataset_d(c.dataset), .from = ivf_dataset_type(c.dataset)};
    rc = ivf_writer_open_named(ctx, config->output, config->h5_path, wanted_type(config, report->from), c.rows,
                               report->d, &c.writer);
    if (rc == MPIVF_OK) {
        report->to = c.to = ivf_writer_type(c.writer);
        if (!config->keeps_type && c.to != config->type)
            rc = ivf_fail(MPIVF_USAGE, "--type %s: %s is a file of %s by its name", ivf_element_name(config->type),
                          config->output, ivf_element_name(c.to));
        else
            rc = convert_rows(ctx, &c);
        rc = ivf_writer_close(ctx, c.writer, rc);
    }
    ivf_dataset_close(c.dataset);
    return rc;
}

/* ---- ground truth ---- */

static int convert_truth(const char *input, const char *output, ivf_convert_truth_report *report)
{
    ivf_groundtruth truth;
    int rc = ivf_groundtruth_read(input, &truth);
    if (rc != MPIVF_OK)
        return rc;
    *report = (ivf_convert_truth_report){.queries = truth.queries, .k = truth.k};
    rc = truth.distances == NULL
             ? ivf_fail(MPIVF_BAD_INPUT, "ground truth %s has no distances, which %s would have to hold", input, output)
             : ivf_results_write(output, truth.ids, truth.distances, truth.queries, truth.k);
    ivf_groundtruth_free(&truth);
    return rc;
}

int ivf_convert_truth(const ivf_ctx *ctx, const char *input, const char *output, ivf_convert_truth_report *report)
{
    *report = (ivf_convert_truth_report){0};
    int rc = ivf_results_check_name(output);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
        rc = convert_truth(input, output, report);
    return ivf_agree(ctx, rc);
}
