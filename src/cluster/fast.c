/* Fast k-means: the order of cheap and dear iterations.
 *
 *     part of the rows   full passes; after each but the last, centroids that serve little are moved (relocate.c)
 *     all rows           two full passes, the second of which finds out where a row's next cell may be (judge.c)
 *                        restricted passes (near.c), as many as iterations are left
 *
 * and then the means of the rows themselves, in place of those of rounded rows. The part is a quarter of the rows where
 * that leaves 32 for each centroid: there a full pass costs a quarter too, and means of so many rows are good enough to
 * find the places for centroids. Full passes are in 8 bits; with many centroids they descend a tree over them
 * (upper.c). Rows that do not suit an 8-bit grid go the same way in single precision. The figures were chosen by
 * measurement (bench/kmeans.c): at the same objective or a lower one than 10 exact iterations, for a fifth to a tenth
 * of their time. */
#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"

enum {
    WIDTH = 64,       /* neighbours of a list */
    RESTRICTED = 512, /* centroids from which restricted passes pay */
    MOST_PARTS = 4,   /* the part is no less than one in so many rows */
    PART_ROWS = 32,   /* of the part for each centroid, at least */
    PART_PASSES = 5,
    WHOLE_PASSES = 2, /* where the rows are too few for a part */
    DEEP = 12288,     /* centroids from which a tree over them pays */
    RELOCATED = 15,   /* of 100 centroids, at most, each time */
    FULL_PASSES = 2,
    FILLING_PASSES = 16,
};

typedef enum { RELOCATING, FULL, NEAR } pass_kind;

typedef struct {
    ivf_kmeans_lists lists;
    bool restricted;        /* restricted passes pay */
    bool deep;              /* a tree stands in for comparing with all centroids */
    ivf_kmeans_upper upper; /* when deep */
    int64_t placed;         /* rows, over all ranks, that are in cells: the first */
} course;

static char letter_of(const ivf_kmeans_work *w, const course *c, pass_kind kind)
{
    const bool all = w->places == w->share.total;
    if (kind == RELOCATING)
        return 'm';
    if (kind == NEAR)
        return all ? 'R' : 'r';
    if (w->rounded == NULL)
        return all ? 'F' : 'f';
    if (c->deep)
        return all ? 'T' : 't';
    return all ? 'Q' : 'q';
}

static int list_neighbours(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c)
{
    if (w->rounded != NULL)
        ivf_kmeans_pack(w);
    return ivf_kmeans_neighbours(ctx, w, c->deep ? &c->upper : NULL, &c->lists);
}

static int iterate(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, pass_kind kind, ivf_kmeans_report *report)
{
    const int64_t known = ivf_share_prefix(&w->share, c->placed);
    const bool near = c->restricted && kind == NEAR;
    ivf_kmeans_step step = {.known = known, .near = near ? known : 0, .moving = kind == RELOCATING};
    int rc = MPIVF_OK;
    if (c->deep && !near) {
        step.upper = &c->upper;
        rc = ivf_kmeans_grow_upper(ctx, w, &c->upper);
    } else if (near || (c->restricted && kind == FULL && c->placed > 0)) {
        step.lists = &c->lists;
        step.judge = !near;
        rc = list_neighbours(ctx, w, c);
    } else if (w->rounded != NULL) {
        ivf_kmeans_pack(w);
    }
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_iterate(ctx, w, &step, report);
    c->placed = w->places;
    if (rc == MPIVF_OK && kind == RELOCATING)
        rc = list_neighbours(ctx, w, c);
    if (rc == MPIVF_OK && kind == RELOCATING)
        rc = ivf_kmeans_relocate(ctx, w, &c->lists, ivf_ceil_div((int64_t)w->k * RELOCATED, 100));
    return rc;
}

/* Rows that the first passes use, and how many of these passes there are; the last of a part moves no centroids, so
 * that they fit their rows. */
