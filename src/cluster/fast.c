/* Fast k-means: the order of cheap and dear iterations.
 *
 *     parts of the rows  full passes; after each but the last, centroids that serve little are moved (relocate.c)
 *     all rows           a full pass, which finds out where a row's next cell may be (judge.c)
 *                        restricted passes (near.c), as many as iterations are left
 *
 * and then the means of the rows themselves, in place of those of rounded rows. The parts are an eighth of the rows, or
 * as many as leave 16 for each centroid, and a quarter, where that leaves 32: there a full pass costs as little, and
 * means of so many rows are good enough to find the places for centroids. Where there are not so many rows, and with
 * many centroids, a second full pass over all makes up for fewer or none over parts. Full passes are in 8 bits. With
 * many centroids they descend a tree over them (upper.c); of the rows that have a cell only those that are far from
 * where its centroid was (down.c), the others meet the centroids around there alone. Rows that do not suit an 8-bit
 * grid go the same way in single precision. The figures were chosen by measurement (bench/kmeans.c, bench/README.md):
 * at the same objective or a lower one than 10 exact iterations, for a tenth of their time. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/panels.h"

enum {
    WIDTH = 96,       /* neighbours of a list */
    DEEP_WIDTH = 64,  /* with many centroids */
    RESTRICTED = 512, /* centroids from which restricted passes pay */
    MOST_PARTS = 4,   /* the part is no less than one in so many rows */
    PART_ROWS = 32,   /* of the part for each centroid, at least */
    PART_PASSES = 7,  /* of which the first are over a smaller part: */
    SMALL_PARTS = 8,
    SMALL_PART_ROWS = 16,
    SMALL_PASSES = 3,
    DEEP_PASSES = 5,  /* with many centroids, without a smaller part */
    WHOLE_PASSES = 2, /* where the rows are too few for a part */
    DEEP = 12288,     /* centroids from which a tree over them pays */
    RELOCATED = 15,   /* of 100 centroids, at most, each time */
    FULL_PASSES = 1,
    MORE_FULL_PASSES = 2, /* with many centroids, or without a part */
    FILLING_PASSES = 16,
    REACH = 120,       /* hundredths of the mean squared distance from which a row looks farther than around its cell */
    LAST_REPAIRED = 2, /* iterations after which even a few empty cells get rows */
};

static const double MOST_RADIUS = 0x1p50;

typedef enum { RELOCATING, FULL, NEAR } pass_kind;

typedef struct {
    ivf_kmeans_lists lists;
    ivf_kmeans_upper upper; /* when deep */
} course;

/* Whether restricted passes pay. */
static bool is_restricted(const ivf_kmeans_work *w)
{
    return w->k >= RESTRICTED;
}

/* Whether a tree stands in for comparing with all centroids. */
static bool is_deep(const ivf_kmeans_work *w)
{
    bool wanted = w->params->shape == IVF_KMEANS_BY_SIZE ? w->k >= DEEP : w->params->shape == IVF_KMEANS_HIERARCHICAL;
    return wanted && w->at.rounded && is_restricted(w);
}

/* Places of one part in `most`, or of as many as leave so many rows for each centroid. */
static int64_t places_of(const ivf_kmeans_work *w, int most, int rows)
{
    const int64_t wanted = ivf_min_i64(most, w->share.total / ((int64_t)rows * w->k));
    const bool part = wanted > 1 && w->share.total > IVF_SHARE_BLOCK;
    return part ? ivf_round_up(w->share.total / wanted, IVF_SHARE_BLOCK) : w->share.total;
}

static bool has_part(const ivf_kmeans_work *w)
{
    return places_of(w, MOST_PARTS, PART_ROWS) < w->share.total;
}

/* Places that the next of the first passes uses. */
static int64_t part_of(const ivf_kmeans_work *w)
{
    if (has_part(w) && !is_deep(w) && w->at.passes < SMALL_PASSES)
        return places_of(w, SMALL_PARTS, SMALL_PART_ROWS);
    return places_of(w, MOST_PARTS, PART_ROWS);
}

