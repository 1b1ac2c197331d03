#include "build/repair.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "build/assign.h"
#include "build/prepare.h"
#include "build/remerge.h"
#include "build/repair_claim.h"
#include "build/state.h"
#include "comm/transfer.h"
#include "index/manifest.h"
#include "index/verify.h"
#include "io/stamps.h"

typedef struct {
    const ivf_repair_config *config;
    ivf_manifest *manifest;
    int64_t *damaged; /* [fragment_count]: 1 if it is */
    ivf_verify_report found;
    ivf_build_config options; /* of the build that made the version, as far as assigning needs them */
    const char **paths;       /* of the shards, as the manifest has them */
    ivf_build_state build;
    uint64_t *checksums; /* [fragment_count]: of what was made again, on every rank */
    ivf_text text;
    ivf_repair_claim claim; /* of rank 0 */
} repair_state;

/* ---- what is damaged ---- */

/* Rank 0: a newer version that cannot be read is beyond repair. */
static int check_newest(const repair_state *s)
{
    int64_t newest = 0;
    int rc = ivf_manifest_latest(s->config->index, &newest);
    if (rc == MPIVF_OK && newest > s->manifest->version)
        rc = ivf_fail(MPIVF_CORRUPT,
                      "%s: the manifest of version %" PRId64 " is damaged and cannot be made again; readers see "
                      "version %" PRId64 ": go on with that one, or make a new version with build --replace",
                      s->config->index, newest, s->manifest->version);
    return rc;
}

static int refuse_model(const repair_state *s)
{
    return ivf_fail(MPIVF_CORRUPT,
                    "%s: the model of version %" PRId64 " is damaged, and fragments cannot be made again without it; "
                    "fall back to an older version by removing the newer manifests, or build again with --replace: the "
                    "same input and options train the same model",
                    s->config->index, s->manifest->version);
}

static int find_damage(const ivf_ctx *ctx, repair_state *s)
{
    int rc = ivf_manifest_open(ctx, s->config->index, &s->manifest);
    if (rc != MPIVF_OK)
        return rc;
    size_t count = ivf_to_size(s->manifest->fragment_count);
    s->damaged = ivf_new_zero(count, sizeof *s->damaged);
    s->checksums = ivf_new_zero(count, sizeof *s->checksums);
    rc = ivf_agree(ctx, s->damaged == NULL || s->checksums == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_verify_version(ctx, s->config->index, s->manifest, s->damaged, &s->found);
    return rc;
}

/* The fragments that are to be made again. */
static int list_pending(repair_state *s)
{
    ivf_build_state *build = &s->build;
    int64_t count = s->manifest->fragment_count;
    build->pending = ivf_new(ivf_to_size(count), sizeof *build->pending);
    if (build->pending == NULL)
        return MPIVF_FAILED;
    for (int64_t f = 0; f < count; f++) {
        if (s->damaged[f] == 0)
            continue;
        build->pending[build->pending_count++] = f;
        build->pending_rows += s->manifest->fragments[f].rows;
    }
    return MPIVF_OK;
}

/* ---- what they are made of ---- */

static const char *option(const ivf_manifest *m, const char *name)
{
    return json_string_value(json_object_get(m->config, name));
}

static int describe_options(repair_state *s)
{
    const ivf_manifest *m = s->manifest;
    const ivf_repair_config *config = s->config;
    s->paths = ivf_new((size_t)m->shard_count, sizeof *s->paths);
    if (s->paths == NULL)
        return MPIVF_FAILED;
    for (int i = 0; i < m->shard_count; i++)
        s->paths[i] = m->shards[i].path;
    s->options = (ivf_build_config){.index = config->index,
                                    .input = config->input,
                                    .ids = config->ids != NULL ? config->ids : option(m, "ids"),
                                    .ids_h5 = option(m, "ids-dataset"),
                                    .skip_bad_rows = true};
    s->options.input.h5_path = option(m, "dataset");
    if (config->input.count == 0) {
        s->options.input.inputs = s->paths;
        s->options.input.count = m->shard_count;
    }
    s->build.config = &s->options;
    if (config->ids != NULL && option(m, "ids") == NULL)
        return ivf_fail(MPIVF_USAGE, "--ids %s: version %" PRId64 " was built without a file of ids", config->ids,
                        m->version);
    return MPIVF_OK;
}

static int refuse_shard(const ivf_manifest_shard *was, const ivf_shard *is)
{
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s has %" PRId64 " rows in %" PRId64 " bytes; what was indexed, %s, had %" PRId64
                    " rows in %" PRId64 " bytes; give the files that were indexed with --input",
                    is->path, is->rows, is->bytes, was->path, was->rows, was->bytes);
}

