/* The index that is imported into: taken as a build takes it (index/building.h), so that builds and imports know of
 * each other. An import is never continued: what is left of one that was killed is removed by whoever comes next. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "index/building.h"
#include "index/folders.h"
#include "index/manifest.h"
#include "interop/import_internal.h"

static int decide_version(ivf_import_state *s)
{
    const char *index = s->config->index;
    int64_t latest = 0;
    int rc = ivf_folders_refuse_foreign(index);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_latest(index, &latest);
    if (rc == MPIVF_OK && latest > 0 && !s->config->replace)
        rc = ivf_fail(MPIVF_CONFLICT,
                      "%s is an index already (version %" PRId64 "); --replace makes a new version of it", index,
                      latest);
    s->version = latest + 1;
    return rc;
}

/* Everything that changes a byte of the result. */
static int name_build(ivf_import_state *s)
{
    ivf_text text = {0};
    ivf_text_add(&text, "import %s %" PRId64 " %" PRIu64 " %" PRId64 " %" PRId64, s->model->id, s->faiss.rows,
                 s->digest, s->fragment_rows, s->version);
    for (int i = 0; i < s->stamp_count; i++)
        ivf_text_add(&text, " %" PRId64 " %" PRId64 " %" PRIu64, s->stamps[i].bytes, s->stamps[i].mtime_ns,
                     s->stamps[i].checksum);
    int rc = text.failed ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK)
        ivf_hash_text(ivf_hash64(text.text, text.length), s->build_id);
    ivf_text_free(&text);
    return rc;
}

static int settle_other(const char *index, const char *id)
{
    ivf_lock *lock = NULL;
    int rc = ivf_building_claim(index, id, &lock);
    if (rc == MPIVF_CONFLICT) {
        ivf_info("a build of %s is running; who commits first wins", index);
        return MPIVF_OK;
    }
    if (rc == MPIVF_BAD_INPUT) /* it has just ended */
        return MPIVF_OK;
    if (rc == MPIVF_OK && ivf_building_holds_work(index, id))
        rc = ivf_fail(MPIVF_CONFLICT,
                      "%s holds an unfinished build; finish it with the command that began it, or import into another "
                      "folder",
                      index);
    else if (rc == MPIVF_OK)
        rc = ivf_building_discard(index, id);
    ivf_lock_release(lock);
    return rc;
}

static int settle_others(const ivf_import_state *s)
{
    ivf_building_list list;
    int rc = ivf_building_find(s->config->index, &list);
    for (int64_t i = 0; rc == MPIVF_OK && i < list.count; i++)
        rc = settle_other(s->config->index, list.ids[i]);
    ivf_free(list.ids);
    return rc;
}

int ivf_import_claim(ivf_import_state *s)
{
    const char *index = s->config->index;
    ivf_lock *all = NULL;
    s->index_is_new = access(index, F_OK) != 0;
    int rc = ivf_building_enter(index, &all);
    if (rc == MPIVF_OK)
        rc = decide_version(s);
    if (rc == MPIVF_OK)
        rc = name_build(s);
    if (rc == MPIVF_OK)
        rc = settle_others(s);
    if (rc == MPIVF_OK)
        rc = ivf_building_begin(index, s->build_id, s->folder, &s->lock);
    if (rc == MPIVF_OK)
        rc = ivf_folders_make(index);
    ivf_error failure = *ivf_error_last();
    ivf_building_leave(index, all);
    if (rc != MPIVF_OK && s->index_is_new && s->lock == NULL)
        (void)rmdir(index);
    if (rc != MPIVF_OK)
        ivf_error_set(&failure);
    return rc;
}

void ivf_import_release(ivf_import_state *s)
{
    const char *index = s->config->index;
    ivf_lock *all = NULL;
    if (s->lock == NULL)
        return;
    if (!ivf_building_end(index, s->folder, &s->lock, &all))
        return;
    s->committed = s->committed || ivf_building_is_committed(index, s->build_id);
    if (!s->committed && s->model_is_new)
        (void)ivf_building_discard_model(index, s->build_id, s->model->id);
    if (s->committed)
        ivf_building_finish(s->folder);
    else
        (void)ivf_building_discard(index, s->build_id);
    ivf_lock_release(s->lock);
    s->lock = NULL;
    ivf_folders_remove_empty(index);
    ivf_building_leave(index, all);
    if (s->index_is_new)
        (void)rmdir(index);
}
