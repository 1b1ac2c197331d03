/* search/descend: what a descent finds is what ranking the children of the nodes that it takes one by one finds. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "search/descend.h"

enum { D = 12, QUERIES = 70, MOST = 400 };

static const int32_t shapes[][IVF_LEVELS] = {{400, 20}, {300, 60, 7}, {64, 64, 1}, {90, 2}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static float *vectors(int64_t n, uint64_t seed)
{
    float *x = ivf_new((size_t)n * D, sizeof *x);
    for (int64_t i = 0; i < n * D; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

/* Sorts the nodes of a level by the node above that is nearest to them. */
static void hang_level(ivf_tree *tree, int level, ivf_metric metric)
{
    const int32_t count = tree->count[level - 1];
    float *x = vectors(count, (uint64_t)level);
    int32_t parent[MOST];
    float score[MOST];
    int32_t at = 0;
    ivf_panels *above = ivf_panels_new(tree->centroids[level], tree->count[level], D, metric);
    ivf_panels_best(above, x, count, parent, score);
    for (int32_t p = 0; p < tree->count[level]; p++) {
        tree->first[level][p] = at;
        for (int32_t c = 0; c < count; c++)
            if (parent[c] == p)
                memcpy(tree->centroids[level - 1] + D * (ptrdiff_t)at++, x + D * (ptrdiff_t)c, D * sizeof *x);
    }
    tree->first[level][tree->count[level]] = at;
    ivf_panels_free(above);
    ivf_free(x);
}

/* Of the top the centroids are any; one node has no child, which no query must depend on. */
static void make_model(ivf_model *model, const int32_t *counts, ivf_metric metric)
{
    *model = (ivf_model){.d_in = D, .d = D, .nlist = counts[0], .metric = metric};
    int levels = counts[2] > 0 ? 3 : 2;
    ck_assert_int_eq(ivf_tree_make(&model->tree, levels, D, counts), MPIVF_OK);
    float *x = vectors(counts[levels - 1], 9);
    memcpy(model->tree.centroids[levels - 1], x, (size_t)counts[levels - 1] * D * sizeof *x);
    ivf_free(x);
    for (int l = levels - 1; l > 0; l--)
        hang_level(&model->tree, l, metric);
}

typedef struct {
    float score;
    int32_t number;
} scored;

