/* cluster/kmeans, fast mode: no worse than exact, whatever the rows are like. */
#include <check.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "kmeans_checks.h"
#include "math/rows.h"
#include "math/simd.h"

static ivf_kmeans_params fast_of(int32_t k, int d)
{
    ivf_kmeans_params params = params_of(k, d);
    params.mode = IVF_KMEANS_FAST;
    return params;
}

/* n rows around `clusters` centres, which are `apart` times as far from each other as rows are from theirs. */
static float *clustered(int64_t n, int d, int clusters, float apart)
{
    float *x = normals(n, d, 31);
    float *centres = normals(clusters, d, 32);
    for (int64_t row = 0; row < n; row++) {
        double skewed = ivf_rng_uniform(33, IVF_RNG_TEST, (uint64_t)row);
        int64_t cluster = (int64_t)(skewed * skewed * clusters);
        for (int j = 0; j < d; j++)
            x[row * d + j] += apart * centres[cluster * d + j];
    }
    ivf_free(centres);
    return x;
}

/* Mean squared distance of rows to the nearest centroid, of every `each`-th row. */
static double objective_at(const float *x, int64_t n, int each, const float *centroids, int32_t k, int d)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t row = 0; row < n; row += each, count++) {
        double least;
        (void)nearest(x + row * d, centroids, k, d, &least);
        sum += least;
    }
    return sum / (double)count;
}

/* Returns what was reported, as a multiple of what is found. */
static double no_worse_than_exact(ivf_kmeans_params params, const float *x, int64_t n, const char *steps, int each,
                                  double by)
{
    size_t values = (size_t)params.k * (size_t)params.d;
    float *fast = ivf_new(values, sizeof *fast);
    float *exact = ivf_new(values, sizeof *exact);
    ck_assert_int_eq(ivf_kmeans(&params, x, n, fast, &report), MPIVF_OK);
    ck_assert_uint_eq((size_t)report.iterations, strlen(report.steps));
    ck_assert_msg(strncmp(report.steps, steps, strlen(steps)) == 0, "%s", report.steps);
    double reported = report.objective[report.iterations - 1];
    params.mode = IVF_KMEANS_EXACT;
    ck_assert_int_eq(ivf_kmeans(&params, x, n, exact, &report), MPIVF_OK);
    double reached = objective_at(x, n, each, fast, params.k, params.d);
    double expected = objective_at(x, n, each, exact, params.k, params.d);
    ck_assert_double_le(reached, expected * by);
    ivf_free(fast);
    ivf_free(exact);
    return reported / (double)n / reached;
}

START_TEST(all_kinds_of_passes)
{
    enum { N = 36000, D = 16, K = 520 };
    float *x = clustered(N, D, 300, 2);
    double ratio = no_worse_than_exact(fast_of(K, D), x, N, "mmmmmmqQRRRRRRRRR", 11, 1);
    ck_assert_double_eq_tol(ratio, 1, 0.02);
    ivf_free(x);
}
END_TEST

START_TEST(passes_through_a_tree)
{
    enum { N = 40000, D = 16, K = 600 };
    ivf_kmeans_params params = fast_of(K, D);
    float *x = clustered(N, D, 300, 2);
    params.shape = IVF_KMEANS_HIERARCHICAL;
    double ratio = no_worse_than_exact(params, x, N, "mmmmtTTRRRRRRRR", 11, 1.005);
    ck_assert_double_eq_tol(ratio, 1, 0.02);
    ivf_free(x);
}
END_TEST

START_TEST(few_centroids_meet_all_rows)
{
    enum { N = 9000, D = 10, K = 40 };
    float *x = clustered(N, D, 100, 2);
    (void)no_worse_than_exact(fast_of(K, D), x, N, "mmmmmmqQQQQQQQQQQ", 3, 1.005);
    ivf_free(x);
}
END_TEST

