#include "build/rotate.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "build/given.h"
#include "codec/opq.h"
#include "math/panels.h"

enum { OPQ_ITERATIONS = 20 };

/* Rows that are rotated at a time where that is done in place. */
enum { PIECE_ROWS = 4096 };

/* A piece's outcome never reaches beyond the rows that were read for it. */
static int rotate_in_place(ivf_build_state *build, int64_t n)
{
    const size_t d = (size_t)build->model->d_in;
    const size_t d_out = (size_t)build->model->d;
    float *piece = ivf_new(PIECE_ROWS, d_out * sizeof *piece);
    int rc = piece == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t first = 0; first < n && rc == MPIVF_OK && piece != NULL; first += PIECE_ROWS) {
        int64_t rows = ivf_min_i64(PIECE_ROWS, n - first);
        rc = ivf_model_rotate(build->model, build->sample + (size_t)first * d, rows, piece);
        memcpy(build->sample + (size_t)first * d_out, piece, (size_t)rows * d_out * sizeof *piece);
    }
    ivf_free(piece);
    return rc;
}

static int rotate_sample(ivf_build_state *build)
{
    int64_t n = ivf_share_count(&build->share);
    if (build->model->d <= build->model->d_in)
        return rotate_in_place(build, n);
    float *rotated = ivf_new(ivf_to_size(n), (size_t)build->model->d * sizeof *rotated);
    int rc = rotated == NULL ? MPIVF_FAILED : ivf_model_rotate(build->model, build->sample, n, rotated);
    ivf_free(build->sample);
    build->sample = rotated;
    return rc;
}

static ivf_opq_params params_of(const ivf_build_config *config, const ivf_plan *plan)
{
    return (ivf_opq_params){.m = plan->factory.opq_m,
                            .d = plan->d,
                            .d_out = plan->d_rotated,
                            .iterations = OPQ_ITERATIONS,
                            .seed = config->seed,
                            .exact = config->train_exact};
}

int ivf_rotate_train(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_opq_params params = params_of(build->config, &build->plan);
    if (params.m == 0)
        return MPIVF_OK;
    if (ivf_given_has(build->config->given, IVF_GIVEN_ROTATION)) {
        ivf_given_take(ctx, build->config->given, IVF_GIVEN_ROTATION, build->model->rotation);
        return ivf_agree(ctx, rotate_sample(build));
    }
    params.keeper = build->keeper;
    ivf_opq_report report;
    char took[24];
    double started = ivf_clock();
    int rc = ivf_opq_train(ctx, &params, build->sample, &build->share, build->model->rotation, &report);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, rotate_sample(build));
    if (rc == MPIVF_OK)
        ivf_info("train: rotation to %d values in %s: %d iterations, error %.6g -> %.6g", params.d_out,
                 ivf_text_duration(ivf_clock() - started, took), report.iterations, report.start, report.error);
    return rc;
}

int64_t ivf_rotate_sample_memory(const ivf_plan *plan, int64_t own)
{
    int d = plan->factory.opq_m > 0 && plan->d_rotated > plan->d ? plan->d_rotated : plan->d;
    return own * d * (int64_t)sizeof(float);
}

int64_t ivf_rotate_memory(const ivf_build_config *config, const ivf_plan *plan, int holders, int threads)
{
    const ivf_opq_params params = params_of(config, plan);
    const ivf_share share = {.total = plan->sample_rows, .rank = 0, .size = holders};
    const int64_t row = plan->d_rotated * (int64_t)sizeof(float);
    const int64_t out = plan->d_rotated > plan->d ? ivf_share_count(&share) : PIECE_ROWS;
    const int64_t training = ivf_given_has(config->given, IVF_GIVEN_ROTATION)
                                 ? 0
                                 : ivf_opq_memory(&params, plan->sample_rows, holders, threads);
    return ivf_max_i64(training, out * row + ivf_panels_memory(plan->d_rotated, plan->d));
}
