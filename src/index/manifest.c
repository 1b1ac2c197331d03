/* Manifests on disk: finding the newest valid one, and adding the next. */
#include "index/manifest.h"

#include <dirent.h>
#include <errno.h>
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
#include "base/text.h"
#include "comm/transfer.h"
#include "math/simd.h"

/* A manifest of 10^10 rows in 10^5 fragments and 10^6 lists takes 50 MB. */
static const size_t LARGEST_MANIFEST = (size_t)1 << 31;
static const int64_t LARGEST_VERSION = 1000000000000;

void ivf_manifest_free(ivf_manifest *manifest)
{
    if (manifest == NULL)
        return;
    for (int i = 0; manifest->shards != NULL && i < manifest->shard_count; i++) {
        ivf_free(manifest->shards[i].path);
        ivf_free(manifest->shards[i].format);
    }
    ivf_free(manifest->shards);
    ivf_free(manifest->fragments);
    ivf_free(manifest->list_sizes);
    json_decref(manifest->config);
    json_decref(manifest->tuning);
    json_decref(manifest->build);
    ivf_free(manifest);
}

int64_t ivf_manifest_version_of(const char *name)
{
    char expected[32];
    long long version = strtoll(name, NULL, 10);
    if (version < 1 || version > LARGEST_VERSION)
        return 0;
    (void)snprintf(expected, sizeof expected, "%06lld.json", version);
    return strcmp(name, expected) == 0 ? version : 0;
}

int ivf_manifest_before(const char *index, int64_t below, int64_t *version)
{
    char path[IVF_PATH_BYTES];
    *version = 0;
    int rc = ivf_layout_manifests(index, path);
    if (rc != MPIVF_OK)
        return rc;
    DIR *folder = ivf_fault("list") ? NULL : opendir(path);
    if (folder == NULL)
        return errno == ENOENT ? MPIVF_OK : ivf_fail_errno(errno, "%s", path);
    errno = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        int64_t found = ivf_manifest_version_of(entry->d_name);
        if (found > *version && found < below)
            *version = found;
        errno = 0; /* a name with too many digits sets it */
    }
    int broken = errno;
    (void)closedir(folder);
    return broken == 0 ? MPIVF_OK : ivf_fail_errno(broken, "%s", path);
}

int ivf_manifest_latest(const char *index, int64_t *version)
{
    return ivf_manifest_before(index, INT64_MAX, version);
}

static int parse(const char *text, size_t bytes, const char *path, ivf_manifest **manifest)
{
    json_error_t error;
    *manifest = NULL;
    json_t *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        return ivf_fail(json_error_code(&error) == json_error_out_of_memory ? MPIVF_FAILED : MPIVF_CORRUPT,
                        "%s: line %d: %s", path, error.line, error.text);
    int rc = ivf_manifest_from_json(json, path, manifest);
    json_decref(json);
    return rc;
}

int ivf_manifest_read_version(const char *index, int64_t version, ivf_manifest **manifest)
{
    char path[IVF_PATH_BYTES];
    char *text = NULL;
    size_t bytes = 0;
    *manifest = NULL;
    int rc = ivf_layout_manifest(index, version, path);
    if (rc == MPIVF_OK)
        rc = ivf_file_read(path, LARGEST_MANIFEST, &text, &bytes);
    if (rc != MPIVF_OK)
        return rc;
    rc = parse(text, bytes, path, manifest);
    ivf_free(text);
    if (*manifest != NULL && (*manifest)->version != version) {
        rc = ivf_fail(MPIVF_CORRUPT, "%s: says that it is version %" PRId64, path, (*manifest)->version);
        ivf_manifest_free(*manifest);
        *manifest = NULL;
    }
    return rc;
}

int ivf_manifest_refuse_empty(const char *index)
{
    return ivf_fail(MPIVF_BAD_INPUT, "%s holds no index: there is no committed manifest in its folder manifests",
                    index);
}

