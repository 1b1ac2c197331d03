/* Scores of packed vectors: the reference against a chain written here, every SIMD level against the reference, bit by
 * bit, and the BLAS level within rounding. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/distance.h"
#include "math/panels.h"
#include "math/simd.h"

static const ivf_simd exact_levels[] = {IVF_SIMD_REFERENCE, IVF_SIMD_AVX2, IVF_SIMD_AVX512};
enum { EXACT_LEVELS = sizeof exact_levels / sizeof exact_levels[0] };

static float *random_values(int64_t n, uint64_t seed, double scale)
{
    float *x = ivf_new((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i));
    return x;
}

/* Both NaN, or the same bits. */
static void assert_same(const float *a, const float *b, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        ck_assert_msg((isnan(a[i]) && isnan(b[i])) || memcmp(a + i, b + i, sizeof *a) == 0, "%s: %a is not %a at %lld",
                      what, (double)a[i], (double)b[i], (long long)i);
}

typedef struct {
    int64_t n;
    int64_t k;
    int d;
    ivf_metric metric;
    const float *x;
    const float *c;
} problem;

typedef struct {
    float *scores; /* [n][k] */
    int32_t *best; /* [n] */
    float *score;  /* [n] */
    int32_t *top;  /* [n][p] */
    float *top_score;
} answer;

static answer solve(const problem *p, ivf_simd level, int top)
{
    ivf_simd_choose(level);
    size_t n = (size_t)p->n;
    answer a = {ivf_new(n * (size_t)p->k, 4), ivf_new(n, 4), ivf_new(n, 4), ivf_new(n * (size_t)top, 4),
                ivf_new(n * (size_t)top, 4)};
    ivf_panels *panels = ivf_panels_new(p->c, p->k, p->d, p->metric);
    ck_assert_ptr_nonnull(panels);
    void *scratch = ivf_new(1, ivf_panels_top_scratch(panels));
    ivf_panels_scores(panels, p->x, p->n, a.scores);
    ivf_panels_best(panels, p->x, p->n, a.best, a.score);
    ivf_panels_top(panels, p->x, p->n, top, a.top, a.top_score, scratch);
    ivf_free(scratch);
    ivf_panels_free(panels);
    return a;
}

static void free_answer(answer *a)
{
    ivf_free(a->scores);
    ivf_free(a->best);
    ivf_free(a->score);
    ivf_free(a->top);
    ivf_free(a->top_score);
}

/* The scores as the header defines them. */
static void check_definition(const problem *p, const answer *a)
{
    for (int64_t c = 0; c < p->k; c++) {
        const float *centroid = p->c + c * p->d;
        float bias = p->metric == IVF_L2 ? -0.5F * ivf_dot(centroid, centroid, p->d) : 0;
        for (int64_t i = 0; i < p->n; i++) {
            float score = bias;
            for (int j = 0; j < p->d; j++)
                score = fmaf(p->x[i * p->d + j], centroid[j], score);
            assert_same(&score, a->scores + i * p->k + c, 1, "definition");
        }
    }
}

/* The best and the top against the scores of the same answer. */
static void check_choice(const problem *p, const answer *a, int top)
{
    uint8_t *taken = ivf_new((size_t)p->k, 1);
    for (int64_t i = 0; i < p->n; i++) {
        const float *scores = a->scores + i * p->k;
        memset(taken, 0, (size_t)p->k);
        for (int t = 0; t < top; t++) {
            int64_t best = -1;
            for (int64_t c = 0; c < p->k; c++) {
                if (!taken[c] && (best < 0 || scores[c] > scores[best]))
                    best = c;
            }
            ck_assert_int_eq(a->top[i * top + t], best);
            assert_same(a->top_score + i * top + t, scores + best, 1, "top");
            taken[best] = 1;
            if (t == 0) {
                ck_assert_int_eq(a->best[i], best);
                assert_same(a->score + i, scores + best, 1, "best");
            }
        }
    }
    ivf_free(taken);
}

static void check_levels(const problem *p)
{
    int top = p->k < 9 ? (int)p->k : 9;
    answer reference = solve(p, IVF_SIMD_REFERENCE, top);
    check_definition(p, &reference);
    check_choice(p, &reference, top);
    for (int l = 1; l < EXACT_LEVELS; l++) {
        if (!ivf_simd_available(exact_levels[l]))
            continue;
        answer a = solve(p, exact_levels[l], top);
        assert_same(reference.scores, a.scores, p->n * p->k, ivf_simd_name(exact_levels[l]));
        assert_same(reference.score, a.score, p->n, ivf_simd_name(exact_levels[l]));
        ck_assert_mem_eq(reference.best, a.best, (size_t)p->n * sizeof *a.best);
        ck_assert_mem_eq(reference.top, a.top, (size_t)(p->n * top) * sizeof *a.top);
        assert_same(reference.top_score, a.top_score, p->n * top, "top");
        free_answer(&a);
    }
    free_answer(&reference);
}

static void check_shape(int64_t n, int64_t k, int d, double scale)
{
    float *x = random_values(n * d, (uint64_t)(n * 7 + k), scale);
    float *c = random_values(k * d, (uint64_t)(k * 13 + d), scale);
    for (int metric = IVF_L2; metric <= IVF_COSINE; metric++) {
        problem p = {n, k, d, (ivf_metric)metric, x, c};
        check_levels(&p);
    }
    ivf_free(x);
    ivf_free(c);
}

START_TEST(levels_agree_for_every_small_d)
{
    for (int d = 1; d <= 70; d++)
        check_shape(7 + d % 29, 37 + d % 31, d, 1);
}
END_TEST

