#include "build/prepare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "build/claim.h"
#include "build/identity.h"
#include "comm/shared.h"
#include "comm/transfer.h"
#include "math/rows.h"

void ivf_build_name_row(const ivf_dataset *dataset, int64_t row, char *text, size_t size)
{
    ivf_shard shard = ivf_dataset_shard(dataset, ivf_dataset_shard_of(dataset, row));
    (void)snprintf(text, size, "row %" PRId64 " of %s", row - shard.first_row, shard.path);
}

int ivf_build_refuse_row(const ivf_dataset *dataset, int64_t row, uint8_t reason)
{
    char name[IVF_PATH_BYTES + 64];
    ivf_build_name_row(dataset, row, name, sizeof name);
    return ivf_fail(MPIVF_BAD_INPUT, "%s cannot be indexed: %s; mend it, or pass over such rows with --on-bad-row skip",
                    name, ivf_row_reason_text((ivf_row_reason)reason));
}

void ivf_build_list_skipped(ivf_build_state *build, int64_t row, uint8_t reason)
{
    ivf_skipped_row *listed = build->listed;
    int at = build->listed_count < IVF_LISTED_ROWS ? build->listed_count++ : IVF_LISTED_ROWS;
    for (; at > 0 && listed[at - 1].row > row; at--)
        if (at < IVF_LISTED_ROWS)
            listed[at] = listed[at - 1];
    if (at < IVF_LISTED_ROWS)
        listed[at] = (ivf_skipped_row){row, reason};
}

/* The manifest is JSON: a path that it cannot hold is refused before any work is done. */
static int check_paths(const ivf_dataset *dataset)
{
    int rc = MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < ivf_dataset_shards(dataset); i++) {
        json_t *text = json_string(ivf_dataset_shard(dataset, i).path);
        if (text == NULL)
            rc = ivf_fail(MPIVF_BAD_INPUT, "shard %s: its path is not UTF-8; rename it",
                          ivf_dataset_shard(dataset, i).path);
        json_decref(text);
    }
    return rc;
}

static int64_t path_bytes(const ivf_dataset *dataset)
{
    int64_t bytes = 0;
    for (int i = 0; i < ivf_dataset_shards(dataset); i++)
        bytes += (int64_t)strlen(ivf_dataset_shard(dataset, i).path);
    return bytes;
}

/* Collective. The least of all ranks: CPUs of other kinds take other work spaces, so that less may be left for pieces.
 */
static void agree_on_pieces(const ivf_ctx *ctx, ivf_needs_pieces *pieces)
{
    int64_t least[] = {-pieces->piece_bytes, -pieces->sum_bytes, -pieces->cache_bytes, -pieces->block_rows,
                       -(int64_t)pieces->depth};
    ivf_allmax_i64(ctx, least, 5);
    *pieces = (ivf_needs_pieces){.piece_bytes = -least[0],
                                 .sum_bytes = -least[1],
                                 .cache_bytes = -least[2],
                                 .block_rows = -least[3],
                                 .depth = ivf_to_int(-least[4])};
}

/* Collective. What the plan needs of the rank that has most, refused if it is beyond the limit. */
static int find_needs(const ivf_ctx *ctx, ivf_build_state *build)
{
    /* What follows from these must be the same on all ranks: how large pieces are, how long sums. */
    int64_t most[] = {ivf_memory_resident(), ivf_team_size()};
    ivf_allmax_i64(ctx, most, 2);
    build->needs_input = (ivf_needs_input){.plan = &build->plan,
                                           .config = build->config,
                                           .ranks = ivf_ctx_size(ctx),
                                           .node_ranks = ivf_shared_node_ranks(ctx),
                                           .threads = ivf_to_int(most[1]),
                                           .base = most[0],
                                           .reading = ivf_dataset_read_memory(build->dataset),
                                           .picking = ivf_dataset_rows_memory(build->dataset),
                                           .few = ivf_dataset_few(build->dataset),
                                           .caches = ivf_dataset_caches_of(build->dataset),
                                           .ids_caches = ivf_ids_caches(build->ids),
                                           .files = ivf_dataset_shards(build->dataset),
                                           .path_bytes = path_bytes(build->dataset)};
    ivf_needs_find(&build->needs_input, &build->needs);
    agree_on_pieces(ctx, &build->needs.pieces);
    ivf_dataset_limit_caches(build->dataset, build->needs.pieces.cache_bytes);
    return ivf_agree(ctx, ivf_needs_check(&build->needs_input, &build->needs));
}

int ivf_prepare_plan(const ivf_ctx *ctx, ivf_build_state *build)
{
    const ivf_build_config *config = build->config;
    int64_t version = 0;
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? ivf_claim_look(config, &version) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &version, sizeof version);
    rc = ivf_dataset_open(ctx, &config->input, &build->dataset);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? check_paths(build->dataset) : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_plan_make(config, build->dataset, version, &build->plan));
    if (rc == MPIVF_OK)
        rc = ivf_ids_reopen(ctx, config->ids, config->ids_h5, build->plan.rows, &build->ids);
    if (rc == MPIVF_OK)
        rc = find_needs(ctx, build);
    return rc == MPIVF_OK ? ivf_ids_check(ctx, build->ids) : rc;
}

static int describe(ivf_build_state *build)
{
    build->identity = ivf_identity_describe(build);
    return build->identity == NULL ? MPIVF_FAILED : MPIVF_OK;
}

int ivf_prepare_build(const ivf_ctx *ctx, ivf_build_state *build)
{
    int rc = ivf_prepare_plan(ctx, build);
    if (rc == MPIVF_OK)
        rc = ivf_identity_stamp(ctx, build);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? describe(build) : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_claim_begin(ctx, build);
    json_decref(build->identity); /* of many files it is large */
    build->identity = NULL;
    if (rc == MPIVF_OK && !build->committed)
        ivf_plan_print(&build->plan, build->dataset);
    if (rc == MPIVF_OK && !build->committed)
        ivf_needs_print(&build->needs_input, &build->needs);
    return rc;
}

void ivf_prepare_end(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_error failure = *ivf_error_last();
    ivf_claim_end(ctx, build);
    ivf_free(build->stamps);
    ivf_free(build->all_records);
    ivf_free(build->list_sizes);
    ivf_free(build->records);
    ivf_free(build->pending);
    ivf_model_free(build->model);
    ivf_free(build->sample);
    ivf_ids_close(build->ids);
    ivf_dataset_close(build->dataset);
    ivf_error_set(&failure);
}
