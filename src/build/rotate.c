#include "build/rotate.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "base/text.h"
#include "codec/opq.h"

enum { TASK_ROWS = 256, OPQ_ITERATIONS = 20 };

typedef struct {
    const ivf_panels *rotation;
    const ivf_model *model;
    const float *from;
    float *to;
    int64_t n;
} rotate_job;

static int rotate_task(void *arg, int64_t task, int worker)
{
    const rotate_job *job = arg;
    int64_t first = task * TASK_ROWS;
    (void)worker;
    ivf_panels_scores(job->rotation, job->from + first * job->model->d_in, ivf_min_i64(TASK_ROWS, job->n - first),
                      job->to + first * job->model->d);
    return MPIVF_OK;
}

static int rotate_sample(ivf_build_state *build)
{
    rotate_job job = {.model = build->model, .from = build->sample, .n = ivf_share_count(&build->share)};
    ivf_panels *rotation = ivf_model_pack_rotation(build->model);
    if (rotation == NULL)
        return MPIVF_FAILED;
    job.rotation = rotation;
    job.to = ivf_new(ivf_to_size(job.n), (size_t)build->model->d * sizeof *job.to);
    int rc = job.to == NULL ? MPIVF_FAILED : ivf_team_run(ivf_ceil_div(job.n, TASK_ROWS), rotate_task, &job);
    ivf_panels_free(rotation);
    if (job.to == NULL)
        return rc;
    ivf_free(build->sample);
    build->sample = job.to;
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
                                   .exact = build->config->train_exact};
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