START_TEST(few_rows_are_used_whole)
{
    enum { N = 9000, D = 10, K = 513 };
    float *x = clustered(N, D, 100, 2);
    (void)no_worse_than_exact(fast_of(K, D), x, N, "mmQQRRRRRRRR", 3, 1.01);
    ivf_free(x);
}
END_TEST

START_TEST(directions)
{
    enum { N = 18000, D = 12, K = 64 };
    ivf_kmeans_params params = fast_of(K, D);
    float *x = clustered(N, D, 100, 2);
    params.metric = IVF_COSINE;
    ivf_rows_normalise(x, N, D);
    (void)no_worse_than_exact(params, x, N, "mmmmmmqQQQQQQQQQQ", 3, 1.005);
    ivf_free(x);
}
END_TEST

/* One value is a million times as large as the others, which a grid for all of them would round to nothing. */
START_TEST(rows_that_suit_no_grid)
{
    enum { N = 36000, D = 16, K = 520 };
    float *x = clustered(N, D, 300, 2);
    for (int64_t row = 0; row < N; row++)
        x[row * D] *= 1e6F;
    (void)no_worse_than_exact(fast_of(K, D), x, N, "mmmmmmfFRRRRRRRRR", 1, 1.1);
    ivf_free(x);
}
END_TEST

/* Some rows are far outside the grid that fits the others. They count as they are, but how many of them get a cell of
 * their own is a matter of luck and decides the whole objective: so that of the others is looked at. */
START_TEST(rows_outside_the_grid)
{
    enum { N = 36000, D = 16, K = 520, EACH = 1500, TAME = N - N / EACH };
    ivf_kmeans_params params = fast_of(K, D);
    float *x = clustered(N, D, 300, 2);
    float *tame = ivf_new((size_t)TAME * D, sizeof *tame);
    float *fast = ivf_new((size_t)K * D, sizeof *fast);
    float *exact = ivf_new((size_t)K * D, sizeof *exact);
    for (int64_t row = 0, at = 0; row < N; row++) {
        if (row % EACH != 0)
            memcpy(tame + at++ * D, x + row * D, D * sizeof *tame);
        for (int j = 0; j < D && row % EACH == 0; j++)
            x[row * D + j] *= 1000;
    }
    ck_assert_int_eq(ivf_kmeans(&params, x, N, fast, &report), MPIVF_OK);
    ck_assert_str_eq(report.steps, "mmmmmmqQRRRRRRRRR");
    params.mode = IVF_KMEANS_EXACT;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, exact, &report), MPIVF_OK);
    ck_assert_double_le(objective_at(tame, TAME, 1, fast, K, D), objective_at(tame, TAME, 1, exact, K, D));
    ck_assert_double_le(objective_at(x, N, 1, fast, K, D), objective_at(x, N, 1, exact, K, D) * 4);
    ivf_free(tame);
    ivf_free(fast);
    ivf_free(exact);
    ivf_free(x);
}
END_TEST

/* The last means are those of the rows, not of rounded ones. */
START_TEST(centroids_are_means_of_rows)
{
    enum { N = 3000, D = 3, K = 1 };
    ivf_kmeans_params params = fast_of(K, D);
    float *x = normals(N, D, 34);
    float centroid[D];
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroid, &report), MPIVF_OK);
    ck_assert_str_eq(report.stopped, "settled");
    for (int j = 0; j < D; j++) {
        double sum = 0;
        for (int64_t row = 0; row < N; row++)
            sum += (double)x[row * D + j];
        ck_assert_float_eq(centroid[j], (float)(sum / N));
    }
    ivf_free(x);
}
END_TEST

/* Rows that rounding cannot tell apart, so that only single precision finds them cells. */
START_TEST(crowds_are_told_apart)
{
    enum { CROWD = 3000, OTHERS = 100, N = CROWD + OTHERS, D = 6, K = 128 };
    ivf_kmeans_params params = fast_of(K, D);
    float *x = normals(N, D, 35);
    float *centroids = ivf_new((size_t)K * D, sizeof *centroids);
    int64_t sizes[K];
    for (int64_t row = 0; row < OTHERS; row++)
        for (int j = 0; j < D; j++)
            x[row * D + j] *= 4000;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    (void)objective_of(x, N, centroids, K, D, sizes);
    for (int c = 0; c < K; c++)
        ck_assert_int_gt(sizes[c], 0);
    ivf_free(centroids);
    ivf_free(x);
}
END_TEST