int ivf_manifest_read(const char *index, ivf_manifest **manifest)
{
    int64_t version = INT64_MAX;
    int rc = ivf_manifest_before(index, version, &version);
    *manifest = NULL;
    if (rc == MPIVF_OK && version == 0)
        return ivf_manifest_refuse_empty(index);
    while (rc == MPIVF_OK) {
        int found = ivf_manifest_read_version(index, version, manifest);
        if (found != MPIVF_CORRUPT)
            return found;
        ivf_error damage = *ivf_error_last();
        rc = ivf_manifest_before(index, version, &version);
        if (rc == MPIVF_OK && version == 0) {
            ivf_error_set(&damage);
            return MPIVF_CORRUPT;
        }
        ivf_warn("%s; falling back to version %" PRId64, damage.text, version);
    }
    return rc;
}

int ivf_manifest_walk(const char *index, ivf_manifest_visit *visit, void *arg, int64_t *damaged)
{
    int64_t version = 0;
    bool stop = false;
    int rc = ivf_manifest_before(index, INT64_MAX, &version);
    *damaged = 0;
    while (rc == MPIVF_OK && version > 0 && !stop) {
        ivf_manifest *m = NULL;
        int found = ivf_manifest_read_version(index, version, &m);
        *damaged += found == MPIVF_CORRUPT;
        if (found == MPIVF_OK)
            rc = visit(arg, m, &stop);
        else if (found != MPIVF_CORRUPT && found != MPIVF_BAD_INPUT) /* the latter has just been removed */
            rc = found;
        ivf_manifest_free(m);
        if (rc == MPIVF_OK)
            rc = ivf_manifest_before(index, version, &version);
    }
    return rc;
}

/* The manifest's JSON through ivf_new, in one line or (for people) in several; NULL with a failure recorded. */
static char *text_of(const ivf_manifest *manifest, size_t style)
{
    json_t *json = ivf_manifest_to_json(manifest);
    if (json == NULL)
        return NULL;
    char *dumped = json_dumps(json, style);
    json_decref(json);
    char *text = dumped == NULL ? NULL : ivf_text_copy(dumped);
    if (dumped == NULL)
        (void)ivf_fail(MPIVF_FAILED, "out of memory for the manifest's text");
    free(dumped);
    return text;
}

int ivf_manifest_share(const ivf_ctx *ctx, const char *index, int rc, ivf_manifest **manifest)
{
    char *text = NULL;
    int64_t bytes = 0;
    if (*manifest != NULL) {
        text = text_of(*manifest, JSON_COMPACT);
        bytes = text == NULL ? 0 : (int64_t)strlen(text);
        rc = text == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    ivf_bcast(ctx, &bytes, sizeof bytes);
    if (!ivf_ctx_is_root(ctx)) {
        text = ivf_new((size_t)bytes + 1, 1);
        rc = text == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK) {
        ivf_bcast(ctx, text, (size_t)bytes);
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? MPIVF_OK : parse(text, (size_t)bytes, index, manifest));
    }
    ivf_free(text);
    if (rc != MPIVF_OK) {
        ivf_manifest_free(*manifest);
        *manifest = NULL;
    }
    return rc;
}

int ivf_manifest_open(const ivf_ctx *ctx, const char *index, ivf_manifest **manifest)
{
    *manifest = NULL;
    return ivf_manifest_share(ctx, index, ivf_ctx_is_root(ctx) ? ivf_manifest_read(index, manifest) : MPIVF_OK,
                              manifest);
}

void ivf_manifest_lists_of(const ivf_manifest *manifest, const ivf_fragment_record *record, int32_t *first,
                           int32_t *count)
{
    const bool by_lists = manifest->layout == IVF_LAYOUT_LISTS;
    *first = by_lists ? record->first_list : 0;
    *count = by_lists ? record->lists : manifest->factory.nlist;
}

void ivf_manifest_add_totals(ivf_manifest *manifest)
{
    for (int64_t i = 0; i < manifest->fragment_count; i++) {
        const ivf_fragment_record *f = &manifest->fragments[i];
        manifest->postings += f->postings;
        manifest->digest_in += f->digest_in;
        manifest->digest_out += f->digest_out;
        for (int r = 0; r < IVF_ROW_REASONS; r++)
            manifest->skipped[r] += f->skipped[r];
    }
}

