#include "build/claim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "build/identity.h"
#include "build/resume.h"
#include "comm/transfer.h"
#include "index/building.h"
#include "index/folders.h"
#include "index/manifest.h"
#include "io/folder.h"

/* ---- what is there ---- */

static int refuse_existing(const ivf_build_config *config, int64_t latest)
{
    if (latest == 0 || config->replace)
        return MPIVF_OK;
    return ivf_fail(MPIVF_CONFLICT, "%s is an index already (version %" PRId64 "); --replace makes a new version of it",
                    config->index, latest);
}

int ivf_claim_look(const ivf_build_config *config, int64_t *version)
{
    ivf_building_list unfinished = {0};
    int64_t latest = 0;
    int rc = ivf_folders_refuse_foreign(config->index);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_latest(config->index, &latest);
    if (rc == MPIVF_OK)
        rc = ivf_building_find(config->index, &unfinished);
    if (rc == MPIVF_OK && unfinished.count == 0)
        rc = refuse_existing(config, latest);
    ivf_free(unfinished.ids);
    *version = latest + 1;
    return rc;
}

/* ---- the id ---- */

/* Takes the outcome of a version that carries this build's id. */
static int adopt_version(void *arg, const ivf_manifest *m, bool *stop)
{
    ivf_build_state *build = arg;
    if (strcmp(m->build_id, build->plan.build_id) != 0)
        return MPIVF_OK;
    build->all_records = ivf_new(ivf_to_size(m->fragment_count), sizeof *build->all_records);
    if (build->all_records == NULL)
        return MPIVF_FAILED;
    memcpy(build->all_records, m->fragments, ivf_to_size(m->fragment_count) * sizeof *build->all_records);
    build->plan.version = m->version;
    build->model_bytes = m->model_bytes;
    memcpy(build->committed_model, m->model_id, sizeof build->committed_model);
    build->committed = true;
    *stop = true;
    return MPIVF_OK;
}

/* Whether a version carries this build's id. A version with rows has a first fragment: without it nothing needs to be
 * read. */
static int look_for_version(ivf_build_state *build)
{
    char id[IVF_ID_BYTES];
    char path[IVF_PATH_BYTES];
    int64_t damaged = 0;
    build->committed = false;
    ivf_free(build->all_records); /* of another generation */
    build->all_records = NULL;
    ivf_plan_fragment_id(&build->plan, 0, id);
    int rc = ivf_layout_fragment(build->config->index, id, path);
    if (rc != MPIVF_OK || (access(path, F_OK) != 0 && !build->config->train_only))
        return rc;
    return ivf_manifest_walk(build->config->index, adopt_version, build, &damaged);
}

static int try_generation(ivf_build_state *build, int generation)
{
    int rc = ivf_identity_name(build->identity, generation, build->plan.build_id);
    if (rc == MPIVF_OK)
        rc = ivf_layout_build(build->config->index, build->plan.build_id, build->folder);
    return rc == MPIVF_OK ? look_for_version(build) : rc;
}

/* Files of a committed version are never written again: another build of the same gets another id. One whose folder is
 * still there was killed after its commit, and is not begun anew unless that is wanted. */
static int choose_id(ivf_build_state *build)
{
    int rc = try_generation(build, 0);
    for (int generation = 1; rc == MPIVF_OK && build->committed; generation++) {
        if (access(build->folder, F_OK) == 0) {
            if (!build->config->restart)
                break;
            rc = ivf_folder_remove(build->folder);
        }
        if (rc == MPIVF_OK)
            rc = try_generation(build, generation);
    }
    return rc;
}

/* ---- other builds ---- */

/* An unfinished build of other things, that nobody runs. */
static int refuse_other(const ivf_build_state *build, const char *id)
{
    json_t *plan = NULL;
    ivf_text text = {0};
    int rc = ivf_building_read_plan(build->config->index, id, &plan);
    if (rc != MPIVF_OK)
        return rc;
    if (plan == NULL)
        ivf_text_add(&text, "its plan.json is damaged");
    else
        ivf_identity_compare(json_object_get(plan, "identity"), build->identity, &text);
    rc = ivf_fail(MPIVF_CONFLICT,
                  "%s holds an unfinished build of something else: %s; go on with what it was, or throw it away with "
                  "--restart",
                  build->config->index, text.text != NULL ? text.text : "");
    ivf_text_free(&text);
    json_decref(plan);
    return rc;
}

