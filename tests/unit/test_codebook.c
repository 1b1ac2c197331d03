/* codec/codebook: integer k-means beside exact k-means; outliers, few distinct rows, threads, warm starts. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/team.h"
#include "codec/codebook.h"
#include "math/panels.h"
#include "math/simd.h"

/* A mixture: rows near 40 points. */
static float *cloud(int64_t n, int d, uint64_t seed)
{
    float *x = ivf_new((size_t)(n * d), sizeof *x);
    for (int64_t i = 0; i < n * d; i++) {
        uint64_t point = ivf_rng_below(seed, IVF_RNG_TEST + 1, (uint64_t)(i / d), 40);
        x[i] = 2 * (float)ivf_rng_normal(seed, IVF_RNG_TEST, point * 64 + (uint64_t)(i % d)) +
               0.7F * (float)ivf_rng_normal(seed, IVF_RNG_TEST + 2, (uint64_t)i);
    }
    return x;
}

static double error_of(const float *x, int64_t n, int d, const float *words, int k)
{
    double error = 0;
    int32_t *best = ivf_new((size_t)n, sizeof *best);
    float *score = ivf_new((size_t)n, sizeof *score);
    ivf_panels *panels = ivf_panels_new(words, k, d, IVF_L2);
    ivf_panels_best(panels, x, n, best, score);
    for (int64_t i = 0; i < n * d; i++) {
        double from = (double)x[i] - (double)words[best[i / d] * d + i % d];
        error += from * from;
    }
    ivf_panels_free(panels);
    ivf_free(score);
    ivf_free(best);
    return error;
}

static const struct {
    int words, d;
    int64_t n;
} shapes[] = {{256, 4, 20000}, {16, 1, 5000}, {64, 7, 20000}, {32, 64, 3000}, {128, 2, 40000}, {16, 70, 500}};

/* Means over seeds: where Lloyd ends depends on where it starts. */
START_TEST(integers_are_as_good_as_floats)
{
    const int d = shapes[_i].d;
    float *x = cloud(shapes[_i].n, d, 3);
    float *words = ivf_new((size_t)(shapes[_i].words * d), sizeof *words);
    double error[2] = {0};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (int exact = 0; exact < 2; exact++) {
            const ivf_codebook_params params = {
                .words = shapes[_i].words, .dsub = d, .iterations = 25, .seed = seed, .exact = exact != 0};
            ck_assert_int_eq(ivf_codebook_train(&params, x, shapes[_i].n, words), MPIVF_OK);
            error[exact] += error_of(x, shapes[_i].n, d, words, shapes[_i].words);
        }
    }
    ck_assert_msg(error[0] < 1.02 * error[1], "%g of exact k-means", error[0] / error[1]);
    ivf_free(words);
    ivf_free(x);
}
END_TEST

/* One row in a hundred is far away: the others must not pay for it, and a word goes out there. */
START_TEST(outliers_do_not_spoil_the_rest)
{
    enum { N = 8000, D = 4, WORDS = 64 };
    static const float far[] = {1e3F, 1e7F, 1e15F};
    float *x = cloud(N, D, 5);
    float words[WORDS * D];
    float kept[N * D];
    memcpy(kept, x, sizeof kept);
    const ivf_codebook_params params = {.words = WORDS, .dsub = D, .iterations = 15, .seed = 2};
    ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
    const double plain = error_of(kept, N, D, words, WORDS);
    for (int64_t row = 0; row < N; row += 100 + 7)
        x[row * D + row % D] += far[_i];
    ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
    for (int i = 0; i < WORDS * D; i++)
        ck_assert(isfinite(words[i]));
    ck_assert_double_lt(error_of(kept, N, D, words, WORDS), 1.25 * plain);
    ivf_free(x);
}
END_TEST

