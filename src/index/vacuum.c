#include "index/vacuum.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "index/building.h"
#include "index/json.h"
#include "index/manifest.h"
#include "index/names.h"
#include "io/folder.h"

static const char OLD_VERSION[] = "of a version that is not kept";
static const char GIVEN_UP[] = "of an unfinished build";
static const char COMMITTED[] = "left by a build that was committed";
static const char TEMPORARY[] = "temporary, left by a run that was killed";
static const char UNNAMED[] = "named by no version";

/* What is known while it is decided. */
typedef struct {
    const char *index;
    const ivf_vacuum_config *config;
    ivf_vacuum_report *report;
    time_t now;
    int64_t oldest_kept; /* version; 0: there is none at all */
    ivf_names kept;      /* fragments and models of versions and builds that stay */
    ivf_names dropped;   /* of versions that go */
    ivf_names committed; /* builds that became versions */
    ivf_names staying;   /* unfinished builds that stay */
    ivf_names going;     /* unfinished builds that go */
    ivf_names given_up;  /* their models */
    const char *folder;  /* that is walked, below the index */
    int fd;              /* of it */
} vacuum;

static int add_item(vacuum *v, const char *folder, const char *name, int64_t bytes, const char *why)
{
    ivf_vacuum_report *r = v->report;
    ivf_text path = {0};
    ivf_vacuum_item *grown = r->items;
    ivf_text_add(&path, "%s/%s", folder, name);
    if ((r->count & (r->count - 1)) == 0) /* a power of two: time to double */
        grown = ivf_resize(r->items, ivf_to_size(ivf_max_i64(1, 2 * r->count)), sizeof *grown);
    if (grown == NULL || path.failed) {
        ivf_text_free(&path);
        return MPIVF_FAILED;
    }
    r->items = grown;
    r->items[r->count++] = (ivf_vacuum_item){.path = path.text, .bytes = bytes, .why = why};
    r->bytes += bytes;
    return MPIVF_OK;
}

static bool is_old(const vacuum *v, const struct stat *info)
{
    return difftime(v->now, info->st_mtime) >= v->config->older_than;
}

/* ---- versions ---- */

static int add_names(ivf_names *names, const ivf_manifest *m)
{
    int rc = ivf_names_add(names, m->model_id);
    for (int64_t f = 0; rc == MPIVF_OK && f < m->fragment_count; f++)
        rc = ivf_names_add(names, m->fragments[f].id);
    return rc;
}

static int take_version(vacuum *v, const ivf_manifest *m)
{
    const bool stays = v->report->versions < v->config->keep;
    int rc = ivf_names_add(&v->committed, m->build_id);
    if (rc == MPIVF_OK)
        rc = add_names(stays ? &v->kept : &v->dropped, m);
    if (stays) {
        v->report->versions++;
        v->oldest_kept = m->version;
    }
    return rc;
}

/* Below the kept versions a damaged manifest is one more file that goes. */
static int refuse_damaged(const vacuum *v)
{
    if (v->report->versions >= v->config->keep)
        return MPIVF_OK;
    ivf_error damage = *ivf_error_last();
    return ivf_fail(MPIVF_CORRUPT, "%s; nothing is removed, for it may name any file", damage.text);
}

static int read_versions(vacuum *v)
{
    int64_t version = 0;
    int rc = ivf_manifest_before(v->index, INT64_MAX, &version);
    while (rc == MPIVF_OK && version > 0) {
        ivf_manifest *m = NULL;
        rc = ivf_manifest_read_version(v->index, version, &m);
        if (rc == MPIVF_OK)
            rc = take_version(v, m);
        else if (rc == MPIVF_CORRUPT)
            rc = refuse_damaged(v);
        ivf_manifest_free(m);
        if (rc == MPIVF_OK)
            rc = ivf_manifest_before(v->index, version, &version);
    }
    return rc;
}

/* ---- unfinished builds ---- */

/* The bytes of a folder of ours, and when something in it last changed. */
typedef struct {
    int fd;
    int64_t bytes;
    time_t changed;
} measure;

