#include "build/prepare.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "comm/transfer.h"
#include "index/manifest.h"
#include "io/folder.h"
#include "io/publish.h"
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

/* A folder that holds other things than an index is not written into. */
static int refuse_foreign_folder(const char *index)
{
    static const char *const ours[] = {".", "..", "manifests", "models", "fragments", "building"};
    DIR *folder = opendir(index);
    int rc = MPIVF_OK;
    if (folder == NULL)
        return errno == ENOENT ? MPIVF_OK : ivf_fail_errno(errno, "%s", index);
    errno = 0;
    for (const struct dirent *entry = readdir(folder); rc == MPIVF_OK && entry != NULL; entry = readdir(folder)) {
        bool known = false;
        for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
            known = known || strcmp(entry->d_name, ours[i]) == 0;
        if (!known)
            rc = ivf_fail(MPIVF_CONFLICT, "%s is no index: it holds %s; choose a new or empty folder", index,
                          entry->d_name);
    }
    if (rc == MPIVF_OK && errno != 0)
        rc = ivf_fail_errno(errno, "%s", index);
    (void)closedir(folder);
    return rc;
}

/* Rank 0: the version that this build will commit. */
static int decide_version(const ivf_build_config *config, int64_t *version)
{
    int64_t latest = 0;
    int rc = refuse_foreign_folder(config->index);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_latest(config->index, &latest);
    if (rc != MPIVF_OK)
        return rc;
    if (latest > 0 && !config->replace)
        return ivf_fail(MPIVF_CONFLICT,
                        "%s is an index already (version %" PRId64 "); --replace makes a new version of it",
                        config->index, latest);
    *version = latest + 1;
    return MPIVF_OK;
}

static int make_folders(const char *index)
{
    char path[IVF_PATH_BYTES];
    static const char *const folders[] = {"manifests", "models", "fragments"};
    int rc = MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", index, folders[i]);
        rc = ivf_make_folder(path);
    }
    return rc;
}

/* rmdir takes only empty folders, so this never harms an index. */
static void remove_empty_folders(const ivf_build_state *build)
{
    char path[IVF_PATH_BYTES];
    static const char *const folders[] = {"manifests", "models", "fragments", "building"};
    const char *index = build->config->index;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", index, folders[i]);
        (void)rmdir(path);
    }
    if (build->index_is_new)
        (void)rmdir(index);
}

/* Makes the folder of this unfinished build; its path is known from here on. */
static int make_build_folder(ivf_build_state *build)
{
    int rc = ivf_layout_build(build->config->index, build->plan.build_id, build->folder);
    return rc == MPIVF_OK ? ivf_make_folder(build->folder) : rc;
}

/* Takes the index's lock, in a folder that is made for it. */
static int take_lock(ivf_build_state *build)
{
    char path[IVF_PATH_BYTES];
    char lock[IVF_PATH_BYTES + 8];
    int rc = ivf_layout_building(build->config->index, path);
    if (rc == MPIVF_OK)
        rc = ivf_make_folder(path);
    (void)snprintf(lock, sizeof lock, "%s/lock", path);
    return rc == MPIVF_OK ? ivf_lock_take(lock, &build->lock) : rc;
}

/* Rank 0: claims the index. The version is looked up again under the lock: another build may have committed it in
 * between. */
static int claim(ivf_build_state *build)
{
    const char *index = build->config->index;
    int64_t latest = 0;
    build->index_is_new = access(index, F_OK) != 0;
    int rc = take_lock(build);
    if (rc != MPIVF_OK) {
        if (rc != MPIVF_CONFLICT)
            remove_empty_folders(build);
        return rc;
    }
    rc = make_folders(index);
    if (rc == MPIVF_OK)
        rc = make_build_folder(build);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_latest(index, &latest);
    if (rc == MPIVF_OK && latest >= build->plan.version)
        rc = ivf_fail(MPIVF_CONFLICT, "%s: somebody else has just committed version %" PRId64, index, latest);
    return rc;
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

int ivf_prepare_plan(const ivf_ctx *ctx, ivf_build_state *build)
{
    const ivf_build_config *config = build->config;
    int64_t version = 0;
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? decide_version(config, &version) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &version, sizeof version);
    rc = ivf_dataset_open(ctx, &config->input, &build->dataset);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? check_paths(build->dataset) : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_plan_make(config, build->dataset, version, &build->plan));
    if (rc == MPIVF_OK)
        rc = ivf_ids_open(ctx, config->ids, config->ids_h5, build->plan.rows, &build->ids);
    return rc;
}

int ivf_prepare_build(const ivf_ctx *ctx, ivf_build_state *build)
{
    int rc = ivf_prepare_plan(ctx, build);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? claim(build) : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, build->folder, sizeof build->folder);
    if (rc == MPIVF_OK)
        ivf_plan_print(&build->plan, build->dataset);
    return rc;
}

/* What this rank published. */
static void remove_fragments(const ivf_build_state *build)
{
    char path[IVF_PATH_BYTES];
    for (int64_t i = 0; i < build->record_count; i++)
        if (ivf_layout_fragment(build->config->index, build->records[i].id, path) == MPIVF_OK)
            (void)unlink(path);
}

static void remove_model(const ivf_build_state *build)
{
    char path[IVF_PATH_BYTES];
    if (build->model_is_new && ivf_layout_model(build->config->index, build->model->id, path) == MPIVF_OK)
        (void)unlink(path);
}

/* Rank 0: what a committed version names stays, whoever wrote it: another build of the same contents where locks do not
 * work, or this one when only the last fsync of its commit failed. */
static void keep_what_is_named(ivf_build_state *build)
{
    ivf_manifest *newest = NULL;
    if (build->committed || ivf_manifest_read(build->config->index, &newest) != MPIVF_OK)
        return;
    build->committed = strcmp(newest->build_id, build->plan.build_id) == 0;
    if (build->model != NULL && strcmp(newest->model_id, build->model->id) == 0)
        build->model_is_new = false;
    ivf_manifest_free(newest);
}

static void clean_up(const ivf_ctx *ctx, ivf_build_state *build)
{
    if (ivf_ctx_is_root(ctx))
        keep_what_is_named(build);
    ivf_bcast(ctx, &build->committed, sizeof build->committed);
    if (!build->committed)
        remove_fragments(build);
    ivf_barrier(ctx);
    if (!ivf_ctx_is_root(ctx) || build->lock == NULL)
        return;
    if (!build->committed)
        remove_model(build);
    if (build->folder[0] != '\0')
        (void)ivf_folder_remove(build->folder);
    ivf_lock_release(build->lock);
    remove_empty_folders(build);
}

void ivf_prepare_end(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_error failure = *ivf_error_last();
    clean_up(ctx, build);
    ivf_free(build->all_records);
    ivf_free(build->list_sizes);
    ivf_free(build->records);
    ivf_model_free(build->model);
    ivf_free(build->sample);
    ivf_ids_close(build->ids);
    ivf_dataset_close(build->dataset);
    ivf_error_set(&failure);
}
