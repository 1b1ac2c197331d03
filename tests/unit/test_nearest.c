/* The search for lists: each way against the exact one, and the same outcome for a row whatever stands around it. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "base/team.h"
#include "cluster/nearest.h"
#include "math/coarse.h"
#include "math/distance.h"
#include "math/panels.h"
#include "math/rows.h"
#include "math/simd.h"

typedef struct {
    ivf_tree tree;
    ivf_grid grid;
    ivf_metric metric;
    int64_t n;
    float *x;
} problem;

static double normal(uint64_t seed, int64_t i)
{
    return ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
}

/* Level `level` out of children drawn around random parents, each put under the parent that is nearest to it. */
static void grow(ivf_tree *tree, int level, double spread)
{
    int d = tree->d;
    int32_t count = tree->count[level];
    int32_t parents = tree->count[level + 1];
    float *drawn = ivf_new((size_t)count * (size_t)d, sizeof *drawn);
    for (int64_t i = 0; i < count; i++) {
        uint64_t from = ivf_rng_below(5, IVF_RNG_TEST, (uint64_t)(level * 100000 + i), (uint64_t)parents);
        for (int j = 0; j < d; j++)
            drawn[i * d + j] = tree->centroids[level + 1][(int64_t)from * d + j] +
                               (float)(spread * normal((uint64_t)level + 10, i * d + j));
    }
    int32_t *parent = ivf_new((size_t)count, sizeof *parent);
    float *score = ivf_new((size_t)count, sizeof *score);
    ivf_panels *panels = ivf_panels_new(tree->centroids[level + 1], parents, d, IVF_L2);
    ivf_panels_best(panels, drawn, count, parent, score);
    int32_t at = 0;
    for (int32_t p = 0; p < parents; p++) {
        tree->first[level + 1][p] = at;
        for (int64_t i = 0; i < count; i++) {
            if (parent[i] == p)
                memcpy(tree->centroids[level] + (int64_t)at++ * d, drawn + i * d, (size_t)d * sizeof *drawn);
        }
    }
    tree->first[level + 1][parents] = at;
    ivf_panels_free(panels);
    ivf_free(drawn);
    ivf_free(parent);
    ivf_free(score);
}

static problem make_problem(int levels, const int32_t *count, int d, int64_t n, ivf_metric metric)
{
    problem p = {.metric = metric, .n = n};
    ck_assert_int_eq(ivf_tree_make(&p.tree, levels, d, count), 0);
    int top = levels - 1;
    for (int64_t i = 0; i < (int64_t)count[top] * d; i++)
        p.tree.centroids[top][i] = (float)(10 * normal(1, i));
    for (int level = top - 1; level >= 0; level--)
        grow(&p.tree, level, level == 0 ? 3 : 5);
    if (metric == IVF_COSINE)
        ivf_rows_normalise(p.tree.centroids[0], count[0], d);
    p.x = ivf_new((size_t)(n * d), sizeof *p.x);
    for (int64_t i = 0; i < n; i++) {
        int64_t near = (int64_t)ivf_rng_below(6, IVF_RNG_TEST, (uint64_t)i, (uint64_t)count[0]);
        double spread = metric == IVF_COSINE ? 0.1 : 2;
        for (int j = 0; j < d; j++)
            p.x[i * d + j] = p.tree.centroids[0][near * d + j] + (float)(spread * normal(7, i * d + j));
    }
    if (metric == IVF_COSINE)
        ivf_rows_normalise(p.x, n, d);
    ck_assert_int_eq(ivf_grid_fit(&p.grid, p.x, n, d), 0);
    return p;
}

static void free_problem(problem *p)
{
    ivf_tree_free(&p->tree);
    ivf_grid_free(&p->grid);
    ivf_free(p->x);
}

typedef struct {
    int32_t *best;
    float *score;
} answer;

static ivf_nearest *make_nearest(const problem *p, const ivf_nearest_way *way)
{
    ivf_nearest *nearest = ivf_nearest_new(&p->tree, p->metric, &p->grid, way);
    ck_assert_ptr_nonnull(nearest);
    return nearest;
}

