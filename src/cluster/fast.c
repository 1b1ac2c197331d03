/* Fast k-means: the order of cheap and dear iterations.
 *
 *     part of the rows   full 8-bit passes; after each but the last, centroids that serve little are moved (relocate.c)
 *     all rows           two full 8-bit passes, the second of which finds out where a row's next cell may be (judge.c)
 *                        restricted passes (near.c), as many as iterations are left
 *
 * and then the means of the rows themselves, in place of those of rounded rows. The part is a quarter of the rows where
 * that leaves 32 for each centroid: there a full pass costs a quarter too, and means of so many rows are good enough to
 * find the places for centroids. Rows that do not suit an 8-bit grid go through the same order in single precision, but
 * centroids stay where they are. The figures were chosen by measurement (bench/kmeans.c): at the same objective or a
 * lower one than 10 exact iterations, for a fifth to a tenth of their time. */
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
    RELOCATIONS = 4,
    RELOCATED = 15, /* of 100 centroids, at most, each time */
    FULL_PASSES = 2,
    FILLING_PASSES = 16,
};

typedef enum { RELOCATING, FULL, NEAR } pass_kind;

typedef struct {
    ivf_kmeans_lists lists; /* width 0: none */
    int64_t placed;         /* rows, over all ranks, that are in cells: the first */
} course;

static char letter_of(const ivf_kmeans_work *w, pass_kind kind)
{
    static const char letters[2][3] = {{'f', 'f', 'r'}, {'m', 'q', 'r'}};
    char letter = letters[w->rounded != NULL][kind];
    return (char)(w->places == w->share.total && kind != RELOCATING ? letter - 'a' + 'A' : letter);
}

static int iterate(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, pass_kind kind, ivf_kmeans_report *report)
{
    const bool listed = c->lists.width > 0 && kind != RELOCATING && c->placed > 0;
    const int64_t known = ivf_share_prefix(&w->share, c->placed);
    const ivf_kmeans_step step = {.lists = listed ? &c->lists : NULL,
                                  .near = listed && kind == NEAR ? known : 0,
                                  .known = known,
                                  .judge = listed && kind == FULL,
                                  .gaps = kind == RELOCATING && w->rounded != NULL};
    int rc = MPIVF_OK;
    if (w->rounded != NULL)
        ivf_coarse_pack(w->rounded->all, &w->rounded->grid, w->params->metric, w->centroids, w->k, NULL, 1);
    if (listed)
        rc = ivf_kmeans_neighbours(ctx, w, &c->lists);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_iterate(ctx, w, &step, report);
    c->placed = w->places;
    if (rc == MPIVF_OK && step.gaps)
        rc = ivf_kmeans_relocate(ctx, w, ivf_ceil_div((int64_t)w->k * RELOCATED, 100));
    return rc;
}

static int run_part(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_report *report)
{
    int64_t parts = ivf_min_i64(MOST_PARTS, w->share.total / ((int64_t)PART_ROWS * w->k));
    int rc = MPIVF_OK;
    if (parts < 2 || w->params->iterations < 2 || w->share.total <= IVF_SHARE_BLOCK)
        return rc;
    ivf_kmeans_use(w, ivf_round_up(w->share.total / parts, IVF_SHARE_BLOCK));
    for (int i = 0; i <= RELOCATIONS && rc == MPIVF_OK; i++) {
        pass_kind kind = i < RELOCATIONS ? RELOCATING : FULL;
        rc = iterate(ctx, w, c, kind, report);
        if (rc == MPIVF_OK)
            ivf_kmeans_record(w, letter_of(w, kind), report);
    }
    return rc;
}

static int run_all(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_report *report)
{
    const int since = report->iterations;
    int rc = MPIVF_OK;
    ivf_kmeans_use(w, w->share.total);
    while (report->stopped == NULL && rc == MPIVF_OK) {
        pass_kind kind = report->iterations - since < FULL_PASSES || c->lists.width == 0 ? FULL : NEAR;
        rc = iterate(ctx, w, c, kind, report);
        if (rc == MPIVF_OK) {
            ivf_kmeans_record(w, letter_of(w, kind), report);
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

int ivf_kmeans_run_fast(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    course c = {0};
    int rc = MPIVF_OK;
    if (w->k >= RESTRICTED) {
        w->picked = ivf_new((size_t)ivf_team_size() * WIDTH, w->d * sizeof *w->picked);
        rc = w->picked == NULL ? MPIVF_FAILED : ivf_kmeans_lists_new(&c.lists, w->k, WIDTH);
    }
    rc = ivf_kmeans_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_round(ctx, w, ivf_max_i64(1, c.lists.width));
    w->exact_sums = w->rounded == NULL;
    if (rc == MPIVF_OK)
        rc = run_part(ctx, w, &c, report);
    if (rc == MPIVF_OK)
        rc = run_all(ctx, w, &c, report);
    if (rc == MPIVF_OK && w->empty > 0)
        rc = fill(ctx, w, &c, report);
    if (rc == MPIVF_OK)
        settle(ctx, w);
    ivf_kmeans_lists_free(&c.lists);
    return rc;
}
