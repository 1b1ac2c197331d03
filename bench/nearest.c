/* The lists of rows in every way that there is: microseconds of processor time for a row, and how the outcome agrees
 * with the exact one. The lists' centroids are rows that are drawn, so that many lists need no long training; the tree
 * above them is trained. One thread; the ways alternate. */
#include <string.h>

#include "base/team.h"
#include "cluster/kmeans.h"
#include "cluster/nearest.h"
#include "math/panels.h"
#include "math/simd.h"
#include "support/options.h"
#include "support/vectors.h"

enum { MOST_WAYS = 6 };

typedef struct {
    ivf_tree tree;
    ivf_grid grid;
    int64_t n;
    const float *x;
    int32_t *best;
    int ways;
    ivf_nearest *nearest[MOST_WAYS];
    void *scratch[MOST_WAYS];
} problem;

/* The centroids of a level under those above, each under its nearest parent. */
static int adopt(ivf_tree *tree, int level, const float *centroids)
{
    int32_t count = tree->count[level];
    int32_t parents = tree->count[level + 1];
    size_t row = (size_t)tree->d * sizeof(float);
    ivf_panels *panels = ivf_panels_new(tree->centroids[level + 1], parents, tree->d, IVF_L2);
    int32_t *parent = ivf_new((size_t)count, sizeof *parent);
    float *score = ivf_new((size_t)count, sizeof *score);
    if (panels == NULL || parent == NULL || score == NULL)
        return EXIT_FAILURE;
    ivf_panels_best(panels, centroids, count, parent, score);
    int32_t *first = tree->first[level + 1];
    for (int32_t i = 0; i < count; i++)
        first[parent[i] + 1]++;
    for (int32_t p = 0; p < parents; p++)
        first[p + 1] += first[p];
    int32_t *at = ivf_new((size_t)parents, sizeof *at);
    if (at == NULL)
        return EXIT_FAILURE;
    memcpy(at, first, (size_t)parents * sizeof *at);
    for (int32_t i = 0; i < count; i++)
        memcpy(tree->centroids[level] + (int64_t)at[parent[i]]++ * tree->d, centroids + (int64_t)i * tree->d, row);
    ivf_panels_free(panels);
    ivf_free(parent);
    ivf_free(score);
    ivf_free(at);
    return EXIT_SUCCESS;
}

/* Lists from the first rows, nodes trained on those. */
static int make_tree(problem *p, const bench_vectors *v, const int32_t *count, int levels)
{
    if (ivf_tree_make(&p->tree, levels, v->d, count) != 0)
        return EXIT_FAILURE;
    const float *below = v->x;
    for (int level = 1; level < levels; level++) {
        const ivf_kmeans_params params = {.k = count[level], .d = v->d, .metric = IVF_L2, .iterations = 6, .seed = 1};
        ivf_kmeans_report report;
        if (ivf_kmeans(&params, v->x, count[0], p->tree.centroids[level], &report) != 0)
            return EXIT_FAILURE;
    }
    for (int level = levels - 2; level >= 0; level--) {
        float *own = level == 0 ? NULL : ivf_new((size_t)count[level] * (size_t)v->d, sizeof *own);
        if (own != NULL)
            memcpy(own, p->tree.centroids[level], (size_t)count[level] * (size_t)v->d * sizeof *own);
        int status = adopt(&p->tree, level, own != NULL ? own : below);
        ivf_free(own);
        if (status != EXIT_SUCCESS)
            return status;
    }
    return EXIT_SUCCESS;
}

static void run(problem *p, int way)
{
    ivf_nearest_best(p->nearest[way], p->x, p->n, p->best, NULL, p->scratch[way]);
}

static void run_0(void *arg)
{
    run(arg, 0);
}

static void run_1(void *arg)
{
    run(arg, 1);
}

static void run_2(void *arg)
{
    run(arg, 2);
}

static void run_3(void *arg)
{
    run(arg, 3);
}

static void run_4(void *arg)
{
    run(arg, 4);
}

