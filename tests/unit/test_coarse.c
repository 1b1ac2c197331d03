/* The best of many centroids in 8 bits: integer scores against sums written here, every SIMD level against the
 * reference bit by bit, and the outcome against f32. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/coarse.h"
#include "math/distance.h"
#include "math/kernels.h"
#include "math/panels.h"
#include "math/simd.h"

enum { LANES = IVF_COARSE_LANES };

static float *random_values(int64_t n, uint64_t seed, double scale)
{
    float *x = ivf_new((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i));
    return x;
}

typedef struct {
    int64_t n;
    int64_t k;
    int d;
    int32_t groups;
    float *x;
    float *c;
    int32_t *first; /* [groups + 1] */
    ivf_grid grid;
    int8_t *q;
} problem;

static problem make_problem(int64_t n, int64_t k, int d, int32_t groups, double scale)
{
    problem p = {.n = n, .k = k, .d = d, .groups = groups};
    p.x = random_values(n * d, (uint64_t)(n * 7 + k), scale);
    p.c = random_values(k * d, (uint64_t)(k * 13 + d), scale);
    p.first = ivf_new((size_t)groups + 1, sizeof *p.first);
    p.first[0] = 0;
    p.first[groups] = (int32_t)k;
    for (int32_t g = 1; g < groups; g++) { /* some of them empty */
        int32_t left = (int32_t)k - p.first[g - 1];
        p.first[g] = p.first[g - 1] + (int32_t)ivf_rng_below(3, IVF_RNG_TEST, (uint64_t)g, (uint64_t)left / 2 + 1);
    }
    ck_assert_int_eq(ivf_grid_fit(&p.grid, p.x, n, d), 0);
    p.q = ivf_new((size_t)(n * ivf_grid_stride(d)), 1);
    (void)ivf_grid_round(&p.grid, p.x, n, p.q, NULL);
    return p;
}

static void free_problem(problem *p)
{
    ivf_free(p->x);
    ivf_free(p->c);
    ivf_free(p->first);
    ivf_free(p->q);
    ivf_grid_free(&p->grid);
}

static ivf_coarse *pack(const problem *p, ivf_metric metric)
{
    ivf_coarse *coarse = ivf_coarse_new(p->k, p->groups, p->d);
    ck_assert_ptr_nonnull(coarse);
    ivf_coarse_pack(coarse, &p->grid, metric, p->c, p->k, p->first, p->groups);
    return coarse;
}

static int64_t slots_of(ivf_tiles tiles)
{
    return (int64_t)(tiles.end - tiles.first) * LANES;
}

/* The integer score as the header defines it, from a packing's codes. */
static int64_t score_of(const ivf_coarse *coarse, const int8_t *q, int32_t number)
{
    if (number < 0)
        return INT32_MIN;
    int64_t stride = (int64_t)coarse->quads * 4;
    int64_t score = coarse->source->whole_bias[number];
    for (int i = 0; i < coarse->d; i++)
        score += q[i] * coarse->source->codes[number * stride + i];
    return score;
}

/* Every other row, backwards. */
static int32_t *some_rows(int64_t n, int64_t *count)
{
    int32_t *list = ivf_new((size_t)n, sizeof *list);
    *count = 0;
    for (int64_t row = n - 1; row >= 0; row -= 2)
        list[(*count)++] = (int32_t)row;
    return list;
}

typedef struct {
    int32_t *scores; /* [listed][slots] */
    ivf_coarse_found *found;
    int32_t *nearest; /* [listed] */
    int32_t *top;     /* [listed][p] */
    int32_t *best;
    float *score;
    int64_t listed;
    int64_t slots;
    int64_t taken;
    int p;
} answer;

