#include "index/building.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "index/done.h"
#include "index/json.h"
#include "index/manifest.h"
#include "io/folder.h"

static const double PATIENCE = 600; /* seconds, for others who look for builds or take files away */
static const size_t LARGEST_PLAN = (size_t)1 << 30;
static const size_t LARGEST_MODEL = 1 << 16;

int ivf_building_enter(const char *index, ivf_lock **lock)
{
    char folder[IVF_PATH_BYTES];
    char path[IVF_PATH_BYTES];
    *lock = NULL;
    int rc = ivf_layout_building(index, folder);
    if (rc == MPIVF_OK)
        rc = ivf_layout_build(index, "lock", path);
    /* The folder may be removed by whoever leaves it before its lock is ours. */
    for (int attempt = 0; rc == MPIVF_OK && attempt < 100; attempt++) {
        rc = ivf_make_folder(folder);
        if (rc == MPIVF_OK)
            rc =
                ivf_lock_take(path, PATIENCE, "another build of this index begins or ends, or vacuum is at work", lock);
        if (rc != MPIVF_BAD_INPUT)
            return rc;
        rc = MPIVF_OK;
    }
    return rc != MPIVF_OK ? rc : ivf_fail(MPIVF_CONFLICT, "%s: somebody keeps removing this folder", folder);
}

void ivf_building_leave(const char *index, ivf_lock *lock)
{
    char folder[IVF_PATH_BYTES];
    ivf_lock_release(lock);
    if (ivf_layout_building(index, folder) == MPIVF_OK)
        (void)rmdir(folder); /* takes only an empty one */
}

int ivf_building_claim(const char *index, const char *build_id, ivf_lock **lock)
{
    char path[IVF_PATH_BYTES];
    *lock = NULL;
    int rc = ivf_layout_build_file(index, build_id, "lock", path);
    return rc == MPIVF_OK ? ivf_lock_take(path, 0, "this build is running", lock) : rc;
}

/* With the last failure. */
static void tell_that_it_stays(const char *folder)
{
    ivf_warn("%s; %s stays", ivf_error_last()->text, folder);
}

int ivf_building_begin(const char *index, const char *build_id, char *folder, ivf_lock **lock)
{
    int rc = ivf_layout_build(index, build_id, folder);
    if (rc == MPIVF_OK)
        rc = ivf_make_folder(folder);
    return rc == MPIVF_OK ? ivf_building_claim(index, build_id, lock) : rc;
}

bool ivf_building_end(const char *index, const char *folder, ivf_lock **lock, ivf_lock **all)
{
    if (ivf_building_enter(index, all) == MPIVF_OK)
        return true;
    tell_that_it_stays(folder);
    ivf_lock_release(*lock);
    *lock = NULL;
    return false;
}

static const char REPAIR[] = "-repair";

void ivf_building_name_repair(const char *build_id, char id[IVF_ID_BYTES])
{
    (void)snprintf(id, IVF_ID_BYTES, "%.*s%s", (int)(IVF_ID_BYTES - sizeof REPAIR), build_id, REPAIR);
}

bool ivf_building_is_repair(const char *id)
{
    const size_t length = strlen(id);
    return length >= sizeof REPAIR && strcmp(id + length - (sizeof REPAIR - 1), REPAIR) == 0;
}

/* ---- which builds there are ---- */

static int add_id(void *arg, const char *name)
{
    ivf_building_list *list = arg;
    char id[IVF_ID_BYTES];
    if (strcmp(name, "lock") == 0 || !ivf_json_copy_id(id, name))
        return MPIVF_OK;
    void *grown = ivf_resize(list->ids, ivf_to_size(list->count) + 1, sizeof *list->ids);
    if (grown == NULL)
        return MPIVF_FAILED;
    list->ids = grown;
    memcpy(list->ids[list->count++], id, sizeof id);
    return MPIVF_OK;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(a, b);
}

int ivf_building_find(const char *index, ivf_building_list *list)
{
    char folder[IVF_PATH_BYTES];
    *list = (ivf_building_list){0};
    int rc = ivf_layout_building(index, folder);
    if (rc == MPIVF_OK)
        rc = ivf_folder_walk(folder, add_id, list);
    if (rc == MPIVF_OK && list->count > 1)
        qsort(list->ids, (size_t)list->count, sizeof *list->ids, by_id);
    if (rc == MPIVF_OK)
        return rc;
    ivf_free(list->ids);
    *list = (ivf_building_list){0};
    return rc;
}

