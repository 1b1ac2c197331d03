/* How well a way agrees with the exact one, and the choice of one that does so well enough. Each rank compares its rows
 * of a share; sums over a block of rows go to all ranks, which add them in the order of the blocks, so that all make
 * the same choice, whatever their number. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/nearest_work.h"
#include "comm/transfer.h"
#include "math/distance.h"

enum {
    BLOCK = IVF_NEAREST_ROWS,
    MOST_PROBES = 2048,   /* each takes 8 KiB of a thread */
    PROBE_VALUES = 11000, /* products that a row's visit to a node costs beside those with the node's lists */
    CHOOSING = 4,         /* products with a node that comparing with it and choosing among all cost */
};

/* Sums over a block of rows; of losses the bits, which are all 0 where another rank has the block. */
typedef struct {
    int64_t same;
    int64_t exact;
    int64_t found;
} block_sums;

_Static_assert(sizeof(double) == sizeof(int64_t), "bits of sums travel as integers");
_Static_assert((int)BLOCK == (int)IVF_SHARE_BLOCK, "a block has one rank");

static int64_t bits_of(double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double value_of(int64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

typedef struct {
    const ivf_nearest *nearest;
    const ivf_panels *lists;
    const float *x; /* this rank's rows */
    const ivf_share *share;
    int64_t n; /* of them */
    size_t scratch_bytes;
    uint8_t *scratch;   /* [threads] */
    int32_t *list;      /* [threads][2][BLOCK] */
    float *score;       /* [threads][BLOCK] */
    block_sums *blocks; /* [blocks of the share] */
} comparison;

/* What is to be small. */
static double loss_of(const ivf_nearest *nearest, const float *x, int32_t list)
{
    const ivf_tree *tree = nearest->tree;
    const float *c = tree->centroids[0] + (int64_t)list * tree->d;
    return nearest->metric == IVF_L2 ? (double)ivf_l2_sqr(x, c, tree->d) : -(double)ivf_dot(x, c, tree->d);
}

static int compare_block(void *arg, int64_t task, int worker)
{
    comparison *cmp = arg;
    const ivf_nearest *nearest = cmp->nearest;
    int64_t first = task * BLOCK;
    int64_t n = ivf_min_i64(BLOCK, cmp->n - first);
    int d = nearest->tree->d;
    const float *x = cmp->x + first * d;
    float *score = cmp->score + (ptrdiff_t)worker * BLOCK;
    int32_t *exact = cmp->list + (ptrdiff_t)worker * 2 * BLOCK;
    int32_t *found = exact + BLOCK;
    ivf_panels_best(cmp->lists, x, n, exact, score);
    ivf_nearest_best(nearest, x, n, found, score, cmp->scratch + (size_t)worker * cmp->scratch_bytes);
    int64_t same = 0;
    double sums[2] = {0};
    for (int64_t row = 0; row < n; row++) {
        double loss = loss_of(nearest, x + row * d, exact[row]);
        same += exact[row] == found[row];
        sums[0] += loss;
        sums[1] += exact[row] == found[row] ? loss : loss_of(nearest, x + row * d, found[row]);
    }
    cmp->blocks[ivf_share_place(cmp->share, first) / BLOCK] =
        (block_sums){.same = same, .exact = bits_of(sums[0]), .found = bits_of(sums[1])};
    return MPIVF_OK;
}

static ivf_nearest_agreement sum_up(const block_sums *blocks, int64_t rows)
{
    ivf_nearest_agreement agreement = {.rows = rows};
    double exact = 0;
    double found = 0;
    for (int64_t block = 0; block < ivf_ceil_div(rows, BLOCK); block++) {
        agreement.same += blocks[block].same;
        exact += value_of(blocks[block].exact);
        found += value_of(blocks[block].found);
    }
    agreement.excess = found == exact ? 0 : (found - exact) / fmax(fabs(exact), 1e-300);
    return agreement;
}

/* Local. This rank's blocks. */
static int compare_mine(const ivf_nearest *nearest, const float *x, const ivf_share *share, block_sums *blocks)
{
    const ivf_tree *tree = nearest->tree;
    size_t threads = (size_t)ivf_team_size();
    comparison cmp = {.nearest = nearest, .x = x, .share = share, .n = ivf_share_count(share), .blocks = blocks};
    cmp.scratch_bytes = ivf_nearest_scratch(nearest);
    ivf_panels *lists = ivf_panels_new(tree->centroids[0], tree->count[0], tree->d, nearest->metric);
    cmp.lists = lists;
    cmp.scratch = ivf_new(threads, cmp.scratch_bytes);
    cmp.list = ivf_new(threads * 2 * BLOCK, sizeof *cmp.list);
    cmp.score = ivf_new(threads * BLOCK, sizeof *cmp.score);
    int rc = MPIVF_FAILED;
    if (lists != NULL && cmp.scratch != NULL && cmp.list != NULL && cmp.score != NULL)
        rc = ivf_team_run_stoppable(ivf_ceil_div(cmp.n, BLOCK), compare_block, &cmp);
    ivf_panels_free(lists);
    ivf_free(cmp.scratch);
    ivf_free(cmp.list);
    ivf_free(cmp.score);
    return rc;
}

/* As ivf_nearest_take, for any way. */
static int compare_way(const ivf_ctx *ctx, const ivf_nearest_lists *lists, const ivf_nearest_way *way, const float *x,
                       const ivf_share *share, ivf_nearest_agreement *agreement)
{
    const int64_t count = ivf_ceil_div(share->total, BLOCK);
    block_sums *blocks = ivf_new_zero(ivf_to_size(count), sizeof *blocks);
    int rc = blocks == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK && ivf_share_count(share) > 0) {
        ivf_nearest *nearest = ivf_nearest_new(lists->tree, lists->metric, lists->grid, way);
        rc = nearest == NULL ? MPIVF_FAILED : compare_mine(nearest, x, share, blocks);
        ivf_nearest_free(nearest);
    }
    if (ctx != NULL)
        rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && ctx != NULL)
        ivf_allsum_i64(ctx, (int64_t *)(void *)blocks, 3 * count);
    if (rc == MPIVF_OK)
        *agreement = sum_up(blocks, share->total);
    ivf_free(blocks);
    return rc;
}