static answer solve(const problem *p, ivf_metric metric, ivf_simd level)
{
    ivf_simd_choose(level);
    ivf_coarse *coarse = pack(p, metric);
    ivf_tiles all = ivf_coarse_all(coarse);
    answer a = {.slots = slots_of(all), .p = p->k < 9 ? (int)p->k : 9};
    int32_t *list = some_rows(p->n, &a.listed);
    ivf_coarse_rows rows = {.q = p->q, .list = list, .n = a.listed};
    size_t n = (size_t)p->n;
    a.scores = ivf_new(n * (size_t)a.slots, sizeof *a.scores);
    a.found = ivf_new_zero(n, sizeof *a.found);
    a.nearest = ivf_new_zero(n, sizeof *a.nearest);
    a.top = ivf_new_zero(n * (size_t)a.p, sizeof *a.top);
    a.best = ivf_new_zero(n, sizeof *a.best);
    a.score = ivf_new_zero(n, sizeof *a.score);
    void *scratch = ivf_new(1, ivf_coarse_top_scratch(all));
    int32_t **out = ivf_new(n, sizeof *out);
    for (int64_t i = 0; i < a.listed; i++)
        out[i] = a.scores + i * a.slots;
    ivf_coarse_scores(coarse, all, &rows, out);
    ivf_free(out);
    ivf_coarse_start(a.found, p->n);
    for (int32_t group = 0; group < p->groups; group += 2)
        ivf_coarse_scan(coarse, ivf_coarse_group(coarse, group), &rows, a.found);
    ivf_coarse_nearest(coarse, all, &rows, a.nearest);
    ivf_coarse_top(coarse, all, &rows, a.p, a.top, scratch);
    a.taken = ivf_coarse_best(coarse, p->x, p->q, p->n, a.best, a.score);
    ivf_free(scratch);
    ivf_free(list);
    ivf_coarse_free(coarse);
    return a;
}

static void free_answer(answer *a)
{
    ivf_free(a->scores);
    ivf_free(a->found);
    ivf_free(a->nearest);
    ivf_free(a->top);
    ivf_free(a->best);
    ivf_free(a->score);
}

/* Scores as defined; lanes, the nearest and the top as the scores say. */
static void check_definition(const problem *p, ivf_metric metric, const answer *a)
{
    ivf_coarse *coarse = pack(p, metric);
    int64_t listed = 0;
    int32_t *list = some_rows(p->n, &listed);
    int64_t wrong = 0;
    for (int64_t i = 0; i < listed; i++) {
        const int32_t *scores = a->scores + i * a->slots;
        int64_t nearest = -1;
        for (int64_t slot = 0; slot < a->slots; slot++) {
            int32_t number = coarse->number[slot];
            wrong += scores[slot] != score_of(coarse, p->q + list[i] * ivf_grid_stride(p->d), number);
            if (number >= 0 && (nearest < 0 || scores[slot] > scores[nearest]))
                nearest = slot;
        }
        wrong += coarse->number[nearest] != a->nearest[i];
        int64_t better = 0; /* than the worst of the top */
        int64_t at = 0;
        int32_t worst = INT32_MAX;
        for (int64_t slot = 0; slot < a->slots; slot++) {
            if (at < a->p && coarse->number[slot] == a->top[i * a->p + at]) {
                worst = scores[slot] < worst ? scores[slot] : worst;
                at++;
            }
        }
        wrong += at != a->p; /* all there, in ascending order */
        for (int64_t slot = 0; slot < a->slots; slot++)
            better += coarse->number[slot] >= 0 && scores[slot] > worst;
        wrong += better >= a->p;
    }
    ck_assert_int_eq(wrong, 0);
    ivf_free(list);
    ivf_coarse_free(coarse);
}

static void assert_same(const problem *p, const answer *a, const answer *b, ivf_simd level)
{
    size_t n = (size_t)p->n;
    size_t listed = (size_t)a->listed;
    ck_assert_msg(memcmp(a->scores, b->scores, listed * (size_t)a->slots * 4) == 0, "scores: %s, d %d, k %lld",
                  ivf_simd_name(level), p->d, (long long)p->k);
    ck_assert_msg(memcmp(a->found, b->found, n * sizeof *a->found) == 0, "lanes: %s, d %d, k %lld",
                  ivf_simd_name(level), p->d, (long long)p->k);
    ck_assert_mem_eq(a->nearest, b->nearest, n * sizeof *a->nearest);
    ck_assert_mem_eq(a->top, b->top, listed * (size_t)a->p * sizeof *a->top);
    ck_assert_mem_eq(a->best, b->best, n * sizeof *a->best);
    if (level == IVF_SIMD_BLAS) /* products of its own */
        return;
    ck_assert_mem_eq(a->score, b->score, n * sizeof *a->score);
    ck_assert_int_eq(a->taken, b->taken);
}