json_t *ivf_manifest_describe_run(const ivf_ctx *ctx, double started)
{
    char now[24];
    ivf_clock_utc(now);
    json_t *run =
        json_pack("{s:s, s:i, s:s, s:s, s:f}", "committed", now, "ranks", ivf_ctx_size(ctx), "host", ivf_ctx_host(ctx),
                  "simd", ivf_simd_name(ivf_simd_level()), "seconds", ivf_clock() - started);
    if (run == NULL)
        (void)ivf_fail(MPIVF_FAILED, "out of memory for the account of the run");
    return run;
}

static const size_t FILE_STYLE = JSON_INDENT(1) | JSON_SORT_KEYS;

int ivf_manifest_check_text(const char *index, int64_t version, int64_t *bytes)
{
    char path[IVF_PATH_BYTES];
    char *text = NULL;
    size_t length = 0;
    size_t at = 0;
    int rc = ivf_layout_manifest(index, version, path);
    if (rc == MPIVF_OK)
        rc = ivf_file_read(path, LARGEST_MANIFEST, &text, &length);
    if (rc != MPIVF_OK)
        return rc;
    *bytes = (int64_t)length;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    char *written = json == NULL ? NULL : json_dumps(json, FILE_STYLE);
    json_decref(json);
    while (written != NULL && at < length && written[at] == text[at])
        at++;
    if (written == NULL || at < length || written[at] != '\0')
        rc = ivf_fail(MPIVF_CORRUPT, "%s: changed at byte %zu, which does not alter its meaning", path, at);
    free(written);
    ivf_free(text);
    return rc;
}

/* What is about to be committed is read as a reader will: an entry lost on the way to the text is noticed here. */
static int check_text(const char *text, size_t bytes, const char *path)
{
    ivf_manifest *read = NULL;
    if (bytes > LARGEST_MANIFEST)
        return ivf_fail(MPIVF_USAGE,
                        "%s: a manifest of %zu bytes, readers take %zu; use larger fragments or fewer lists", path,
                        bytes, LARGEST_MANIFEST);
    int rc = parse(text, bytes, path, &read);
    ivf_manifest_free(read);
    return rc;
}

int ivf_manifest_commit(const ivf_manifest *manifest, const char *index)
{
    char path[IVF_PATH_BYTES];
    bool taken = false;
    char *text = text_of(manifest, FILE_STYLE);
    if (text == NULL)
        return MPIVF_FAILED;
    int rc = ivf_layout_manifest(index, manifest->version, path);
    if (rc == MPIVF_OK)
        rc = check_text(text, strlen(text), path);
    if (rc == MPIVF_OK)
        rc = ivf_publish_text_new(path, text, strlen(text), &taken);
    ivf_free(text);
    if (rc == MPIVF_OK && taken)
        rc = ivf_fail(MPIVF_CONFLICT,
                      "%s: somebody else committed version %" PRId64
                      " first; run again with --replace to make the next version",
                      path, manifest->version);
    return rc;
}

int ivf_manifest_read_next(const char *index, int64_t version, ivf_manifest **manifest)
{
    ivf_manifest *m = NULL;
    int64_t latest = 0;
    *manifest = NULL;
    int rc = ivf_manifest_read(index, &m);
    if (rc != MPIVF_OK || m == NULL)
        return rc;
    rc = ivf_manifest_latest(index, &latest);
    if (rc == MPIVF_OK && m->version != version)
        rc = ivf_fail(MPIVF_CONFLICT,
                      "%s: version %" PRId64 " was read, but there is version %" PRId64 " now; run again", index,
                      version, m->version);
    if (rc != MPIVF_OK) {
        ivf_manifest_free(m);
        return rc;
    }
    m->version = latest + 1;
    *manifest = m;
    return MPIVF_OK;
}

int ivf_manifest_can_commit(const char *index)
{
    char folder[IVF_PATH_BYTES];
    int rc = ivf_layout_manifests(index, folder);
    if (rc == MPIVF_OK && access(folder, W_OK | X_OK) != 0)
        rc = ivf_fail_errno(errno, "%s: no version can be committed", folder);
    return rc;
}
