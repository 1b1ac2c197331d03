/* What is kept of k-means between iterations, and how it goes on from there. All of it but the cells of the rows is on
 * every rank; those are gathered a piece at a time, in the order of the rows' places, and only where the next iteration
 * wants to know them. What follows from the rows and from what is kept (norms, rounded rows, lists of neighbours, sizes
 * of cells) is made anew. Rank 0 writes and reads. Memory: two pieces of 4 MiB on rank 0, one elsewhere.
 *
 * A sequence is: head, objective[iterations], steps[iterations], centroids[k][d]; if they are wanted wide[k] and
 * spread[k]; if that is wanted the nodes' first[nodes + 1] and centroids[nodes][d]; last cells[placed]. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cluster/internal.h"

enum {
    PIECE = 1 << 20, /* cells */
    PARTS = 8,
    MOST_SINCE = IVF_KMEANS_STEPS - IVF_KMEANS_ITERATIONS,
};

typedef struct {
    int64_t mode, shape, wanted, d, total; /* must be as they were */
    int64_t k;
    int64_t stage, passes, since, placed, radius, due, rounded;
    int64_t empty, repaired;
    int64_t iterations, repairs, stopped;
    double imbalance;
    int64_t nodes; /* over the centroids; 0: none */
} kept_head;

static bool is_root(const ivf_ctx *ctx)
{
    return ivf_kmeans_rank(ctx) == 0;
}

bool ivf_kmeans_keep_due(const ivf_kmeans_work *w)
{
    const ivf_keeper *keeper = w->params->keeper;
    const size_t cells = w->params->mode == IVF_KMEANS_FAST ? (size_t)w->places : 0;
    return keeper != NULL && keeper->due(keeper->arg, ((size_t)w->k * w->d + cells) * sizeof(float));
}

static int64_t number_of(const char *reason)
{
    for (int64_t i = 1; reason != NULL && i < IVF_KMEANS_REASONS; i++)
        if (strcmp(reason, ivf_kmeans_reasons[i]) == 0)
            return i;
    return 0;
}

static kept_head head_of(const ivf_kmeans_work *w, const ivf_kmeans_report *report)
{
    return (kept_head){
        .mode = w->params->mode,
        .shape = w->params->shape,
        .wanted = w->params->k,
        .d = w->params->d,
        .total = w->share.total,
        .k = w->k,
        .stage = w->at.stage,
        .passes = w->at.passes,
        .since = w->at.since,
        .placed = w->at.placed,
        .radius = w->at.radius,
        .due = w->at.due,
        .rounded = w->at.rounded,
        .empty = w->empty,
        .repaired = w->repaired,
        .iterations = report->iterations,
        .repairs = report->repairs,
        .stopped = number_of(report->stopped),
        .imbalance = report->imbalance,
    };
}

/* Where the parts of a sequence are, all but the head and the cells. Returns how many. */
static int parts_of(const ivf_kmeans_work *w, ivf_kmeans_report *report, void *wide, void *spread, const ivf_tree *tree,
                    ivf_keeper_part parts[PARTS])
{
    const size_t row = w->d * sizeof(float);
    const size_t iterations = (size_t)report->iterations;
    int count = 0;
    parts[count++] = (ivf_keeper_part){report->objective, iterations * sizeof *report->objective};
    parts[count++] = (ivf_keeper_part){report->steps, iterations};
    parts[count++] = (ivf_keeper_part){w->centroids, (size_t)w->k * row};
    if (wide != NULL)
        parts[count++] = (ivf_keeper_part){wide, (size_t)w->k};
    if (spread != NULL)
        parts[count++] = (ivf_keeper_part){spread, (size_t)w->k * sizeof *w->spread};
    if (tree != NULL && tree->levels > 1) {
        const size_t nodes = (size_t)tree->count[1];
        parts[count++] = (ivf_keeper_part){tree->first[1], (nodes + 1) * sizeof *tree->first[1]};
        parts[count++] = (ivf_keeper_part){tree->centroids[1], nodes * row};
    }
    return count;
}

static size_t bytes_of(const ivf_keeper_part *parts, int count, int64_t cells)
{
    size_t bytes = sizeof(kept_head) + (size_t)cells * sizeof(int32_t);
    for (int i = 0; i < count; i++)
        bytes += parts[i].bytes;
    return bytes;
}

/* Rank 0's part, up to the cells; `cells` more of them will follow. */
static int begin(const ivf_kmeans_work *w, const ivf_keeper_part *parts, int count, const kept_head *head,
                 int64_t cells, ivf_kept **kept)
{
    const ivf_keeper *keeper = w->params->keeper;
    int rc = keeper->begin(keeper->arg, w->params->kept_as, bytes_of(parts, count, cells), kept);
    if (rc != MPIVF_OK)
        return rc;
    rc = keeper->add(*kept, head, sizeof *head);
    for (int i = 0; i < count && rc == MPIVF_OK; i++)
        rc = keeper->add(*kept, parts[i].data, parts[i].bytes);
    return rc == MPIVF_OK ? rc : keeper->end(*kept, rc);
}