static int measure_entry(void *arg, const char *name)
{
    measure *m = arg;
    struct stat info;
    if (strcmp(name, "lock") == 0) /* comes and goes with everybody who looks whether the build runs */
        return MPIVF_OK;
    if (fstatat(m->fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return MPIVF_OK; /* it has just gone */
    m->bytes += info.st_size;
    m->changed = info.st_mtime > m->changed ? info.st_mtime : m->changed;
    return MPIVF_OK;
}

static int measure_folder(const char *path, measure *m)
{
    struct stat info;
    m->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (m->fd < 0)
        return errno == ENOENT ? MPIVF_OK : ivf_fail_errno(errno, "%s", path);
    int rc = ivf_folder_walk(path, measure_entry, m);
    if (m->changed == 0 && fstat(m->fd, &info) == 0) /* an empty one */
        m->changed = info.st_mtime;
    (void)close(m->fd);
    return rc;
}

static int measure_build(const vacuum *v, const char *id, measure *m)
{
    char path[IVF_PATH_BYTES];
    int rc = ivf_layout_build(v->index, id, path);
    if (rc == MPIVF_OK)
        rc = measure_folder(path, m);
    if (rc == MPIVF_OK)
        rc = ivf_layout_build_file(v->index, id, "train", path);
    return rc == MPIVF_OK ? measure_folder(path, m) : rc;
}

/* Files that carry its name stay or go with it, and so does its model. */
static int settle_build(vacuum *v, const char *id, bool stays)
{
    ivf_building_model model;
    bool found = false;
    int rc = ivf_names_add(stays ? &v->staying : &v->going, id);
    if (rc == MPIVF_OK)
        rc = ivf_building_read_model(v->index, id, &model, &found);
    if (rc == MPIVF_OK && found)
        rc = ivf_names_add(stays ? &v->kept : &v->given_up, model.id);
    v->report->builds += stays;
    return rc;
}

/* The lock is tried, not held: who could take it needs the lock of all builds first, which is ours. */
static int look_at_build(vacuum *v, const char *id, bool *running, measure *m)
{
    ivf_lock *lock = NULL;
    int rc = measure_build(v, id, m);
    if (rc == MPIVF_OK)
        rc = ivf_building_claim(v->index, id, &lock);
    *running = rc == MPIVF_CONFLICT;
    ivf_lock_release(lock);
    return *running ? MPIVF_OK : rc;
}

static int read_builds(vacuum *v)
{
    ivf_building_list list;
    int rc = ivf_building_find(v->index, &list);
    for (int64_t i = 0; rc == MPIVF_OK && i < list.count; i++) {
        measure m = {.bytes = 0};
        bool running = false;
        rc = look_at_build(v, list.ids[i], &running, &m);
        if (rc == MPIVF_OK && running && ivf_building_is_repair(list.ids[i]))
            rc = ivf_fail(MPIVF_CONFLICT,
                          "%s is being repaired, perhaps from an older version; nothing is removed before that ends",
                          v->index);
        bool committed = ivf_names_has(&v->committed, list.ids[i]);
        bool young = !committed && difftime(v->now, m.changed) < v->config->older_than;
        if (rc == MPIVF_OK)
            rc = settle_build(v, list.ids[i], running || young);
        if (rc == MPIVF_OK && !running && !young)
            rc = add_item(v, "building", list.ids[i], m.bytes, committed ? COMMITTED : GIVEN_UP);
    }
    ivf_free(list.ids);
    return rc;
}

/* ---- files ---- */

/* Whether the name ends so; then what stands before goes into id, if it is one. */
static bool ends_in(const char *name, const char *suffix, char id[IVF_ID_BYTES])
{
    size_t length = strlen(name);
    size_t end = strlen(suffix);
    char start[IVF_ID_BYTES] = "";
    if (length <= end || strcmp(name + length - end, suffix) != 0)
        return false;
    if (length - end < sizeof start)
        memcpy(start, name, length - end);
    return ivf_json_copy_id(id, start);
}

/* Why a fragment or model goes; NULL: it stays. */
static const char *judge_id(vacuum *v, const char *id, const struct stat *info)
{
    if (ivf_names_has(&v->kept, id) || ivf_names_build_of(&v->staying, id) != NULL)
        return NULL;
    if (ivf_names_has(&v->dropped, id))
        return OLD_VERSION;
    if (ivf_names_build_of(&v->going, id) != NULL || ivf_names_has(&v->given_up, id))
        return GIVEN_UP;
    return is_old(v, info) ? UNNAMED : NULL;
}

static bool is_temporary(const char *name)
{
    const size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".tmp") == 0;
}

static int judge_entry(void *arg, const char *name)
{
    vacuum *v = arg;
    struct stat info;
    char id[IVF_ID_BYTES];
    const char *why = NULL;
    if (fstatat(v->fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(info.st_mode))
        return MPIVF_OK;
    if (is_temporary(name))
        why = ivf_names_build_of(&v->staying, name) == NULL && is_old(v, &info) ? TEMPORARY : NULL;
    else if (ends_in(name, ".h5", id))
        why = judge_id(v, id, &info);
    return why == NULL ? MPIVF_OK : add_item(v, v->folder, name, info.st_size, why);
}

static int judge_manifest(void *arg, const char *name)
{
    vacuum *v = arg;
    struct stat info;
    if (fstatat(v->fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(info.st_mode))
        return MPIVF_OK;
    int64_t version = ivf_manifest_version_of(name);
    if (version > 0 && version < v->oldest_kept)
        return add_item(v, v->folder, name, info.st_size, OLD_VERSION);
    /* A running build may be about to give its manifest the name. */
    if (is_temporary(name) && is_old(v, &info) && v->report->builds == 0)
        return add_item(v, v->folder, name, info.st_size, TEMPORARY);
    return MPIVF_OK;
}

/* A folder that is a link leads out of the index. */
static int judge_folder(vacuum *v, const char *folder, ivf_folder_visit *judge)
{
    char path[IVF_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", v->index, folder);
    v->folder = folder;
    v->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (v->fd < 0 && errno == ENOENT)
        return MPIVF_OK;
    if (v->fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return ivf_fail(MPIVF_CONFLICT, "%s is no folder but a link, which vacuum does not follow", path);
    if (v->fd < 0)
        return ivf_fail_errno(errno, "%s", path);
    int rc = ivf_folder_walk(path, judge, v);
    (void)close(v->fd);
    return rc;
}

/* ---- removing ---- */

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const ivf_vacuum_item *)a)->path, ((const ivf_vacuum_item *)b)->path);
}

static bool is_below(const ivf_vacuum_item *item, const char *folder)
{
    return strncmp(item->path, folder, strlen(folder)) == 0 && item->path[strlen(folder)] == '/';
}

/* All items of one folder, and then the folder made durable. */
static int remove_below(const vacuum *v, const char *folder)
{
    char path[IVF_PATH_BYTES];
    int64_t removed = 0;
    int rc = MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < v->report->count; i++) {
        const ivf_vacuum_item *item = &v->report->items[i];
        if (!is_below(item, folder))
            continue;
        if (snprintf(path, sizeof path, "%s/%s", v->index, item->path) >= (int)sizeof path)
            return ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long", v->index);
        rc = ivf_folder_remove(path);
        removed++;
    }
    if (rc != MPIVF_OK || removed == 0)
        return rc;
    (void)snprintf(path, sizeof path, "%s/%s", v->index, folder);
    return ivf_folder_sync(path);
}