static int settle_other(const ivf_build_state *build, const char *id)
{
    const char *index = build->config->index;
    ivf_lock *lock = NULL;
    int rc = ivf_building_claim(index, id, &lock);
    if (rc == MPIVF_CONFLICT) {
        if (!ivf_building_is_repair(id))
            ivf_info("another build of %s is running; who commits first wins", index);
        return MPIVF_OK;
    }
    if (rc == MPIVF_BAD_INPUT) /* it has just ended */
        return MPIVF_OK;
    /* One that was killed between its commit and its end is not unfinished: discarding it leaves what the version has.
     */
    const bool done = rc == MPIVF_OK && ivf_building_is_committed(index, id);
    if (rc == MPIVF_OK && !done && !build->config->restart && ivf_building_holds_work(index, id))
        rc = refuse_other(build, id);
    else if (rc == MPIVF_OK && (done || build->config->restart || ivf_lock_is_real(lock)))
        rc = ivf_building_discard(index, id);
    ivf_lock_release(lock);
    return rc;
}

static int settle_others(const ivf_build_state *build)
{
    ivf_building_list list;
    int rc = ivf_building_find(build->config->index, &list);
    for (int64_t i = 0; rc == MPIVF_OK && i < list.count; i++)
        if (strcmp(list.ids[i], build->plan.build_id) != 0)
            rc = settle_other(build, list.ids[i]);
    ivf_free(list.ids);
    return rc;
}

/* ---- this build ---- */

static int write_plan(const ivf_build_state *build)
{
    json_t *plan = json_pack("{s:s, s:i, s:s, s:O}", "format", "mpivf build", "format_version", 1, "on_bad_row",
                             build->config->skip_bad_rows ? "skip" : "fail", "identity", build->identity);
    if (plan == NULL)
        return ivf_fail(MPIVF_FAILED, "out of memory for the build's plan");
    int rc = ivf_building_write_plan(build->config->index, build->plan.build_id, plan);
    json_decref(plan);
    return rc;
}

/* Rows that were passed over so far would be missing without a word from a build that is to fail at them. The other way
 * round is fine: there were none. */
static int settle_plan(const ivf_build_state *build)
{
    json_t *plan = NULL;
    const bool skips = build->config->skip_bad_rows;
    int rc = ivf_building_read_plan(build->config->index, build->plan.build_id, &plan);
    if (rc != MPIVF_OK)
        return rc;
    const char *policy = json_string_value(json_object_get(plan, "on_bad_row"));
    const bool skipped = policy != NULL && strcmp(policy, "skip") == 0;
    if (skipped && !skips)
        rc = ivf_fail(MPIVF_CONFLICT,
                      "%s holds an unfinished build of something else: on-bad-row: skip before, fail now; go on with "
                      "what it was, or throw it away with --restart",
                      build->config->index);
    else if (policy == NULL || skipped != skips)
        rc = write_plan(build);
    json_decref(plan);
    return rc;
}

/* With the build's lock held. */
static int settle_own(ivf_build_state *build)
{
    const char *index = build->config->index;
    int64_t latest = 0;
    int rc = ivf_manifest_latest(index, &latest);
    build->plan.version = latest + 1;
    if (rc == MPIVF_OK)
        rc = refuse_existing(build->config, latest);
    if (rc == MPIVF_OK)
        rc = settle_plan(build);
    if (rc == MPIVF_OK)
        rc = ivf_folders_make(index);
    return rc == MPIVF_OK ? ivf_building_sweep(index, build->plan.build_id) : rc;
}

static int lock_own(ivf_build_state *build)
{
    const char *index = build->config->index;
    const char *id = build->plan.build_id;
    int rc = ivf_building_begin(index, id, build->folder, &build->lock);
    if (rc != MPIVF_OK || build->committed || !build->config->restart)
        return rc;
    rc = ivf_building_discard(index, id);
    ivf_lock_release(build->lock);
    build->lock = NULL;
    return rc == MPIVF_OK ? ivf_building_begin(index, id, build->folder, &build->lock) : rc;
}

