/* math/lapack: eigenvectors and the orthogonal Procrustes problem, by their definitions. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/gemm.h"
#include "math/lapack.h"
#include "mpivf/error.h"

static double *normals(int count, uint64_t seed)
{
    double *a = ivf_new((size_t)count, sizeof *a);
    for (int i = 0; i < count; i++)
        a[i] = ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return a;
}

START_TEST(eigenvectors_are_rows_in_ascending_order)
{
    static const int sizes[] = {1, 2, 7, 40};
    const int d = sizes[_i];
    double *g = normals(d * d, 1);
    double *a = ivf_new((size_t)(d * d), sizeof *a);
    double *value = ivf_new((size_t)d, sizeof *value);
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++)
            a[i * d + j] = g[i * d + j] + g[j * d + i];
    memcpy(g, a, (size_t)(d * d) * sizeof *g);
    ck_assert_int_eq(ivf_eigenvectors(d, a, value), MPIVF_OK);
    for (int v = 0; v < d; v++) {
        ck_assert(v == 0 || value[v] >= value[v - 1]);
        double norm = 0;
        for (int i = 0; i < d; i++) {
            double image = 0;
            for (int j = 0; j < d; j++)
                image += g[i * d + j] * a[v * d + j];
            ck_assert_double_eq_tol(image, value[v] * a[v * d + i], 1e-10);
            norm += a[v * d + i] * a[v * d + i];
        }
        ck_assert_double_eq_tol(norm, 1, 1e-12);
    }
    ivf_free(value);
    ivf_free(a);
    ivf_free(g);
}
END_TEST

/* q[n][m] . a[m][n] is symmetric and has no negative eigenvalue exactly when q is the nearest. */
START_TEST(procrustes_finds_the_nearest)
{
    static const int shapes[][2] = {{1, 1}, {5, 5}, {30, 30}, {9, 4}, {4, 9}};
    const int m = shapes[_i][0];
    const int n = shapes[_i][1];
    const int k = m < n ? m : n;
    double *a = normals(m * n, 2);
    double *kept = normals(m * n, 2);
    double *q = ivf_new((size_t)(m * n), sizeof *q);
    double *s = ivf_new_zero((size_t)(k * k), sizeof *s);
    double *value = ivf_new((size_t)k, sizeof *value);
    ck_assert_int_eq(ivf_procrustes(m, n, a, q), MPIVF_OK);
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
            double orthogonal = 0;
            for (int l = 0; l < (m < n ? n : m); l++) {
                orthogonal += n <= m ? q[i * m + l] * q[j * m + l] : q[l * m + i] * q[l * m + j];
                s[i * k + j] += n <= m ? q[i * m + l] * kept[l * n + j] : kept[i * n + l] * q[l * m + j];
            }
            ck_assert_double_eq_tol(orthogonal, i == j, 1e-12);
        }
    }
    for (int i = 0; i < k; i++)
        for (int j = 0; j < i; j++)
            ck_assert_double_eq_tol(s[i * k + j], s[j * k + i], 1e-10);
    ck_assert_int_eq(ivf_eigenvectors(k, s, value), MPIVF_OK);
    ck_assert_double_ge(value[0], -1e-10);
    ivf_free(value);
    ivf_free(s);
    ivf_free(q);
    ivf_free(kept);
    ivf_free(a);
}
END_TEST

START_TEST(transposed_products_are_products)
{
    enum { ROWS = 37, M = 5, N = 11 };
    float a[ROWS * M];
    float b[ROWS * N];
    float c[M * N];
    for (int i = 0; i < ROWS * M; i++)
        a[i] = (float)(i % 13 - 6);
    for (int i = 0; i < ROWS * N; i++)
        b[i] = (float)(i % 7 - 3);
    ivf_gemm_tn(M, N, ROWS, a, b, c);
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
            float sum = 0;
            for (int row = 0; row < ROWS; row++)
                sum += a[row * M + i] * b[row * N + j];
            ck_assert_float_eq(c[i * N + j], sum);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lapack");
    TCase *tests = tcase_create("lapack");
    tcase_add_loop_test(tests, eigenvectors_are_rows_in_ascending_order, 0, 4);
    tcase_add_loop_test(tests, procrustes_finds_the_nearest, 0, 5);
    tcase_add_test(tests, transposed_products_are_products);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