int ivf_nearest_compare(const ivf_nearest *nearest, const float *x, int64_t n, ivf_nearest_agreement *agreement)
{
    const ivf_share share = {.total = n, .size = 1};
    block_sums *blocks = ivf_new_zero(ivf_to_size(ivf_ceil_div(n, BLOCK)), sizeof *blocks);
    int rc = blocks == NULL ? MPIVF_FAILED : compare_mine(nearest, x, &share, blocks);
    if (rc == MPIVF_OK)
        *agreement = sum_up(blocks, n);
    ivf_free(blocks);
    return rc;
}

static bool is_enough(const ivf_nearest_way *way, const ivf_nearest_agreement *a)
{
    if (way->kind == IVF_NEAREST_TREE)
        return a->same * 100 >= a->rows * 97 && a->excess <= 0.0025;
    return way->kind == IVF_NEAREST_EXACT || a->same * 1000 >= a->rows * 995;
}

/* Products that finding the best nodes of the top is worth: all are compared with, and some chosen among. */
static double choosing_of(const ivf_tree *tree, int32_t probes)
{
    const int32_t nodes = tree->count[tree->levels - 1];
    const ivf_tiles tiles = {.end = (int32_t)ivf_ceil_div(nodes, IVF_COARSE_LANES)};
    const int64_t chosen_among = tree->levels == 2 ? ivf_coarse_picked_among(tiles, probes) : nodes;
    return nodes + (CHOOSING - 1) * (double)chosen_among;
}

bool ivf_nearest_pays(const ivf_tree *tree, const ivf_nearest_way *way)
{
    const double visit = (double)PROBE_VALUES / tree->d;
    double work = 0;
    for (int level = tree->levels - 1; level > 0; level--) {
        double under = (double)tree->count[level - 1] / tree->count[level];
        if (level == tree->levels - 1)
            work += choosing_of(tree, way->probes[level]);
        work += way->probes[level] * (visit + (level > 1 ? CHOOSING : 1) * under);
    }
    return work < 0.9 * tree->count[0];
}

/* Half as many probes again, as long as the tree pays; then the next kind. */
static ivf_nearest_way more_careful(const ivf_tree *tree, const ivf_nearest_way *way)
{
    ivf_nearest_way more = {.kind = IVF_NEAREST_EXACT};
    if (way->kind != IVF_NEAREST_TREE)
        return more;
    more.kind = IVF_NEAREST_ROUNDED;
    if (way->probes[1] > MOST_PROBES)
        return more;
    ivf_nearest_way wider = *way;
    for (int level = 1; level < tree->levels; level++)
        wider.probes[level] = (int32_t)ivf_min_i64(((int64_t)way->probes[level] * 3 + 1) / 2, tree->count[level]);
    return ivf_nearest_pays(tree, &wider) ? wider : more;
}

int ivf_nearest_take(const ivf_ctx *ctx, const ivf_nearest_lists *lists, const float *x, const ivf_share *share,
                     const ivf_nearest_way *way, ivf_nearest_agreement *agreement)
{
    *agreement = (ivf_nearest_agreement){.rows = share->total, .same = share->total};
    return way->kind == IVF_NEAREST_EXACT ? MPIVF_OK : compare_way(ctx, lists, way, x, share, agreement);
}

int ivf_nearest_fit(const ivf_ctx *ctx, const ivf_nearest_lists *lists, const float *x, const ivf_share *share,
                    ivf_nearest_way *way, ivf_nearest_agreement *agreement)
{
    ivf_nearest_way next = ivf_nearest_choose(lists->tree);
    do {
        *way = next;
        int rc = ivf_nearest_take(ctx, lists, x, share, way, agreement);
        if (rc != MPIVF_OK)
            return rc;
        next = more_careful(lists->tree, way);
    } while (!is_enough(way, agreement));
    return MPIVF_OK;
}

int64_t ivf_nearest_compare_memory(const ivf_tree *shape, const ivf_nearest_way *way, int64_t n, int threads)
{
    return ivf_panels_memory(shape->count[0], shape->d) +
           threads * (ivf_nearest_scratch_memory(shape, way) + (int64_t)BLOCK * 12) +
           ivf_ceil_div(n, BLOCK) * (int64_t)sizeof(block_sums);
}

int64_t ivf_nearest_fit_memory(const ivf_tree *shape, int64_t n, int threads, ivf_nearest_way *way)
{
    ivf_nearest_way next = ivf_nearest_choose(shape);
    int64_t most = 0;
    int64_t most_used = -1;
    for (*way = next; next.kind != IVF_NEAREST_EXACT; next = more_careful(shape, &next)) {
        const int64_t packed = ivf_nearest_memory(shape, &next);
        const int64_t used = packed + threads * ivf_nearest_scratch_memory(shape, &next);
        most = ivf_max_i64(most, packed + ivf_nearest_compare_memory(shape, &next, n, threads));
        if (used > most_used)
            *way = next;
        most_used = ivf_max_i64(most_used, used);
    }
    return most;
}