static int compare_sizes(const repair_state *s)
{
    const ivf_manifest *m = s->manifest;
    const ivf_dataset *dataset = s->build.dataset;
    int count = ivf_dataset_shards(dataset);
    if (count != m->shard_count || ivf_dataset_d(dataset) != m->d)
        return ivf_fail(
            MPIVF_BAD_INPUT,
            "the input has %d files of %d values a row; what was indexed had %d files of %d; give the files "
            "that were indexed with --input",
            count, ivf_dataset_d(dataset), m->shard_count, m->d);
    for (int i = 0; i < count; i++) {
        ivf_shard is = ivf_dataset_shard(dataset, i);
        if (is.rows != m->shards[i].rows || is.bytes != m->shards[i].bytes)
            return refuse_shard(&m->shards[i], &is);
    }
    return MPIVF_OK;
}

static bool is_needed(const repair_state *s, const ivf_manifest_shard *shard)
{
    bool needed = false;
    for (int64_t i = 0; i < s->build.pending_count; i++) {
        const ivf_fragment_record *f = &s->manifest->fragments[s->build.pending[i]];
        needed = needed || (f->first_row < shard->first_row + shard->rows && shard->first_row < f->first_row + f->rows);
    }
    return needed;
}

/* Collective. Of input that changed rows may have stayed, and each fragment's checksum decides in the end: so this is
 * told and no failure. The times of change say nothing: copies have others. */
static int compare_stamps(const ivf_ctx *ctx, const repair_state *s)
{
    const ivf_manifest *m = s->manifest;
    ivf_stamp *stamps = ivf_new_zero((size_t)m->shard_count, sizeof *stamps);
    for (int i = 0; stamps != NULL && i < m->shard_count; i++) {
        ivf_shard shard = ivf_dataset_shard(s->build.dataset, i);
        stamps[i] = (ivf_stamp){.path = shard.path, .bytes = shard.bytes, .mtime_ns = shard.mtime_ns};
    }
    int rc = ivf_agree(ctx, stamps == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_stamps_take(ctx, stamps, m->shard_count);
    for (int i = 0; rc == MPIVF_OK && stamps != NULL && i < m->shard_count; i++)
        if (m->shards[i].checksum != stamps[i].checksum && is_needed(s, &m->shards[i]))
            ivf_warn("input %s is not what was indexed: its contents changed; fragments that come out otherwise are "
                     "left as they are",
                     stamps[i].path);
    ivf_free(stamps);
    return rc;
}

static int refuse_fragments(const repair_state *s)
{
    return ivf_fail(MPIVF_CORRUPT, "%s: the fragments of version %" PRId64 " are not those of one build",
                    s->config->index, s->manifest->version);
}

/* The plan of the build that made the version, from what the version is. */
static int recall_plan(repair_state *s)
{
    const ivf_manifest *m = s->manifest;
    const ivf_model *model = s->build.model;
    ivf_plan *plan = &s->build.plan;
    *plan = (ivf_plan){.version = m->version,
                       .factory = m->factory,
                       .metric = m->metric,
                       .d = m->d,
                       .d_rotated = model->d,
                       .levels = model->tree.levels,
                       .rows = m->rows,
                       .sample_rows = model->training.sample_rows,
                       .fragment_rows = m->fragments[0].rows,
                       .fragments = m->fragment_count,
                       .code_size = m->code_size,
                       .kept = m->kept,
                       .value_limit = ivf_plan_value_limit(m->metric, model->codec, m->kept)};
    memcpy(plan->build_id, m->build_id, sizeof plan->build_id);
    for (int64_t f = 0; f < m->fragment_count; f++) {
        const ivf_fragment_record *record = &m->fragments[f];
        char id[IVF_ID_BYTES];
        ivf_plan_fragment_id(plan, f, id);
        if (record->number != f || record->rows < 1 || record->first_row != ivf_plan_fragment_first(plan, f) ||
            record->rows != ivf_plan_fragment_count(plan, f) || strcmp(record->id, id) != 0)
            return refuse_fragments(s);
    }
    return MPIVF_OK;
}

static int open_input(const ivf_ctx *ctx, repair_state *s)
{
    ivf_build_state *build = &s->build;
    int rc = ivf_agree(ctx, describe_options(s));
    if (rc == MPIVF_OK)
        rc = ivf_dataset_open(ctx, &s->options.input, &build->dataset);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, compare_sizes(s));
    if (rc == MPIVF_OK)
        rc = compare_stamps(ctx, s);
    if (rc == MPIVF_OK)
        rc = ivf_ids_open(ctx, s->options.ids, s->options.ids_h5, s->manifest->rows, &build->ids);
    if (rc == MPIVF_OK)
        rc = ivf_model_open(ctx, s->config->index, s->manifest->model_id, &build->model);
    return rc == MPIVF_OK ? ivf_agree(ctx, recall_plan(s)) : rc;
}