/* How many of the first passes there are. */
static int part_passes(const ivf_kmeans_work *w)
{
    if (w->params->iterations == 1)
        return 0;
    if (!has_part(w))
        return WHOLE_PASSES;
    return is_deep(w) ? DEEP_PASSES : PART_PASSES;
}

static int full_passes(const ivf_kmeans_work *w)
{
    return has_part(w) && !is_deep(w) ? FULL_PASSES : MORE_FULL_PASSES;
}

/* The last pass of a part moves no centroids, so that they fit their rows. */
static pass_kind next_kind(const ivf_kmeans_work *w, const ivf_kmeans_report *report)
{
    if (w->at.stage == IVF_KMEANS_PART)
        return has_part(w) && w->at.passes == part_passes(w) - 1 ? FULL : RELOCATING;
    if (w->at.stage == IVF_KMEANS_ALL && (report->iterations - w->at.since < full_passes(w) || !is_restricted(w)))
        return FULL;
    return NEAR;
}

/* Neighbours of a list. */
static int64_t width_of(const ivf_kmeans_params *params, int64_t k)
{
    const bool many = params->shape == IVF_KMEANS_BY_SIZE ? k >= DEEP : params->shape == IVF_KMEANS_HIERARCHICAL;
    return ivf_min_i64(k, many ? DEEP_WIDTH : WIDTH);
}

ivf_kmeans_wanted ivf_kmeans_wants(const ivf_kmeans_work *w, const ivf_kmeans_report *report)
{
    const bool lists = w->params->mode == IVF_KMEANS_FAST && w->at.stage < IVF_KMEANS_LAST && is_restricted(w);
    const pass_kind next = lists ? next_kind(w, report) : RELOCATING;
    const bool deep = lists && is_deep(w);
    return (ivf_kmeans_wanted){.cells = next != RELOCATING || deep, .upper = deep, .spread = deep && w->at.due};
}

static char letter_of(const ivf_kmeans_work *w, pass_kind kind)
{
    const bool all = w->places == w->share.total;
    if (kind == RELOCATING)
        return 'm';
    if (kind == NEAR)
        return all ? 'R' : 'r';
    if (w->rounded == NULL)
        return all ? 'F' : 'f';
    if (is_deep(w))
        return all ? 'T' : 't';
    return all ? 'Q' : 'q';
}

static int list_neighbours(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c)
{
    if (w->rounded != NULL)
        ivf_kmeans_pack(w);
    return ivf_kmeans_neighbours(ctx, w, is_deep(w) ? &c->upper : NULL, &c->lists);
}

/* Moves centroids that serve little. */
static int relocate(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c)
{
    int rc = list_neighbours(ctx, w, c);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_relocate(ctx, w, &c->lists, ivf_ceil_div((int64_t)w->k * RELOCATED, 100));
    w->at.due = false;
    return rc;
}

/* A tree over the centroids. Rows that have a cell meet the centroids around where it was, and those far from there
 * descend, like those that have none. */
static int prepare_deep(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_step *step)
{
    const bool placed = w->at.placed > 0;
    int rc = MPIVF_OK;
    step->upper = &c->upper;
    if (placed)
        ivf_kmeans_set_anchors(w, &c->upper);
    if (w->at.due)
        rc = relocate(ctx, w, c);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_grow_upper(ctx, w, &c->upper);
    if (rc != MPIVF_OK || !placed)
        return rc;
    step->near = step->known;
    step->lists = &c->lists;
    step->reach = w->at.radius / 100 * REACH;
    ivf_kmeans_pack(w);
    return ivf_kmeans_neighbours_of_anchors(ctx, w, &c->upper, &c->lists);
}

