/* The build as a table of contents. Each phase is collective, ends in agreement, and is accounted for. */
#include "build/build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "build/assign.h"
#include "build/commit.h"
#include "build/plan.h"
#include "build/prepare.h"
#include "build/resume.h"
#include "build/sample.h"
#include "build/state.h"
#include "build/train.h"
#include "comm/transfer.h"

typedef int phase_function(const ivf_ctx *ctx, ivf_build_state *build);
typedef bool condition(const ivf_build_state *build);

static bool lacks_model(const ivf_build_state *build)
{
    return build->model == NULL;
}

static bool lacks_sample(const ivf_build_state *build)
{
    return build->model == NULL && build->plan.sample_rows > 0;
}

static bool has_pending(const ivf_build_state *build)
{
    return build->pending_count > 0;
}

static const struct {
    const char *name;
    phase_function *run;
    condition *is_needed; /* by a build that is continued; NULL: always */
} phases[] = {
    {"plan", ivf_prepare_build, NULL},             /* inputs opened and checked, numbers decided, the folder claimed */
    {"resume", ivf_resume_build, NULL},            /* what an earlier run has left: model, fragments */
    {"sample", ivf_sample_draw, lacks_sample},     /* a uniform sample of rows to the ranks that train */
    {"train", ivf_train_model, lacks_model},       /* centroids and codec, then to every rank */
    {"assign", ivf_assign_fragments, has_pending}, /* every pending fragment assigned, encoded, published */
    {"gather", ivf_commit_gather, NULL},           /* fragment records and list sizes to rank 0 */
    {"commit", ivf_commit_manifest, NULL},         /* the manifest: from here on the version exists */
};

enum { PHASES = sizeof phases / sizeof phases[0] };

static int64_t bytes_moved(const ivf_build_state *build)
{
    int64_t bytes = build->dataset == NULL ? 0 : ivf_dataset_bytes_read(build->dataset);
    for (int64_t i = build->kept_count; i < build->record_count; i++)
        bytes += build->records[i].bytes;
    return bytes + build->model_bytes;
}

static int run_phases(const ivf_ctx *ctx, ivf_build_state *build)
{
    int rc = MPIVF_OK;
    for (int p = 0; rc == MPIVF_OK && !build->committed && p < PHASES; p++) {
        if (phases[p].is_needed != NULL && !phases[p].is_needed(build))
            continue;
        int64_t before = bytes_moved(build);
        ivf_account_begin(&build->account, phases[p].name);
        rc = phases[p].run(ctx, build);
        if (build->dataset != NULL)
            ivf_dataset_rest(build->dataset);
        ivf_account_end(&build->account, bytes_moved(build) - before);
    }
    return rc;
}

static void fill_result(const ivf_build_state *build, ivf_build_result *result)
{
    *result = (ivf_build_result){.version = build->plan.version,
                                 .rows = build->plan.rows,
                                 .fragments = build->plan.fragments,
                                 .nlist = build->plan.factory.nlist,
                                 .levels = build->model != NULL ? build->model->tree.levels : build->plan.levels,
                                 .bytes = build->model_bytes,
                                 .seconds = ivf_clock() - build->started};
    memcpy(result->model_id, build->model != NULL ? build->model->id : build->committed_model, IVF_ID_BYTES);
    for (int64_t f = 0; f < build->plan.fragments; f++) {
        result->postings += build->all_records[f].postings;
        result->bytes += build->all_records[f].bytes;
    }
    if (!build->config->train_only)
        result->skipped = result->rows - result->postings;
}

/* Rank 0 knows the outcome; every rank gets it. The version is committed: no failure here can undo it. */
static void report(const ivf_ctx *ctx, const ivf_build_state *build, ivf_build_result *result)
{
    ivf_stop_forbid();
    if (ivf_ctx_is_root(ctx))
        fill_result(build, result);
    if (ivf_account_sum(ctx, &build->account, result->phases) == MPIVF_OK)
        result->phase_count = build->account.count;
    for (int p = 0; p < result->phase_count; p++)
        result->planned[p] = ivf_needs_of(&build->needs, build->account.phases[p].name);
    ivf_bcast(ctx, result, sizeof *result);
    for (int p = 0; p < result->phase_count; p++)
        result->phases[p].name = build->account.phases[p].name; /* a pointer of this process */
}

int ivf_build(const ivf_ctx *ctx, const ivf_build_config *config, ivf_build_result *result)
{
    ivf_build_state build = {.config = config, .started = ivf_clock()};
    *result = (ivf_build_result){0};
    int rc = run_phases(ctx, &build);
    if (rc == MPIVF_OK)
        report(ctx, &build, result);
    ivf_prepare_end(ctx, &build);
    return rc;
}