/* Rank 0: what every holder sent of the places from begin to end - 1 in their order. */
static void merge(const ivf_share *share, int64_t begin, int64_t end, const ivf_gathered *parts, int32_t *cells)
{
    ivf_share from = *share;
    for (int64_t place = begin; place < end; place += IVF_SHARE_BLOCK) {
        from.rank = ivf_share_owner(share, place);
        int64_t row = ivf_share_row(share, place) - ivf_share_prefix(&from, begin);
        memcpy(cells + (place - begin), parts->data + parts->offsets[from.rank] + ivf_to_size(row) * sizeof *cells,
               ivf_to_size(ivf_min_i64(IVF_SHARE_BLOCK, end - place)) * sizeof *cells);
    }
}

/* Collective. One piece; *outcome is rank 0's, of what it has kept so far. */
static int keep_piece(const ivf_ctx *ctx, const ivf_kmeans_work *w, int64_t begin, int64_t end, int32_t *cells,
                      ivf_kept *kept, int *outcome)
{
    const int64_t first = ivf_share_prefix(&w->share, begin);
    const int32_t *from = w->cell + first;
    ivf_gathered parts = {0};
    if (ctx != NULL) {
        int64_t mine = ivf_share_prefix(&w->share, end) - first;
        int rc = ivf_gather_bytes(ctx, from, (size_t)mine * sizeof *cells, &parts);
        if (rc != MPIVF_OK)
            return rc;
        if (cells != NULL)
            merge(&w->share, begin, end, &parts, cells);
        from = cells;
    }
    if (is_root(ctx) && *outcome == MPIVF_OK)
        *outcome = w->params->keeper->add(kept, from, (size_t)(end - begin) * sizeof *cells);
    ivf_gathered_free(&parts);
    return MPIVF_OK;
}

/* Collective. The cells of the first `count` places. */
static int keep_cells(const ivf_ctx *ctx, const ivf_kmeans_work *w, int64_t count, ivf_kept *kept, int *outcome)
{
    int32_t *cells = ctx == NULL || !is_root(ctx) ? NULL : ivf_new(PIECE, sizeof *cells);
    int rc = ivf_kmeans_agree(ctx, ctx != NULL && is_root(ctx) && cells == NULL ? MPIVF_FAILED : MPIVF_OK);
    for (int64_t at = 0; at < count && rc == MPIVF_OK; at += PIECE)
        rc = keep_piece(ctx, w, at, ivf_min_i64(count, at + PIECE), cells, kept, outcome);
    ivf_free(cells);
    return rc;
}

int ivf_kmeans_keep(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_lists *lists, const ivf_kmeans_upper *upper,
                    ivf_kmeans_report *report)
{
    const bool over = report->stopped != NULL && w->empty == 0; /* the outcome follows soon */
    const ivf_kmeans_wanted wanted = ivf_kmeans_wants(w, report);
    const int64_t cells = wanted.cells ? w->at.placed : 0;
    const ivf_tree *tree = wanted.upper ? &upper->tree : NULL;
    ivf_kept *kept = NULL;
    int rc = MPIVF_OK;
    if (w->params->keeper == NULL || w->size[2 * (int64_t)w->k] == 0 || over)
        return MPIVF_OK;
    if (is_root(ctx)) {
        ivf_keeper_part parts[PARTS];
        kept_head head = head_of(w, report);
        head.nodes = tree != NULL ? tree->count[1] : 0;
        int count =
            parts_of(w, report, wanted.cells ? lists->wide : NULL, wanted.spread ? w->spread : NULL, tree, parts);
        rc = begin(w, parts, count, &head, cells, &kept);
    }
    const bool begun = is_root(ctx) && rc == MPIVF_OK;
    int together = cells > 0 ? keep_cells(ctx, w, cells, kept, &rc) : MPIVF_OK;
    if (begun)
        rc = w->params->keeper->end(kept, rc == MPIVF_OK ? together : rc);
    return together != MPIVF_OK ? together : ivf_kmeans_agree(ctx, rc);
}

int ivf_kmeans_keep_outcome(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    const ivf_keeper *keeper = w->params->keeper;
    ivf_keeper_part parts[PARTS];
    ivf_kept *kept = NULL;
    w->at.stage = IVF_KMEANS_DONE;
    if (!is_root(ctx) || !ivf_kmeans_keep_due(w))
        return MPIVF_OK;
    kept_head head = head_of(w, report);
    int rc = begin(w, parts, parts_of(w, report, NULL, NULL, NULL, parts), &head, 0, &kept);
    return rc == MPIVF_OK ? keeper->end(kept, rc) : rc;
}