/* ---- what they hold ---- */

static int write_file(const char *index, const char *build_id, const char *name, json_t *json)
{
    char path[IVF_PATH_BYTES];
    int rc = ivf_layout_build_file(index, build_id, name, path);
    return rc == MPIVF_OK ? ivf_json_write(json, path) : rc;
}

/* *json is NULL when there is no such file, or a damaged one: then the build has nothing of it. */
static int read_file(const char *index, const char *build_id, const char *name, size_t limit, json_t **json)
{
    char path[IVF_PATH_BYTES];
    *json = NULL;
    int rc = ivf_layout_build_file(index, build_id, name, path);
    if (rc == MPIVF_OK)
        rc = ivf_json_read(path, limit, json);
    return rc == MPIVF_BAD_INPUT || rc == MPIVF_CORRUPT ? MPIVF_OK : rc;
}

int ivf_building_write_plan(const char *index, const char *build_id, json_t *plan)
{
    return write_file(index, build_id, "plan.json", plan);
}

int ivf_building_read_plan(const char *index, const char *build_id, json_t **plan)
{
    return read_file(index, build_id, "plan.json", LARGEST_PLAN, plan);
}

int ivf_building_write_model(const char *index, const char *build_id, const ivf_building_model *model)
{
    json_t *json = json_pack("{s:s, s:I, s:o}", "id", model->id, "bytes", (json_int_t)model->bytes, "checksum_of_file",
                             ivf_json_hash(model->checksum));
    if (json == NULL)
        return ivf_fail(MPIVF_FAILED, "out of memory for the model's record");
    int rc = write_file(index, build_id, "model.json", json);
    json_decref(json);
    return rc;
}

int ivf_building_read_model(const char *index, const char *build_id, ivf_building_model *model, bool *found)
{
    json_t *json = NULL;
    const char *id = NULL;
    const char *checksum = NULL;
    json_int_t bytes = 0;
    *found = false;
    int rc = read_file(index, build_id, "model.json", LARGEST_MODEL, &json);
    if (json == NULL)
        return rc;
    if (json_unpack(json, "{s:s, s:I, s:s}", "id", &id, "bytes", &bytes, "checksum_of_file", &checksum) == 0)
        *found = ivf_json_copy_id(model->id, id) && ivf_json_parse_hash(checksum, &model->checksum);
    model->bytes = bytes;
    json_decref(json);
    return rc;
}

static int remove_file(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT ? MPIVF_OK : ivf_fail_errno(errno, "%s: cannot remove", path);
}

/* The logs go first: without a model's record they would be believed for the next model. */
int ivf_building_forget(const char *index, const char *build_id)
{
    char folder[IVF_PATH_BYTES];
    char path[IVF_PATH_BYTES];
    int rc = ivf_layout_build(index, build_id, folder);
    if (rc == MPIVF_OK)
        rc = ivf_layout_build_file(index, build_id, "model.json", path);
    if (rc == MPIVF_OK)
        rc = ivf_done_remove(folder);
    return rc == MPIVF_OK ? remove_file(path) : rc;
}

static int see_entry(void *arg, const char *name)
{
    bool *any = arg;
    (void)name;
    *any = true;
    return MPIVF_OK;
}

bool ivf_building_holds_work(const char *index, const char *build_id)
{
    char path[IVF_PATH_BYTES];
    ivf_building_model model;
    bool any = false;
    (void)ivf_building_read_model(index, build_id, &model, &any);
    if (!any && ivf_layout_build_file(index, build_id, "train", path) == MPIVF_OK)
        (void)ivf_folder_walk(path, see_entry, &any);
    return any;
}

/* ---- taking one away ---- */

/* Removes the files of a folder whose names begin and end so. */
typedef struct {
    const char *folder;
    const char *prefix;
    const char *suffix;
} sweep;

static bool fits(const char *name, const sweep *s)
{
    const size_t length = strlen(name);
    const size_t least = strlen(s->prefix) + strlen(s->suffix);
    return length >= least && strncmp(name, s->prefix, strlen(s->prefix)) == 0 &&
           strcmp(name + length - strlen(s->suffix), s->suffix) == 0;
}

