/* What the parts of k-means share: its work space and its steps, in the order in which they run. Functions that take a
 * context are collective over it; NULL stands for this rank alone. */
#ifndef IVF_CLUSTER_INTERNAL_H
#define IVF_CLUSTER_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/kmeans.h"
#include "cluster/nearest.h"
#include "cluster/tree.h"
#include "comm/transfer.h"
#include "math/coarse.h"
#include "math/grid.h"

/* How far the rows of a cell are from its centroid, over all ranks. */
typedef struct {
    double objective; /* sum of squared distances, each taken exactly as a distance, not from a score */
    int32_t cell;     /* -1: no row of it can found another cell */
    int64_t farthest; /* place */
} ivf_kmeans_spread;

/* Rows on an 8-bit grid. */
typedef struct {
    ivf_grid grid;
    int threads;
    size_t stride;     /* bytes from row to row */
    int8_t *q;         /* [rows][stride] */
    int32_t *parts;    /* [threads][d]: sums of rounded rows */
    bool some_outside; /* of this rank's rows */
    uint8_t *outside;  /* [rows]: 1 for rows that the grid does not hold, which are compared in f32 */
    ivf_coarse *all;   /* the centroids */
    ivf_coarse **near; /* [threads]: candidates of a group of rows */
} ivf_kmeans_rounded;

/* Candidates of groups of rows. */
typedef struct {
    int32_t groups;
    int32_t width;    /* candidates of a group */
    int32_t *numbers; /* [groups][width], ascending */
    bool *wide;       /* [groups]: its rows must meet all centroids, because too many would miss their nearest */
    atomic_int_fast64_t *missed; /* [groups]: rows that a full pass took to a centroid that is not listed */
} ivf_kmeans_lists;

/* A tree over many centroids. */
typedef struct {
    ivf_tree tree;        /* 2 levels; level 0 has the centroids in their order, as they were when it grew */
    ivf_nearest *nearest; /* down it */
    int8_t *anchors;      /* [k][stride]: rounded centroids, in the order of the cells that rows are in */
} ivf_kmeans_upper;

/* How an iteration assigns rows. */
typedef struct {
    const ivf_kmeans_upper *upper; /* NULL: none; else rows that would meet all centroids descend it */
    int64_t reach;                 /* with a tree: those that are farther from their anchor descend as well (squared) */
    ivf_kmeans_lists *lists;       /* NULL: none */
    int64_t near;  /* this rank's first rows, which order and start hold by cell, meet the candidates of their
                      cell; the others meet all centroids */
    int64_t known; /* this rank's first rows that had a cell before: those that leave it for one that is not on
                      its list are counted */
    bool judge;    /* which lists are too short is wanted */
    bool moving;   /* centroids that serve little will be moved after it: empty cells wait for that */
    bool patient;  /* further passes may fill cells: a few empty ones wait for that */
} ivf_kmeans_step;

typedef enum {
    IVF_KMEANS_PART, /* iterations over a part of the rows */
    IVF_KMEANS_ALL,  /* over all */
    IVF_KMEANS_FILL, /* passes of the same kind while cells are empty */
    IVF_KMEANS_LAST, /* and then in single precision */
    IVF_KMEANS_DONE
} ivf_kmeans_stage;

/* Where the iterations stand: with the parameters and the report it decides what comes next. */
typedef struct {
    ivf_kmeans_stage stage;
    int passes;     /* of the stage that are done */
    int since;      /* iterations before those over all rows */
    int64_t placed; /* rows, over all ranks, that are in cells: the first */
    int64_t radius; /* with many centroids: mean squared distance of these to their centroids, in steps of the grid */
    bool due;       /* with many centroids: those that serve little are to be moved before the next pass */
    bool rounded;   /* rows are compared in 8 bits until the last stage */
} ivf_kmeans_progress;

