#include "build/resume.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "comm/transfer.h"
#include "index/building.h"
#include "index/done.h"

/* ---- the model ---- */

/* Rank 0: whether the file is what model.json says. */
static int check_file(const ivf_build_state *build, const ivf_building_model *model)
{
    char path[IVF_PATH_BYTES];
    int64_t bytes = 0;
    uint64_t checksum = 0;
    int rc = ivf_layout_model(build->config->index, model->id, path);
    if (rc == MPIVF_OK)
        rc = ivf_file_checksum(path, &bytes, &checksum);
    if (rc == MPIVF_OK && (bytes != model->bytes || checksum != model->checksum))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: not the bytes that were written", path);
    return rc;
}

/* Rank 0: the model that is kept. Without it nothing is: fragments were made with it. */
static int find_model(const ivf_build_state *build, ivf_building_model *model, bool *found)
{
    const char *index = build->config->index;
    const char *id = build->plan.build_id;
    int rc = ivf_building_read_model(index, id, model, found);
    if (rc == MPIVF_OK && *found)
        rc = check_file(build, model);
    if (rc == MPIVF_CORRUPT || rc == MPIVF_BAD_INPUT) {
        ivf_warn("%s; the unfinished build begins anew", ivf_error_last()->text);
        *found = false;
        rc = MPIVF_OK;
    }
    if (rc == MPIVF_OK && !*found)
        rc = ivf_building_forget(index, id);
    return rc;
}

static int keep_model(const ivf_ctx *ctx, ivf_build_state *build)
{
    struct {
        ivf_building_model model;
        bool found;
    } kept = {.found = false};
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? find_model(build, &kept.model, &kept.found) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &kept, sizeof kept);
    if (!kept.found)
        return MPIVF_OK;
    build->model_bytes = kept.model.bytes;
    build->model_checksum = kept.model.checksum;
    return ivf_model_open(ctx, build->config->index, kept.model.id, &build->model);
}

/* ---- the fragments ---- */

/* Whether a log's record is of this plan. */
static bool is_planned(const ivf_build_state *build, const ivf_fragment_record *record)
{
    const ivf_plan *plan = &build->plan;
    char id[IVF_ID_BYTES];
    if (record->number < 0 || record->number >= plan->fragments)
        return false;
    ivf_plan_fragment_id(plan, record->number, id);
    return strcmp(record->id, id) == 0 && record->first_row == ivf_plan_fragment_first(plan, record->number) &&
           record->rows == ivf_plan_fragment_count(plan, record->number) &&
           (record->postings == record->rows || build->config->skip_bad_rows);
}

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const ivf_fragment_record *)a)->number;
    int64_t y = ((const ivf_fragment_record *)b)->number;
    return (x > y) - (x < y);
}

/* Rank 0: the planned records of all logs, ascending, one for each fragment. Of two for one, which runs that met have
 * left, either describes the file, which is the same. */
static int find_records(const ivf_build_state *build, ivf_fragment_record **records, int64_t *count)
{
    int64_t found = 0;
    *count = 0;
    int rc = ivf_done_read(build->folder, records, &found);
    if (rc != MPIVF_OK || found == 0)
        return rc;
    qsort(*records, ivf_to_size(found), sizeof **records, by_number);
    for (int64_t i = 0; i < found; i++) {
        bool again = *count > 0 && (*records)[*count - 1].number == (*records)[i].number;
        if (!again && is_planned(build, &(*records)[i]))
            (*records)[(*count)++] = (*records)[i];
    }
    return rc;
}

/* Takes over one fragment; false: it is not usable, and has to be redone. */
static int keep_fragment(ivf_build_state *build, const ivf_fragment_record *record, bool *kept)
{
    const ivf_plan *plan = &build->plan;
    ivf_fragment *f = NULL;
    int rc = ivf_fragment_skim(build->config->index, record, plan->factory.nlist, plan->code_size, &f);
    *kept = rc == MPIVF_OK;
    if (rc == MPIVF_CORRUPT) {
        ivf_warn("%s; it is made again", ivf_error_last()->text);
        return MPIVF_OK;
    }
    if (rc != MPIVF_OK)
        return rc;
    for (int32_t l = 0; l < f->nlist; l++)
        build->list_sizes[l] += (int64_t)(f->offsets[l + 1] - f->offsets[l]);
    for (int64_t i = 0; i < f->skipped; i++)
        ivf_build_list_skipped(build, (int64_t)f->skipped_rows[i], f->skipped_reasons[i]);
    build->records[build->record_count++] = *record;
    ivf_fragment_free(f);
    return MPIVF_OK;
}