/* Local. Takes up the head, if it can be of this work. */
static bool adopt(const kept_head *head, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    const ivf_kmeans_params *params = w->params;
    const int64_t whole = head->iterations - head->since;
    bool fits = head->mode == (int64_t)params->mode && head->shape == (int64_t)params->shape &&
                head->wanted == params->k && head->d == params->d && head->total == w->share.total;
    fits = fits && head->k >= 1 && head->k <= params->k && (head->k == params->k || params->spare);
    fits = fits && head->stage >= IVF_KMEANS_PART && head->stage <= IVF_KMEANS_DONE && head->passes >= 0 &&
           head->passes <= IVF_KMEANS_ITERATIONS && head->iterations >= 1 && head->since >= 0 &&
           head->since <= MOST_SINCE && whole >= 0;
    if (head->stage == IVF_KMEANS_PART)
        fits = fits && head->iterations == head->passes && head->iterations <= MOST_SINCE && head->stopped == 0;
    else
        fits = fits && whole <= params->iterations - (head->stopped == 0);
    fits = fits && head->radius >= 0 && (head->due == 0 || head->due == 1);
    fits = fits && head->placed >= (params->mode == IVF_KMEANS_FAST) && head->placed <= w->share.total &&
           head->empty >= 0 && head->empty <= head->k && head->repaired >= 0 && head->repairs >= 0 &&
           head->nodes >= 0 && head->nodes <= head->k && isfinite(head->imbalance);
    fits = fits && head->stopped >= 0 && head->stopped < IVF_KMEANS_REASONS &&
           (head->stopped > 0 || head->stage <= IVF_KMEANS_ALL);
    if (!fits)
        return false;
    w->k = (int32_t)head->k;
    w->at = (ivf_kmeans_progress){.stage = (ivf_kmeans_stage)head->stage,
                                  .passes = (int)head->passes,
                                  .since = (int)head->since,
                                  .placed = head->placed,
                                  .radius = head->radius,
                                  .due = head->due != 0,
                                  .rounded = head->rounded != 0};
    w->empty = head->empty;
    w->repaired = head->repaired;
    report->iterations = (int)head->iterations;
    report->repairs = head->repairs;
    report->stopped = ivf_kmeans_reasons[head->stopped];
    report->imbalance = head->imbalance;
    return (head->nodes > 0) == ivf_kmeans_wants(w, report).upper;
}

/* Local. Room for what the iterations will take up. */
static int make_room(ivf_kmeans_work *w, const ivf_kmeans_report *report, int64_t nodes)
{
    const int32_t counts[] = {w->k, (int32_t)nodes};
    int rc = MPIVF_OK;
    if (ivf_kmeans_wants(w, report).cells) {
        w->kept_wide = ivf_new((size_t)w->k, 1);
        rc = w->kept_wide == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc == MPIVF_OK && ivf_kmeans_wants(w, report).spread) {
        w->kept_spread = ivf_new((size_t)w->k, sizeof *w->kept_spread);
        rc = w->kept_spread == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc == MPIVF_OK && nodes > 0)
        rc = ivf_tree_make(&w->kept_tree, 2, w->params->d, counts);
    return rc;
}

/* Rank 0's part, up to the cells. */
static bool take_parts(ivf_kmeans_work *w, const ivf_kmeans_report *report, const ivf_keeper_part *parts, int count,
                       ivf_kept *kept)
{
    bool whole = true;
    for (int i = 0; i < count && whole; i++)
        whole = w->params->keeper->take(kept, parts[i].data, parts[i].bytes);
    for (int i = 0; i < report->iterations && whole; i++)
        whole =
            isfinite(report->objective[i]) && strchr("FQTRmfqtr", report->steps[i]) != NULL && report->steps[i] != 0;
    whole = whole && ivf_keeper_finite(w->centroids, (size_t)w->k * w->d);
    for (int32_t i = 0; w->kept_spread != NULL && i < w->k && whole; i++)
        whole = isfinite(w->kept_spread[i]) && w->kept_spread[i] >= 0;
    if (whole && w->kept_tree.levels > 1)
        whole = ivf_tree_check(&w->kept_tree, w->params->kept_as) == MPIVF_OK &&
                ivf_keeper_finite(w->kept_tree.centroids[1], (size_t)w->kept_tree.count[1] * w->d);
    return whole;
}

static bool take_piece(const ivf_kmeans_work *w, int32_t *cells, size_t count, ivf_kept *kept)
{
    bool whole = w->params->keeper->take(kept, cells, count * sizeof *cells);
    for (size_t i = 0; i < count && whole; i++)
        whole = cells[i] >= 0 && cells[i] < w->k;
    return whole;
}

