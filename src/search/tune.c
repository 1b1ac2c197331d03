/* Tuning. What is tried next depends on the recall so far and never on speed, so that two runs try the same.
 * Memory: k + 1 neighbours of each query on rank 0. Collectives: those of the searches, and 8 bytes for each. */
#include "search/tune.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "search/measure.h"
#include "search/recall.h"

enum { MOST_STEPS = 64 };

/* Ends of the search for settings: what is left to find, and what three times the lists must add. */
static const double FOUND_ALL = 0.9999;
static const double LEAST_GAIN = 0.0005;
enum { GAIN_STEPS = 3, CHILDREN_FOR_EACH = 8 };

typedef struct {
    const ivf_tune_config *config;
    ivf_searcher *searcher;
    int width; /* neighbours that are looked for */
    int rerank;
    ivf_neighbor *found;
    ivf_tuning_setting *settings;
    int count;
    int room;
} tune_run;

/* Rank 0. */
static double judge(const tune_run *run)
{
    const ivf_known *known = run->config->known;
    if (known->own != NULL)
        ivf_known_leave_out(known->own, run->found, known->nq, run->config->k);
    return ivf_recall_at(&known->truth, run->found, known->nq, run->width, run->config->k).by_id;
}

static int add(tune_run *run, const ivf_tuning_setting *setting)
{
    if (run->count == run->room) {
        int room = 2 * run->room + MOST_STEPS;
        ivf_tuning_setting *grown = ivf_resize(run->settings, (size_t)room, sizeof *grown);
        if (grown == NULL)
            return MPIVF_FAILED;
        run->settings = grown;
        run->room = room;
    }
    run->settings[run->count++] = *setting;
    return MPIVF_OK;
}

/* Collective. Measures one setting; *recall is the same on every rank. */
static int try_setting(const ivf_ctx *ctx, tune_run *run, ivf_search_params params, double *recall)
{
    const ivf_known *known = run->config->known;
    ivf_measured measured;
    ivf_tuning_setting setting = {.nprobe = params.nprobe, .rerank = run->rerank};
    params.k = run->width;
    params.rerank = run->rerank > 0 ? run->rerank + run->width - run->config->k : 0;
    int rc = ivf_measure(ctx, run->searcher, known->queries, known->nq, &params, run->found, &measured);
    if (rc != MPIVF_OK)
        return rc;
    setting.recall = ivf_ctx_is_root(ctx) ? judge(run) : 0;
    ivf_bcast(ctx, &setting.recall, sizeof setting.recall);
    setting.queries_per_second = measured.seconds > 0 ? (double)known->nq / measured.seconds : 0;
    for (int l = 1; l < IVF_LEVELS; l++)
        setting.nodes[l] = params.nodes[l];
    *recall = setting.recall;
    return ivf_agree(ctx, add(run, &setting));
}

/* 1, 2, 3, 4, 6, 8, 12, 16, ... */
static int step_at(int step, int32_t nlist)
{
    int64_t power = (int64_t)1 << ((step + 1) / 2);
    int64_t value = step < 1 ? 1 : step % 2 != 0 ? power : power + power / 2;
    return (int)ivf_min_i64(value, nlist);
}

/* Nodes with some times as many lists below them as are wanted. */
static void descend(const ivf_model *model, ivf_search_params *params)
{
    double wanted = (double)params->nprobe * CHILDREN_FOR_EACH;
    for (int l = 1; l < model->tree.levels; l++) {
        double fan = (double)model->tree.count[l - 1] / model->tree.count[l];
        wanted = ceil(wanted / fan);
        params->nodes[l] = (int32_t)fmin(fmax(wanted, 2), model->tree.count[l]);
        wanted = params->nodes[l] * 2.0;
    }
}

/* Collective. A number of lists: all of them ranked, and where there is a tree by a descent as well. */
static int try_step(const ivf_ctx *ctx, tune_run *run, int nprobe, double *recall)
{
    const ivf_model *model = ivf_searcher_model(run->searcher);
    ivf_search_params params = {.nprobe = nprobe};
    double descended = 0;
    int rc = try_setting(ctx, run, params, recall);
    if (rc != MPIVF_OK || model->tree.levels == 1)
        return rc;
    descend(model, &params);
    return try_setting(ctx, run, params, &descended);
}

static int try_growing(const ivf_ctx *ctx, tune_run *run)
{
    const int32_t nlist = ivf_searcher_model(run->searcher)->nlist;
    double recalls[MOST_STEPS];
    for (int step = 0; step < MOST_STEPS; step++) {
        int rc = try_step(ctx, run, step_at(step, nlist), &recalls[step]);
        if (rc != MPIVF_OK || recalls[step] >= FOUND_ALL || step_at(step, nlist) == nlist)
            return rc;
        if (step >= 2 * GAIN_STEPS && recalls[step] < recalls[step - GAIN_STEPS] + LEAST_GAIN)
            return rc;
    }
    return MPIVF_OK;
}

static int try_given(const ivf_ctx *ctx, tune_run *run)
{
    double recall = 0;
    int rc = MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < run->config->count; i++)
        rc = try_setting(ctx, run, run->config->tries[i], &recall);
    return rc;
}

int64_t ivf_tune_memory(int64_t rows, bool drawn, int k)
{
    return rows * ((int64_t)k + (drawn ? 1 : 0)) * (int64_t)sizeof(ivf_neighbor) +
           (int64_t)3 * MOST_STEPS * (int64_t)sizeof(ivf_tuning_setting);
}

int ivf_tune(const ivf_ctx *ctx, ivf_searcher *searcher, const ivf_tune_config *config, ivf_tuning_setting **settings,
             int *count)
{
    tune_run run = {.config = config, .searcher = searcher};
    int64_t leaves_out = config->known->own != NULL;
    int rc = MPIVF_OK;
    ivf_bcast(ctx, &leaves_out, sizeof leaves_out);
    run.width = leaves_out ? config->k + 1 : config->k;
    if (ivf_ctx_is_root(ctx)) {
        run.found = ivf_new(ivf_to_size(config->known->nq) * (size_t)run.width, sizeof *run.found);
        rc = run.found == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    for (int i = 0; rc == MPIVF_OK && i < config->rerank_count; i++) {
        run.rerank = config->reranks[i];
        rc = config->count > 0 ? try_given(ctx, &run) : try_growing(ctx, &run);
    }
    ivf_free(run.found);
    if (rc != MPIVF_OK) {
        ivf_free(run.settings);
        return rc;
    }
    *settings = run.settings;
    *count = run.count;
    return MPIVF_OK;
}