/* This rank's part: every size-th of the records. done[fragments] says what is kept. */
static int keep_own(const ivf_ctx *ctx, ivf_build_state *build, const ivf_fragment_record *records, int64_t count,
                    int64_t *done)
{
    int rc = MPIVF_OK;
    for (int64_t i = ivf_ctx_rank(ctx); rc == MPIVF_OK && records != NULL && i < count; i += ivf_ctx_size(ctx)) {
        bool kept = false;
        rc = keep_fragment(build, &records[i], &kept);
        done[records[i].number] = kept;
        if (rc == MPIVF_OK)
            rc = ivf_stop_point();
    }
    build->kept_count = build->record_count;
    return rc;
}

static void list_pending(ivf_build_state *build, const int64_t *done)
{
    for (int64_t f = 0; f < build->plan.fragments; f++) {
        if (done[f])
            continue;
        build->pending[build->pending_count++] = f;
        build->pending_rows += ivf_plan_fragment_count(&build->plan, f);
    }
}

/* Collective. Rank 0's records reach every rank, into records[count]. */
static int share_records(const ivf_ctx *ctx, ivf_fragment_record **records, int64_t *count)
{
    int rc = MPIVF_OK;
    ivf_bcast(ctx, count, sizeof *count);
    if (!ivf_ctx_is_root(ctx)) {
        *records = ivf_new(ivf_to_size(*count), sizeof **records);
        rc = *records == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, *records, ivf_to_size(*count) * sizeof **records);
    return rc;
}

static int keep_fragments(const ivf_ctx *ctx, ivf_build_state *build, int64_t *done)
{
    ivf_fragment_record *records = NULL;
    int64_t count = 0;
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? find_records(build, &records, &count) : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = share_records(ctx, &records, &count);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, keep_own(ctx, build, records, count, done));
    if (rc == MPIVF_OK)
        ivf_allmax_i64(ctx, done, build->plan.fragments);
    ivf_free(records);
    return rc;
}

static int make_rooms(ivf_build_state *build)
{
    const size_t fragments = ivf_to_size(build->plan.fragments);
    build->records = ivf_new_zero(fragments, sizeof *build->records);
    build->pending = ivf_new(fragments, sizeof *build->pending);
    build->list_sizes = ivf_new_zero((size_t)build->plan.factory.nlist, sizeof *build->list_sizes);
    return build->records == NULL || build->pending == NULL || build->list_sizes == NULL ? MPIVF_FAILED : MPIVF_OK;
}

int ivf_resume_build(const ivf_ctx *ctx, ivf_build_state *build)
{
    const int64_t fragments = build->plan.fragments;
    int64_t *done = ivf_new_zero(ivf_to_size(fragments), sizeof *done);
    int rc = ivf_agree(ctx, done == NULL ? MPIVF_FAILED : make_rooms(build));
    if (rc != MPIVF_OK || done == NULL) {
        ivf_free(done);
        return rc;
    }
    rc = keep_model(ctx, build);
    if (rc == MPIVF_OK && build->model != NULL)
        rc = keep_fragments(ctx, build, done);
    if (rc == MPIVF_OK)
        list_pending(build, done);
    ivf_free(done);
    if (rc == MPIVF_OK && build->model != NULL)
        ivf_info("resuming: model kept, %" PRId64 " of %" PRId64 " fragments done", fragments - build->pending_count,
                 fragments);
    return rc;
}

int ivf_resume_count(const ivf_build_state *build, bool *has_model, int64_t *done)
{
    ivf_building_model model;
    ivf_fragment_record *records = NULL;
    *done = 0;
    int rc = ivf_building_read_model(build->config->index, build->plan.build_id, &model, has_model);
    if (rc == MPIVF_OK && *has_model)
        rc = find_records(build, &records, done);
    ivf_free(records);
    return rc;
}