static const char *const in_order[] = {"manifests", "fragments", "models", "building"};
enum { FOLDERS = sizeof in_order / sizeof in_order[0] };

static int place_of(const ivf_vacuum_item *item)
{
    int place = 0;
    while (place < FOLDERS - 1 && !is_below(item, in_order[place]))
        place++;
    return place;
}

static int compare_items(const void *a, const void *b)
{
    int by_place = place_of(a) - place_of(b);
    return by_place != 0 ? by_place : compare_paths(a, b);
}

static int decide(vacuum *v)
{
    int rc = read_versions(v);
    if (rc == MPIVF_OK)
        rc = read_builds(v);
    if (rc == MPIVF_OK)
        rc = judge_folder(v, "manifests", judge_manifest);
    if (rc == MPIVF_OK)
        rc = judge_folder(v, "fragments", judge_entry);
    if (rc == MPIVF_OK)
        rc = judge_folder(v, "models", judge_entry);
    if (rc == MPIVF_OK && v->report->count > 1)
        qsort(v->report->items, ivf_to_size(v->report->count), sizeof *v->report->items, compare_items);
    return rc;
}

static void free_names(vacuum *v)
{
    ivf_names_free(&v->kept);
    ivf_names_free(&v->dropped);
    ivf_names_free(&v->committed);
    ivf_names_free(&v->staying);
    ivf_names_free(&v->going);
    ivf_names_free(&v->given_up);
}

static int check_index(const char *index)
{
    char path[IVF_PATH_BYTES];
    struct stat info;
    int rc = ivf_layout_manifests(index, path);
    if (rc == MPIVF_OK && stat(path, &info) != 0)
        rc = errno == ENOENT || errno == ENOTDIR
                 ? ivf_fail(MPIVF_BAD_INPUT, "%s holds no index: there is no folder manifests in it", index)
                 : ivf_fail_errno(errno, "%s", path);
    return rc;
}

int ivf_vacuum(const char *index, const ivf_vacuum_config *config, ivf_vacuum_report *report)
{
    vacuum v = {.index = index, .config = config, .report = report, .now = time(NULL)};
    ivf_lock *all = NULL;
    *report = (ivf_vacuum_report){0};
    int rc = check_index(index);
    if (rc == MPIVF_OK)
        rc = ivf_building_enter(index, &all);
    if (rc != MPIVF_OK)
        return rc;
    rc = decide(&v);
    for (int i = 0; rc == MPIVF_OK && config->deletes && i < FOLDERS; i++)
        rc = remove_below(&v, in_order[i]);
    ivf_building_leave(index, all);
    free_names(&v);
    return rc;
}

void ivf_vacuum_report_free(ivf_vacuum_report *report)
{
    for (int64_t i = 0; i < report->count; i++)
        ivf_free(report->items[i].path);
    ivf_free(report->items);
    *report = (ivf_vacuum_report){0};
}