START_TEST(levels_agree_for_every_k)
{
    for (int64_t k = 1; k <= 140; k += k < 70 ? 1 : 7)
        check_shape(5, k, 6, 1);
    check_shape(3, 4097, 5, 1);
}
END_TEST

START_TEST(levels_agree_for_every_n)
{
    for (int64_t n = 0; n <= 40; n++)
        check_shape(n, 50, 9, 1);
    check_shape(1500, 33, 3, 1);
}
END_TEST

START_TEST(levels_agree_for_large_d)
{
    static const int sizes[] = {127, 128, 129, 512, 768, 1024, 1536, 3072, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_shape(31, 67, sizes[i], 1);
}
END_TEST

START_TEST(levels_agree_on_extreme_values)
{
    check_shape(20, 70, 33, 1e-23); /* products are subnormal or vanish */
    check_shape(20, 70, 33, 1e-42); /* so are the values */
    check_shape(20, 70, 33, 1e19);  /* products overflow */
    check_shape(20, 70, 33, 1e38);
}
END_TEST

START_TEST(levels_agree_on_infinities)
{
    enum { N = 20, K = 70, D = 10 };
    float *x = random_values(N * D, 1, 1);
    float *c = random_values(K * D, 2, 1);
    c[13 * D + 4] = INFINITY;
    c[14 * D + 4] = -INFINITY;
    x[3 * D + 2] = INFINITY;
    for (int metric = IVF_L2; metric <= IVF_IP; metric++) {
        problem p = {N, K, D, (ivf_metric)metric, x, c};
        answer reference = solve(&p, IVF_SIMD_REFERENCE, 1);
        for (int l = 1; l < EXACT_LEVELS; l++) {
            if (!ivf_simd_available(exact_levels[l]))
                continue;
            answer a = solve(&p, exact_levels[l], 1);
            assert_same(reference.scores, a.scores, N * K, "infinities");
            ck_assert_mem_eq(reference.best, a.best, N * sizeof *a.best);
            assert_same(reference.score, a.score, N, "infinities");
            free_answer(&a);
        }
        free_answer(&reference);
    }
    ivf_free(x);
    ivf_free(c);
}
END_TEST

START_TEST(ties_go_to_the_lowest_number)
{
    enum { N = 30, K = 200, D = 4 };
    float *x = random_values(N * D, 1, 1);
    float *c = random_values(K * D, 2, 1);
    for (int64_t i = 0; i < K; i++) /* 7 different vectors, many times over */
        memcpy(c + i * D, c + i % 7 * D, D * sizeof *c);
    problem p = {N, K, D, IVF_L2, x, c};
    check_levels(&p);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        answer a = solve(&p, (ivf_simd)level, K);
        for (int i = 0; i < N; i++)
            ck_assert_int_lt(a.best[i], 7);
        check_choice(&p, &a, K);
        free_answer(&a);
    }
    memset(x, 0, N * D * sizeof *x);
    memset(c, 0, K * D * sizeof *c);
    c[0] = -0.0F;
    check_levels(&p);
    ivf_free(x);
    ivf_free(c);
}
END_TEST

START_TEST(not_a_number_gets_a_valid_number)
{
    enum { N = 15, K = 37, D = 3 };
    float *x = random_values(N * D, 1, 1);
    float *c = random_values(K * D, 2, 1);
    for (int i = 0; i < N * D; i++)
        x[i] = NAN;
    problem p = {N, K, D, IVF_L2, x, c};
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        answer a = solve(&p, (ivf_simd)level, K);
        for (int i = 0; i < N; i++)
            ck_assert(a.best[i] >= 0 && a.best[i] < K);
        for (int i = 0; i < N * K; i++)
            ck_assert(a.top[i] >= 0 && a.top[i] < K);
        free_answer(&a);
    }
    ivf_free(x);
    ivf_free(c);
}
END_TEST

START_TEST(blas_is_near_the_reference)
{
    enum { N = 130, K = 1100, D = 40 };
    float *x = random_values(N * D, 1, 1);
    float *c = random_values(K * D, 2, 1);
    problem p = {N, K, D, IVF_L2, x, c};
    answer reference = solve(&p, IVF_SIMD_REFERENCE, 5);
    answer blas = solve(&p, IVF_SIMD_BLAS, 5);
    check_choice(&p, &blas, 5);
    for (int i = 0; i < N * K; i++)
        ck_assert_float_eq_tol(reference.scores[i], blas.scores[i], 1e-4F);
    free_answer(&reference);
    free_answer(&blas);
    ivf_free(x);
    ivf_free(c);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    float c = 0;
    ck_assert_ptr_null(ivf_panels_new(&c, 0, 1, IVF_L2));
    ck_assert_ptr_null(ivf_panels_new(&c, 1, 0, IVF_L2));
    ck_assert_ptr_null(ivf_panels_new(&c, INT64_MAX, 1, IVF_L2));
    ivf_panels_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("panels");
    TCase *tests = tcase_create("panels");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, levels_agree_for_every_small_d);
    tcase_add_test(tests, levels_agree_for_every_k);
    tcase_add_test(tests, levels_agree_for_every_n);
    tcase_add_test(tests, levels_agree_for_large_d);
    tcase_add_test(tests, levels_agree_on_extreme_values);
    tcase_add_test(tests, levels_agree_on_infinities);
    tcase_add_test(tests, ties_go_to_the_lowest_number);
    tcase_add_test(tests, not_a_number_gets_a_valid_number);
    tcase_add_test(tests, blas_is_near_the_reference);
    tcase_add_test(tests, impossible_sizes_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