/* In blocks of so many rows. */
static answer solve(const problem *p, const ivf_nearest_way *way, int64_t block)
{
    ivf_nearest *nearest = make_nearest(p, way);
    void *scratch = ivf_new(1, ivf_nearest_scratch(nearest));
    answer a = {ivf_new((size_t)p->n, 4), ivf_new((size_t)p->n, 4)};
    for (int64_t row = 0; row < p->n; row += block) {
        int64_t n = p->n - row < block ? p->n - row : block;
        ivf_nearest_best(nearest, p->x + row * p->tree.d, n, a.best + row, a.score + row, scratch);
    }
    ivf_free(scratch);
    ivf_nearest_free(nearest);
    return a;
}

static void free_answer(answer *a)
{
    ivf_free(a->best);
    ivf_free(a->score);
}

/* Valid lists, with the very scores that panels would give. */
static void check_scores(const problem *p, const answer *a)
{
    const float *centroids = p->tree.centroids[0];
    int d = p->tree.d;
    int64_t wrong = 0;
    for (int64_t row = 0; row < p->n; row++) {
        ck_assert(a->best[row] >= 0 && a->best[row] < p->tree.count[0]);
        const float *c = centroids + (int64_t)a->best[row] * d;
        float score = p->metric == IVF_L2 ? -0.5F * ivf_dot(c, c, d) : 0;
        for (int i = 0; i < d; i++)
            score = fmaf(p->x[row * d + i], c[i], score);
        wrong += memcmp(&score, a->score + row, sizeof score) != 0;
    }
    ck_assert_int_eq(wrong, 0);
}

static void assert_same(const problem *p, const answer *a, const answer *b)
{
    ck_assert_mem_eq(a->best, b->best, (size_t)p->n * sizeof *a->best);
    ck_assert_mem_eq(a->score, b->score, (size_t)p->n * sizeof *a->score);
}

static void check_without_scores(const problem *p, const ivf_nearest_way *way, const answer *expected)
{
    ivf_nearest *nearest = make_nearest(p, way);
    void *scratch = ivf_new(1, ivf_nearest_scratch(nearest));
    int32_t *best = ivf_new((size_t)p->n, sizeof *best);
    ivf_nearest_best(nearest, p->x, p->n, best, NULL, scratch);
    ck_assert_mem_eq(best, expected->best, (size_t)p->n * sizeof *best);
    ivf_free(best);
    ivf_free(scratch);
    ivf_nearest_free(nearest);
}

static const ivf_nearest_way ways[] = {
    {.kind = IVF_NEAREST_EXACT},
    {.kind = IVF_NEAREST_ROUNDED},
    {.kind = IVF_NEAREST_TREE, .probes = {0, 12, 0}},
    {.kind = IVF_NEAREST_TREE, .probes = {0, 12, 5}},
};
static const int ways_levels[] = {1, 1, 2, 3};
enum { WAYS = sizeof ways / sizeof ways[0] };
static const int32_t two_levels[] = {900, 60};
static const int32_t three_levels[] = {900, 60, 9};
static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};

static problem make_for_way(int w, int64_t n, ivf_metric metric)
{
    return make_problem(ways_levels[w], ways_levels[w] == 3 ? three_levels : two_levels, 20, n, metric);
}

START_TEST(a_row_has_its_list_alone)
{
    for (int w = 0; w < WAYS; w++) {
        problem p = make_for_way(w, 1100, metrics[_i]);
        p.x[17 * p.tree.d] = 1e4F; /* does not fit the grid */
        answer whole = solve(&p, &ways[w], p.n);
        check_scores(&p, &whole);
        static const int64_t blocks[] = {1, 7, 129, 1024};
        for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; b++) {
            answer a = solve(&p, &ways[w], blocks[b]);
            assert_same(&p, &whole, &a);
            free_answer(&a);
        }
        check_without_scores(&p, &ways[w], &whole);
        free_answer(&whole);
        free_problem(&p);
    }
}
END_TEST

