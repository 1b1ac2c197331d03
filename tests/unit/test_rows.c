/* Judging, scaling and shifting rows. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "math/distance.h"
#include "math/rows.h"
#include "math/simd.h"

START_TEST(each_reason_is_found)
{
    float x[][4] = {
        {1, 2, 3, 4},       {1, NAN, 3, 4},    {1, 2, -INFINITY, 4}, {3e38F, 3e38F, 0, 0},
        {0, 0, 0, 0},       {0, 1e-20F, 0, 0}, {1, 2, 3, -70000},    {1.2e-19F, 0, 0, 0},
        {1e30F, NAN, 0, 0}, {1e19F, 0, 0, 0},  {-0.0F, 0, 0, 0},
    };
    static const uint8_t cosine[] = {0, 1, 1, 2, 3, 3, 4, 0, 1, 0, 3};
    enum { N = sizeof x / sizeof x[0] };
    uint8_t reason[N];
    ivf_simd_choose((ivf_simd)_i);
    ck_assert_int_eq(ivf_rows_check(&x[0][0], N, 4, IVF_COSINE, INFINITY, reason), 7);
    for (int i = 0; i < N; i++)
        ck_assert_uint_eq(reason[i], cosine[i] == IVF_ROW_OUT_OF_RANGE ? 0 : cosine[i]);
    ck_assert_int_eq(ivf_rows_check(&x[0][0], N, 4, IVF_COSINE, 65504, reason), 9);
    for (int i = 0; i < N; i++)
        ck_assert_uint_eq(reason[i], i == 9 ? IVF_ROW_OUT_OF_RANGE : cosine[i]);
    ck_assert_int_eq(ivf_rows_check(&x[0][0], N, 4, IVF_L2, INFINITY, reason), 4);
    ck_assert_uint_eq(reason[4], IVF_ROW_OK);
}
END_TEST

START_TEST(reasons_have_words)
{
    ck_assert_str_eq(ivf_row_reason_text(IVF_ROW_NORM_OVERFLOW), "norm overflow");
    ck_assert_str_eq(ivf_row_reason_key(IVF_ROW_OUT_OF_RANGE), "out_of_range");
}
END_TEST

START_TEST(normalised_rows_have_norm_one_at_every_level)
{
    enum { N = 5, D = 133 };
    float x[N * D];
    float expected[N * D];
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        for (int i = 0; i < N * D; i++)
            x[i] = (float)ivf_rng_normal(1, IVF_RNG_TEST, (uint64_t)i) * (i < D ? 1e-17F : 1e3F);
        ivf_simd_choose((ivf_simd)level);
        ivf_rows_normalise(x, N, D);
        for (size_t i = 0; i < N; i++)
            ck_assert_float_eq_tol(ivf_dot(&x[i * D], &x[i * D], D), 1, 1e-6F);
        if (level == IVF_SIMD_REFERENCE)
            memcpy(expected, x, sizeof x);
        ck_assert_mem_eq(expected, x, sizeof x);
    }
}
END_TEST

START_TEST(residuals_may_overwrite_their_rows)
{
    float x[] = {1, 2, 3, 4, 5, 6};
    const float centroids[] = {1, 1, 10, 20};
    const int32_t list[] = {1, 0, 1};
    float out[6];
    ivf_rows_residual(x, 3, 2, centroids, list, out);
    ivf_rows_residual(x, 3, 2, centroids, list, x);
    const float expected[] = {-9, -18, 2, 3, -5, -14};
    ck_assert_mem_eq(out, expected, sizeof out);
    ck_assert_mem_eq(x, expected, sizeof x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rows");
    TCase *tests = tcase_create("rows");
    tcase_add_loop_test(tests, each_reason_is_found, 0, IVF_SIMD_COUNT);
    tcase_add_test(tests, reasons_have_words);
    tcase_add_test(tests, normalised_rows_have_norm_one_at_every_level);
    tcase_add_test(tests, residuals_may_overwrite_their_rows);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