/* The f32 scores are those of panels, bit by bit. */
static void check_scores(const problem *p, ivf_metric metric, const answer *a)
{
    int64_t wrong = 0;
    for (int64_t row = 0; row < p->n; row++) {
        const float *c = p->c + a->best[row] * (int64_t)p->d;
        float score = metric == IVF_L2 ? -0.5F * ivf_dot(c, c, p->d) : 0;
        for (int i = 0; i < p->d; i++)
            score = fmaf(p->x[row * p->d + i], c[i], score);
        wrong += memcmp(&score, a->score + row, sizeof score) != 0;
    }
    ck_assert_int_eq(wrong, 0);
}

static void check_shape(int64_t n, int64_t k, int d, int32_t groups, double scale)
{
    problem p = make_problem(n, k, d, groups, scale);
    for (int metric = IVF_L2; metric <= IVF_IP; metric++) {
        answer reference = solve(&p, (ivf_metric)metric, IVF_SIMD_REFERENCE);
        check_definition(&p, (ivf_metric)metric, &reference);
        check_scores(&p, (ivf_metric)metric, &reference);
        for (int level = 1; level < IVF_SIMD_COUNT; level++) {
            if (!ivf_simd_available((ivf_simd)level))
                continue;
            answer a = solve(&p, (ivf_metric)metric, (ivf_simd)level);
            assert_same(&p, &reference, &a, (ivf_simd)level);
            free_answer(&a);
        }
        free_answer(&reference);
    }
    free_problem(&p);
}

START_TEST(levels_agree_for_every_small_d)
{
    for (int d = 1; d <= 70; d++)
        check_shape(5 + d * 5 % 29, 20 + d * 7 % 31, d, 1 + d % 4, 1);
}
END_TEST

START_TEST(levels_agree_for_every_k)
{
    for (int64_t k = 1; k <= 180; k += k < 70 ? 1 : 7)
        check_shape(13, k, 7, 1, 100);
    check_shape(5, 2100, 9, 40, 1);
}
END_TEST

START_TEST(levels_agree_for_every_n)
{
    for (int64_t n = 1; n <= 40; n++)
        check_shape(n, 75, 12, 3, 1);
    check_shape(300, 75, 12, 2, 1);
}
END_TEST

START_TEST(levels_agree_for_large_d)
{
    static const int sizes[] = {127, 128, 129, 512, 768, 1023, 3072};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_shape(15, 35, sizes[i], 1, 1);
}
END_TEST

START_TEST(levels_agree_on_extreme_values)
{
    check_shape(20, 70, 33, 1, 1e-30); /* f32 products vanish */
    check_shape(20, 70, 33, 1, 1e-42); /* subnormal values */
    check_shape(20, 70, 33, 1, 1e17);
}
END_TEST

/* All rows and centroids at the ends of the grid, in the most dimensions there may be. */
START_TEST(no_sum_overflows)
{
    enum { N = 4, K = 6, D = IVF_COARSE_MAX_D };
    problem p = {.n = N, .k = K, .d = D, .groups = 1};
    int64_t stride = ivf_grid_stride(D);
    p.x = ivf_new_zero((size_t)N * D, sizeof *p.x);
    p.c = ivf_new_zero((size_t)K * D, sizeof *p.c);
    p.q = ivf_new_zero((size_t)N * (size_t)stride, 1);
    p.first = ivf_new_zero(2, sizeof *p.first);
    p.first[1] = K;
    p.grid.d = D;
    p.grid.step = 1e-3F; /* much finer than the centroids' */
    p.grid.centre = ivf_new_zero(D, sizeof *p.grid.centre);
    for (int i = 0; i < K * D; i++)
        p.c[i] = i / D % 3 == 0 ? 1000 : (i / D % 3 == 1 ? -1000 : (float)(i % 7) - 3);
    for (int i = 0; i < N * D; i++) {
        p.x[i] = i / D % 2 == 0 ? 1 : -1;
        p.q[i / D * stride + i % D] = i / D % 2 == 0 ? 127 : -128;
    }
    answer reference = solve(&p, IVF_L2, IVF_SIMD_REFERENCE);
    check_definition(&p, IVF_L2, &reference);
    for (int level = 1; level < IVF_SIMD_COUNT; level++) {
        if (!ivf_simd_available((ivf_simd)level))
            continue;
        answer a = solve(&p, IVF_L2, (ivf_simd)level);
        assert_same(&p, &reference, &a, (ivf_simd)level);
        free_answer(&a);
    }
    free_answer(&reference);
    free_problem(&p);
}
END_TEST