static int better(const void *a, const void *b)
{
    const scored *x = a;
    const scored *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* All nodes of each level with one query. */
typedef struct {
    const ivf_model *model;
    ivf_panels *level[IVF_LEVELS];
} levels;

static levels open_levels(const ivf_model *model)
{
    levels all = {.model = model};
    for (int l = 0; l < model->tree.levels; l++)
        all.level[l] = ivf_panels_new(model->tree.centroids[l], model->tree.count[l], D, model->metric);
    return all;
}

static void close_levels(levels *all)
{
    for (int l = 0; l < all->model->tree.levels; l++)
        ivf_panels_free(all->level[l]);
}

/* The best of the candidates, sorted; of a level and query. */
static int32_t sort_level(const levels *all, int level, const float *query, scored *candidates, int32_t n)
{
    float score[MOST];
    ivf_panels_scores(all->level[level], query, 1, score);
    for (int32_t i = 0; i < n; i++)
        candidates[i].score = score[candidates[i].number];
    qsort(candidates, (size_t)n, sizeof *candidates, better);
    return n;
}

/* What one query gets, node by node. */
static void descend_plainly(const levels *all, const ivf_route *route, const float *query, scored *found)
{
    const ivf_tree *tree = &all->model->tree;
    int32_t n = tree->count[tree->levels - 1];
    for (int32_t i = 0; i < n; i++)
        found[i].number = i;
    (void)sort_level(all, tree->levels - 1, query, found, n);
    for (int l = tree->levels - 1; l > 0; l--) {
        scored next[MOST];
        int32_t count = 0;
        for (int32_t i = 0; i < n && (i < route->take[l] || count < route->ranked[l - 1]); i++)
            for (int32_t c = tree->first[l][found[i].number]; c < tree->first[l][found[i].number + 1]; c++)
                next[count++].number = c;
        n = sort_level(all, l - 1, query, next, count);
        memcpy(found, next, (size_t)n * sizeof *found);
    }
    ck_assert_int_ge(n, route->take[0]);
}

static void check_route(const ivf_model *model, const int32_t *nodes, int nprobe)
{
    ivf_route route;
    ivf_panels *lists = ivf_panels_new(model->tree.centroids[0], model->nlist, D, model->metric);
    ivf_descent *descent = ivf_descent_new(model, lists);
    ck_assert_int_eq(ivf_descent_plan(descent, nodes, nprobe, &route), MPIVF_OK);
    float *x = vectors(QUERIES, 77);
    int32_t *list = ivf_new((size_t)QUERIES * (size_t)nprobe, sizeof *list);
    float *score = ivf_new((size_t)QUERIES * (size_t)nprobe, sizeof *score);
    void *scratch = ivf_new(ivf_descent_scratch(descent, &route, QUERIES), 1);
    /* All but the last at once, which must not see the others. */
    ivf_descent_run(descent, &route, x, QUERIES - 1, list, score, scratch);
    ivf_descent_run(descent, &route, x + (ptrdiff_t)(QUERIES - 1) * D, 1, list + (ptrdiff_t)(QUERIES - 1) * nprobe,
                    score + (ptrdiff_t)(QUERIES - 1) * nprobe, scratch);
    levels all = open_levels(model);
    for (int q = 0; q < QUERIES; q++) {
        scored found[MOST];
        descend_plainly(&all, &route, x + (ptrdiff_t)q * D, found);
        for (int i = 0; i < nprobe; i++) {
            ck_assert_int_eq(list[q * nprobe + i], found[i].number);
            ck_assert_mem_eq(&score[q * nprobe + i], &found[i].score, sizeof *score);
        }
    }
    close_levels(&all);
    ivf_free(scratch);
    ivf_free(score);
    ivf_free(list);
    ivf_free(x);
    ivf_descent_free(descent);
    ivf_panels_free(lists);
}

START_TEST(finds_what_a_plain_descent_finds)
{
    static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};
    const int32_t *counts = shapes[_i % SHAPES];
    ivf_model model;
    make_model(&model, counts, metrics[_i / SHAPES]);
    check_route(&model, (const int32_t[IVF_LEVELS]){0, 1, 1}, 1);
    check_route(&model, (const int32_t[IVF_LEVELS]){0, 2, 1}, 30);
    check_route(&model, (const int32_t[IVF_LEVELS]){0, 1, 1}, counts[0]);
    check_route(&model, (const int32_t[IVF_LEVELS]){0, counts[1], counts[2]}, 64);
    ivf_tree_free(&model.tree);
}
END_TEST

START_TEST(all_nodes_are_no_tree)
{
    ivf_model model;
    ivf_route route;
    make_model(&model, shapes[_i], IVF_L2);
    const int nprobe = 40;
    ivf_panels *lists = ivf_panels_new(model.tree.centroids[0], model.nlist, D, IVF_L2);
    ivf_descent *descent = ivf_descent_new(&model, lists);
    ck_assert_int_eq(ivf_descent_plan(descent, model.tree.count, nprobe, &route), MPIVF_OK);
    float *x = vectors(QUERIES, 77);
    size_t count = (size_t)QUERIES * (size_t)nprobe;
    int32_t *list = ivf_new(2 * count, sizeof *list);
    float *score = ivf_new(2 * count, sizeof *score);
    void *scratch = ivf_new(ivf_descent_scratch(descent, &route, QUERIES) + ivf_panels_top_scratch(lists), 1);
    ivf_descent_run(descent, &route, x, QUERIES, list, score, scratch);
    ivf_panels_top(lists, x, QUERIES, nprobe, list + count, score + count, scratch);
    ck_assert_mem_eq(list, list + count, count * sizeof *list);
    ck_assert_mem_eq(score, score + count, count * sizeof *score);
    ivf_free(scratch);
    ivf_free(score);
    ivf_free(list);
    ivf_free(x);
    ivf_descent_free(descent);
    ivf_panels_free(lists);
    ivf_tree_free(&model.tree);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descend");
    TCase *tests = tcase_create("descend");
    tcase_add_loop_test(tests, finds_what_a_plain_descent_finds, 0, 3 * SHAPES);
    tcase_add_loop_test(tests, all_nodes_are_no_tree, 0, SHAPES);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