/* Fewer rows than a part of them would have. */
START_TEST(very_few_rows)
{
    enum { N = 300, D = 4, K = 3 };
    float *x = clustered(N, D, 3, 9);
    (void)no_worse_than_exact(fast_of(K, D), x, N, "mmQ", 1, 1.001);
    ivf_free(x);
}
END_TEST

START_TEST(every_row_its_own_cell)
{
    enum { N = 600, D = 6 };
    ivf_kmeans_params params = fast_of(N, D);
    float *x = normals(N, D, 36);
    float *centroids = ivf_new((size_t)N * D, sizeof *centroids);
    int64_t *sizes = ivf_new(N, sizeof *sizes);
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ck_assert_double_eq(objective_of(x, N, centroids, N, D, sizes), 0);
    ivf_free(sizes);
    ivf_free(centroids);
    ivf_free(x);
}
END_TEST

START_TEST(threads_do_not_change_a_bit)
{
    enum { N = 36000, D = 9, K = 520 };
    const size_t bytes = (size_t)K * D * sizeof(float);
    ivf_kmeans_params params = fast_of(K, D);
    params.iterations = 4;
    float *x = clustered(N, D, 300, 2);
    float *one = ivf_new(bytes, 1);
    float *more = ivf_new(bytes, 1);
    ivf_team_resize(1);
    ck_assert_int_eq(ivf_kmeans(&params, x, N, one, &report), MPIVF_OK);
    for (int threads = 2; threads <= 4; threads++) {
        ivf_team_resize(threads);
        ck_assert_int_eq(ivf_kmeans(&params, x, N, more, &report), MPIVF_OK);
        ck_assert_mem_eq(one, more, bytes);
    }
    ivf_free(one);
    ivf_free(more);
    ivf_free(x);
}
END_TEST

START_TEST(memory_is_what_the_header_says)
{
    enum { N = 60000, D = 32, K = 520, WIDTH = 64 };
    ivf_kmeans_params params = fast_of(K, D);
    float *x = clustered(N, D, 300, 2);
    float *centroids = ivf_new((size_t)K * D, sizeof *centroids);
    params.iterations = 3;
    ivf_team_resize(2);
    size_t before = ivf_memory_now();
    ivf_memory_reset_peak();
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ck_assert_uint_eq(ivf_memory_now(), before);
    const size_t rows = (size_t)N * (D + 13);
    const size_t cells = (size_t)K * (20 * D + 464);
    const size_t threads = 2 * ((size_t)WIDTH * 6 * D + (size_t)K * 110 + 4096);
    const size_t fit = (size_t)4096 * 2 * (4 * D + 4);
    ck_assert_uint_le(ivf_memory_peak() - before, rows + cells + threads + fit);
    ivf_free(centroids);
    ivf_free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kmeans_fast");
    TCase *tests = tcase_create("kmeans_fast");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, all_kinds_of_passes);
    tcase_add_test(tests, passes_through_a_tree);
    tcase_add_test(tests, few_centroids_meet_all_rows);
    tcase_add_test(tests, few_rows_are_used_whole);
    tcase_add_test(tests, directions);
    tcase_add_test(tests, rows_that_suit_no_grid);
    tcase_add_test(tests, rows_outside_the_grid);
    tcase_add_test(tests, centroids_are_means_of_rows);
    tcase_add_test(tests, crowds_are_told_apart);
    tcase_add_test(tests, very_few_rows);
    tcase_add_test(tests, every_row_its_own_cell);
    tcase_add_test(tests, threads_do_not_change_a_bit);
    tcase_add_test(tests, memory_is_what_the_header_says);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