/* ---- making them again ---- */

static int make_rooms(repair_state *s)
{
    ivf_build_state *build = &s->build;
    char path[IVF_PATH_BYTES];
    build->expected = s->manifest->fragments;
    build->records = ivf_new_zero(ivf_to_size(build->pending_count), sizeof *build->records);
    build->list_sizes = ivf_new_zero((size_t)build->plan.factory.nlist, sizeof *build->list_sizes);
    if (build->records == NULL || build->list_sizes == NULL)
        return MPIVF_FAILED;
    (void)snprintf(path, sizeof path, "%s/fragments", s->config->index);
    return ivf_make_folder(path);
}

static int make_again(const ivf_ctx *ctx, repair_state *s)
{
    ivf_build_state *build = &s->build;
    int rc = ivf_agree(ctx, make_rooms(s));
    if (rc == MPIVF_OK)
        rc = ivf_assign_fragments(ctx, build);
    for (int64_t i = 0; rc == MPIVF_OK && i < build->record_count; i++)
        s->checksums[build->records[i].number] = build->records[i].checksum;
    if (rc == MPIVF_OK)
        ivf_allsum_u64(ctx, s->checksums, s->manifest->fragment_count);
    return rc;
}

/* What a compaction made is merged again. */
static int merge_again(const ivf_ctx *ctx, repair_state *s)
{
    ivf_remerge *remerge = NULL;
    if (s->config->input.count > 0 || s->config->ids != NULL)
        return ivf_fail(MPIVF_USAGE,
                        "--%s has no effect: version %" PRId64 " is compacted, and its fragments are merged again from "
                        "version %" PRId64,
                        s->config->input.count > 0 ? "input" : "ids", s->manifest->version,
                        s->manifest->compacted.version);
    int rc = ivf_remerge_open(ctx, s->config->index, s->manifest, &remerge);
    if (rc == MPIVF_OK && !s->config->dry_run)
        rc = ivf_remerge_run(ctx, remerge, s->build.pending, s->build.pending_count, s->checksums);
    ivf_remerge_close(remerge);
    return rc;
}

static int encode_again(const ivf_ctx *ctx, repair_state *s)
{
    int rc = open_input(ctx, s);
    return rc == MPIVF_OK && !s->config->dry_run ? make_again(ctx, s) : rc;
}

/* ---- what came of it ---- */

