#include "build/commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "base/text.h"
#include "comm/transfer.h"
#include "index/folders.h"
#include "index/manifest.h"
#include "io/folder.h"
#include "math/simd.h"

/* Rank 0: every fragment of the plan exactly once, in row order. */
static int place_records(ivf_build_state *build, const ivf_gathered *gathered, int64_t bytes)
{
    int64_t count = bytes / (int64_t)sizeof(ivf_fragment_record);
    const ivf_fragment_record *records = (const ivf_fragment_record *)(const void *)gathered->data;
    build->all_records = ivf_new_zero(ivf_to_size(build->plan.fragments), sizeof *build->all_records);
    if (build->all_records == NULL || ivf_fault("gather"))
        return MPIVF_FAILED;
    if (count != build->plan.fragments)
        return ivf_fail(MPIVF_FAILED, "%" PRId64 " fragments were published, %" PRId64 " planned; nothing is committed",
                        count, build->plan.fragments);
    for (int64_t i = 0; i < count; i++) {
        ivf_fragment_record *place = &build->all_records[records[i].number];
        if (place->rows != 0)
            return ivf_fail(MPIVF_FAILED, "fragment %" PRId64 " was published twice; nothing is committed",
                            records[i].number);
        *place = records[i];
    }
    return MPIVF_OK;
}

static int by_row(const void *a, const void *b)
{
    int64_t x = ((const ivf_skipped_row *)a)->row;
    int64_t y = ((const ivf_skipped_row *)b)->row;
    return (x > y) - (x < y);
}

static int64_t total_skipped(const ivf_build_state *build)
{
    int64_t sum = 0;
    for (int64_t f = 0; f < build->plan.fragments; f++)
        sum += build->all_records[f].rows - build->all_records[f].postings;
    return sum;
}

/* Rank 0 names the first skipped rows of all ranks: each rank sent its own first ones, so the first of all are among
 * them. */
static void print_skipped(const ivf_build_state *build, ivf_skipped_row *rows, int64_t count)
{
    char name[IVF_PATH_BYTES + 64];
    int64_t total = total_skipped(build);
    qsort(rows, (size_t)count, sizeof *rows, by_row);
    for (int64_t i = 0; i < count && i < IVF_LISTED_ROWS; i++) {
        ivf_build_name_row(build->dataset, rows[i].row, name, sizeof name);
        ivf_warn("skipped %s: %s", name, ivf_row_reason_text((ivf_row_reason)rows[i].reason));
    }
    if (total > IVF_LISTED_ROWS)
        ivf_warn("skipped %" PRId64 " rows in all; the fragments list every one", total);
}

int ivf_commit_gather(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_gathered records;
    ivf_gathered skipped;
    int rc = ivf_gather_bytes(ctx, build->records, (size_t)build->record_count * sizeof *build->records, &records);
    if (rc != MPIVF_OK)
        return rc;
    if (ivf_ctx_is_root(ctx))
        rc = place_records(build, &records, records.offsets[ivf_ctx_size(ctx)]);
    ivf_gathered_free(&records);
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_allsum_i64(ctx, build->list_sizes, build->plan.factory.nlist);
    rc = ivf_gather_bytes(ctx, build->listed, (size_t)build->listed_count * sizeof *build->listed, &skipped);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
        print_skipped(build, (ivf_skipped_row *)(void *)skipped.data,
                      skipped.offsets[ivf_ctx_size(ctx)] / (int64_t)sizeof(ivf_skipped_row));
    ivf_gathered_free(&skipped);
    return rc;
}

static void free_shards(ivf_manifest_shard *shards, int count)
{
    for (int i = 0; shards != NULL && i < count; i++) {
        ivf_free(shards[i].path);
        ivf_free(shards[i].format);
    }
    ivf_free(shards);
}

/* NULL with a failure recorded. */
static ivf_manifest_shard *describe_shards(const ivf_build_state *build, int count)
{
    const ivf_dataset *dataset = build->dataset;
    ivf_manifest_shard *shards = ivf_new_zero((size_t)count, sizeof *shards);
    for (int i = 0; shards != NULL && i < count; i++) {
        ivf_shard shard = ivf_dataset_shard(dataset, i);
        shards[i] = (ivf_manifest_shard){.path = ivf_text_copy(shard.path),
                                         .format = ivf_text_copy(shard.format),
                                         .rows = shard.rows,
                                         .first_row = shard.first_row,
                                         .bytes = shard.bytes,
                                         .mtime_ns = shard.mtime_ns,
                                         .checksum = build->stamps[i].checksum};
        if (shards[i].path == NULL || shards[i].format == NULL) {
            free_shards(shards, count);
            return NULL;
        }
    }
    return shards;
}

/* The options, with the file of ids as it is found from any folder; NULL with a failure recorded. */
static json_t *describe_config(const ivf_build_state *build)
{
    const char *ids = ivf_ids_path(build->ids);
    json_t *config = json_deep_copy(build->config->config);
    if (config != NULL && (ids == NULL || json_object_set_new(config, "ids", json_string(ids)) == 0))
        return config;
    json_decref(config);
    (void)ivf_fail(MPIVF_FAILED, "out of memory for the manifest");
    return NULL;
}

static int commit(const ivf_ctx *ctx, ivf_build_state *build)
{
    const ivf_plan *plan = &build->plan;
    /* What a model was trained on is no part of a version that holds none of it. */
    const int shard_count = build->config->train_only ? 0 : ivf_dataset_shards(build->dataset);
    ivf_manifest_shard *shards = describe_shards(build, shard_count);
    if (shards == NULL)
        return MPIVF_FAILED;
    ivf_manifest m = {.version = plan->version,
                      .model_bytes = build->model_bytes,
                      .model_checksum = build->model_checksum,
                      .d = plan->d,
                      .metric = plan->metric,
                      .factory = plan->factory,
                      .code_size = plan->code_size,
                      .kept = plan->kept,
                      .rows = build->config->train_only ? 0 : plan->rows,
                      .list_sizes = build->list_sizes,
                      .fragment_count = plan->fragments,
                      .fragments = build->all_records,
                      .shard_count = shard_count,
                      .shards = shards,
                      .config = describe_config(build),
                      .build = ivf_manifest_describe_run(ctx, build->started)};
    memcpy(m.build_id, plan->build_id, sizeof m.build_id);
    memcpy(m.model_id, build->model->id, sizeof m.model_id);
    ivf_manifest_add_totals(&m);
    int rc = m.config == NULL || ivf_fault("commit") ? MPIVF_FAILED : ivf_manifest_check(&m, build->config->index);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_commit(&m, build->config->index);
    build->committed = rc == MPIVF_OK;
    json_decref(m.config);
    json_decref(m.build);
    free_shards(shards, shard_count);
    return rc;
}

int ivf_commit_manifest(const ivf_ctx *ctx, ivf_build_state *build)
{
    int rc = ivf_stamps_check(ctx, build->stamps, build->stamp_count, &build->input_changed);
    ivf_stop_forbid();
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? ivf_folders_sync(build->config->index) : MPIVF_OK);
    return rc == MPIVF_OK ? ivf_agree(ctx, ivf_ctx_is_root(ctx) ? commit(ctx, build) : MPIVF_OK) : rc;
}