START_TEST(levels_agree)
{
    static const ivf_simd levels[] = {IVF_SIMD_AVX2, IVF_SIMD_AVX512, IVF_SIMD_VNNI};
    for (int w = 0; w < WAYS; w++) {
        problem p = make_for_way(w, 500, metrics[_i]);
        ivf_simd_choose(IVF_SIMD_REFERENCE);
        answer reference = solve(&p, &ways[w], p.n);
        for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
            if (!ivf_simd_available(levels[l]))
                continue;
            ivf_simd_choose(levels[l]);
            answer a = solve(&p, &ways[w], p.n);
            assert_same(&p, &reference, &a);
            free_answer(&a);
        }
        free_answer(&reference);
        free_problem(&p);
    }
}
END_TEST

START_TEST(ways_agree_with_the_exact_one)
{
    static const double least[WAYS] = {1, 0.997, 0.97, 0.97};
    for (int w = 0; w < WAYS; w++) {
        problem p = make_for_way(w, 3000, metrics[_i]);
        ivf_nearest *nearest = make_nearest(&p, &ways[w]);
        ivf_nearest_agreement agreement = {0};
        ivf_team_resize(3);
        ck_assert_int_eq(ivf_nearest_compare(nearest, p.x, p.n, &agreement), 0);
        ck_assert_int_eq(agreement.rows, p.n);
        ck_assert_msg((double)agreement.same >= least[w] * (double)p.n, "way %d: %lld of %lld rows", w,
                      (long long)agreement.same, (long long)p.n);
        ck_assert_double_le(agreement.excess, 0.02);
        ck_assert_double_ge(agreement.excess, -1e-6);
        ck_assert_int_eq(agreement.excess == 0, agreement.same == p.n);
        ivf_nearest_free(nearest);
        free_problem(&p);
    }
}
END_TEST

/* Centroids of norm 1, as k-means makes them for inner products, and rows of any size, far from 0 or around it. */
START_TEST(rows_need_not_have_the_size_of_centroids)
{
    static const int32_t count[] = {2000};
    static const float scales[] = {100, 0.01F, 30};
    const ivf_nearest_way way = {.kind = IVF_NEAREST_ROUNDED};
    ivf_nearest_agreement agreement;
    problem p = make_problem(1, count, 32, 1000, IVF_COSINE);
    p.metric = IVF_IP;
    for (int64_t i = 0; i < p.n * 32; i++)
        p.x[i] = p.x[i] * scales[_i] + (_i == 2 ? 20.0F : 0);
    ivf_grid_free(&p.grid);
    ck_assert_int_eq(ivf_grid_fit(&p.grid, p.x, p.n, 32), 0);
    ivf_nearest *nearest = make_nearest(&p, &way);
    ck_assert_int_eq(ivf_nearest_compare(nearest, p.x, p.n, &agreement), 0);
    ck_assert_int_ge(agreement.same, 970);
    ck_assert(fabs(agreement.excess) < 1e-3);
    ivf_nearest_free(nearest);
    free_problem(&p);
}
END_TEST

START_TEST(all_probes_find_what_rounding_finds)
{
    problem p = make_problem(3, three_levels, 20, 2000, IVF_L2);
    ivf_nearest_way all = {.kind = IVF_NEAREST_TREE, .probes = {0, 60, 9}};
    ivf_nearest *nearest = make_nearest(&p, &all);
    ivf_nearest_agreement agreement = {0};
    ck_assert_int_eq(ivf_nearest_compare(nearest, p.x, p.n, &agreement), 0);
    ck_assert_int_ge(agreement.same, p.n * 998 / 1000);
    ivf_nearest_free(nearest);
    free_problem(&p);
}
END_TEST

/* The best of all lists c by integer score: best[n][count]. */
static void top_of_all(const problem *p, const float *c, const int8_t *q, int32_t count, int32_t *best)
{
    ivf_coarse *coarse = ivf_coarse_new(p->tree.count[0], 1, p->tree.d);
    ck_assert_ptr_nonnull(coarse);
    ivf_coarse_pack(coarse, &p->grid, p->metric, c, p->tree.count[0], NULL, 1);
    const ivf_coarse_rows rows = {.q = q, .n = p->n};
    void *scratch = ivf_new(1, ivf_coarse_top_scratch(ivf_coarse_all(coarse)));
    ivf_coarse_top(coarse, ivf_coarse_all(coarse), &rows, count, best, scratch);
    ivf_free(scratch);
    ivf_coarse_free(coarse);
}

