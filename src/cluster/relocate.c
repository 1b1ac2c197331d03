/* Centroids that serve little are moved to where the error is. Lloyd's iterations only ever move a centroid to its
 * rows: two that started in one cluster share it for good, while rows elsewhere have none near. What a centroid is
 * worth is what joining its cell with a neighbour's would add to the objective (Ward, "Hierarchical grouping to
 * optimize an objective function", 1963); those worth least are moved into the cells with the largest spread, half way
 * between a row and the centroid. The next pass over all centroids gives them rows. The idea of removing and adding in
 * turn is that of Fritzke, "The breathing k-means algorithm", 2020. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"

typedef struct {
    double worth;
    int32_t cell;
    int32_t partner; /* whose cell would take its rows */
} weighed;

/* A row of a cell that gets a centroid. */
typedef struct {
    int64_t cell;
    int64_t place;
} founder;

static int by_worth(const void *left, const void *right)
{
    const weighed *a = left;
    const weighed *b = right;
    if (a->worth != b->worth)
        return a->worth < b->worth ? -1 : 1;
    return (a->cell > b->cell) - (a->cell < b->cell);
}

static int by_place(const void *left, const void *right)
{
    const founder *a = left;
    const founder *b = right;
    if (a->cell != b->cell)
        return a->cell < b->cell ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

/* How many centroids each cell gets: in proportion to its spread above the mean, but no more than leave its rows in
 * cells of the mean size, because a cell of few rows is spread by rows that no centroid could serve together. */
static int64_t allot(const ivf_kmeans_work *w, int64_t count, int32_t *seats)
{
    double mean = 0;
    double excess = 0;
    double due = 0;
    int64_t given = 0;
    for (int32_t c = 0; c < w->k; c++)
        mean += w->spread[c] / w->k;
    for (int32_t c = 0; c < w->k; c++)
        excess += fmax(0, w->spread[c] - mean);
    for (int32_t c = 0; c < w->k; c++) {
        double part = excess > 0 ? fmax(0, w->spread[c] - mean) / excess : 0;
        double most = (double)w->size[c] * w->k / (double)w->at.placed;
        due += part * (double)count;
        double whole = floor(due);
        seats[c] = (int32_t)fmin(fmin(whole, floor(most)), (double)(count - given));
        due -= whole;
        given += seats[c];
    }
    return given;
}

/* This rank's first rows of each cell, as many as the cell has seats. */
static int64_t propose(const ivf_kmeans_work *w, const int32_t *seats, founder *mine)
{
    int64_t count = 0;
    for (int32_t c = 0; c < w->k; c++)
        for (int64_t i = w->start[c]; i < w->start[c + 1] && i < w->start[c] + seats[c]; i++)
            mine[count++] = (founder){.cell = c, .place = ivf_share_place(&w->share, w->order[i])};
    return count;
}

/* Of all ranks' proposals the first of each cell, as many as it has seats. */
static void choose(founder *all, int64_t count, const int32_t *seats, founder *chosen)
{
    int64_t taken = 0;
    int64_t of_cell = 0;
    qsort(all, (size_t)count, sizeof *all, by_place);
    for (int64_t i = 0; i < count; i++) {
        of_cell = i > 0 && all[i].cell == all[i - 1].cell ? of_cell + 1 : 0;
        if (of_cell < seats[all[i].cell])
            chosen[taken++] = all[i];
    }
}

typedef struct {
    weighed *worst;  /* [k] */
    int32_t *seats;  /* [k] */
    founder *mine;   /* [count] */
    founder *chosen; /* [count] */
    int64_t *places; /* [count] */
    float *rows;     /* [count][d] */
} plan;

static int make(const ivf_kmeans_work *w, plan *p, int64_t count)
{
    p->worst = ivf_new((size_t)w->k, sizeof *p->worst);
    p->seats = ivf_new((size_t)w->k, sizeof *p->seats);
    p->mine = ivf_new((size_t)count, sizeof *p->mine);
    p->chosen = ivf_new((size_t)count, sizeof *p->chosen);
    p->places = ivf_new((size_t)count, sizeof *p->places);
    p->rows = ivf_new((size_t)count, w->d * sizeof *p->rows);
    return p->worst == NULL || p->seats == NULL || p->mine == NULL || p->chosen == NULL || p->places == NULL ||
                   p->rows == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

static void drop(plan *p)
{
    ivf_free(p->worst);
    ivf_free(p->seats);
    ivf_free(p->mine);
    ivf_free(p->chosen);
    ivf_free(p->places);
    ivf_free(p->rows);
}

static int choose_founders(const ivf_ctx *ctx, const ivf_kmeans_work *w, plan *p, int64_t count)
{
    int64_t mine = propose(w, p->seats, p->mine);
    if (ctx == NULL) {
        choose(p->mine, mine, p->seats, p->chosen);
    } else {
        ivf_gathered all = {0};
        int rc = ivf_gather_bytes(ctx, p->mine, (size_t)mine * sizeof *p->mine, &all);
        if (rc != MPIVF_OK)
            return rc;
        if (ivf_ctx_is_root(ctx))
            choose((founder *)(void *)all.data, all.offsets[ivf_ctx_size(ctx)] / ivf_to_i64(sizeof *p->mine), p->seats,
                   p->chosen);
        ivf_gathered_free(&all);
    }
    ivf_kmeans_bcast(ctx, p->chosen, (size_t)count * sizeof *p->chosen);
    for (int64_t i = 0; i < count; i++)
        p->places[i] = p->chosen[i].place;
    for (int64_t from = 0; from < count; from += ivf_kmeans_fetch_most(w)) {
        int64_t size = ivf_min_i64(count - from, ivf_kmeans_fetch_most(w));
        int rc = ivf_kmeans_fetch(ctx, w, p->places + from, size, p->rows + (size_t)from * w->d);
        if (rc != MPIVF_OK)
            return rc;
    }
    ivf_kmeans_bcast(ctx, p->rows, (size_t)count * w->d * sizeof *p->rows);
    return MPIVF_OK;
}

static void move(ivf_kmeans_work *w, const plan *p, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float *from = w->centroids + (size_t)p->chosen[i].cell * w->d;
        float *row = p->rows + (size_t)i * w->d;
        float *to = w->centroids + (size_t)p->worst[i].cell * w->d;
        if (!ivf_kmeans_point(w, row, w->direction))
            continue;
        for (size_t j = 0; j < w->d; j++)
            row[j] = 0.5F * (w->direction[j] + from[j]);
        (void)ivf_kmeans_point(w, row, to);
    }
}

typedef struct {
    const ivf_kmeans_work *work;
    const ivf_kmeans_lists *lists;
    weighed *cells; /* [k] */
} weigh_job;

static int weigh_cell(void *arg, int64_t cell, int worker)
{
    (void)worker;
    const weigh_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    const int32_t *numbers = job->lists->numbers + cell * job->lists->width;
    const double size = (double)w->size[cell];
    weighed best = {.worth = INFINITY, .cell = (int32_t)cell, .partner = (int32_t)cell};
    for (int32_t i = 0; i < job->lists->width; i++) {
        const int32_t other = numbers[i];
        if (other == cell)
            continue;
        double both = size + (double)w->size[other];
        double distance =
            (double)ivf_l2_sqr(w->centroids + (size_t)cell * w->d, w->centroids + (size_t)other * w->d, w->params->d);
        double worth = both > 0 ? size * (double)w->size[other] / both * distance : 0;
        if (worth < best.worth) {
            best.worth = worth;
            best.partner = other;
        }
    }
    job->cells[cell] = best;
    return MPIVF_OK;
}

/* The first `count` of cells[k] are then those that can go: the least worth, but never both of a pair. Returns how many
 * there are. */
static int64_t choose_worst(const ivf_kmeans_work *w, const ivf_kmeans_lists *lists, weighed *cells, int64_t count,
                            int32_t *gone)
{
    weigh_job job = {w, lists, cells};
    int64_t chosen = 0;
    (void)ivf_team_run(w->k, weigh_cell, &job);
    qsort(cells, (size_t)w->k, sizeof *cells, by_worth);
    memset(gone, 0, (size_t)w->k * sizeof *gone);
    for (int32_t i = 0; i < w->k && chosen < count; i++) {
        if (gone[cells[i].partner] != 0 || cells[i].worth == INFINITY)
            continue;
        gone[cells[i].cell] = 1;
        cells[chosen++] = cells[i];
    }
    return chosen;
}

int ivf_kmeans_relocate(const ivf_ctx *ctx, ivf_kmeans_work *w, const ivf_kmeans_lists *lists, int64_t most)
{
    plan p = {0};
    int rc = ivf_kmeans_agree(ctx, make(w, &p, most));
    if (rc == MPIVF_OK) {
        int64_t count = allot(w, choose_worst(w, lists, p.worst, most, p.seats), p.seats);
        rc = choose_founders(ctx, w, &p, count);
        if (rc == MPIVF_OK)
            move(w, &p, count);
    }
    drop(&p);
    return rc;
}

int64_t ivf_kmeans_relocate_memory(const ivf_kmeans_extent *e, int64_t most)
{
    const int64_t founders = most * (int64_t)sizeof(founder);
    const int64_t gathered =
        e->ranks > 1 ? ivf_min_i64(e->ranks * most, e->total) * (int64_t)sizeof(founder) : 0; /* each row once */
    return e->params->k * (int64_t)(sizeof(weighed) + sizeof(int32_t)) + 2 * founders + most * (8 + 4 * e->d) +
           ivf_max_i64(gathered, ivf_kmeans_fetch_memory(e, most));
}