static void run_5(void *arg)
{
    run(arg, 5);
}

static int measure(problem *p, const ivf_nearest_way *ways, int repetitions, int64_t compared)
{
    static bench_work *const works[MOST_WAYS] = {run_0, run_1, run_2, run_3, run_4, run_5};
    bench_time times[MOST_WAYS] = {{0, 0}};
    for (int w = 0; w < p->ways; w++) {
        p->nearest[w] = ivf_nearest_new(&p->tree, IVF_L2, &p->grid, &ways[w]);
        if (p->nearest[w] == NULL)
            return EXIT_FAILURE;
        p->scratch[w] = ivf_new(1, ivf_nearest_scratch(p->nearest[w]));
    }
    bench_alternate(works, p->ways, p, repetitions, times);
    printf("way      probes     us/row    best   times exact   same list    excess\n");
    for (int w = 0; w < p->ways; w++) {
        ivf_nearest_agreement a = {0};
        if (ivf_nearest_compare(p->nearest[w], p->x, compared, &a) != 0)
            return EXIT_FAILURE;
        double rows = (double)p->n * 1e-6;
        printf("%-8s %4d %4d  %8.2f %8.2f     %8.1f    %8.4f  %8.5f\n", ivf_nearest_name(ways[w].kind),
               ways[w].probes[2], ways[w].probes[1], times[w].median / rows, times[w].best / rows,
               times[0].best / times[w].best, (double)a.same / (double)a.rows, a.excess);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *input = NULL;
    int d = 128;
    int32_t count[IVF_LEVELS] = {65536, 1024, 0};
    int64_t n = 2048;
    int repetitions = 5;
    const bench_option options[] = {
        {.name = "input", .text = &input},
        {.name = "d", .count = &d, .low = 1, .high = 32767},
        {.name = "nlist", .count = &count[0], .low = 16, .high = 10000000},
        {.name = "nodes", .count = &count[1], .low = 8, .high = 1000000},
        {.name = "upper", .count = &count[2], .low = 8, .high = 1000000},
        {.name = "n", .number = &n, .low = 1, .high = 100000000},
        {.name = "repetitions", .count = &repetitions, .low = 1, .high = BENCH_MAX_REPETITIONS},
        {.name = NULL}};
    bench_options(argc, argv, options);
    ivf_team_resize(1);
    bench_vectors v = input != NULL ? bench_read_bytes(input) : bench_clusters(count[0] + n, d);
    if (v.x == NULL || v.n < count[0] + n || count[1] > count[0]) {
        (void)fputs("these rows are too few for so many lists\n", stderr);
        return EXIT_FAILURE;
    }
    problem p = {.n = n, .x = v.x + (int64_t)count[0] * v.d};
    int levels = count[2] > 0 ? 3 : 2;
    p.best = ivf_new(ivf_to_size(n), sizeof *p.best);
    if (make_tree(&p, &v, count, levels) != EXIT_SUCCESS || ivf_grid_fit(&p.grid, v.x, 8192, v.d) != 0)
        return EXIT_FAILURE;
    ivf_nearest_way ways[MOST_WAYS] = {{.kind = IVF_NEAREST_EXACT}, {.kind = IVF_NEAREST_ROUNDED}};
    for (p.ways = 2; p.ways < MOST_WAYS; p.ways++) {
        ways[p.ways] = ivf_nearest_choose(&p.tree);
        for (int level = 1; level < levels; level++)
            ways[p.ways].probes[level] =
                (int32_t)ivf_min_i64(((int64_t)ways[p.ways].probes[level] << (p.ways - 2)) / 2, p.tree.count[level]);
    }
    printf("one thread, %s; %d lists, %d and %d nodes, d = %d, %lld rows; processor time, median and best of %d\n",
           ivf_simd_name(ivf_simd_level()), count[0], count[1], count[2], v.d, (long long)n, repetitions);
    return measure(&p, ways, repetitions, ivf_min_i64(n, 2048));
}