static void describe_fragment(repair_state *s, const ivf_fragment_record *record)
{
    uint64_t found = s->checksums[record->number];
    const bool by_lists = s->manifest->layout == IVF_LAYOUT_LISTS;
    const int64_t first = by_lists ? record->first_list : record->first_row;
    const int64_t count = by_lists ? record->lists : record->rows;
    ivf_text_add(&s->text, "fragment %" PRId64 " (%s %" PRId64 " to %" PRId64 "): ", record->number,
                 by_lists ? "lists" : "rows", first, first + count - 1);
    if (s->config->dry_run)
        ivf_text_add(&s->text, "would be made again\n");
    else if (found == record->checksum)
        ivf_text_add(&s->text, "repaired\n");
    else
        ivf_text_add(&s->text,
                     "not repaired: made again its checksum is %016" PRIx64 ", the manifest says %016" PRIx64 "\n",
                     found, record->checksum);
}

static int report_all(repair_state *s, ivf_repair_report *report)
{
    const ivf_manifest *m = s->manifest;
    for (int64_t f = 0; f < m->fragment_count; f++) {
        if (s->damaged[f] == 0)
            continue;
        describe_fragment(s, &m->fragments[f]);
        if (!s->config->dry_run && s->checksums[f] != m->fragments[f].checksum)
            continue;
        report->repaired++;
        report->bytes += m->fragments[f].bytes;
    }
    if (report->repaired < report->damaged && m->layout == IVF_LAYOUT_LISTS)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "%s: %" PRId64 " of %" PRId64
                        " damaged fragments came out otherwise than the manifest says and were left as they are; "
                        "build again with --replace",
                        s->config->index, report->damaged - report->repaired, report->damaged);
    if (report->repaired < report->damaged)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "%s: %" PRId64 " of %" PRId64
                        " damaged fragments came out otherwise than the manifest says and "
                        "were left as they are: the input is not what was indexed; give the files that were indexed "
                        "with --input%s, or build again with --replace",
                        s->config->index, report->damaged - report->repaired, report->damaged,
                        s->options.ids != NULL ? " and --ids" : "");
    return MPIVF_OK;
}

static int repair(const ivf_ctx *ctx, repair_state *s, ivf_repair_report *report)
{
    int rc = find_damage(ctx, s);
    if (rc != MPIVF_OK)
        return rc;
    report->version = s->manifest->version;
    for (int64_t f = 0; f < s->manifest->fragment_count; f++)
        report->damaged += s->damaged[f];
    if (s->found.text != NULL)
        ivf_text_add(&s->text, "%s", s->found.text);
    rc = ivf_agree(ctx, s->found.model_findings > 0 ? refuse_model(s) : list_pending(s));
    if (rc != MPIVF_OK)
        return rc;
    if (s->build.pending_count > 0) {
        if (ivf_ctx_is_root(ctx) && !s->config->dry_run)
            rc = ivf_repair_take(s->config->index, s->manifest->build_id, &s->claim);
        rc = ivf_agree(ctx, rc);
        if (rc == MPIVF_OK)
            rc = s->manifest->layout == IVF_LAYOUT_LISTS ? merge_again(ctx, s) : encode_again(ctx, s);
        if (rc == MPIVF_OK)
            rc = ivf_agree(ctx, report_all(s, report));
    }
    return rc == MPIVF_OK ? ivf_agree(ctx, ivf_ctx_is_root(ctx) ? check_newest(s) : MPIVF_OK) : rc;
}

static void close_all(repair_state *s)
{
    ivf_build_state *build = &s->build;
    ivf_repair_release(s->config->index, &s->claim);
    ivf_free(build->list_sizes);
    ivf_free(build->records);
    ivf_free(build->pending);
    ivf_model_free(build->model);
    ivf_ids_close(build->ids);
    ivf_dataset_close(build->dataset);
    ivf_free((void *)s->paths);
    ivf_free(s->found.text);
    ivf_free(s->checksums);
    ivf_free(s->damaged);
    ivf_manifest_free(s->manifest);
}

int ivf_repair(const ivf_ctx *ctx, const ivf_repair_config *config, ivf_repair_report *report)
{
    repair_state s = {.config = config};
    *report = (ivf_repair_report){0};
    int rc = repair(ctx, &s, report);
    ivf_error failure = *ivf_error_last();
    close_all(&s);
    ivf_error_set(&failure);
    if (s.text.failed)
        ivf_text_free(&s.text);
    report->text = s.text.text;
    return rc;
}
