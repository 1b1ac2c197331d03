/* Conversions: all 65536 halves both ways, rounding at every midpoint between halves, and the other element types. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "math/convert.h"
#include "math/simd.h"

enum { HALVES = 65536 };

/* The value of a half from its definition. */
static double value_of(uint16_t half)
{
    int exponent = half >> 10 & 31;
    int significand = half & 1023;
    double magnitude = exponent == 0 ? ldexp(significand, -24) : ldexp(1024 + significand, exponent - 25);
    if (exponent == 31)
        magnitude = significand == 0 ? INFINITY : NAN;
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

static uint16_t round_trip(float value)
{
    uint16_t half = 0;
    ivf_f32_to_f16(&value, 1, &half);
    return half;
}

static int reads_well(uint16_t half, float value)
{
    double expected = value_of(half);
    if (isnan(expected))
        return isnan(value);
    return (double)value == expected && !signbit(value) == !signbit(expected);
}

/* NaN becomes quiet, and keeps its sign and payload. */
static uint16_t read_and_written(uint16_t half)
{
    return isnan(value_of(half)) ? half | 0x200 : half;
}

/* Checks are counted, then asserted once: each assertion is a message to the parent process. */
START_TEST(every_half_is_read_and_written_back)
{
    static uint16_t halves[HALVES];
    static uint16_t back[HALVES];
    static float values[HALVES];
    for (int i = 0; i < HALVES; i++)
        halves[i] = (uint16_t)i;
    ivf_simd_choose((ivf_simd)_i);
    ivf_f16_to_f32(halves, HALVES, values);
    ivf_f32_to_f16(values, HALVES, back);
    int wrong = 0;
    for (int i = 0; i < HALVES; i++)
        wrong += !reads_well(halves[i], values[i]) || back[i] != read_and_written(halves[i]);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

START_TEST(halves_round_to_nearest_even)
{
    ivf_simd_choose((ivf_simd)_i);
    int wrong = 0;
    for (uint16_t half = 0; half < 0x7c00; half++) {
        double next = half == 0x7bff ? 65536.0 : value_of((uint16_t)(half + 1));
        float middle = (float)((value_of(half) + next) / 2); /* exact */
        uint16_t even = (uint16_t)(half + (half & 1));
        wrong += round_trip(middle) != even;
        wrong += round_trip(nextafterf(middle, 0)) != half;
        wrong += round_trip(nextafterf(middle, INFINITY)) != half + 1;
        wrong += round_trip(-middle) != (even | 0x8000);
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert_uint_eq(round_trip(FLT_MAX), 0x7c00);
    ck_assert_uint_eq(round_trip(-INFINITY), 0xfc00);
    ck_assert_uint_eq(round_trip(1e-45F), 0);
    ck_assert_uint_eq(round_trip(-0.0F), 0x8000);
}
END_TEST

START_TEST(levels_agree_on_any_bits_and_any_count)
{
    enum { N = 3000 };
    static float values[N];
    static uint16_t expected[N];
    static uint16_t halves[N];
    for (int i = 0; i < N; i++) {
        uint32_t bits = (uint32_t)ivf_rng_bits(3, IVF_RNG_TEST, (uint64_t)i);
        if (i % 2 == 0) /* half of them within the range of halves */
            bits = (bits & 0x80ffffff) | 0x33000000 | ((bits >> 3 & 0xf) << 24);
        memcpy(&values[i], &bits, sizeof bits);
    }
    ivf_simd_choose(IVF_SIMD_REFERENCE);
    ivf_f32_to_f16(values, N, expected);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        ivf_simd_choose((ivf_simd)level);
        for (int n = 0; n < 100; n++) {
            memset(halves, 0xab, sizeof halves);
            ivf_f32_to_f16(values + n, n, halves);
            ck_assert_mem_eq(halves, expected + n, (size_t)n * 2);
            ck_assert_uint_eq(halves[n], 0xabab);
        }
        ivf_f32_to_f16(values, N, halves);
        ck_assert_mem_eq(halves, expected, sizeof halves);
    }
}
END_TEST

START_TEST(every_element_type_is_read_unaligned)
{
    enum { N = 37 };
    char space[N * 8 + 1];
    float out[N];
    for (size_t i = 0; i < N; i++) {
        double value = i == 0 ? 1e300 : (double)i * 0.1 - 1;
        memcpy(space + 1 + i * sizeof value, &value, 8);
    }
    ivf_to_f32(IVF_F64, space + 1, N, out);
    ck_assert(out[0] == INFINITY);
    for (size_t i = 1; i < N; i++)
        ck_assert_float_eq(out[i], (float)((double)i * 0.1 - 1));
    for (size_t i = 0; i < N; i++) {
        float value = (float)i - 0.5F;
        memcpy(space + 1 + i * sizeof value, &value, 4);
    }
    ivf_to_f32(IVF_F32, space + 1, N, out);
    ck_assert_float_eq(out[36], 35.5F);
    for (size_t i = 0; i < N; i++) {
        uint16_t half = round_trip((float)i * 0.25F);
        memcpy(space + 1 + i * sizeof half, &half, 2);
    }
    ivf_to_f32(IVF_F16, space + 1, N, out);
    ck_assert_float_eq(out[36], 9);
}
END_TEST

START_TEST(every_byte_is_read)
{
    uint8_t bytes[256];
    float out[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    ivf_to_f32(IVF_U8, bytes, 256, out);
    for (int i = 0; i < 256; i++)
        ck_assert_float_eq(out[i], (float)i);
    ivf_to_f32(IVF_I8, bytes, 256, out);
    for (int i = 0; i < 256; i++)
        ck_assert_float_eq(out[i], (float)(i < 128 ? i : i - 256));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convert");
    TCase *tests = tcase_create("convert");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, every_half_is_read_and_written_back, 0, IVF_SIMD_COUNT);
    tcase_add_loop_test(tests, halves_round_to_nearest_even, 0, IVF_SIMD_COUNT);
    tcase_add_test(tests, levels_agree_on_any_bits_and_any_count);
    tcase_add_test(tests, every_element_type_is_read_unaligned);
    tcase_add_test(tests, every_byte_is_read);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
