/* Distances: against sums in double, and every SIMD level against the reference, bit by bit. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/convert.h"
#include "math/distance.h"
#include "math/simd.h"

enum { MAX_D = 1100, ROWS = 9, VALUES = ROWS * MAX_D };

static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};

static void fill(float *x, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
}

/* Both NaN, or the same bits. */
static int same(float a, float b)
{
    uint32_t a_bits = 0;
    uint32_t b_bits = 0;
    memcpy(&a_bits, &a, sizeof a);
    memcpy(&b_bits, &b, sizeof b);
    return (isnan(a) && isnan(b)) || a_bits == b_bits;
}

START_TEST(sums_are_those_of_double_precision)
{
    static float x[MAX_D];
    static float y[MAX_D];
    fill(x, MAX_D, 1);
    fill(y, MAX_D, 2);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        ivf_simd_choose((ivf_simd)level);
        for (int d = 1; d <= MAX_D; d += d < 70 ? 1 : 97) {
            double l2 = 0;
            double dot = 0;
            double size = 0;
            for (int i = 0; i < d; i++) {
                l2 += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
                dot += (double)x[i] * y[i];
                size += fabs((double)x[i] * y[i]);
            }
            ck_assert_double_eq_tol(ivf_l2_sqr(x, y, d), l2, 1e-6 * l2);
            ck_assert_double_eq_tol(ivf_dot(x, y, d), dot, 1e-6 * size);
        }
    }
}
END_TEST

START_TEST(small_integers_are_exact)
{
    float x[] = {1, 2, 3, 4, 5};
    float y[] = {5, 4, 3, 2, 1};
    ck_assert_float_eq(ivf_l2_sqr(x, y, 5), 40);
    ck_assert_float_eq(ivf_dot(x, y, 5), 35);
    float key = 0;
    ivf_keys_f32(IVF_COSINE, x, y, 1, 5, &key);
    ck_assert_float_eq(key, -35);
    ck_assert_float_eq(ivf_dot(x, y, 0), 0);
}
END_TEST

typedef struct {
    float *query;   /* [MAX_D] */
    float *rows;    /* [ROWS][MAX_D], values that halves hold */
    uint16_t *half; /* the same */
} set;

static set make_set(uint64_t seed, float scale)
{
    set s = {ivf_new(MAX_D, 4), ivf_new(VALUES, 4), ivf_new(VALUES, 2)};
    fill(s.query, MAX_D, seed);
    fill(s.rows, VALUES, seed + 1);
    for (int i = 0; i < VALUES; i++)
        s.rows[i] *= scale;
    ivf_f32_to_f16(s.rows, VALUES, s.half);
    ivf_f16_to_f32(s.half, VALUES, s.rows);
    return s;
}

static void free_set(set *s)
{
    ivf_free(s->query);
    ivf_free(s->rows);
    ivf_free(s->half);
}

/* All levels and both element types against the reference's f32 keys. */
static void compare_levels(const set *s, int n, int d)
{
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        float expected[ROWS];
        ivf_simd_choose(IVF_SIMD_REFERENCE);
        ivf_keys_f32(metrics[m], s->query, s->rows, n, d, expected);
        for (int level = 0; level < IVF_SIMD_COUNT; level++) {
            float keys[ROWS];
            float half_keys[ROWS];
            ivf_simd_choose((ivf_simd)level);
            ivf_keys_f32(metrics[m], s->query, s->rows, n, d, keys);
            ivf_keys_f16(metrics[m], s->query, s->half, n, d, half_keys);
            int wrong = 0; /* counted, because each assertion is a message to the parent process */
            for (int i = 0; i < n; i++)
                wrong += !same(expected[i], keys[i]) || !same(expected[i], half_keys[i]);
            ck_assert_msg(wrong == 0, "level %d metric %d d %d", level, (int)m, d);
            float one = metrics[m] == IVF_L2 ? ivf_l2_sqr(s->query, s->rows, d) : -ivf_dot(s->query, s->rows, d);
            ck_assert(n == 0 || one == expected[0] || isnan(one));
        }
    }
}

START_TEST(levels_agree_bit_by_bit)
{
    static const float scales[] = {1, 1e-7F, 6e4F};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        set s = make_set(10 + i, scales[i]);
        for (int d = 1; d <= MAX_D; d += d < 140 ? 1 : 61) {
            for (int n = 0; n <= ROWS; n += 3)
                compare_levels(&s, n, d);
        }
        free_set(&s);
    }
}
END_TEST

START_TEST(levels_agree_on_special_values)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, -0.0F, 1e-45F, 3e38F};
    set s = make_set(20, 1);
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        float saved = s.query[5];
        s.query[5] = special[i];
        for (int d = 6; d <= 200; d += 17)
            compare_levels(&s, ROWS, d);
        s.query[5] = saved;
    }
    free_set(&s);
}
END_TEST

START_TEST(bits_do_not_depend_on_the_place_in_memory)
{
    enum { D = 77 };
    float space[D + 17];
    set s = make_set(30, 1);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        ivf_simd_choose((ivf_simd)level);
        float expected = ivf_l2_sqr(s.query, s.rows, D);
        for (int shift = 0; shift < 17; shift++) {
            memcpy(space + shift, s.rows, D * sizeof *space);
            ck_assert(same(expected, ivf_l2_sqr(s.query, space + shift, D)));
        }
    }
    free_set(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("distance");
    TCase *tests = tcase_create("distance");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, sums_are_those_of_double_precision);
    tcase_add_test(tests, small_integers_are_exact);
    tcase_add_test(tests, levels_agree_bit_by_bit);
    tcase_add_test(tests, levels_agree_on_special_values);
    tcase_add_test(tests, bits_do_not_depend_on_the_place_in_memory);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
