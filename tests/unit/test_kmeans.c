/* cluster/kmeans: against plain arithmetic, and on data whose clusters are known. */
#include <check.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "kmeans_checks.h"

START_TEST(objective_falls_and_is_what_it_says)
{
    enum { N = 3000, D = 7, K = 20 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = normals(N, D, 1);
    float centroids[K * D];
    float before[K * D];
    int64_t sizes[K];
    params.iterations = 12;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, before, &report), MPIVF_OK);
    ck_assert_int_eq(report.iterations, 12);
    ck_assert_str_eq(report.steps, "FFFFFFFFFFFF");
    ck_assert_str_eq(report.stopped, "iterations");
    ck_assert_int_eq(report.repairs, 0);
    for (int i = 1; i < report.iterations; i++)
        ck_assert_double_lt(report.objective[i], report.objective[i - 1]);
    params.iterations = 13;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    double expected = objective_of(x, N, before, K, D, sizes);
    ck_assert_double_eq_tol(report.objective[12], expected, 1e-5 * expected);
    double squares = 0;
    for (int c = 0; c < K; c++)
        squares += (double)sizes[c] * (double)sizes[c];
    ck_assert_double_eq_tol(report.imbalance, K * squares / ((double)N * N), 1e-12);
    ivf_free(x);
}
END_TEST

START_TEST(centroids_are_the_means_of_their_cells)
{
    enum { N = 2000, D = 5, K = 16 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = normals(N, D, 2);
    float first[K * D];
    float second[K * D];
    params.iterations = 3;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, first, &report), MPIVF_OK);
    params.iterations = 4;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, second, &report), MPIVF_OK);
    double mean[K][D] = {{0}};
    int64_t sizes[K] = {0};
    for (int64_t row = 0; row < N; row++) {
        double least;
        int32_t c = nearest(x + row * D, first, K, D, &least);
        sizes[c]++;
        for (int j = 0; j < D; j++)
            mean[c][j] += (double)x[row * D + j];
    }
    for (int c = 0; c < K; c++)
        for (int j = 0; j < D; j++)
            ck_assert_float_eq_tol(second[c * D + j], (float)(mean[c][j] / (double)sizes[c]), 1e-6F);
    ivf_free(x);
}
END_TEST

/* K points 100 apart, each with a cloud of radius about 1: every cloud must get its centroid when seeding hits it, and
 * no centroid may sit between clouds. */
START_TEST(separated_clusters_are_found)
{
    enum { CLUSTERS = 8, EACH = 200, N = CLUSTERS * EACH, D = 4 };
    ivf_kmeans_params params = params_of(64, D);
    float *x = normals(N, D, 3);
    float centroids[64 * D];
    int found = 0;
    for (int64_t row = 0; row < N; row++)
        x[row * D + row % D] += (float)(100 * (row % CLUSTERS + 1));
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    for (int c = 0; c < CLUSTERS; c++) {
        bool near = false;
        for (int i = 0; i < 64; i++) {
            float target[D] = {0};
            target[c % D] = (float)(100 * (c + 1));
            near |= distance(centroids + (size_t)i * D, target, D) < 16;
        }
        found += near;
    }
    ck_assert_int_eq(found, CLUSTERS);
    for (int i = 0; i < 64; i++) {
        double least;
        (void)nearest(centroids + (size_t)i * D, x, N, D, &least);
        ck_assert_double_lt(least, 16);
    }
    ivf_free(x);
}
END_TEST

static void run_threads(const ivf_kmeans_params *params, const float *x, int64_t n)
{
    size_t bytes = (size_t)params->k * (size_t)params->d * sizeof(float);
    float *one = ivf_new(bytes, 1);
    float *more = ivf_new(bytes, 1);
    ivf_team_resize(1);
    ck_assert_int_eq(ivf_kmeans(params, x, n, one, &report), MPIVF_OK);
    ivf_kmeans_report first = report;
    for (int threads = 2; threads <= 5; threads++) {
        ivf_team_resize(threads);
        ck_assert_int_eq(ivf_kmeans(params, x, n, more, &report), MPIVF_OK);
        ck_assert_mem_eq(one, more, bytes);
        ck_assert_mem_eq(first.objective, report.objective, sizeof first.objective);
        ck_assert_int_eq(first.repairs, report.repairs);
        ck_assert(first.imbalance == report.imbalance);
    }
    ivf_free(one);
    ivf_free(more);
}

START_TEST(threads_do_not_change_a_bit)
{
    enum { N = 9000, D = 10 };
    static const ivf_metric metrics[] = {IVF_L2, IVF_IP};
    ivf_kmeans_params params = params_of(37, D);
    params.iterations = 4;
    params.metric = metrics[_i];
    float *x = normals(N, D, 4);
    run_threads(&params, x, N);
    ivf_free(x);
}
END_TEST

START_TEST(every_row_can_be_its_own_cell)
{
    enum { N = 200, D = 6 };
    ivf_kmeans_params params = params_of(N, D);
    float *x = normals(N, D, 6);
    float *centroids = ivf_new((size_t)N * D, sizeof *centroids);
    int64_t sizes[N];
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ck_assert_double_eq(objective_of(x, N, centroids, N, D, sizes), 0);
    ck_assert_double_eq(report.imbalance, 1);
    params.k = N + 1;
    float *more = ivf_new((size_t)(N + 1) * D, sizeof *more);
    ck_assert_int_eq(ivf_kmeans(&params, x, N, more, &report), MPIVF_BAD_INPUT);
    ivf_free(more);
    ivf_free(centroids);
    ivf_free(x);
}
END_TEST

