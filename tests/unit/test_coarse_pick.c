/* Nearly the best of many centroids: what ivf_coarse_pick says it chooses, worked out here from all scores, on every
 * SIMD level; the best of few tiles; and how few of the best are missed. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/coarse.h"
#include "math/kernels.h"
#include "math/simd.h"

enum { LANES = IVF_COARSE_LANES, FEW = 4 };

typedef struct {
    int64_t n, k;
    int d, p;
    ivf_grid grid;
    float *c;
    int8_t *q;
} problem;

static float *random_values(int64_t n, uint64_t seed)
{
    float *x = ivf_new((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

static problem make_problem(int64_t n, int64_t k, int d, int p)
{
    problem made = {.n = n, .k = k, .d = d, .p = p, .c = random_values(k * d, 3)};
    float *x = random_values(n * d, 7);
    made.q = ivf_new((size_t)(n * ivf_grid_stride(d)), 1);
    ck_assert_int_eq(ivf_grid_fit(&made.grid, x, n, d), 0);
    (void)ivf_grid_round(&made.grid, x, n, made.q, NULL);
    ivf_free(x);
    return made;
}

static void free_problem(problem *p)
{
    ivf_free(p->c);
    ivf_free(p->q);
    ivf_grid_free(&p->grid);
}

static int ascending(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

/* Each row's numbers, in order. */
static int32_t *pick(const problem *p, const ivf_coarse *coarse, bool nearly)
{
    const ivf_tiles all = ivf_coarse_all(coarse);
    const ivf_coarse_rows rows = {.q = p->q, .n = p->n};
    int32_t *best = ivf_new((size_t)(p->n * p->p), sizeof *best);
    void *scratch = ivf_new(1, nearly ? ivf_coarse_pick_scratch(all, p->p) : ivf_coarse_top_scratch(all));
    (nearly ? ivf_coarse_pick : ivf_coarse_top)(coarse, all, &rows, p->p, best, scratch);
    for (int64_t i = 0; i < p->n; i++)
        qsort(best + i * p->p, (size_t)p->p, sizeof *best, ascending);
    ivf_free(scratch);
    return best;
}

static ivf_coarse *pack(const problem *p)
{
    ivf_coarse *coarse = ivf_coarse_new(p->k, 1, p->d);
    ivf_coarse_pack(coarse, &p->grid, IVF_L2, p->c, p->k, NULL, 1);
    return coarse;
}

/* The slot that wins a lane of a share of the tiles (ties: the first). */
static int64_t winner_of(const int32_t *scores, int64_t tiles, int64_t bucket, int64_t shares)
{
    const int64_t share = bucket / LANES;
    int64_t slot = tiles * share / shares * LANES + bucket % LANES;
    for (int64_t other = slot; other < tiles * (share + 1) / shares * LANES; other += LANES)
        slot = scores[other] > scores[slot] ? other : slot;
    return slot;
}

/* The p best of the winners, one after the other. */
static void choose(const int32_t *scores, int64_t tiles, int p, int32_t *best)
{
    const int64_t shares = p;
    bool *taken = ivf_new_zero((size_t)(shares * LANES), sizeof *taken);
    for (int i = 0; i < p; i++) {
        int64_t most = -1;
        for (int64_t bucket = 0; bucket < shares * LANES; bucket++) {
            if (!taken[bucket] && (most < 0 || scores[winner_of(scores, tiles, bucket, shares)] >
                                                   scores[winner_of(scores, tiles, most, shares)]))
                most = bucket;
        }
        taken[most] = true;
        best[i] = (int32_t)winner_of(scores, tiles, most, shares);
    }
    ivf_free(taken);
}

