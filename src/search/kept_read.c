/* Vectors of a share, and whether they are what was kept.
 *
 * A list of which so much is wanted that all of it is read anyway, wanted vectors and what lies between, is held
 * against its checksum. Of others single vectors are read, for which there is no checksum: they are only known to be
 * such as are indexed (math/rows.h), which NaN, infinities and, for cosine, zeroes are not. Whole lists for a few
 * candidates would be many times what is wanted; mpivf verify reads them all. */
#include "search/kept_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "index/kept.h"
#include "math/rows.h"

enum { ROWS_OF_TASK = 256 };

typedef struct {
    const ivf_kept_share *share;
    const int64_t *places;
    int64_t n;
    float *x;
    int64_t *starts; /* [tasks + 1], owned: their first vectors */
    int64_t tasks;
} reading;

/* What a task reads with. */
typedef struct {
    const reading *r;
    const ivf_kept_fragment *f;
    const char *path;
    const ivf_rawfile *file;
    uint8_t *span;
    ivf_hasher *hasher;
} reader;

/* Vectors from .. to - 1, which are in one list. */
typedef struct {
    int64_t from, to;
    int32_t list; /* of the fragment */
} group;

/* ---- what is read together ---- */

static int64_t fragment_of(const ivf_kept_share *s, int64_t place)
{
    int64_t low = 0;
    int64_t high = s->count;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (s->fragments[middle].base <= place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The last list that begins at a posting or before. */
static int32_t list_of(const ivf_kept_fragment *f, uint64_t posting)
{
    int32_t low = 0;
    int32_t high = f->lists;
    while (high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        if (f->offsets[middle] <= posting)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static group group_at(const reading *r, const ivf_kept_fragment *f, int64_t from, int64_t end)
{
    group g = {.from = from, .to = from + 1, .list = list_of(f, (uint64_t)(r->places[from] - f->base))};
    const int64_t beyond = f->base + (int64_t)f->offsets[g.list + 1];
    while (g.to < end && r->places[g.to] < beyond)
        g.to++;
    return g;
}

static int64_t list_size(const ivf_kept_fragment *f, int32_t list)
{
    return (int64_t)(f->offsets[list + 1] - f->offsets[list]);
}

/* Whether a vector and a gap for each that is wanted is all of the list. */
static bool is_whole(const reading *r, const ivf_kept_fragment *f, const group *g)
{
    const int64_t size = (int64_t)ivf_kept_bytes(r->share->manifest->kept);
    return (g->to - g->from) * (IVF_KEPT_GAP / size + 1) >= list_size(f, g->list);
}

/* The end of the task that begins with vector `from`: of one fragment, some hundred, and never a part of a list that is
 * read whole. */
static int64_t task_end(const reading *r, int64_t from)
{
    const int64_t number = fragment_of(r->share, r->places[from]);
    const ivf_kept_fragment *f = &r->share->fragments[number];
    const int64_t beyond = number + 1 < r->share->count ? r->share->fragments[number + 1].base : INT64_MAX;
    int64_t to = from;
    while (to < r->n && r->places[to] < beyond && to - from < ROWS_OF_TASK) {
        const group g = group_at(r, f, to, r->n);
        to = is_whole(r, f, &g) ? g.to : ivf_min_i64(g.to, from + ROWS_OF_TASK);
    }
    return to;
}

static int cut_tasks(reading *r)
{
    r->starts = ivf_new(ivf_to_size(r->n) + 1, sizeof *r->starts);
    if (r->starts == NULL)
        return MPIVF_FAILED;
    r->starts[0] = 0;
    while (r->starts[r->tasks] < r->n) {
        r->starts[r->tasks + 1] = task_end(r, r->starts[r->tasks]);
        r->tasks++;
    }
    return MPIVF_OK;
}

/* ---- reading ---- */

/* Postings first .. first + n - 1 of the fragment into the span. */
static int read_span(const reader *t, int64_t first, int64_t n)
{
    const int64_t size = (int64_t)ivf_kept_bytes(t->r->share->manifest->kept);
    return ivf_rawfile_read(t->file, t->f->vectors + first * size, ivf_to_size(n * size), t->span);
}

/* Vectors from .. to - 1 out of the span, whose first posting is `first`. */
static int take(const reader *t, const group *g, int64_t from, int64_t to, int64_t first)
{
    const ivf_manifest *m = t->r->share->manifest;
    const size_t size = ivf_kept_bytes(m->kept);
    for (int64_t i = from; i < to; i++) {
        const int64_t posting = t->r->places[i] - t->f->base;
        float *x = t->r->x + i * m->d;
        uint8_t reason = IVF_ROW_OK;
        ivf_kept_get(m->kept, t->span + ivf_to_size(posting - first) * size, 1, x);
        if (ivf_rows_check(x, 1, m->d, m->metric, INFINITY, &reason) > 0)
            return ivf_fail(MPIVF_CORRUPT,
                            "%s: vectors: that of posting %" PRId64 ", in list %d, was changed: %s; see mpivf verify",
                            t->path, posting, t->f->first_list + g->list, ivf_row_reason_text((ivf_row_reason)reason));
    }
    return MPIVF_OK;
}

/* All of a list, a span at a time, and of it what is wanted. */
static int read_whole(const reader *t, const group *g)
{
    const size_t size = ivf_kept_bytes(t->r->share->manifest->kept);
    const int64_t most = (int64_t)(IVF_KEPT_SPAN / size + 1);
    const int64_t end = (int64_t)t->f->offsets[g->list + 1];
    int64_t from = g->from;
    int rc = MPIVF_OK;
    ivf_hasher_reset(t->hasher);
    for (int64_t at = (int64_t)t->f->offsets[g->list]; rc == MPIVF_OK && at < end; at += most) {
        const int64_t n = ivf_min_i64(most, end - at);
        int64_t to = from;
        rc = read_span(t, at, n);
        if (rc != MPIVF_OK)
            return rc;
        ivf_hasher_add(t->hasher, t->span, ivf_to_size(n) * size);
        while (to < g->to && t->r->places[to] - t->f->base < at + n)
            to++;
        rc = take(t, g, from, to, at);
        from = to;
    }
    if (rc == MPIVF_OK && ivf_hasher_end(t->hasher) != t->f->sums[g->list])
        rc = ivf_fail(MPIVF_CORRUPT, "%s: vectors of list %d do not have their checksum; see mpivf verify", t->path,
                      t->f->first_list + g->list);
    return rc;
}

/* Where the span that begins with vector i ends. */
static int64_t span_end(const reading *r, int64_t i, int64_t end)
{
    const int64_t size = (int64_t)ivf_kept_bytes(r->share->manifest->kept);
    const int64_t most = ivf_max_i64(1, IVF_KEPT_SPAN / size);
    int64_t to = i + 1;
    while (to < end && r->places[to] - r->places[i] < most &&
           r->places[to] - r->places[to - 1] - 1 <= IVF_KEPT_GAP / size)
        to++;
    return to;
}

static int read_some(const reader *t, const group *g)
{
    const int64_t *places = t->r->places;
    int rc = MPIVF_OK;
    int64_t to = g->from;
    while (rc == MPIVF_OK && to < g->to) {
        const int64_t from = to;
        to = span_end(t->r, from, g->to);
        rc = read_span(t, places[from] - t->f->base, places[to - 1] - places[from] + 1);
        if (rc == MPIVF_OK)
            rc = take(t, g, from, to, places[from] - t->f->base);
    }
    return rc;
}

/* Vectors from .. to - 1, which one fragment has. */
static int read_fragment(reader t, int64_t from, int64_t to)
{
    char path[IVF_PATH_BYTES];
    ivf_rawfile file;
    const int64_t number = fragment_of(t.r->share, t.r->places[from]);
    int rc = ivf_kept_internal_open(t.r->share, number, path, &file);
    if (rc != MPIVF_OK)
        return ivf_kept_internal_refuse(rc, path);
    t.f = &t.r->share->fragments[number];
    t.path = path;
    t.file = &file;
    while (rc == MPIVF_OK && from < to) {
        const group g = group_at(t.r, t.f, from, to);
        rc = is_whole(t.r, t.f, &g) ? read_whole(&t, &g) : read_some(&t, &g);
        from = g.to;
    }
    ivf_rawfile_close(&file);
    return ivf_kept_internal_refuse(rc, path);
}

static int read_task(void *arg, int64_t task, int worker)
{
    const reading *r = arg;
    const size_t size = ivf_kept_bytes(r->share->manifest->kept);
    const reader t = {.r = r, .span = ivf_new(IVF_KEPT_SPAN / size + 1, size), .hasher = ivf_hasher_new()};
    int rc = t.span == NULL || t.hasher == NULL ? MPIVF_FAILED : MPIVF_OK;
    (void)worker;
    if (rc == MPIVF_OK)
        rc = read_fragment(t, r->starts[task], r->starts[task + 1]);
    ivf_hasher_free(t.hasher);
    ivf_free(t.span);
    return rc;
}

int ivf_kept_share_read(const ivf_kept_share *share, const int64_t *places, int64_t n, float *x)
{
    reading r = {.share = share, .places = places, .n = n};
    r.x = x;
    int rc = cut_tasks(&r);
    if (rc == MPIVF_OK)
        rc = ivf_team_run_stoppable(r.tasks, read_task, &r);
    ivf_free(r.starts);
    return rc;
}