/* Rows whose `count` lists are those of all. */
static int64_t count_same(const problem *p, const ivf_nearest *nearest, const float *c, int32_t count)
{
    const size_t size = (size_t)p->n * (size_t)count;
    int8_t *q = ivf_new((size_t)(p->n * ivf_grid_stride(p->tree.d)), 1);
    int32_t *expected = ivf_new(size, sizeof *expected);
    int32_t *best = ivf_new(size, sizeof *best);
    void *scratch = ivf_new(1, ivf_nearest_several_scratch(nearest));
    int64_t same = 0;
    (void)ivf_grid_round(&p->grid, p->x, p->n, q, NULL);
    top_of_all(p, c, q, count, expected);
    ivf_nearest_several(nearest, q, p->n, count, best, scratch);
    for (int64_t row = 0; row < p->n; row++)
        same += memcmp(best + row * count, expected + row * count, (size_t)count * sizeof *best) == 0;
    ivf_free(scratch);
    ivf_free(best);
    ivf_free(expected);
    ivf_free(q);
    return same;
}

START_TEST(several_are_the_best_of_those_under_the_nodes)
{
    enum { COUNT = 20 };
    problem p = make_problem(2, two_levels, 20, 300, _i == 0 ? IVF_L2 : IVF_COSINE);
    ivf_nearest_way way = {.kind = IVF_NEAREST_TREE, .probes = {0, p.tree.count[1]}};
    ivf_nearest *nearest = make_nearest(&p, &way);
    ck_assert_int_eq(count_same(&p, nearest, p.tree.centroids[0], COUNT), p.n);
    /* Other lists under the same nodes. */
    const size_t bytes = (size_t)p.tree.count[0] * (size_t)p.tree.d * sizeof(float);
    float *moved = ivf_new(bytes, 1);
    memcpy(moved, p.tree.centroids[0], bytes);
    for (int32_t i = 0; i < p.tree.count[0]; i++)
        moved[i * p.tree.d + i % p.tree.d] *= -1;
    ck_assert_int_lt(count_same(&p, nearest, moved, COUNT), p.n / 2);
    ivf_nearest_repack(nearest, moved);
    ck_assert_int_eq(count_same(&p, nearest, moved, COUNT), p.n);
    ivf_nearest_free(nearest);
    /* Few probes miss few. */
    way.probes[1] = p.tree.count[1] / 4;
    nearest = make_nearest(&p, &way);
    const int64_t same = count_same(&p, nearest, p.tree.centroids[0], COUNT);
    ck_assert_int_gt(same, p.n / 3);
    ck_assert_int_lt(same, p.n);
    ivf_nearest_free(nearest);
    ivf_free(moved);
    free_problem(&p);
}
END_TEST

START_TEST(several_may_be_fewer)
{
    problem p = make_problem(2, two_levels, 20, 50, IVF_L2);
    ivf_nearest_way way = {.kind = IVF_NEAREST_TREE, .probes = {0, 1}};
    ivf_nearest *nearest = make_nearest(&p, &way);
    const int32_t count = p.tree.count[0];
    int32_t *best = ivf_new((size_t)p.n * (size_t)count, sizeof *best);
    int8_t *q = ivf_new((size_t)(p.n * ivf_grid_stride(p.tree.d)), 1);
    void *scratch = ivf_new(1, ivf_nearest_several_scratch(nearest));
    (void)ivf_grid_round(&p.grid, p.x, p.n, q, NULL);
    ivf_nearest_several(nearest, q, p.n, count, best, scratch);
    for (int64_t row = 0; row < p.n; row++) {
        const int32_t *of = best + row * count;
        int32_t node = 0;
        while (node < p.tree.count[1] && p.tree.first[1][node + 1] <= of[0])
            node++;
        const int32_t lists = p.tree.first[1][node + 1] - p.tree.first[1][node];
        for (int32_t i = 0; i < count; i++)
            ck_assert_int_eq(of[i], i < lists ? p.tree.first[1][node] + i : -1);
    }
    ivf_free(scratch);
    ivf_free(q);
    ivf_free(best);
    ivf_nearest_free(nearest);
    free_problem(&p);
}
END_TEST