typedef struct {
    const ivf_kmeans_params *params;
    ivf_share share;
    const float *x;   /* [rows][d], borrowed: this rank's rows */
    float *centroids; /* [k][d], borrowed */
    int64_t rows;     /* this rank's */
    int64_t n;        /* of them in use: the first */
    int64_t places;   /* in use over all ranks: the first */
    size_t d;
    int32_t k; /* cells in use: params->k, or the distinct rows when there are fewer and `spare` allows it */
    bool spherical;

    float *norm;      /* [rows]: squared norms of the rows */
    int32_t *cell;    /* [rows]: the row's cell */
    int32_t *order;   /* [rows]: rows by cell, ascending inside one */
    int64_t *start;   /* [k + 2]: cell c has order[start[c]] to order[start[c + 1] - 1] */
    float *direction; /* [threads][d] */
    int64_t *sums;    /* [slice][d] of the cells whose means are taken at once */
    int32_t slice;    /* cells, at least 1 */
    float *picked;    /* [threads][width of lists][d]: candidates of a group in f32 */

    ivf_kmeans_rounded *rounded; /* NULL: rows are compared in single precision */
    bool exact_sums;             /* means are of the rows as they are, not of rounded ones */

    /* Over all ranks, the same on each. */
    bool *founded;              /* [k]: the cell was empty and has been given a row */
    double *share_of_objective; /* [k] */
    double *spread;             /* [k]: squared distances of a cell's rows to its centroid before the last update */
    double *scatter;            /* [k]: to its centroid now */
    int64_t *largest;           /* [k]: bits of the largest squared norm in each cell */
    int64_t
        *size; /* [2 k + 1]: rows of each cell; their squared norms, in fixed point; whether to keep the iteration */
    double norm_unit; /* of those */
    double objective; /* sum of squared distances to the centroids before the last update, or of minus the scores */
    bool moved;       /* the last update changed a centroid */
    int64_t empty;    /* cells that the last assignment left without rows */
    int64_t repaired; /* and how many of them were given one */
    ivf_kmeans_progress at;

    /* Of what was kept, until the iterations take it; NULL: none. */
    uint8_t *kept_wide;  /* [k] */
    double *kept_spread; /* [k] */
    ivf_tree kept_tree;  /* its second level */
} ivf_kmeans_work;

/* What the next iteration must know of the last. */
typedef struct {
    bool cells;  /* of the rows, and which lists are too short */
    bool upper;  /* nodes over the centroids */
    bool spread; /* of the cells */
} ivf_kmeans_wanted;

/* Why there are no further iterations. */
enum { IVF_KMEANS_REASONS = 4 };
extern const char *const ivf_kmeans_reasons[IVF_KMEANS_REASONS]; /* the first: NULL, there are */

/* What the memory of k-means follows from. */
typedef struct {
    const ivf_kmeans_params *params;
    int64_t total; /* rows over all ranks */
    int64_t rows;  /* of the first rank, which holds most and collects */
    int64_t d;
    int ranks;
    int threads;
} ivf_kmeans_extent;

/* Local. Bytes that the parts take at most, beside what the parts before them keep: seeding; the iterations of fast
 * mode; rounded rows, and meanwhile their making; a fetch of so many rows; lists of
 * neighbours, and meanwhile their making; moving centroids; repair; keeping what is done; a pass through a tree, its
 * making included. */
int64_t ivf_kmeans_seed_memory(const ivf_kmeans_extent *e);
int64_t ivf_kmeans_fast_memory(const ivf_kmeans_extent *e);
int64_t ivf_kmeans_rounded_memory(const ivf_kmeans_extent *e, int64_t width);
int64_t ivf_kmeans_round_memory(const ivf_kmeans_extent *e);
int64_t ivf_kmeans_fetch_memory(const ivf_kmeans_extent *e, int64_t count);
int64_t ivf_kmeans_lists_memory(int64_t groups, int64_t width);
int64_t ivf_kmeans_neighbours_memory(const ivf_kmeans_extent *e, int64_t width, int64_t candidates);
int64_t ivf_kmeans_relocate_memory(const ivf_kmeans_extent *e, int64_t most);
int64_t ivf_kmeans_repair_memory(const ivf_kmeans_extent *e);
int64_t ivf_kmeans_keep_memory(const ivf_kmeans_extent *e);
int64_t ivf_kmeans_upper_memory(const ivf_kmeans_extent *e, int64_t width);
int64_t ivf_kmeans_down_memory(const ivf_kmeans_extent *e, const ivf_tree *shape, const ivf_nearest_way *way);

/* Collective, as the work's context allows. */
static inline void ivf_kmeans_allsum(const ivf_ctx *ctx, int64_t *values, int64_t n)
{
    if (ctx != NULL)
        ivf_allsum_i64(ctx, values, n);
}

static inline void ivf_kmeans_allmax(const ivf_ctx *ctx, int64_t *values, int64_t n)
{
    if (ctx != NULL)
        ivf_allmax_i64(ctx, values, n);
}

static inline void ivf_kmeans_bcast(const ivf_ctx *ctx, void *data, size_t bytes)
{
    if (ctx != NULL)
        ivf_bcast(ctx, data, bytes);
}

static inline int ivf_kmeans_agree(const ivf_ctx *ctx, int code)
{
    return ctx != NULL ? ivf_agree(ctx, code) : code;
}

