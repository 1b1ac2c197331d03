/* The folder of an unfinished compaction (index/building.h), from the claim to the end. It has no model of its own,
 * only a log of fragments; so a build that finds one that nobody runs takes it away. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "build/compact_internal.h"
#include "index/building.h"
#include "index/done.h"
#include "index/folders.h"
#include "mpivf/version.h"

/* Everything that changes a byte of the result. */
static int name_build(ivf_compact_state *s)
{
    ivf_text text = {0};
    ivf_text_add(&text, "compact %s %s %" PRId64 " %" PRId64 " %" PRId64 " %d", mpivf_version(), s->manifest->build_id,
                 s->manifest->version, s->version, s->config->fragment_bytes, (int)s->config->single_file);
    int rc = text.failed ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK)
        ivf_hash_text(ivf_hash64(text.text, text.length), s->build_id);
    ivf_text_free(&text);
    return rc;
}

void ivf_compact_name(const ivf_compact_state *s, int64_t part, char id[IVF_ID_BYTES])
{
    (void)snprintf(id, IVF_ID_BYTES, "%.16s-%06" PRId64, s->build_id, part);
}

/* ---- what an earlier run has left ---- */

static int by_number(const void *a, const void *b)
{
    const int64_t x = ((const ivf_fragment_record *)a)->number;
    const int64_t y = ((const ivf_fragment_record *)b)->number;
    return (x > y) - (x < y);
}

static bool is_usable(const ivf_compact_state *s, const ivf_fragment_record *record)
{
    char id[IVF_ID_BYTES];
    if (record->number < 0 || record->number >= s->parts.count)
        return false;
    const int32_t first = s->parts.starts[record->number];
    ivf_compact_name(s, record->number, id);
    return strcmp(id, record->id) == 0 && record->first_list == first &&
           record->lists == s->parts.starts[record->number + 1] - first &&
           ivf_fragment_check_size(s->config->index, record) == MPIVF_OK;
}

static int find_kept(ivf_compact_state *s)
{
    ivf_fragment_record *found = NULL;
    int64_t count = 0;
    int rc = ivf_done_read(s->folder, &found, &count);
    if (rc == MPIVF_OK && count > 1)
        qsort(found, ivf_to_size(count), sizeof *found, by_number);
    for (int64_t i = 0; rc == MPIVF_OK && i < count; i++) {
        const bool again = s->kept > 0 && s->records[s->kept - 1].number == found[i].number;
        if (!again && is_usable(s, &found[i]))
            s->records[s->kept++] = found[i];
    }
    s->record_count = s->kept;
    ivf_free(found);
    return rc;
}

static int list_pending(ivf_compact_state *s)
{
    int64_t k = 0;
    s->pending_count = 0;
    for (int64_t p = 0; p < s->parts.count; p++) {
        while (k < s->kept && s->records[k].number < p)
            k++;
        if (k == s->kept || s->records[k].number != p)
            s->pending[s->pending_count++] = p;
    }
    if (s->kept > 0)
        ivf_info("%" PRId64 " of %" PRId64 " fragments are there from an earlier run", s->kept, s->parts.count);
    return MPIVF_OK;
}

/* ---- begin and end ---- */

static int take_folder(ivf_compact_state *s)
{
    const char *index = s->config->index;
    int rc = ivf_building_begin(index, s->build_id, s->folder, &s->lock);
    if (rc == MPIVF_OK)
        rc = ivf_folders_make(index);
    if (rc == MPIVF_OK)
        rc = ivf_building_sweep(index, s->build_id);
    if (rc == MPIVF_OK && !s->config->single_file)
        rc = find_kept(s);
    return rc == MPIVF_OK ? list_pending(s) : rc;
}

/* With the lock of all builds held: the version that was planned for is still the newest. What came after it must not
 * disappear behind a merger of what was before it. */
static int check_source(const ivf_compact_state *s)
{
    const char *index = s->config->index;
    ivf_manifest *newest = NULL;
    int rc = ivf_manifest_read(index, &newest);
    if (rc == MPIVF_OK && newest->version != s->manifest->version)
        rc = ivf_fail(MPIVF_CONFLICT,
                      "%s: version %" PRId64 " was committed while version %" PRId64
                      " was being read; compact again for the newer one",
                      index, newest->version, s->manifest->version);
    ivf_manifest_free(newest);
    return rc;
}

int ivf_compact_claim(ivf_compact_state *s)
{
    const char *index = s->config->index;
    ivf_lock *all = NULL;
    int64_t latest = 0;
    int rc = ivf_building_enter(index, &all);
    if (rc == MPIVF_OK)
        rc = check_source(s);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_latest(index, &latest);
    s->version = latest + 1;
    if (rc == MPIVF_OK)
        rc = name_build(s);
    if (rc == MPIVF_OK)
        rc = take_folder(s);
    ivf_error failure = *ivf_error_last();
    ivf_building_leave(index, all);
    if (rc != MPIVF_OK)
        ivf_error_set(&failure);
    return rc;
}

/* Whether the same command can go on: with fragments, for a version that is still the next one. */
static bool can_go_on(const ivf_compact_state *s)
{
    ivf_fragment_record *records = NULL;
    int64_t count = 0;
    int64_t latest = 0;
    bool can = ivf_manifest_latest(s->config->index, &latest) == MPIVF_OK && latest + 1 == s->version &&
               ivf_done_read(s->folder, &records, &count) == MPIVF_OK && count > 0;
    ivf_free(records);
    return can;
}

void ivf_compact_release(ivf_compact_state *s)
{
    const char *index = s->config->index;
    ivf_lock *all = NULL;
    if (s->lock == NULL)
        return;
    if (!ivf_building_end(index, s->folder, &s->lock, &all))
        return;
    s->committed = s->committed || ivf_building_is_committed(index, s->build_id);
    if (s->committed)
        ivf_building_finish(s->folder);
    else if (can_go_on(s))
        ivf_info("what was merged is kept in %s: the same command goes on with it, mpivf vacuum removes it", s->folder);
    else
        (void)ivf_building_discard(index, s->build_id);
    ivf_lock_release(s->lock);
    s->lock = NULL;
    ivf_building_leave(index, all);
}