/* Without rounding, rows beyond the grid get what the exact way gives. */
START_TEST(rows_outside_are_looked_up_in_f32)
{
    for (int w = 1; w < WAYS; w++) {
        problem p = make_for_way(w, 300, IVF_L2);
        p.grid.step /= 1000; /* nothing fits */
        answer exact = solve(&p, &ways[0], p.n);
        answer a = solve(&p, &ways[w], p.n);
        int64_t same = 0;
        for (int64_t row = 0; row < p.n; row++)
            same += a.best[row] == exact.best[row];
        check_scores(&p, &a);
        ck_assert_int_ge(same, ways[w].kind == IVF_NEAREST_ROUNDED ? p.n : p.n * 97 / 100);
        free_answer(&a);
        free_answer(&exact);
        free_problem(&p);
    }
}
END_TEST

/* All lists under the node that is farthest away. */
START_TEST(nodes_may_have_no_children)
{
    problem p = make_problem(2, two_levels, 20, 200, IVF_L2);
    for (int32_t node = 1; node < p.tree.count[1]; node++)
        p.tree.first[1][node] = 0;
    for (int i = 0; i < p.tree.d; i++)
        p.tree.centroids[1][59 * p.tree.d + i] = 1000;
    answer exact = solve(&p, &ways[0], p.n);
    answer a = solve(&p, &ways[2], p.n);
    assert_same(&p, &exact, &a);
    free_answer(&a);
    free_answer(&exact);
    free_problem(&p);
}
END_TEST

START_TEST(rules_follow_the_shape)
{
    ivf_tree tree = {.levels = 1, .d = 128, .count = {64, 0, 0}};
    ck_assert_int_eq(ivf_nearest_choose(&tree).kind, IVF_NEAREST_EXACT);
    tree.count[0] = 4096;
    ck_assert_int_eq(ivf_nearest_choose(&tree).kind, IVF_NEAREST_ROUNDED);
    tree.levels = 2;
    tree.count[1] = 256;
    ck_assert_int_eq(ivf_nearest_choose(&tree).kind, IVF_NEAREST_ROUNDED);
    tree.count[0] = 65536;
    tree.count[1] = 1024;
    ivf_nearest_way way = ivf_nearest_choose(&tree);
    ck_assert_int_eq(way.kind, IVF_NEAREST_TREE);
    ck_assert_int_eq(way.probes[1], 32);
    ck_assert_int_eq(way.probes[2], 0);
    tree.count[1] = 8192;
    ck_assert_int_eq(ivf_nearest_choose(&tree).probes[1], 16);
    tree.d = 40000;
    ck_assert_int_eq(ivf_nearest_choose(&tree).kind, IVF_NEAREST_EXACT);
}
END_TEST

START_TEST(trees_pay_up_to_some_probes)
{
    ivf_tree tree = {.levels = 2, .d = 96, .count = {16384, 512}};
    ivf_nearest_way way = {.kind = IVF_NEAREST_TREE, .probes = {0, 81}};
    ck_assert(ivf_nearest_pays(&tree, &way));
    way.probes[1] = 122;
    ck_assert(!ivf_nearest_pays(&tree, &way));
    tree = (ivf_tree){.levels = 2, .d = 96, .count = {65536, 8192}};
    way.probes[1] = 100;
    ck_assert(ivf_nearest_pays(&tree, &way));
    way.probes[1] = 256;
    ck_assert(!ivf_nearest_pays(&tree, &way));
    tree = (ivf_tree){.levels = 3, .d = 128, .count = {65536, 1024, 64}};
    way.probes[2] = 64;
    ck_assert(ivf_nearest_pays(&tree, &way));
    way.probes[1] = 512;
    ck_assert(!ivf_nearest_pays(&tree, &way));
}
END_TEST