static void check_definition(const problem *p, const ivf_coarse *coarse, const int32_t *picked)
{
    const ivf_tiles all = ivf_coarse_all(coarse);
    int32_t *scores = ivf_new((size_t)all.end * LANES, sizeof *scores);
    int32_t *best = ivf_new((size_t)p->p, sizeof *best);
    for (int64_t i = 0; i < p->n; i++) {
        const ivf_coarse_rows row = {.q = p->q + i * ivf_grid_stride(p->d), .n = 1};
        ivf_coarse_scores(coarse, all, &row, &scores);
        choose(scores, all.end, p->p, best);
        for (int j = 0; j < p->p; j++)
            best[j] = ivf_coarse_number(coarse, best[j]);
        qsort(best, (size_t)p->p, sizeof *best, ascending);
        ck_assert_mem_eq(best, picked + i * p->p, (size_t)p->p * sizeof *best);
    }
    ivf_free(scores);
    ivf_free(best);
}

static void check_levels(int64_t n, int64_t k, int d, int count)
{
    problem p = make_problem(n, k, d, count);
    ivf_coarse *coarse = pack(&p);
    int32_t *reference = pick(&p, coarse, true);
    check_definition(&p, coarse, reference);
    ivf_coarse_free(coarse);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        if (!ivf_simd_available((ivf_simd)level))
            continue;
        ivf_simd_choose((ivf_simd)level);
        coarse = pack(&p);
        int32_t *same = pick(&p, coarse, true);
        ck_assert_mem_eq(reference, same, (size_t)(n * count) * sizeof *same);
        ivf_free(same);
        ivf_coarse_free(coarse);
    }
    ivf_free(reference);
    free_problem(&p);
}

START_TEST(winners_of_lanes_are_chosen_among)
{
    check_levels(5, (int64_t)FEW * 3 * LANES, 8, 3);
    check_levels(121, (int64_t)FEW * 4 * LANES + 5, 11, 4);
    check_levels(250, 1000, 5, 1);
    check_levels(3, 2345, 33, 7);
}
END_TEST

START_TEST(of_few_tiles_it_is_the_best)
{
    static const int32_t sizes[] = {1, 15, 100, FEW * 6 * LANES - LANES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        problem p = make_problem(30, sizes[i], 9, 6);
        ivf_coarse *coarse = pack(&p);
        int32_t *nearly = pick(&p, coarse, true);
        int32_t *best = pick(&p, coarse, false);
        ck_assert_mem_eq(nearly, best, (size_t)(p.n * p.p) * sizeof *best);
        ck_assert_int_eq(ivf_coarse_picked_among(ivf_coarse_all(coarse), p.p),
                         (int64_t)ivf_coarse_all(coarse).end * LANES);
        ivf_free(nearly);
        ivf_free(best);
        ivf_coarse_free(coarse);
        free_problem(&p);
    }
}
END_TEST

START_TEST(few_of_the_best_are_missed)
{
    problem p = make_problem(400, 5000, 16, 16);
    ivf_coarse *coarse = pack(&p);
    ck_assert_int_eq(ivf_coarse_picked_among(ivf_coarse_all(coarse), p.p), (int64_t)p.p * LANES);
    int32_t *nearly = pick(&p, coarse, true);
    int32_t *best = pick(&p, coarse, false);
    int64_t found = 0;
    for (int64_t i = 0; i < p.n; i++)
        for (int j = 0; j < p.p; j++)
            found += bsearch(best + i * p.p + j, nearly + i * p.p, (size_t)p.p, sizeof *best, ascending) != NULL;
    ck_assert_int_ge(found * 100, p.n * p.p * 95); /* 97 are to be expected */
    ck_assert_int_lt(found, p.n * p.p);
    ivf_free(nearly);
    ivf_free(best);
    ivf_coarse_free(coarse);
    free_problem(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("coarse_pick");
    TCase *tests = tcase_create("coarse_pick");
    tcase_add_test(tests, winners_of_lanes_are_chosen_among);
    tcase_add_test(tests, of_few_tiles_it_is_the_best);
    tcase_add_test(tests, few_of_the_best_are_missed);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