/* Clusters: rows near centroids, as they are after training. */
static void move_near_centroids(problem *p, double spread)
{
    for (int64_t row = 0; row < p->n; row++) {
        const float *c = p->c + row % p->k * p->d;
        for (int i = 0; i < p->d; i++)
            p->x[row * p->d + i] = c[i] + (float)spread * p->x[row * p->d + i];
    }
    ivf_grid_free(&p->grid);
    ck_assert_int_eq(ivf_grid_fit(&p->grid, p->x, p->n, p->d), 0);
    (void)ivf_grid_round(&p->grid, p->x, p->n, p->q, NULL);
}

START_TEST(the_outcome_is_that_of_f32)
{
    for (int metric = IVF_L2; metric <= IVF_IP; metric++) {
        problem p = make_problem(4000, 300, 24, 1, 1);
        move_near_centroids(&p, 1.5);
        ivf_coarse *coarse = pack(&p, (ivf_metric)metric);
        ivf_panels *panels = ivf_panels_new(p.c, p.k, p.d, (ivf_metric)metric);
        int32_t best[2][4000];
        float score[2][4000];
        (void)ivf_coarse_best(coarse, p.x, p.q, p.n, best[0], score[0]);
        ivf_panels_best(panels, p.x, p.n, best[1], score[1]);
        int same = 0;
        for (int i = 0; i < 4000; i++)
            same += best[0][i] == best[1][i];
        ck_assert_int_ge(same, 4000 * 997 / 1000);
        ivf_panels_free(panels);
        ivf_coarse_free(coarse);
        free_problem(&p);
    }
}
END_TEST

typedef struct {
    double same;    /* share of rows that find the centroid of f32 */
    double nearest; /* the same by integers alone */
    int64_t taken;  /* scores in f32 */
} outcome;

static outcome outcome_of(const problem *p)
{
    ivf_coarse *coarse = pack(p, IVF_L2);
    ivf_panels *panels = ivf_panels_new(p->c, p->k, p->d, IVF_L2);
    ivf_coarse_rows rows = {.q = p->q, .n = p->n};
    outcome o = {0};
    int32_t *best[3];
    for (int i = 0; i < 3; i++)
        best[i] = ivf_new((size_t)p->n, sizeof **best);
    float *score = ivf_new((size_t)p->n, sizeof *score);
    o.taken = ivf_coarse_best(coarse, p->x, p->q, p->n, best[0], NULL);
    ivf_coarse_nearest(coarse, ivf_coarse_all(coarse), &rows, best[1]);
    ivf_panels_best(panels, p->x, p->n, best[2], score);
    for (int64_t i = 0; i < p->n; i++) {
        o.same += (double)(best[0][i] == best[2][i]) / (double)p->n;
        o.nearest += (double)(best[1][i] == best[2][i]) / (double)p->n;
    }
    for (int i = 0; i < 3; i++)
        ivf_free(best[i]);
    ivf_free(score);
    ivf_panels_free(panels);
    ivf_coarse_free(coarse);
    return o;
}