/* Whichever way it will be, the plan has room for it, and for what each thread works with. */
START_TEST(no_way_takes_more_than_the_plan_has)
{
    enum { THREADS = 16, D = 64 };
    const ivf_tree broad = {.levels = 2, .d = D, .count = {65536, 8192}};
    const ivf_tree usual = {.levels = 2, .d = D, .count = {16384, 512}};
    const ivf_tree *shapes[] = {&broad, &usual};
    for (int i = 0; i < 2; i++) {
        ivf_nearest_way most;
        int tried = 0;
        ck_assert_int_gt(ivf_nearest_fit_memory(shapes[i], 1024, THREADS, &most), 0);
        const int64_t planned =
            ivf_nearest_memory(shapes[i], &most) + THREADS * ivf_nearest_scratch_memory(shapes[i], &most);
        ivf_nearest_way way = ivf_nearest_usual(shapes[i], IVF_NEAREST_TREE);
        for (; ivf_nearest_pays(shapes[i], &way); way.probes[1] = (way.probes[1] * 3 + 1) / 2, tried++)
            ck_assert_int_le(
                ivf_nearest_memory(shapes[i], &way) + THREADS * ivf_nearest_scratch_memory(shapes[i], &way), planned);
        ck_assert_int_gt(tried, 2);
    }
}
END_TEST

START_TEST(little_agreement_makes_careful)
{
    static const int32_t many[] = {9000, 150};
    problem p = make_problem(2, many, 12, 1000, IVF_L2);
    ivf_nearest_way way = {0};
    ivf_nearest_agreement agreement = {0};
    const ivf_nearest_lists lists = {.tree = &p.tree, .grid = &p.grid, .metric = p.metric};
    const ivf_share share = {.total = p.n, .size = 1};
    ck_assert_int_eq(ivf_nearest_fit(NULL, &lists, p.x, &share, &way, &agreement), 0);
    ck_assert_int_eq(way.kind, IVF_NEAREST_TREE);
    ck_assert_int_ge(agreement.same, 970);
    p.grid.step *= 40; /* far too coarse */
    ck_assert_int_eq(ivf_nearest_fit(NULL, &lists, p.x, &share, &way, &agreement), 0);
    ck_assert_int_eq(way.kind, IVF_NEAREST_EXACT);
    ck_assert_int_eq(agreement.same, 1000);
    ck_assert_int_eq(agreement.rows, 1000);
    free_problem(&p);
}
END_TEST

START_TEST(impossible_ways_are_refused)
{
    problem p = make_problem(2, two_levels, 20, 10, IVF_L2);
    ivf_nearest_way way = {.kind = IVF_NEAREST_TREE, .probes = {0, 61, 0}};
    ck_assert_ptr_null(ivf_nearest_new(&p.tree, IVF_L2, &p.grid, &way));
    way.probes[1] = 0;
    ck_assert_ptr_null(ivf_nearest_new(&p.tree, IVF_L2, &p.grid, &way));
    way = ways[1];
    ck_assert_ptr_null(ivf_nearest_new(&p.tree, IVF_L2, NULL, &way));
    ivf_nearest_free(NULL);
    free_problem(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nearest");
    TCase *tests = tcase_create("nearest");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_row_has_its_list_alone, 0, 3);
    tcase_add_loop_test(tests, levels_agree, 0, 3);
    tcase_add_loop_test(tests, ways_agree_with_the_exact_one, 0, 3);
    tcase_add_loop_test(tests, rows_need_not_have_the_size_of_centroids, 0, 3);
    tcase_add_test(tests, all_probes_find_what_rounding_finds);
    tcase_add_loop_test(tests, several_are_the_best_of_those_under_the_nodes, 0, 2);
    tcase_add_test(tests, several_may_be_fewer);
    tcase_add_test(tests, rows_outside_are_looked_up_in_f32);
    tcase_add_test(tests, nodes_may_have_no_children);
    tcase_add_test(tests, rules_follow_the_shape);
    tcase_add_test(tests, trees_pay_up_to_some_probes);
    tcase_add_test(tests, no_way_takes_more_than_the_plan_has);
    tcase_add_test(tests, little_agreement_makes_careful);
    tcase_add_test(tests, impossible_ways_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