/* Local. This rank and how many there are. */
static inline int ivf_kmeans_rank(const ivf_ctx *ctx)
{
    return ctx != NULL ? ivf_ctx_rank(ctx) : 0;
}

static inline int ivf_kmeans_ranks(const ivf_ctx *ctx)
{
    return ctx != NULL ? ivf_ctx_size(ctx) : 1;
}

/* Local. This rank's rows of a cell. */
static inline int64_t ivf_kmeans_rows_in(const ivf_kmeans_work *w, int32_t cell)
{
    return w->start[cell + 1] - w->start[cell];
}

/* Local. The exponent e for which any `count` numbers below `largest`, times 2^e, add up to less than 2^bits. */
int ivf_kmeans_exponent(double largest, int64_t count, int bits);

/* Local. Floats that are not negative compare as their bits do. */
int64_t ivf_kmeans_bits(float value);
float ivf_kmeans_value(int64_t bits);

/* Collective. The rows at places[count] to rank 0's rows[count][d]; at most ivf_kmeans_fetch_most at once, so that no
 * more than 32 MiB (or one row) wait at either end. */
int ivf_kmeans_fetch(const ivf_ctx *ctx, const ivf_kmeans_work *w, const int64_t *places, int64_t count, float *rows);
int64_t ivf_kmeans_fetch_most(const ivf_kmeans_work *w);

/* Local. The point that x[d] stands for as a centroid: itself, or its direction when spherical. Negative zeros become
 * positive, so that equal points have equal bits. False when it has no direction. */
bool ivf_kmeans_point(const ivf_kmeans_work *w, const float *x, float *point);

/* Collective. Fills centroids with distinct points drawn with the seed, at most params->k; sets w->k to how many there
 * are. */
int ivf_kmeans_seed(const ivf_ctx *ctx, ivf_kmeans_work *w);

/* Local. Uses the first `places` of all rows from now on. */
void ivf_kmeans_use(ivf_kmeans_work *w, int64_t places);

/* Local, uses the team. norm. */
void ivf_kmeans_norms(ivf_kmeans_work *w);

/* Local, uses the team. cell of the rows from step->near on, from all centroids: in single precision, or rounded. */
int ivf_kmeans_assign_full(const ivf_kmeans_work *w, const ivf_kmeans_step *step);

/* Local. The nearest of c[count][d] to a row, in single precision (ties: the lowest). */
int32_t ivf_kmeans_nearest(const ivf_kmeans_work *w, int64_t row, const float *c, int32_t count);

/* Local, uses the team. cell of the rows that are sorted into groups by order and start, from the candidates of their
 * group; ~cell of those that are to descend as well. */
int ivf_kmeans_assign_near(const ivf_kmeans_work *w, const ivf_kmeans_step *step);

/* Local. order and start from cell, for cells (or groups) 0 to k - 1. */
void ivf_kmeans_sort(ivf_kmeans_work *w);

/* Collective, uses the team. largest, size and norm_unit; and rank 0's wish to keep the iteration. */
void ivf_kmeans_tally(const ivf_ctx *ctx, ivf_kmeans_work *w);

/* Local. Cells without rows. */
int64_t ivf_kmeans_empty(const ivf_kmeans_work *w);

/* Collective, uses the team. Gives empty cells a row each, as far as there are rows to give, and sorts and counts
 * again; *repaired: how many. */
int ivf_kmeans_repair(const ivf_ctx *ctx, ivf_kmeans_work *w, int64_t *repaired);

/* Collective, uses the team. The centroids from the rows of each cell; cells without rows keep theirs. objective,
 * moved. */
void ivf_kmeans_update(const ivf_ctx *ctx, ivf_kmeans_work *w);

/* Collective, uses the team. Moves up to `most` centroids that serve little to where the error is; spread and size are
 * of the last iteration, lists of the centroids since. */
int ivf_kmeans_relocate(const ivf_ctx *ctx, ivf_kmeans_work *w, const ivf_kmeans_lists *lists, int64_t most);

/* Collective, uses the team. Assigns, repairs and updates: empty, repaired and what these set. */
int ivf_kmeans_iterate(const ivf_ctx *ctx, ivf_kmeans_work *w, const ivf_kmeans_step *step, ivf_kmeans_report *report);

/* Local. Reports an iteration; its objective as if it were of all rows. */
void ivf_kmeans_record(const ivf_kmeans_work *w, char letter, ivf_kmeans_report *report);

/* Local. The failure to find rows for all cells. */
int ivf_kmeans_refuse_close(const ivf_kmeans_work *w);