START_TEST(one_cell_is_the_mean)
{
    enum { N = 1000, D = 3 };
    ivf_kmeans_params params = params_of(1, D);
    float *x = normals(N, D, 7);
    float centroid[D];
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroid, &report), MPIVF_OK);
    ck_assert_str_eq(report.stopped, "settled");
    ck_assert_int_eq(report.iterations, 2);
    for (int j = 0; j < D; j++) {
        double sum = 0;
        for (int64_t row = 0; row < N; row++)
            sum += (double)x[row * D + j];
        ck_assert_float_eq(centroid[j], (float)(sum / N));
    }
    ivf_free(x);
}
END_TEST

START_TEST(one_dimension_and_one_row)
{
    ivf_kmeans_params params = params_of(3, 1);
    float x[] = {1, 2, 10, 11, 100, 101, 102};
    float centroids[3];
    params.iterations = 30;
    ck_assert_int_eq(ivf_kmeans(&params, x, 7, centroids, &report), MPIVF_OK);
    ck_assert_str_eq(report.stopped, "settled");
    params.k = 1;
    ck_assert_int_eq(ivf_kmeans(&params, x + 4, 1, centroids, &report), MPIVF_OK);
    ck_assert_float_eq(centroids[0], 100);
}
END_TEST

START_TEST(tolerance_stops_early)
{
    enum { N = 4000, D = 8, K = 16 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = normals(N, D, 8);
    float centroids[K * D];
    params.iterations = 200;
    params.tolerance = 0.01;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ck_assert_str_eq(report.stopped, "tolerance");
    ck_assert_int_lt(report.iterations, 50);
    int last = report.iterations - 1;
    ck_assert_double_lt(report.objective[last - 1] - report.objective[last], 0.01 * report.objective[last - 1]);
    ck_assert_double_ge(report.objective[last - 2] - report.objective[last - 1], 0.01 * report.objective[last - 2]);
    ivf_free(x);
}
END_TEST

START_TEST(spherical_centroids_have_norm_one)
{
    enum { N = 3000, D = 9, K = 24 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = normals(N, D, 10);
    float centroids[K * D];
    params.metric = IVF_IP;
    for (int64_t row = 0; row < N; row++)
        for (int j = 0; j < D; j++)
            x[row * D + j] *= (float)(row % 7);
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    for (int c = 0; c < K; c++) {
        float zero[D] = {0};
        ck_assert_double_eq_tol(distance(centroids + (size_t)c * D, zero, D), 1, 1e-6);
    }
    for (int i = 1; i < report.iterations; i++)
        ck_assert_double_lt(report.objective[i], report.objective[i - 1]);
    ivf_free(x);
}
END_TEST

START_TEST(parameters_out_of_range_are_refused)
{
    float x[4] = {1, 2, 3, 4};
    float centroids[4];
    ivf_kmeans_params params = params_of(0, 2);
    ck_assert_int_eq(ivf_kmeans(&params, x, 2, centroids, &report), MPIVF_USAGE);
    params.k = 2;
    params.iterations = 0;
    ck_assert_int_eq(ivf_kmeans(&params, x, 2, centroids, &report), MPIVF_USAGE);
    params.iterations = IVF_KMEANS_ITERATIONS + 1;
    ck_assert_int_eq(ivf_kmeans(&params, x, 2, centroids, &report), MPIVF_USAGE);
    params.iterations = 1;
    ck_assert_int_eq(ivf_kmeans(&params, x, 0, centroids, &report), MPIVF_BAD_INPUT);
}
END_TEST

START_TEST(memory_is_what_the_header_says)
{
    enum { N = 20000, D = 32, K = 256 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = normals(N, D, 14);
    float *centroids = ivf_new((size_t)K * D, sizeof *centroids);
    params.iterations = 2;
    ivf_team_resize(2);
    size_t before = ivf_memory_now();
    ivf_memory_reset_peak();
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ck_assert_uint_eq(ivf_memory_now(), before);
    ck_assert_uint_le(ivf_memory_peak() - before, K * (D * 4 + 64) + K * D * 8 + N * 12 + 2 * 4 * D + 4096);
    ivf_free(centroids);
    ivf_free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kmeans");
    TCase *tests = tcase_create("kmeans");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, objective_falls_and_is_what_it_says);
    tcase_add_test(tests, centroids_are_the_means_of_their_cells);
    tcase_add_test(tests, separated_clusters_are_found);
    tcase_add_loop_test(tests, threads_do_not_change_a_bit, 0, 2);
    tcase_add_test(tests, every_row_can_be_its_own_cell);
    tcase_add_test(tests, one_cell_is_the_mean);
    tcase_add_test(tests, one_dimension_and_one_row);
    tcase_add_test(tests, tolerance_stops_early);
    tcase_add_test(tests, spherical_centroids_have_norm_one);
    tcase_add_test(tests, parameters_out_of_range_are_refused);
    tcase_add_test(tests, memory_is_what_the_header_says);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