/* Mean squared distance of rows to their centroids, in steps of the grid. */
static int64_t radius_of(const ivf_kmeans_work *w)
{
    const double step = (double)w->rounded->grid.step;
    double sum = 0;
    for (int32_t c = 0; c < w->k; c++)
        sum += w->scatter[c];
    return (int64_t)fmin(sum / ((double)w->places * step * step), MOST_RADIUS);
}

/* Whether a later pass will look after empty cells. */
static bool is_patient(const ivf_kmeans_work *w, const ivf_kmeans_report *report)
{
    const int left = w->params->iterations - (report->iterations - w->at.since);
    return is_deep(w) && (w->at.stage == IVF_KMEANS_PART || (w->at.stage == IVF_KMEANS_ALL && left > LAST_REPAIRED));
}

static int iterate(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, pass_kind kind, ivf_kmeans_report *report)
{
    const int64_t known = ivf_share_prefix(&w->share, w->at.placed);
    const bool near = is_restricted(w) && kind == NEAR;
    ivf_kmeans_step step = {
        .known = known, .near = near ? known : 0, .moving = kind == RELOCATING, .patient = is_patient(w, report)};
    int rc = MPIVF_OK;
    if (is_deep(w) && !near) {
        rc = prepare_deep(ctx, w, c, &step);
    } else if (near || (is_restricted(w) && kind == FULL && w->at.placed > 0)) {
        step.lists = &c->lists;
        step.judge = !near;
        rc = list_neighbours(ctx, w, c);
    } else if (w->rounded != NULL) {
        ivf_kmeans_pack(w);
    }
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_iterate(ctx, w, &step, report);
    w->at.placed = w->places;
    if (rc == MPIVF_OK && is_deep(w)) {
        w->at.radius = radius_of(w);
        w->at.due = kind == RELOCATING;
    } else if (rc == MPIVF_OK && kind == RELOCATING) {
        rc = relocate(ctx, w, c);
    }
    return rc;
}

static void next_stage(ivf_kmeans_work *w, const ivf_kmeans_report *report)
{
    ivf_kmeans_progress *at = &w->at;
    if (at->stage == IVF_KMEANS_PART && at->passes >= part_passes(w)) {
        at->stage = IVF_KMEANS_ALL;
        at->since = report->iterations;
        at->passes = 0;
    }
    if (at->stage == IVF_KMEANS_ALL && report->stopped != NULL) {
        at->stage = IVF_KMEANS_FILL;
        at->passes = 0;
    }
    ivf_kmeans_use(w, at->stage == IVF_KMEANS_PART ? part_of(w) : w->share.total);
}

static int run_pass(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_report *report)
{
    const pass_kind kind = next_kind(w, report);
    int rc = iterate(ctx, w, c, kind, report);
    if (rc != MPIVF_OK)
        return rc;
    if (w->at.stage < IVF_KMEANS_FILL)
        ivf_kmeans_record(w, letter_of(w, kind), report);
    if (w->at.stage == IVF_KMEANS_ALL)
        report->stopped = ivf_kmeans_reason_to_stop(w, report, w->at.since);
    w->at.passes++;
    next_stage(w, report);
    return ivf_kmeans_keep(ctx, w, &c->lists, &c->upper, report);
}

/* Passes until no cell is empty; the last resort is single precision. */
static int run(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, ivf_kmeans_report *report)
{
    int rc = MPIVF_OK;
    next_stage(w, report);
    while (rc == MPIVF_OK && w->at.stage < IVF_KMEANS_FILL)
        rc = run_pass(ctx, w, c, report);
    while (rc == MPIVF_OK && w->at.stage == IVF_KMEANS_FILL && w->empty > 0 && w->at.passes < FILLING_PASSES)
        rc = run_pass(ctx, w, c, report);
    if (rc != MPIVF_OK || w->empty == 0)
        return rc;
    w->at.rounded = false;
    ivf_kmeans_rounded_free(w->rounded);
    w->rounded = NULL;
    w->exact_sums = true;
    return ivf_kmeans_fill_empty(ctx, w, report);
}

