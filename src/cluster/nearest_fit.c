/* How well a way agrees with the exact one, and the choice of one that does so well enough. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/nearest_work.h"
#include "math/distance.h"

enum {
    BLOCK = IVF_NEAREST_ROWS,
    MOST_PROBES = 2048, /* from which a tree is no help; each takes 8 KiB of a thread */
};

/* Sums over a block of rows. */
typedef struct {
    int64_t same;
    double exact;
    double found;
} block_sums;

typedef struct {
    const ivf_nearest *nearest;
    const ivf_panels *lists;
    const float *x;
    int64_t n;
    size_t scratch_bytes;
    uint8_t *scratch;   /* [threads] */
    int32_t *list;      /* [threads][2][BLOCK] */
    float *score;       /* [threads][BLOCK] */
    block_sums *blocks; /* [blocks] */
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
    block_sums sums = {0};
    for (int64_t row = 0; row < n; row++) {
        double loss = loss_of(nearest, x + row * d, exact[row]);
        sums.same += exact[row] == found[row];
        sums.exact += loss;
        sums.found += exact[row] == found[row] ? loss : loss_of(nearest, x + row * d, found[row]);
    }
    cmp->blocks[task] = sums;
    return MPIVF_OK;
}

static ivf_nearest_agreement sum_up(const comparison *cmp)
{
    ivf_nearest_agreement agreement = {.rows = cmp->n};
    double exact = 0;
    double found = 0;
    for (int64_t block = 0; block < ivf_ceil_div(cmp->n, BLOCK); block++) {
        agreement.same += cmp->blocks[block].same;
        exact += cmp->blocks[block].exact;
        found += cmp->blocks[block].found;
    }
    agreement.excess = found == exact ? 0 : (found - exact) / fmax(fabs(exact), 1e-300);
    return agreement;
}

int ivf_nearest_compare(const ivf_nearest *nearest, const float *x, int64_t n, ivf_nearest_agreement *agreement)
{
    const ivf_tree *tree = nearest->tree;
    size_t threads = (size_t)ivf_team_size();
    comparison cmp = {.nearest = nearest, .x = x, .n = n, .scratch_bytes = ivf_nearest_scratch(nearest)};
    ivf_panels *lists = ivf_panels_new(tree->centroids[0], tree->count[0], tree->d, nearest->metric);
    cmp.lists = lists;
    cmp.scratch = ivf_new(threads, cmp.scratch_bytes);
    cmp.list = ivf_new(threads * 2 * BLOCK, sizeof *cmp.list);
    cmp.score = ivf_new(threads * BLOCK, sizeof *cmp.score);
    cmp.blocks = ivf_new(ivf_to_size(ivf_ceil_div(n, BLOCK)), sizeof *cmp.blocks);
    int rc = MPIVF_FAILED;
    if (lists != NULL && cmp.scratch != NULL && cmp.list != NULL && cmp.score != NULL && cmp.blocks != NULL)
        rc = ivf_team_run(ivf_ceil_div(n, BLOCK), compare_block, &cmp);
    if (rc == MPIVF_OK)
        *agreement = sum_up(&cmp);
    ivf_panels_free(lists);
    ivf_free(cmp.scratch);
    ivf_free(cmp.list);
    ivf_free(cmp.score);
    ivf_free(cmp.blocks);
    return rc;
}

static bool is_enough(const ivf_nearest_way *way, const ivf_nearest_agreement *a)
{
    if (way->kind == IVF_NEAREST_TREE)
        return a->same * 100 >= a->rows * 97 && a->excess <= 0.0025;
    return way->kind == IVF_NEAREST_EXACT || a->same * 1000 >= a->rows * 995;
}

/* Half as many probes again, as long as they are less than half of the nodes; then the next kind. */
static ivf_nearest_way more_careful(const ivf_tree *tree, const ivf_nearest_way *way)
{
    ivf_nearest_way more = {.kind = IVF_NEAREST_EXACT};
    if (way->kind != IVF_NEAREST_TREE)
        return more;
    more.kind = IVF_NEAREST_ROUNDED;
    if (way->probes[1] > tree->count[1] / 3 || way->probes[1] > MOST_PROBES)
        return more;
    more = *way;
    for (int level = 1; level < tree->levels; level++)
        more.probes[level] = (int32_t)ivf_min_i64(((int64_t)way->probes[level] * 3 + 1) / 2, tree->count[level]);
    return more;
}

int ivf_nearest_fit(const ivf_tree *tree, ivf_metric metric, const ivf_grid *grid, const float *x, int64_t n,
                    ivf_nearest_way *way, ivf_nearest_agreement *agreement)
{
    ivf_nearest_way next = ivf_nearest_choose(tree);
    do {
        *way = next;
        *agreement = (ivf_nearest_agreement){.rows = n, .same = n};
        if (way->kind == IVF_NEAREST_EXACT)
            return MPIVF_OK;
        ivf_nearest *nearest = ivf_nearest_new(tree, metric, grid, way);
        int rc = nearest == NULL ? MPIVF_FAILED : ivf_nearest_compare(nearest, x, n, agreement);
        ivf_nearest_free(nearest);
        if (rc != MPIVF_OK)
            return rc;
        next = more_careful(tree, way);
    } while (!is_enough(way, agreement));
    return MPIVF_OK;
}