START_TEST(threads_and_levels_do_not_matter)
{
    enum { N = 30000, D = 5, WORDS = 64 };
    float *x = cloud(N, D, 7);
    float first[WORDS * D];
    float words[WORDS * D];
    for (int64_t row = 0; row < N; row += 701)
        x[row * D] = 500;
    const ivf_codebook_params params = {.words = WORDS, .dsub = D, .iterations = 6, .seed = 2};
    ck_assert_int_eq(ivf_codebook_train(&params, x, N, first), MPIVF_OK);
    for (int threads = 1; threads <= 5; threads++) {
        ivf_team_resize(threads);
        ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
        ck_assert_mem_eq(words, first, sizeof first);
    }
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        ivf_simd_choose((ivf_simd)level);
        ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
        ck_assert_mem_eq(words, first, sizeof first);
    }
    ivf_free(x);
}
END_TEST

/* One more iteration from where training ended makes the error no larger, and starts from those words. */
START_TEST(warm_starts_go_on)
{
    enum { N = 10000, D = 3, WORDS = 32 };
    float *x = cloud(N, D, 9);
    float words[WORDS * D];
    ivf_codebook_params params = {.words = WORDS, .dsub = D, .iterations = 2, .seed = 2};
    ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
    double before = error_of(x, N, D, words, WORDS);
    params.warm = true;
    params.iterations = 1;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
        const double now = error_of(x, N, D, words, WORDS);
        ck_assert_double_le(now, before * 1.0001);
        before = now;
    }
    params.warm = false;
    params.iterations = 1;
    ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
    ck_assert_double_gt(error_of(x, N, D, words, WORDS), before);
    ivf_free(x);
}
END_TEST

START_TEST(few_distinct_rows_are_all_words)
{
    enum { N = 2000, D = 2, WORDS = 16 };
    float x[N * D];
    float words[WORDS * D];
    const ivf_codebook_params params = {.words = WORDS, .dsub = D, .iterations = 5, .seed = 2};
    for (int i = 0; i < N; i++) {
        x[i * D] = (float)(i % 3);
        x[i * D + 1] = 0.1F * (float)(i % 2);
    }
    ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
    ck_assert_double_eq(error_of(x, N, D, words, WORDS), 0);
    ck_assert_int_eq(ivf_codebook_train(&params, x, 5, words), MPIVF_OK);
    ck_assert_double_eq(error_of(x, 5, D, words, WORDS), 0);
}
END_TEST

/* Most rows are one point, so that the bulk has no extent. */
START_TEST(rows_that_hardly_differ_are_served)
{
    enum { N = 9000, D = 4, WORDS = 32 };
    float *x = cloud(N, D, 11);
    float words[WORDS * D];
    const ivf_codebook_params params = {.words = WORDS, .dsub = D, .iterations = 10, .seed = 2};
    for (int64_t i = 0; i < (int64_t)N * D; i++)
        x[i] = i / D % 200 == 0 ? x[i] : 3;
    ck_assert_int_eq(ivf_codebook_train(&params, x, N, words), MPIVF_OK);
    double spread = 0;
    for (int64_t i = 0; i < (int64_t)N * D; i++)
        spread += pow((double)x[i] - 3, 2);
    ck_assert_double_lt(error_of(x, N, D, words, WORDS), 0.3 * spread);
    ivf_free(x);
}
END_TEST

START_TEST(iterations_are_checked)
{
    float x[64] = {0};
    float words[16];
    ivf_codebook_params params = {.words = 16, .dsub = 1, .iterations = 0};
    ck_assert_int_eq(ivf_codebook_train(&params, x, 64, words), MPIVF_USAGE);
    params.iterations = 1 << 20;
    ck_assert_int_eq(ivf_codebook_train(&params, x, 64, words), MPIVF_USAGE);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "iterations"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codebook");
    TCase *tests = tcase_create("codebook");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, integers_are_as_good_as_floats, 0, (int)(sizeof shapes / sizeof shapes[0]));
    tcase_add_loop_test(tests, outliers_do_not_spoil_the_rest, 0, 3);
    tcase_add_test(tests, threads_and_levels_do_not_matter);
    tcase_add_test(tests, warm_starts_go_on);
    tcase_add_test(tests, few_distinct_rows_are_all_words);
    tcase_add_test(tests, rows_that_hardly_differ_are_served);
    tcase_add_test(tests, iterations_are_checked);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