/* ---- the end ---- */

static void tell_what_is_kept(const ivf_build_state *build)
{
    int64_t done = 0;
    bool has_model = false;
    (void)ivf_resume_count(build, &has_model, &done);
    if (has_model)
        ivf_warn("%s keeps what was done: the model, %" PRId64 " of %" PRId64
                 " fragments; the same command continues it, --restart throws it away",
                 build->config->index, done, build->plan.fragments);
    else
        ivf_warn("%s keeps what was done: checkpoints of training; the same command continues it, --restart throws it "
                 "away",
                 build->config->index);
}

/* With the lock of all builds held. */
static void put_away(ivf_build_state *build)
{
    const char *index = build->config->index;
    const char *id = build->plan.build_id;
    if (build->lock == NULL) {
        (void)rmdir(build->folder); /* one that was just made; else it is not empty */
    } else if (build->committed) {
        ivf_building_finish(build->folder);
    } else if (build->input_changed || !ivf_building_holds_work(index, id)) {
        if (build->input_changed)
            ivf_warn("what was built of the input as it was before is thrown away");
        if (build->model_is_new)
            (void)ivf_building_discard_model(index, id, build->model->id);
        (void)ivf_building_discard(index, id);
    } else {
        tell_what_is_kept(build);
    }
    ivf_lock_release(build->lock);
    build->lock = NULL;
    ivf_folders_remove_empty(index);
}

static void leave(const ivf_build_state *build, ivf_lock *all)
{
    ivf_building_leave(build->config->index, all);
    if (build->index_is_new)
        (void)rmdir(build->config->index);
}

static int begin(ivf_build_state *build)
{
    ivf_lock *all = NULL;
    build->index_is_new = access(build->config->index, F_OK) != 0;
    int rc = ivf_building_enter(build->config->index, &all);
    if (rc == MPIVF_OK)
        rc = choose_id(build);
    if (rc == MPIVF_OK)
        rc = settle_others(build);
    if (rc == MPIVF_OK)
        rc = lock_own(build);
    if (rc == MPIVF_OK && !build->committed)
        rc = settle_own(build);
    if (rc != MPIVF_OK) {
        ivf_error failure = *ivf_error_last();
        if (all != NULL)
            put_away(build);
        build->folder[0] = '\0';
        leave(build, all);
        ivf_error_set(&failure);
        return rc;
    }
    leave(build, all);
    return rc;
}

/* What rank 0 has settled. */
typedef struct {
    int64_t version;
    char build_id[IVF_ID_BYTES];
    char folder[IVF_PATH_BYTES];
    bool committed;
} outcome;

int ivf_claim_begin(const ivf_ctx *ctx, ivf_build_state *build)
{
    outcome o = {0};
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? begin(build) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    if (ivf_ctx_is_root(ctx)) {
        o = (outcome){.version = build->plan.version, .committed = build->committed};
        memcpy(o.build_id, build->plan.build_id, sizeof o.build_id);
        memcpy(o.folder, build->folder, sizeof o.folder);
    }
    ivf_bcast(ctx, &o, sizeof o);
    build->plan.version = o.version;
    build->committed = o.committed;
    memcpy(build->plan.build_id, o.build_id, sizeof o.build_id);
    memcpy(build->folder, o.folder, sizeof o.folder);
    if (build->committed)
        ivf_info("version %" PRId64 " of %s is this build: it was committed before", o.version, build->config->index);
    return MPIVF_OK;
}

static void end(ivf_build_state *build)
{
    ivf_lock *all = NULL;
    if (!ivf_building_end(build->config->index, build->folder, &build->lock, &all))
        return;
    build->committed = build->committed || ivf_building_is_committed(build->config->index, build->plan.build_id);
    put_away(build);
    leave(build, all);
}

void ivf_claim_end(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_barrier(ctx); /* nobody writes any more */
    if (ivf_ctx_is_root(ctx) && build->lock != NULL)
        end(build);
}
