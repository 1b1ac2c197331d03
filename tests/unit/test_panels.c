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

static uint32_t bits_of(float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static int same(float a, float b)
{
    return (isnan(a) && isnan(b)) || bits_of(a) == bits_of(b);
}

/* All NaN, or the same bits. Counted, because each assertion is a message to the parent process. */
static void assert_same(const float *a, const float *b, int64_t n, const char *what)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++)
        wrong += !same(a[i], b[i]);
    ck_assert_msg(wrong == 0, "%s: %lld of %lld differ", what, (long long)wrong, (long long)n);
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
    int wrong = 0;
    for (int64_t c = 0; c < p->k; c++) {
        const float *centroid = p->c + c * p->d;
        float bias = p->metric == IVF_L2 ? -0.5F * ivf_dot(centroid, centroid, p->d) : 0;
        for (int64_t i = 0; i < p->n; i++) {
            float score = bias;
            for (int j = 0; j < p->d; j++)
                score = fmaf(p->x[i * p->d + j], centroid[j], score);
            wrong += !same(score, a->scores[i * p->k + c]);
        }
    }
    ck_assert_int_eq(wrong, 0);
}

static int64_t best_not_taken(const float *scores, const uint8_t *taken, int64_t k)
{
    int64_t best = -1;
    for (int64_t c = 0; c < k; c++) {
        if (!taken[c] && (best < 0 || scores[c] > scores[best]))
            best = c;
    }
    return best;
}

/* The best and the top against the scores of the same answer. */
static void check_choice(const problem *p, const answer *a, int top)
{
    uint8_t *taken = ivf_new((size_t)p->k, 1);
    int wrong = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const float *scores = a->scores + i * p->k;
        memset(taken, 0, (size_t)p->k);
        for (int t = 0; t < top; t++) {
            int64_t best = best_not_taken(scores, taken, p->k);
            taken[best] = 1;
            wrong += a->top[i * top + t] != best || !same(a->top_score[i * top + t], scores[best]);
            wrong += t == 0 && (a->best[i] != best || !same(a->score[i], scores[best]));
        }
    }
    ck_assert_int_eq(wrong, 0);
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
    for (int metric = IVF_L2; metric <= IVF_IP; metric++) {
        problem p = {n, k, d, (ivf_metric)metric, x, c};
        check_levels(&p);
    }
    ivf_free(x);
    ivf_free(c);
}

START_TEST(levels_agree_for_every_small_d)
{
    for (int d = 1; d <= 70; d++)
        check_shape(5 + d * 5 % 29, 20 + d * 7 % 31, d, 1);
}
END_TEST

START_TEST(levels_agree_for_every_k)
{
    for (int64_t k = 1; k <= 140; k += k < 70 ? 1 : 7) {
        check_shape(17, k, 3, 1);
        check_shape(3, k, 35, 1);
    }
    check_shape(3, 4097, 5, 1);
}
END_TEST

START_TEST(levels_agree_for_every_n)
{
    for (int64_t n = 0; n <= 40; n++) {
        check_shape(n, 35, 4, 1);
        check_shape(n, 35, 33, 1);
    }
    check_shape(300, 33, 40, 1); /* several blocks of rows */
}
END_TEST

START_TEST(levels_agree_for_large_d)
{
    static const int sizes[] = {127, 128, 129, 512, 768, 1023, 1024, 1025, 3072};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_shape(15, 35, sizes[i], 1);
    check_shape(2, 900, 1100, 1); /* several chunks of d and groups of panels */
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
    enum { N = 20, K = 70, D = 10, ROW_VALUES = N * D, VALUES = K * D, SCORES = N * K };
    float *x = random_values(ROW_VALUES, 1, 1);
    float *c = random_values(VALUES, 2, 1);
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
            assert_same(reference.scores, a.scores, SCORES, "infinities");
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
    enum { N = 30, K = 200, D = 4, ROW_VALUES = N * D, VALUES = K * D };
    float *x = random_values(ROW_VALUES, 1, 1);
    float *c = random_values(VALUES, 2, 1);
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
    memset(x, 0, ROW_VALUES * sizeof *x);
    memset(c, 0, VALUES * sizeof *c);
    c[0] = -0.0F;
    check_levels(&p);
    ivf_free(x);
    ivf_free(c);
}
END_TEST

START_TEST(not_a_number_gets_a_valid_number)
{
    enum { N = 15, K = 37, D = 3, ROW_VALUES = N * D, VALUES = K * D };
    float *x = random_values(ROW_VALUES, 1, 1);
    float *c = random_values(VALUES, 2, 1);
    for (int i = 0; i < ROW_VALUES; i++)
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
    enum { N = 300, K = 700, D = 40, ROW_VALUES = N * D, VALUES = K * D };
    float *x = random_values(ROW_VALUES, 1, 1);
    float *c = random_values(VALUES, 2, 1);
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