/* Whichever centroids are wild, the first one among them, the others are told apart as before. */
START_TEST(wild_centroids_cost_only_themselves)
{
    static const float far[] = {1e2F, 1e4F, 1e8F, 1e18F};
    problem p = make_problem(4000, 300, 24, 1, 1);
    move_near_centroids(&p, 1);
    outcome calm = outcome_of(&p);
    ck_assert_double_ge(calm.same, 0.997);
    ck_assert_double_ge(calm.nearest, 0.9);
    float *tame = ivf_new((size_t)(p.k * p.d), sizeof *tame);
    memcpy(tame, p.c, (size_t)(p.k * p.d) * sizeof *tame);
    for (size_t f = 0; f < sizeof far / sizeof far[0]; f++) {
        for (int64_t i = 0; i < p.k * p.d; i++) /* one in 50 in all values, one in one value */
            p.c[i] = tame[i] * (i / p.d % 50 == 0 || i == 7 * p.d + 3 ? far[f] : 1);
        outcome wild = outcome_of(&p);
        ck_assert_double_ge(wild.same, 0.997);
        ck_assert_double_ge(wild.nearest, calm.nearest - 0.01);
        ck_assert_int_le(wild.taken, 2 * calm.taken);
        for (int level = 0; level < IVF_SIMD_COUNT; level++) {
            if (!ivf_simd_available((ivf_simd)level) || level == IVF_SIMD_BLAS) /* f32 products of its own */
                continue;
            ivf_simd_choose((ivf_simd)level);
            outcome other = outcome_of(&p);
            ck_assert_mem_eq(&other, &wild, sizeof wild);
        }
    }
    ivf_free(tame);
    free_problem(&p);
}
END_TEST

/* Far from the origin all but the bias of scores is in the offset of rows and centroids. */
START_TEST(an_offset_costs_no_precision)
{
    problem p = make_problem(2000, 100, 16, 1, 1);
    for (int64_t i = 0; i < p.k * p.d; i++)
        p.c[i] += 50;
    move_near_centroids(&p, 1);
    for (int metric = IVF_L2; metric <= IVF_IP; metric++) {
        ivf_coarse *coarse = pack(&p, (ivf_metric)metric);
        ivf_panels *panels = ivf_panels_new(p.c, p.k, p.d, (ivf_metric)metric);
        int32_t best[2][2000];
        float score[2][2000];
        (void)ivf_coarse_best(coarse, p.x, p.q, p.n, best[0], score[0]);
        ivf_panels_best(panels, p.x, p.n, best[1], score[1]);
        int same = 0;
        for (int i = 0; i < 2000; i++)
            same += best[0][i] == best[1][i];
        ck_assert_int_ge(same, 2000 * 99 / 100); /* f32 itself rounds here */
        ivf_panels_free(panels);
        ivf_coarse_free(coarse);
    }
    free_problem(&p);
}
END_TEST

START_TEST(ties_go_to_the_lowest_number)
{
    problem p = make_problem(30, 200, 4, 3, 1);
    for (int64_t i = 0; i < p.k; i++) /* 7 different centroids, many times over */
        memcpy(p.c + i * p.d, p.c + i % 7 * p.d, (size_t)p.d * sizeof *p.c);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        answer a = solve(&p, IVF_L2, (ivf_simd)level);
        for (int i = 0; i < 30; i++)
            ck_assert_int_lt(a.best[i], 7);
        for (int i = 0; i < a.listed; i++)
            ck_assert_int_lt(a.nearest[i], 7);
        free_answer(&a);
    }
    free_problem(&p);
}
END_TEST