/* Collective. The cells of this rank's rows among the first `count` places; *whole is rank 0's. */
static int take_cells(const ivf_ctx *ctx, const ivf_kmeans_work *w, int64_t count, ivf_kept *kept, bool *whole)
{
    int32_t *cells = ivf_new_zero(PIECE, sizeof *cells);
    int rc = ivf_kmeans_agree(ctx, cells == NULL ? MPIVF_FAILED : MPIVF_OK);
    for (int64_t begin = 0; begin < count && rc == MPIVF_OK && cells != NULL; begin += PIECE) {
        const int64_t end = ivf_min_i64(count, begin + PIECE);
        if (is_root(ctx) && *whole)
            *whole = take_piece(w, cells, (size_t)(end - begin), kept);
        ivf_kmeans_bcast(ctx, cells, (size_t)(end - begin) * sizeof *cells);
        for (int64_t row = ivf_share_prefix(&w->share, begin); row < ivf_share_prefix(&w->share, end); row++)
            w->cell[row] = cells[ivf_share_place(&w->share, row) - begin];
    }
    ivf_free(cells);
    return rc;
}

/* Collective. What rank 0 says. */
static bool all_hear(const ivf_ctx *ctx, bool said)
{
    int64_t heard = said;
    ivf_kmeans_bcast(ctx, &heard, sizeof heard);
    return heard != 0;
}

/* Collective. What follows the head; *whole: it was all there, and can be of this work. */
static int recall_rest(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report, int64_t nodes, size_t bytes,
                       ivf_kept *kept, bool *whole)
{
    const int64_t cells = ivf_kmeans_wants(w, report).cells ? w->at.placed : 0;
    ivf_keeper_part parts[PARTS];
    int rc = ivf_kmeans_agree(ctx, make_room(w, report, nodes));
    if (rc != MPIVF_OK)
        return rc;
    int count = parts_of(w, report, w->kept_wide, w->kept_spread, &w->kept_tree, parts);
    if (is_root(ctx))
        *whole = bytes == bytes_of(parts, count, cells) && take_parts(w, report, parts, count, kept);
    *whole = all_hear(ctx, *whole);
    for (int i = 0; i < count && *whole; i++)
        ivf_kmeans_bcast(ctx, parts[i].data, parts[i].bytes);
    if (*whole && cells > 0)
        rc = take_cells(ctx, w, cells, kept, whole);
    if (rc == MPIVF_OK && cells > 0)
        *whole = all_hear(ctx, *whole);
    return rc;
}

void ivf_kmeans_drop_kept(ivf_kmeans_work *w)
{
    ivf_free(w->kept_wide);
    w->kept_wide = NULL;
    ivf_free(w->kept_spread);
    w->kept_spread = NULL;
    ivf_tree_free(&w->kept_tree);
    w->kept_tree = (ivf_tree){0};
}

/* As if nothing had been kept. */
static void forget(ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    memset(report, 0, sizeof *report);
    w->at = (ivf_kmeans_progress){0};
    w->empty = 0;
    w->repaired = 0;
    ivf_kmeans_drop_kept(w);
}

int ivf_kmeans_recall(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report, bool *recalled)
{
    const ivf_keeper *keeper = w->params->keeper;
    ivf_kept *kept = NULL;
    kept_head head = {0};
    size_t bytes = 0;
    *recalled = false;
    if (keeper == NULL)
        return MPIVF_OK;
    if (is_root(ctx))
        kept = keeper->open(keeper->arg, w->params->kept_as, &bytes);
    const bool found = all_hear(ctx, kept != NULL);
    bool whole = found;
    if (kept != NULL)
        whole = keeper->take(kept, &head, sizeof head) && adopt(&head, w, report);
    whole = found && all_hear(ctx, whole);
    if (whole)
        ivf_kmeans_bcast(ctx, &head, sizeof head);
    if (whole && !is_root(ctx))
        (void)adopt(&head, w, report);
    int rc = whole ? recall_rest(ctx, w, report, head.nodes, bytes, kept, &whole) : MPIVF_OK;
    if (kept != NULL)
        keeper->close(kept);
    if (!whole)
        forget(w, report);
    if (found && !whole && is_root(ctx))
        ivf_keeper_refuse(w->params->kept_as);
    *recalled = whole;
    return rc;
}

int64_t ivf_kmeans_keep_memory(const ivf_kmeans_extent *e)
{
    const int64_t cells = ivf_min_i64(e->total, PIECE) * (int64_t)sizeof(int32_t);
    return (e->ranks > 1 ? 2 : 1) * cells;
}