static int run_part(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_report *report)
{
    const int64_t wanted = ivf_min_i64(MOST_PARTS, w->share.total / ((int64_t)PART_ROWS * w->k));
    const bool part = wanted > 1 && w->share.total > IVF_SHARE_BLOCK;
    const int passes = part ? PART_PASSES : WHOLE_PASSES;
    int rc = MPIVF_OK;
    ivf_kmeans_use(w, part ? ivf_round_up(w->share.total / wanted, IVF_SHARE_BLOCK) : w->share.total);
    for (int i = 1; i <= passes && w->params->iterations > 1 && rc == MPIVF_OK; i++) {
        pass_kind kind = part && i == passes ? FULL : RELOCATING;
        rc = iterate(ctx, w, c, kind, report);
        if (rc == MPIVF_OK)
            ivf_kmeans_record(w, letter_of(w, c, kind), report);
    }
    return rc;
}

static int run_all(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_report *report)
{
    const int since = report->iterations;
    int rc = MPIVF_OK;
    ivf_kmeans_use(w, w->share.total);
    while (report->stopped == NULL && rc == MPIVF_OK) {
        pass_kind kind = report->iterations - since < FULL_PASSES || !c->restricted ? FULL : NEAR;
        rc = iterate(ctx, w, c, kind, report);
        if (rc == MPIVF_OK) {
            ivf_kmeans_record(w, letter_of(w, c, kind), report);
            report->stopped = ivf_kmeans_reason_to_stop(w, report, since);
        }
    }
    return rc;
}

/* Passes until no cell is empty; the last resort is single precision. */
static int fill(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_report *report)
{
    const ivf_kmeans_step full = {0};
    int rc = MPIVF_OK;
    for (int pass = 0; pass < FILLING_PASSES && w->empty > 0 && rc == MPIVF_OK; pass++)
        rc = iterate(ctx, w, c, NEAR, report);
    if (rc != MPIVF_OK || w->empty == 0)
        return rc;
    c->deep = false;
    ivf_kmeans_rounded_free(w->rounded);
    w->rounded = NULL;
    w->exact_sums = true;
    rc = ivf_kmeans_fill_empty(ctx, w, &full, report);
    return rc != MPIVF_OK || w->empty == 0 || w->params->spare ? rc : ivf_kmeans_refuse_close(w);
}

/* The last update again, with the rows as they are. */
static void settle(const ivf_ctx *ctx, ivf_kmeans_work *w)
{
    if (w->exact_sums)
        return;
    w->exact_sums = true;
    ivf_kmeans_update(ctx, w);
}

static bool is_deep(const ivf_kmeans_work *w)
{
    bool wanted = w->params->shape == IVF_KMEANS_BY_SIZE ? w->k >= DEEP : w->params->shape == IVF_KMEANS_HIERARCHICAL;
    return wanted && w->rounded != NULL && w->k >= RESTRICTED;
}

int ivf_kmeans_run_fast(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    const int32_t width = (int32_t)ivf_min_i64(w->k, WIDTH);
    course c = {.restricted = w->k >= RESTRICTED};
    int rc = ivf_kmeans_lists_new(&c.lists, w->k, width);
    w->picked = ivf_new((size_t)ivf_team_size() * (size_t)width, w->d * sizeof *w->picked);
    rc = ivf_kmeans_agree(ctx, w->picked == NULL ? MPIVF_FAILED : rc);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_round(ctx, w, width);
    w->exact_sums = w->rounded == NULL;
    c.deep = is_deep(w);
    if (rc == MPIVF_OK)
        rc = run_part(ctx, w, &c, report);
    if (rc == MPIVF_OK)
        rc = run_all(ctx, w, &c, report);
    if (rc == MPIVF_OK && w->empty > 0)
        rc = fill(ctx, w, &c, report);
    if (rc == MPIVF_OK)
        settle(ctx, w);
    ivf_kmeans_lists_free(&c.lists);
    ivf_kmeans_upper_free(&c.upper);
    return rc;
}