START_TEST(gathered_centroids_keep_scores_and_numbers)
{
    problem p = make_problem(50, 120, 21, 4, 1);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        ivf_simd_choose((ivf_simd)level);
        static const int32_t numbers[] = {3, 7, 8, 20, 21, 22, 23, 40, 41, 42, 43, 44, 60, 61, 62, 90, 91, 119};
        enum { COUNT = sizeof numbers / sizeof numbers[0] };
        ivf_coarse *coarse = pack(&p, IVF_L2);
        ivf_coarse *some = ivf_coarse_new(40, 1, p.d);
        for (int32_t count = COUNT; count > 0; count -= 7) { /* again and again in the same room */
            ivf_coarse_gather(some, coarse, numbers, count);
            ivf_coarse_rows rows = {.q = p.q, .n = p.n};
            int32_t nearest[50];
            int32_t best[50];
            float score[50];
            ivf_coarse_nearest(some, ivf_coarse_all(some), &rows, nearest);
            (void)ivf_coarse_best(some, p.x, p.q, p.n, best, score);
            for (int i = 0; i < 50; i++) {
                const int8_t *q = p.q + i * ivf_grid_stride(p.d);
                int32_t expected = numbers[0];
                float top = -INFINITY;
                for (int j = 0; j < count; j++) {
                    if (score_of(coarse, q, numbers[j]) > score_of(coarse, q, expected))
                        expected = numbers[j];
                    float other = -0.5F * ivf_l2_sqr(p.x + i * p.d, p.c + numbers[j] * p.d, p.d);
                    top = other > top ? other : top;
                }
                ck_assert_int_eq(nearest[i], expected);
                float own = -0.5F * ivf_l2_sqr(p.x + i * p.d, p.c + best[i] * p.d, p.d);
                ck_assert_float_ge(own, top - 0.3F); /* the error of rounding, at most */
            }
        }
        ivf_coarse_free(some);
        ivf_coarse_free(coarse);
    }
    free_problem(&p);
}
END_TEST

START_TEST(zero_rows_find_the_shortest_centroid)
{
    problem p = make_problem(20, 64, 10, 1, 1);
    for (int i = 0; i < 20 * 10; i++)
        p.x[i] = i < 10 * 10 ? 0 : p.x[i];
    ivf_grid_free(&p.grid);
    ck_assert_int_eq(ivf_grid_fit(&p.grid, p.x, p.n, p.d), 0);
    (void)ivf_grid_round(&p.grid, p.x, p.n, p.q, NULL);
    for (int i = 0; i < p.d; i++)
        p.c[37 * p.d + i] = 1e-3F;
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        answer a = solve(&p, IVF_L2, (ivf_simd)level);
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(a.best[i], 37);
        free_answer(&a);
    }
    free_problem(&p);
}
END_TEST

START_TEST(nothing_is_nearest_among_none)
{
    static const int32_t none[] = {0, 0, 64};
    problem p = make_problem(20, 64, 10, 2, 1);
    memcpy(p.first, none, sizeof none);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        ivf_simd_choose((ivf_simd)level);
        ivf_coarse *coarse = pack(&p, IVF_L2);
        ivf_coarse_rows rows = {.q = p.q, .n = p.n};
        int32_t best[20];
        ivf_coarse_nearest(coarse, ivf_coarse_group(coarse, 0), &rows, best);
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(best[i], -1);
        ivf_coarse_free(coarse);
    }
    free_problem(&p);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    ck_assert_ptr_null(ivf_coarse_new(0, 1, 1));
    ck_assert_ptr_null(ivf_coarse_new(1, 0, 1));
    ck_assert_ptr_null(ivf_coarse_new(1, 1, 0));
    ck_assert_ptr_null(ivf_coarse_new(1, 1, IVF_COARSE_MAX_D + 1));
    ck_assert_ptr_null(ivf_coarse_new(INT64_MAX, 1, 1));
    ivf_coarse_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("coarse");
    TCase *tests = tcase_create("coarse");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, levels_agree_for_every_small_d);
    tcase_add_test(tests, levels_agree_for_every_k);
    tcase_add_test(tests, levels_agree_for_every_n);
    tcase_add_test(tests, levels_agree_for_large_d);
    tcase_add_test(tests, levels_agree_on_extreme_values);
    tcase_add_test(tests, no_sum_overflows);
    tcase_add_test(tests, the_outcome_is_that_of_f32);
    tcase_add_test(tests, wild_centroids_cost_only_themselves);
    tcase_add_test(tests, an_offset_costs_no_precision);
    tcase_add_test(tests, ties_go_to_the_lowest_number);
    tcase_add_test(tests, gathered_centroids_keep_scores_and_numbers);
    tcase_add_test(tests, zero_rows_find_the_shortest_centroid);
    tcase_add_test(tests, nothing_is_nearest_among_none);
    tcase_add_test(tests, impossible_sizes_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