static int sweep_file(void *arg, const char *name)
{
    const sweep *s = arg;
    char path[IVF_PATH_BYTES];
    if (!fits(name, s))
        return MPIVF_OK;
    int length = snprintf(path, sizeof path, "%s/%s", s->folder, name);
    if (length < 0 || length >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long", s->folder);
    return remove_file(path);
}

/* Removes the build's fragments, or only those that end so. */
static int sweep_fragments(const char *index, const char *build_id, const char *suffix)
{
    char folder[IVF_PATH_BYTES];
    char prefix[IVF_ID_BYTES + 1];
    (void)snprintf(prefix, sizeof prefix, "%s-", build_id);
    int rc = ivf_layout_fragments(index, folder);
    sweep s = {.folder = folder, .prefix = prefix, .suffix = suffix};
    return rc == MPIVF_OK ? ivf_folder_walk(folder, sweep_file, &s) : rc;
}

int ivf_building_sweep(const char *index, const char *build_id)
{
    return sweep_fragments(index, build_id, ".tmp");
}

/* What is looked for among the committed versions; NULL: nothing. */
typedef struct {
    const char *build_id;
    const char *model_id;
    bool found;
} naming;

static int compare_names(void *arg, const ivf_manifest *m, bool *stop)
{
    naming *n = arg;
    n->found = (n->build_id != NULL && strcmp(n->build_id, m->build_id) == 0) ||
               (n->model_id != NULL && strcmp(n->model_id, m->model_id) == 0);
    *stop = n->found;
    return MPIVF_OK;
}

/* A damaged manifest may name anything. */
static int is_named(const char *index, const char *build_id, const char *model_id, bool *named)
{
    naming n = {.build_id = build_id, .model_id = model_id};
    int64_t damaged = 0;
    int rc = ivf_manifest_walk(index, compare_names, &n, &damaged);
    *named = n.found || damaged > 0;
    return rc;
}

static int discard_fragments(const char *index, const char *build_id)
{
    bool committed = false;
    int rc = is_named(index, build_id, NULL, &committed);
    return rc == MPIVF_OK && !committed ? sweep_fragments(index, build_id, "") : rc;
}

/* Whether another build has this model. */
static int is_model_shared(const char *index, const char *build_id, const char *model_id, bool *shared)
{
    ivf_building_list list;
    int rc = ivf_building_find(index, &list);
    for (int64_t i = 0; rc == MPIVF_OK && i < list.count && !*shared; i++) {
        ivf_building_model model;
        bool found = false;
        if (strcmp(list.ids[i], build_id) != 0)
            rc = ivf_building_read_model(index, list.ids[i], &model, &found);
        *shared = found && strcmp(model.id, model_id) == 0;
    }
    ivf_free(list.ids);
    return rc;
}

int ivf_building_discard_model(const char *index, const char *build_id, const char *model_id)
{
    char path[IVF_PATH_BYTES];
    bool needed = false;
    int rc = is_named(index, NULL, model_id, &needed);
    if (rc == MPIVF_OK && !needed)
        rc = is_model_shared(index, build_id, model_id, &needed);
    if (rc == MPIVF_OK && !needed)
        rc = ivf_layout_model(index, model_id, path);
    return rc == MPIVF_OK && !needed ? remove_file(path) : rc;
}

bool ivf_building_is_committed(const char *index, const char *build_id)
{
    ivf_manifest *newest = NULL;
    if (ivf_manifest_read(index, &newest) != MPIVF_OK)
        return false;
    bool is = strcmp(newest->build_id, build_id) == 0;
    ivf_manifest_free(newest);
    return is;
}

void ivf_building_finish(const char *folder)
{
    if (ivf_folder_remove(folder) != MPIVF_OK)
        tell_that_it_stays(folder);
}

int ivf_building_discard(const char *index, const char *build_id)
{
    char folder[IVF_PATH_BYTES];
    ivf_building_model model;
    bool found = false;
    int rc = ivf_layout_build(index, build_id, folder);
    if (rc == MPIVF_OK)
        rc = discard_fragments(index, build_id);
    if (rc == MPIVF_OK)
        rc = ivf_building_read_model(index, build_id, &model, &found);
    if (rc == MPIVF_OK && found)
        rc = ivf_building_discard_model(index, build_id, model.id);
    return rc == MPIVF_OK ? ivf_folder_remove(folder) : rc;
}
