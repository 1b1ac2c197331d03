#include "build/rotate.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "codec/opq.h"

enum { OPQ_ITERATIONS = 20 };

static int rotate_sample(ivf_build_state *build)
{
    int64_t n = ivf_share_count(&build->share);
    float *rotated = ivf_new(ivf_to_size(n), (size_t)build->model->d * sizeof *rotated);
    int rc = rotated == NULL ? MPIVF_FAILED : ivf_model_rotate(build->model, build->sample, n, rotated);
    ivf_free(build->sample);
    build->sample = rotated;
    return rc;
}

int ivf_rotate_train(const ivf_ctx *ctx, ivf_build_state *build)
{
    const ivf_factory *factory = &build->plan.factory;
    if (factory->opq_m == 0)
        return MPIVF_OK;
    const ivf_opq_params params = {.m = factory->opq_m,
                                   .d = build->plan.d,
                                   .d_out = build->plan.d_rotated,
                                   .iterations = OPQ_ITERATIONS,
                                   .seed = build->config->seed,
                                   .exact = build->config->train_exact,
                                   .keeper = build->keeper};
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
