/* Rounding of rows to 8 bits: what fits, what does not, and the same bits at every SIMD level. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/grid.h"
#include "math/simd.h"

enum { ROWS = 1000 };

static float *random_values(int64_t n, uint64_t seed, double scale)
{
    float *x = ivf_new((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(scale * ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i));
    return x;
}

/* Rows of integers of [low, low + 255]. */
static float *random_bytes(int64_t n, float low)
{
    float *x = ivf_new((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = low + (float)ivf_rng_below(1, IVF_RNG_TEST, (uint64_t)i, 256);
    return x;
}

/* Values that lie on the grid are further than the step from none; how many rows hold values that are. */
static void check_rounding(const ivf_grid *grid, const float *x, int64_t n, int64_t most_outside)
{
    int64_t stride = ivf_grid_stride(grid->d);
    int8_t *q = ivf_new((size_t)(n * stride), 1);
    uint8_t *outside = ivf_new((size_t)n, 1);
    int64_t count = ivf_grid_round(grid, x, n, q, outside);
    int64_t flagged = 0;
    int64_t wrong = 0;
    for (int64_t row = 0; row < n; row++) {
        flagged += outside[row];
        double worst = 0;
        for (int i = 0; i < grid->d; i++) {
            double place = ((double)x[row * grid->d + i] - (double)grid->centre[i]) / (double)grid->step;
            worst = fmax(worst, fabs(place - q[row * stride + i]));
        }
        wrong += outside[row] != (worst > 0.501);
        for (int64_t i = grid->d; i < stride; i++)
            wrong += q[row * stride + i] != 0;
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_eq(flagged, count);
    ck_assert_int_le(count, most_outside);
    ivf_free(q);
    ivf_free(outside);
}

START_TEST(all_but_a_few_rows_fit)
{
    for (int d = 1; d <= 40; d += 3) {
        float *x = random_values((int64_t)ROWS * d, (uint64_t)d, 1000);
        for (int64_t i = 0; i < ROWS; i++)
            x[i * d] += 5000; /* the centre is not at zero */
        ivf_grid grid;
        ck_assert_int_eq(ivf_grid_fit(&grid, x, ROWS, d), 0);
        check_rounding(&grid, x, ROWS, ROWS / 1000 + 1);
        ivf_grid_free(&grid);
        ivf_free(x);
    }
}
END_TEST

/* Up to 14 of 1000 rows that are wild in one value or in all, the first one among them. */
START_TEST(wild_rows_cost_the_others_nothing)
{
    enum { D = 8 };
    ivf_grid calm;
    ivf_grid grid;
    float *x = random_values(ROWS * D, 1, 1);
    for (int i = 0; i < ROWS * D; i++)
        x[i] += 3;
    ck_assert_int_eq(ivf_grid_fit(&calm, x, ROWS, D), 0);
    ck_assert_float_lt(calm.step, 0.05F);
    for (int wild = 1; wild <= 14; wild++) {
        for (int i = 0; i < (wild % 2 == 0 ? D : 1); i++)
            x[(wild - 1) * 71 * D + i] *= 1e4F * (float)(wild * wild * wild);
        ck_assert_int_eq(ivf_grid_fit(&grid, x, ROWS, D), 0);
        ck_assert_float_le(grid.step, 2.1F * calm.step);
        for (int i = 0; i < D; i++)
            ck_assert_float_eq_tol(grid.centre[i], calm.centre[i], 0.05F);
        check_rounding(&grid, x, ROWS, wild + ROWS / 1000 + 1);
        ivf_grid_free(&grid);
    }
    ivf_grid_free(&calm);
    ivf_free(x);
}
END_TEST

START_TEST(bytes_are_exact)
{
    static const float lows[] = {0, -128};
    enum { D = 12 };
    for (int i = 0; i < 2; i++) {
        float *x = random_bytes(ROWS * D, lows[i]);
        ivf_grid grid;
        ck_assert_int_eq(ivf_grid_fit(&grid, x, ROWS, D), 0);
        ck_assert_float_eq(grid.step, 1);
        int8_t *q = ivf_new(ROWS * D, 1);
        ck_assert_int_eq(ivf_grid_round(&grid, x, ROWS, q, NULL), 0);
        int wrong = 0;
        for (int v = 0; v < ROWS * D; v++)
            wrong += grid.centre[v % D] + q[v] != x[v];
        ck_assert_int_eq(wrong, 0);
        ivf_grid_free(&grid);
        ivf_free(q);
        ivf_free(x);
    }
}
END_TEST

START_TEST(few_integers_get_a_finer_step)
{
    enum { D = 4 };
    float x[100 * D];
    for (int i = 0; i < 100 * D; i++)
        x[i] = (float)(i % 3);
    ivf_grid grid;
    ck_assert_int_eq(ivf_grid_fit(&grid, x, 100, D), 0);
    ck_assert_float_lt(grid.step, 0.02F);
    ivf_grid_free(&grid);
}
END_TEST

START_TEST(rows_without_spread_are_no_trouble)
{
    enum { D = 5 };
    static const float values[] = {0, 1, -3.5F, 1e-40F, 1e30F, FLT_MAX};
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        float x[7 * D];
        for (int i = 0; i < 7 * D; i++)
            x[i] = values[v];
        ivf_grid grid;
        ck_assert_int_eq(ivf_grid_fit(&grid, x, 7, D), 0);
        ck_assert(grid.step > 0 && isfinite(grid.step) && isfinite(grid.centre[D - 1]));
        int8_t q[7 * 8];
        uint8_t outside[7];
        (void)ivf_grid_round(&grid, x, 7, q, outside);
        ivf_grid_free(&grid);
    }
}
END_TEST

/* Halves, ends of the grid, and what is beyond. */
static const float odd_values[] = {0.5F,   1.5F,     -0.5F,     -1.5F,   126.5F,  127.4F, 127.5F,  127.6F,
                                   128,    -128,     -128.4F,   -128.5F, -128.6F, 1e-40F, -1e-40F, 1e30F,
                                   -1e30F, INFINITY, -INFINITY, NAN,     0,       -0.0F};
enum { ODD = sizeof odd_values / sizeof odd_values[0] };

START_TEST(what_is_outside_is_flagged)
{
    float centre[1] = {0};
    ivf_grid grid = {.d = 1, .step = 1, .centre = centre};
    int8_t q[4 * ODD];
    uint8_t outside[ODD];
    ivf_simd_choose((ivf_simd)_i);
    (void)ivf_grid_round(&grid, odd_values, ODD, q, outside);
    for (int i = 0; i < ODD; i++) {
        float value = odd_values[i];
        bool within = value >= -128.5F && value <= 127.5F;
        ck_assert_int_eq(outside[i], !within);
        if (isnan(value))
            ck_assert_int_eq(q[4 * i], 0);
        else
            ck_assert_int_eq(q[4 * i], (int)fminf(127, fmaxf(-128, rintf(value))));
    }
}
END_TEST

START_TEST(levels_agree)
{
    for (int d = 1; d <= 150; d++) {
        enum { N = 20 };
        float *x = random_values((int64_t)N * d, (uint64_t)d, 40);
        for (int i = 0; i < ODD; i++)
            x[ivf_rng_below(7, IVF_RNG_TEST, (uint64_t)(d * ODD + i), (uint64_t)N * (uint64_t)d)] = odd_values[i];
        float *centre = random_values(d, 99, 1);
        ivf_grid grid = {.d = d, .step = 0.77F, .centre = centre};
        size_t size = (size_t)(N * ivf_grid_stride(d));
        int8_t *expected = ivf_new(size, 1);
        int8_t *q = ivf_new(size, 1);
        uint8_t outside[2][N];
        ivf_simd_choose(IVF_SIMD_REFERENCE);
        int64_t count = ivf_grid_round(&grid, x, N, expected, outside[0]);
        for (int level = 0; level < IVF_SIMD_COUNT; level++) {
            ivf_simd_choose((ivf_simd)level);
            ck_assert_int_eq(ivf_grid_round(&grid, x, N, q, outside[1]), count);
            ck_assert_mem_eq(q, expected, size);
            ck_assert_mem_eq(outside[1], outside[0], N);
        }
        ivf_free(x);
        ivf_free(centre);
        ivf_free(expected);
        ivf_free(q);
    }
}
END_TEST

START_TEST(distances_are_the_same_at_every_level)
{
    for (int d = 1; d <= 300; d += d < 40 ? 1 : 13) {
        const int64_t stride = ivf_grid_stride(d);
        int8_t *q = ivf_new_zero((size_t)(2 * stride), 1);
        int64_t expected = 0;
        for (int j = 0; j < d; j++) {
            const uint64_t bits = ivf_rng_bits(4, IVF_RNG_TEST, (uint64_t)(d * 300 + j));
            q[j] = (int8_t)(j == 0 ? -128 : (int)(bits % 256) - 128);
            q[stride + j] = (int8_t)(j == 0 ? 127 : (int)(bits / 256 % 256) - 128);
            expected += (q[j] - q[stride + j]) * (q[j] - q[stride + j]);
        }
        for (int level = 0; level < IVF_SIMD_COUNT; level++) {
            ivf_simd_choose((ivf_simd)level);
            ck_assert_int_eq(ivf_grid_distance(q, q + stride, d), expected);
        }
        ivf_free(q);
    }
}
END_TEST

START_TEST(sums_are_the_same_at_every_level)
{
    enum { N = 700 };
    static int32_t list[N];
    for (int d = 1; d <= 300; d += d < 40 ? 1 : 13) {
        int64_t stride = ivf_grid_stride(d);
        int8_t *q = ivf_new((size_t)(N * stride), 1);
        for (int64_t i = 0; i < N * stride; i++) {
            uint64_t bits = ivf_rng_bits(2, IVF_RNG_TEST, (uint64_t)i);
            q[i] = (int8_t)(i % stride == 0 ? -128 : (int)(bits % 256) - 128); /* the ends of the range in one column */
        }
        for (int i = 0; i < N; i++)
            list[i] = (int32_t)ivf_rng_below(3, IVF_RNG_TEST, (uint64_t)i, N);
        static const int64_t counts[] = {0, 1, 254, 255, 256, 511, N};
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            int32_t *expected = ivf_new_zero((size_t)d, sizeof *expected);
            for (int64_t i = 0; i < counts[c]; i++) {
                for (int j = 0; j < d; j++)
                    expected[j] += q[list[i] * stride + j];
            }
            for (int level = 0; level < IVF_SIMD_COUNT; level++) {
                ivf_simd_choose((ivf_simd)level);
                int32_t *sums = ivf_new_zero((size_t)d, sizeof *sums);
                ivf_grid_add(q, d, list, counts[c], sums);
                ck_assert_mem_eq(sums, expected, (size_t)d * sizeof *sums);
                ivf_free(sums);
            }
            ivf_free(expected);
        }
        ivf_free(q);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grid");
    TCase *tests = tcase_create("grid");
    tcase_add_test(tests, all_but_a_few_rows_fit);
    tcase_add_test(tests, wild_rows_cost_the_others_nothing);
    tcase_add_test(tests, bytes_are_exact);
    tcase_add_test(tests, few_integers_get_a_finer_step);
    tcase_add_test(tests, rows_without_spread_are_no_trouble);
    tcase_add_loop_test(tests, what_is_outside_is_flagged, 0, IVF_SIMD_COUNT);
    tcase_add_test(tests, levels_agree);
    tcase_add_test(tests, distances_are_the_same_at_every_level);
    tcase_add_test(tests, sums_are_the_same_at_every_level);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
