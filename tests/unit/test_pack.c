/* math/pack: rounding, clamping, what is no number. */
#include <check.h>
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "math/convert.h"
#include "math/pack.h"

static const struct {
    float from;
    int u8;
    int i8;
} cases[] = {
    {0.0F, 0, 0},         {-0.0F, 0, 0},        {0.5F, 0, 0},       {1.5F, 2, 2},        {2.5F, 2, 2},
    {-0.5F, 0, 0},        {-1.5F, 0, -2},       {-2.5F, 0, -2},     {0.49999997F, 0, 0}, {0.50000006F, 1, 1},
    {126.5F, 126, 126},   {127.0F, 127, 127},   {127.5F, 128, 127}, {254.5F, 254, 127},  {255.0F, 255, 127},
    {255.5F, 255, 127},   {1e30F, 255, 127},    {-128.0F, 0, -128}, {-128.5F, 0, -128},  {-1e30F, 0, -128},
    {INFINITY, 255, 127}, {-INFINITY, 0, -128}, {NAN, 0, 0},        {1e-40F, 0, 0},
};

enum { CASES = sizeof cases / sizeof cases[0] };

START_TEST(integers_are_clamped_and_rounded_to_even)
{
    for (int i = 0; i < CASES; i++) {
        uint8_t u8 = 99;
        int8_t i8 = 99;
        ivf_f32_to_element(IVF_U8, &cases[i].from, 1, &u8);
        ivf_f32_to_element(IVF_I8, &cases[i].from, 1, &i8);
        ck_assert_msg(u8 == cases[i].u8, "%g: %d", (double)cases[i].from, u8);
        ck_assert_msg(i8 == cases[i].i8, "%g: %d", (double)cases[i].from, i8);
    }
}
END_TEST

/* The vector loop and its rest against the C library's rounding. */
START_TEST(long_rows_agree_with_rint)
{
    enum { N = 10007 };
    static float from[N];
    static uint8_t u8[N];
    static int8_t i8[N];
    for (int i = 0; i < N; i++)
        from[i] = (float)(ivf_rng_uniform(1, IVF_RNG_TEST, (uint64_t)i) * 600.0 - 300.0);
    ivf_f32_to_element(IVF_U8, from, N, u8);
    ivf_f32_to_element(IVF_I8, from, N, i8);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(u8[i], (int)rint(fmin(fmax(from[i], 0.0), 255.0)));
        ck_assert_int_eq(i8[i], (int)rint(fmin(fmax(from[i], -128.0), 127.0)));
    }
}
END_TEST

START_TEST(floats_are_kept_or_halved)
{
    const float from[] = {1.0F, -2.5F, 65504.0F, 1e6F, 0.333333343F};
    float same[5];
    uint16_t half[5];
    uint16_t expected[5];
    ivf_f32_to_element(IVF_F32, from, 5, same);
    ck_assert_mem_eq(same, from, sizeof from);
    ivf_f32_to_element(IVF_F16, from, 5, half);
    ivf_f32_to_f16(from, 5, expected);
    ck_assert_mem_eq(half, expected, sizeof half);
    ck_assert_uint_eq(half[1], 0xc100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tests = tcase_create("pack");
    tcase_add_test(tests, integers_are_clamped_and_rounded_to_even);
    tcase_add_test(tests, long_rows_agree_with_rint);
    tcase_add_test(tests, floats_are_kept_or_halved);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