/* The last update again, with the rows as they are. */
static void settle(const ivf_ctx *ctx, ivf_kmeans_work *w)
{
    if (w->exact_sums)
        return;
    w->exact_sums = true;
    ivf_kmeans_update(ctx, w);
}

/* Collective. The rows' grid; whether they suit one may be known from before. */
static int round_rows(const ivf_ctx *ctx, ivf_kmeans_work *w, int32_t width, bool recalled)
{
    int rc = MPIVF_OK;
    if (!recalled || w->at.rounded)
        rc = ivf_kmeans_round(ctx, w, width, recalled);
    w->at.rounded = w->rounded != NULL;
    w->exact_sums = w->rounded == NULL;
    return rc;
}

/* Collective. The course as it was when it was kept. */
static int recall_course(const ivf_ctx *ctx, ivf_kmeans_work *w, course *c, const ivf_kmeans_report *report)
{
    if (!ivf_kmeans_wants(w, report).cells)
        return MPIVF_OK;
    for (int32_t i = 0; i < w->k; i++)
        c->lists.wide[i] = w->kept_wide[i] != 0;
    ivf_kmeans_use(w, w->at.placed);
    ivf_kmeans_sort(w);
    ivf_kmeans_tally(ctx, w);
    if (w->at.due)
        memcpy(w->spread, w->kept_spread, (size_t)w->k * sizeof *w->spread);
    int rc = MPIVF_OK;
    if (ivf_kmeans_wants(w, report).upper)
        rc = ivf_kmeans_recall_upper(ctx, w, &w->kept_tree, &c->upper);
    ivf_kmeans_drop_kept(w);
    return rc;
}

int ivf_kmeans_run_fast(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    const int32_t width = (int32_t)width_of(w->params, w->k);
    const bool recalled = w->at.placed > 0;
    course c = {0};
    int rc = ivf_kmeans_lists_new(&c.lists, w->k, width);
    w->picked = ivf_new((size_t)ivf_team_size() * (size_t)width, w->d * sizeof *w->picked);
    rc = ivf_kmeans_agree(ctx, w->picked == NULL ? MPIVF_FAILED : rc);
    if (rc == MPIVF_OK)
        rc = round_rows(ctx, w, width, recalled);
    if (rc == MPIVF_OK && recalled)
        rc = recall_course(ctx, w, &c, report);
    if (rc == MPIVF_OK)
        rc = run(ctx, w, &c, report);
    if (rc == MPIVF_OK)
        settle(ctx, w);
    ivf_kmeans_lists_free(&c.lists);
    ivf_kmeans_upper_free(&c.upper);
    return rc;
}

int64_t ivf_kmeans_fast_memory(const ivf_kmeans_extent *e)
{
    const int64_t k = e->params->k;
    const int64_t width = width_of(e->params, k);
    const int64_t kept = ivf_kmeans_lists_memory(k, width) + e->threads * width * 4 * e->d;
    const int64_t most = ivf_ceil_div(k * RELOCATED, 100);
    const bool deep = e->params->shape == IVF_KMEANS_BY_SIZE ? k >= DEEP : e->params->shape == IVF_KMEANS_HIERARCHICAL;
    int64_t step = ivf_max_i64(ivf_kmeans_relocate_memory(e, most), ivf_kmeans_repair_memory(e));
    step = ivf_max_i64(step, ivf_kmeans_keep_memory(e));
    if (e->params->d > IVF_COARSE_MAX_D)
        return kept + ivf_max_i64(step, ivf_panels_memory(k, e->params->d));
    step = ivf_max_i64(step, ivf_kmeans_round_memory(e));
    if (deep && k >= RESTRICTED)
        step = ivf_max_i64(step, ivf_kmeans_upper_memory(e, width));
    else
        step = ivf_max_i64(step, ivf_kmeans_neighbours_memory(e, width, k));
    return kept + ivf_kmeans_rounded_memory(e, width) + step;
}