/* Local. Why no iteration should follow, or NULL; those before `since` do not count. */
const char *ivf_kmeans_reason_to_stop(const ivf_kmeans_work *w, const ivf_kmeans_report *report, int since);

/* Collective, uses the team. The last stage: passes in single precision until none meets an empty cell, or nothing can
 * be done about it. */
int ivf_kmeans_fill_empty(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report);

/* Local. Of that mode. */
ivf_kmeans_wanted ivf_kmeans_wants(const ivf_kmeans_work *w, const ivf_kmeans_report *report);

/* Collective. Keeps the iteration that was made, if rank 0 wished to; lists and upper may be NULL in exact mode. */
int ivf_kmeans_keep(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_lists *lists, const ivf_kmeans_upper *upper,
                    ivf_kmeans_report *report);

/* Local. Rank 0 keeps the outcome. */
int ivf_kmeans_keep_outcome(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report);

/* Local. Whether keeping the iteration is worth it now. */
bool ivf_kmeans_keep_due(const ivf_kmeans_work *w);

/* Collective. Takes up what was kept: k, centroids, report, at, empty, repaired, and what ivf_kmeans_wants says. False:
 * nothing was, or nothing that fits. */
int ivf_kmeans_recall(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report, bool *recalled);

/* Local. Gives back kept_wide, kept_spread and kept_tree, as soon as they have been taken up. */
void ivf_kmeans_drop_kept(ivf_kmeans_work *w);

/* Collective, uses the team. From the seeds, or from what was recalled, to the end. */
int ivf_kmeans_run_exact(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report);
int ivf_kmeans_run_fast(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report);

/* Collective, uses the team. Puts the rows on a grid and makes room for centroids and for lists of `width` candidates.
 * w->rounded is NULL afterwards when the rows do not suit a grid, which is tried with the centroids of the start,
 * unless they are known to suit one. */
int ivf_kmeans_round(const ivf_ctx *ctx, ivf_kmeans_work *w, int64_t width, bool known);
void ivf_kmeans_pack(ivf_kmeans_work *w); /* Local, uses the team. The centroids, for the passes to come. */
void ivf_kmeans_rounded_free(ivf_kmeans_rounded *rounded);

/* Local. The first of `count` things that are rank's when they are spread evenly. */
static inline int64_t ivf_kmeans_first_of(int64_t count, int rank, int ranks)
{
    return count * rank / ranks;
}

/* Collective. The `count` things of `bytes` bytes each that ivf_kmeans_first_of gives to the ranks reach all of them.
 */
int ivf_kmeans_share(const ivf_ctx *ctx, void *data, int64_t count, size_t bytes);

/* Local. `width` is at most the centroids that are chosen from. */
int ivf_kmeans_lists_new(ivf_kmeans_lists *lists, int32_t groups, int32_t width);
void ivf_kmeans_lists_free(ivf_kmeans_lists *lists);

/* Collective, uses the team. Each centroid's nearest, itself among them; with an upper tree nearly so. */
int ivf_kmeans_neighbours(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_upper *upper,
                          ivf_kmeans_lists *lists);

/* Collective, uses the team. Nearly those nearest to each anchor, by a tree that has grown since: candidates for the
 * rows of its cell. */
int ivf_kmeans_neighbours_of_anchors(const ivf_ctx *ctx, const ivf_kmeans_work *w, const ivf_kmeans_upper *upper,
                                     ivf_kmeans_lists *lists);

/* Local. Makes anchors of the centroids as they are. */
void ivf_kmeans_set_anchors(const ivf_kmeans_work *w, ivf_kmeans_upper *upper);

/* Collective, uses the team. Grows a tree over the centroids, in place of another if there is one, and renumbers them
 * by it; rows must be assigned anew. Anchors stay as they are. */
int ivf_kmeans_grow_upper(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_upper *upper);

/* Collective. The same from a tree that was kept (its second level), which it takes over. */
int ivf_kmeans_recall_upper(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_tree *tree, ivf_kmeans_upper *upper);
void ivf_kmeans_upper_free(ivf_kmeans_upper *upper);

/* Local, uses the team. cell of the rows from step->near on, by descent; and of those before it whose cell is ~c the
 * better one of c and what a descent finds. */
int ivf_kmeans_assign_down(const ivf_kmeans_work *w, const ivf_kmeans_step *step);

/* Collective. Decides which lists are too short, from what a full pass has counted; size is still of the assignment
 * before it. */
int ivf_kmeans_judge(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_lists *lists);

#endif
