/* cluster/kmeans: rows that break k-means: copies, crowds too close to tell apart, values of any size, and the repair
 * of empty cells. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "kmeans_checks.h"

/* Many rows twice, and rows whose bits differ only in the sign of zero. */
START_TEST(copies_are_never_seeds_twice)
{
    enum { DISTINCT = 30, N = 600, D = 3 };
    ivf_kmeans_params params = params_of(DISTINCT, D);
    float *values = normals(DISTINCT, D, 5);
    float *x = ivf_new((size_t)N * D, sizeof *x);
    float centroids[DISTINCT * D];
    int64_t sizes[DISTINCT];
    for (int64_t row = 0; row < N; row++) {
        memcpy(x + row * D, values + row % DISTINCT * D, D * sizeof *x);
        x[row * D] = row / DISTINCT % 2 == 0 ? 0.0F : -0.0F;
    }
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ck_assert_str_eq(report.stopped, "settled");
    ck_assert_double_le(report.objective[0], 1e-4);
    ck_assert_double_eq(objective_of(x, N, centroids, DISTINCT, D, sizes), 0);
    for (int c = 0; c < DISTINCT; c++)
        ck_assert_int_eq(sizes[c], N / DISTINCT);
    params.k = DISTINCT + 1;
    float one_more[(DISTINCT + 1) * D];
    ck_assert_int_eq(ivf_kmeans(&params, x, N, one_more, &report), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "31 cells"));
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "only 30 of the 600"));
    params.spare = true;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, one_more, &report), MPIVF_OK);
    ck_assert_mem_eq(one_more, centroids, sizeof centroids);
    ck_assert_mem_eq(one_more + DISTINCT * D, centroids, D * sizeof(float));
    ivf_free(values);
    ivf_free(x);
}
END_TEST

START_TEST(empty_cells_take_the_farthest_rows_of_the_worst_cells)
{
    enum { N = 9, K = 7 };
    const float x[N] = {1, -2, 90, 130, 50, 1, 70, 140, 140};
    float centroids[K] = {0, 110, 60, 7, 8, 9, 140};
    int32_t cell[N] = {0, 0, 1, 1, 2, 0, 1, 6, 6};
    float norm[N] = {0};
    bool founded[K] = {false};
    int32_t order[N];
    int64_t start[K + 2];
    int64_t largest[K];
    int64_t size[2 * K + 1];
    float direction[1];
    ivf_kmeans_params params = params_of(K, 1);
    ivf_kmeans_work work = {.params = &params,
                            .share = {.total = N, .rank = 0, .size = 1},
                            .x = x,
                            .rows = N,
                            .n = N,
                            .places = N,
                            .d = 1,
                            .k = K,
                            .norm = norm,
                            .founded = founded,
                            .cell = cell,
                            .order = order,
                            .start = start,
                            .direction = direction,
                            .largest = largest,
                            .size = size};
    int64_t repaired = 0;
    work.centroids = centroids;
    ivf_team_resize(1);
    ivf_kmeans_sort(&work);
    ivf_kmeans_tally(NULL, &work);
    ck_assert_int_eq(ivf_kmeans_empty(&work), 3);
    ck_assert_int_eq(ivf_kmeans_repair(NULL, &work, &repaired), MPIVF_OK);
    /* Cell 1 is off by 20^2 + 20^2 + 40^2, cell 0 by 1 + 4 + 1; cell 2 has one row, cell 6 none that differs. */
    const int32_t expected[N] = {0, 4, 1, 1, 2, 0, 3, 6, 6};
    ck_assert_int_eq(repaired, 2);
    ck_assert_mem_eq(cell, expected, sizeof expected);
    ck_assert_int_eq(ivf_kmeans_empty(&work), 1);
    ck_assert_int_eq(size[3], 1);
    ck_assert_int_eq(ivf_kmeans_rows_in(&work, 3), 1);
    ck_assert_int_eq(order[start[3]], 6);
}
END_TEST

/* Rows that differ by less than single precision can tell apart at their distance from the origin: nearly all seeds
 * fall into the crowd, whose cells then lose every row to one of them. Without repair those cells stay empty. */
START_TEST(empty_cells_are_repaired)
{
    enum { CROWD = 2000, OTHERS = 400, N = CROWD + OTHERS, D = 8, K = 64 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = normals(N, D, 9);
    float centroids[K * D];
    for (int64_t row = 0; row < CROWD; row++)
        for (int j = 0; j < D; j++)
            x[row * D + j] = 300 + 1e-4F * x[row * D + j];
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ck_assert_int_gt(report.repairs, K / 4);
    int others = 0;
    for (int c = 0; c < K; c++)
        others += centroids[c * D] < 100;
    ck_assert_int_gt(others, K / 2);
    ivf_free(x);
}
END_TEST

/* All rows the same but for the last bits: there are k distinct ones, but no k cells can be told apart. */
START_TEST(rows_too_close_are_refused)
{
    enum { N = 64, D = 64 };
    ivf_kmeans_params params = params_of(N, D);
    float *x = ivf_new((size_t)N * D, sizeof *x);
    float *centroids = ivf_new((size_t)N * D, sizeof *centroids);
    for (int i = 0; i < N * D; i++)
        x[i] = 1000;
    for (int row = 0; row < N; row++)
        x[row * D + row] = nextafterf(1000, 2000);
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "too close together"));
    params.spare = true;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    ivf_free(centroids);
    ivf_free(x);
}
END_TEST

/* Multiples of a few directions, and zeros: spherical cells are as many as directions. */
START_TEST(spherical_seeds_differ_in_direction)
{
    enum { DIRECTIONS = 10, N = 400, D = 4 };
    ivf_kmeans_params params = params_of(DIRECTIONS, D);
    float *values = normals(DIRECTIONS, D, 11);
    float x[N * D];
    float centroids[(DIRECTIONS + 1) * D];
    for (int row = 0; row < N; row++)
        for (int j = 0; j < D; j++)
            x[row * D + j] = row % 8 == 0 ? 0 : values[row % DIRECTIONS * D + j] * (float)(1 << row % 5);
    params.metric = IVF_IP;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_OK);
    params.k = DIRECTIONS + 1;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, centroids, &report), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "differ in direction, but only 10"));
    ivf_free(values);
}
END_TEST

START_TEST(sums_do_not_depend_on_the_order_of_rows)
{
    enum { N = 5000, D = 4 };
    ivf_kmeans_params params = params_of(1, D);
    float *x = normals(N, D, 12);
    float *turned = ivf_new((size_t)N * D, sizeof *turned);
    float one[D];
    float other[D];
    for (int i = 0; i < N * D; i++)
        x[i] *= (float)ldexp(1, i % 40);
    for (int64_t row = 0; row < N; row++)
        memcpy(turned + row * D, x + (N - 1 - row) * D, D * sizeof *x);
    ck_assert_int_eq(ivf_kmeans(&params, x, N, one, &report), MPIVF_OK);
    ck_assert_int_eq(ivf_kmeans(&params, turned, N, other, &report), MPIVF_OK);
    ck_assert_mem_eq(one, other, sizeof one);
    ivf_free(x);
    ivf_free(turned);
}
END_TEST

/* The means of rows near both ends of f32's range. */
START_TEST(scales_from_tiny_to_huge)
{
    static const float sizes[] = {1e-18F, 1e-6F, 1, 1e6F, 1e18F};
    enum { N = 3000, D = 2 };
    ivf_kmeans_params params = params_of(1, D);
    float *x = normals(N, D, 13);
    float mean[D];
    double sum[D] = {0};
    for (int i = 0; i < N * D; i++) {
        x[i] = (x[i] + 1) * sizes[_i];
        sum[i % D] += (double)x[i];
    }
    ck_assert_int_eq(ivf_kmeans(&params, x, N, mean, &report), MPIVF_OK);
    for (int j = 0; j < D; j++)
        ck_assert_double_eq_tol((double)mean[j], sum[j] / N, 1e-6 * (double)sizes[_i]);
    ivf_free(x);
}
END_TEST

/* So many rows of one sign that a sum with a unit for few rows would overflow. */
START_TEST(many_rows_do_not_overflow)
{
    enum { N = 1 << 20 };
    ivf_kmeans_params params = params_of(1, 1);
    float *x = ivf_new(N, sizeof *x);
    float mean;
    for (int i = 0; i < N; i++)
        x[i] = i % 2 == 0 ? 1.75F : 2.25F;
    ck_assert_int_eq(ivf_kmeans(&params, x, N, &mean, &report), MPIVF_OK);
    ck_assert_float_eq(mean, 2);
    ivf_free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kmeans_hard");
    TCase *tests = tcase_create("kmeans_hard");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, copies_are_never_seeds_twice);
    tcase_add_test(tests, empty_cells_take_the_farthest_rows_of_the_worst_cells);
    tcase_add_test(tests, empty_cells_are_repaired);
    tcase_add_test(tests, rows_too_close_are_refused);
    tcase_add_test(tests, spherical_seeds_differ_in_direction);
    tcase_add_test(tests, sums_do_not_depend_on_the_order_of_rows);
    tcase_add_loop_test(tests, scales_from_tiny_to_huge, 0, 5);
    tcase_add_test(tests, many_rows_do_not_overflow);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
