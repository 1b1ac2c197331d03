/* codec/: full rows and scalar codes against formulas written out here, one bit and one value at a time; what holds for
 * every codec. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "codec_checks.h"
#include "math/convert.h"
#include "math/distance.h"
#include "math/simd.h"

START_TEST(names_are_those_of_the_factory)
{
    static const struct {
        ivf_codec_spec spec;
        const char *name;
    } cases[] = {
        {{IVF_CODEC_FLAT, 0, 0}, "Flat"}, {{IVF_CODEC_FLAT16, 0, 0}, "SQfp16"}, {{IVF_CODEC_SQ, 0, 6}, "SQ6"},
        {{IVF_CODEC_PQ, 32, 8}, "PQ32"},  {{IVF_CODEC_PQ, 16, 4}, "PQ16x4"},
    };
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ivf_codec_name(&cases[i].spec, text);
        ck_assert_str_eq(text, cases[i].name);
    }
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_refused)
{
    static const struct {
        ivf_codec_spec spec;
        int d;
        const char *remedy;
    } cases[] = {
        {{IVF_CODEC_PQ, 32, 8}, 100, "use PQ25 or PQ50"}, {{IVF_CODEC_PQ, 200, 8}, 100, "use PQ100"},
        {{IVF_CODEC_PQ, 0, 8}, 100, "use PQ1"},           {{IVF_CODEC_PQ, 8, 8}, 13, "use PQ1 or PQ13"},
        {{IVF_CODEC_PQ, 4, 9}, 16, "4 to 8 bits"},        {{IVF_CODEC_PQ, 4, 3}, 16, "4 to 8 bits"},
        {{IVF_CODEC_SQ, 0, 5}, 16, "8, 6 or 4 bits"},     {{IVF_CODEC_FLAT, 0, 0}, 0, "1 to"},
    };
    size_t before = ivf_memory_now();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ivf_codec *codec = (void *)&codec;
        ck_assert_int_eq(ivf_codec_new(&cases[i].spec, cases[i].d, &codec), MPIVF_BAD_INPUT);
        ck_assert_ptr_null(codec);
        ck_assert_msg(strstr(ivf_error_last()->text, cases[i].remedy) != NULL, "%s", ivf_error_last()->text);
    }
    ck_assert_uint_eq(ivf_memory_now(), before);
}
END_TEST

START_TEST(flat_keeps_the_rows)
{
    enum { N = 50, D = 19 };
    ivf_codec *codec = codec_new(IVF_CODEC_FLAT, 0, 0, D);
    float *x = normals(N, D, 1);
    float decoded[N * D];
    float table[D];
    float keys[N];
    float expected[N];
    ck_assert(!ivf_codec_is_residual(codec));
    ck_assert_uint_eq(ivf_codec_code_size(codec), 4 * D);
    ck_assert(isinf(ivf_codec_value_limit(codec)));
    ck_assert_int_eq(ivf_codec_training_rows(codec), 0);
    ck_assert_int_eq(ivf_codec_train_local(codec, NULL, 0, &training), MPIVF_OK);
    uint8_t *codes = encode(codec, x, N);
    ivf_codec_decode(codec, codes, N, decoded);
    ck_assert_mem_eq(decoded, x, sizeof decoded);
    for (int metric = IVF_L2; metric <= IVF_COSINE; metric++) {
        ivf_codec_prepare(codec, (ivf_metric)metric, x + D, table);
        ivf_codec_scan(codec, (ivf_metric)metric, table, codes, N, keys);
        ivf_keys_f32((ivf_metric)metric, x + D, x, N, D, expected);
        ck_assert_mem_eq(keys, expected, sizeof keys);
    }
    ivf_free(codes);
    ivf_free(x);
    ivf_codec_free(codec);
}
END_TEST

START_TEST(half_precision_keeps_what_it_can)
{
    enum { N = 50, D = 19 };
    ivf_codec *codec = codec_new(IVF_CODEC_FLAT16, 0, 0, D);
    float *x = normals(N, D, 2);
    uint16_t halves[N * D];
    float widened[N * D];
    float decoded[N * D];
    float table[D];
    float keys[N];
    float expected[N];
    x[0] = 65504;
    x[1] = -65504;
    ck_assert(!ivf_codec_is_residual(codec));
    ck_assert_uint_eq(ivf_codec_code_size(codec), 2 * D);
    ck_assert_float_eq(ivf_codec_value_limit(codec), 65504);
    uint8_t *codes = encode(codec, x, N);
    ivf_f32_to_f16(x, N * D, halves);
    ck_assert_mem_eq(codes, halves, sizeof halves);
    ivf_f16_to_f32(halves, N * D, widened);
    ivf_codec_decode(codec, codes, N, decoded);
    ck_assert_mem_eq(decoded, widened, sizeof decoded);
    ck_assert_float_eq(decoded[1], -65504);
    ivf_codec_prepare(codec, IVF_L2, x + D, table);
    ivf_codec_scan(codec, IVF_L2, table, codes, N, keys);
    ivf_keys_f32(IVF_L2, x + D, widened, N, D, expected);
    ck_assert_mem_eq(keys, expected, sizeof keys);
    ivf_free(codes);
    ivf_free(x);
    ivf_codec_free(codec);
}
END_TEST

static const int sq_bits[] = {8, 6, 4};
static const int sq_dims[] = {1, 2, 3, 5, 15, 16, 63, 64, 65, 130};

static void check_sq(int bits, int d)
{
    enum { N = 300 };
    ivf_codec_spec spec = {IVF_CODEC_SQ, 0, bits};
    ivf_codec *codec = codec_new(IVF_CODEC_SQ, 0, bits, d);
    float *x = normals(N, d, (uint64_t)d);
    float *decoded = ivf_new((size_t)N * (size_t)d, sizeof *decoded);
    for (int64_t row = 0; row < N; row++)
        x[row * d + d - 1] = 3; /* a dimension without span */
    ck_assert(ivf_codec_is_residual(codec));
    ck_assert_uint_eq(ivf_codec_code_size(codec), (size_t)(d * bits + 7) / 8);
    ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
    const float *min = array_of(codec, "sq_min");
    const float *span = array_of(codec, "sq_span");
    x[0] = min[0] - 5; /* beyond what training saw */
    x[d] = min[0] + span[0] + 5;
    uint8_t *codes = encode(codec, x, N);
    ivf_codec_decode(codec, codes, N, decoded);
    const int most = (1 << bits) - 1;
    int wrong_codes = 0;
    int wrong_values = 0;
    for (int64_t row = 0; row < N; row++) {
        for (int j = 0; j < d; j++) {
            int code = number_at(codes + (size_t)row * ivf_codec_code_size(codec), j, bits);
            float t = span[j] == 0 ? 0 : fminf(fmaxf((x[row * d + j] - min[j]) / span[j], 0), 1);
            int expected = bits == 8 ? (int)(t * 255.0F) : (int)((double)t * most);
            float value = min[j] + ((float)code + 0.5F) / (float)most * span[j];
            wrong_codes += code != expected;
            wrong_values += decoded[row * d + j] != value;
        }
    }
    ck_assert_int_eq(wrong_codes, 0);
    ck_assert_int_eq(wrong_values, 0);
    check_scan(codec, codes, N, d, 1e-4);
    check_copy(codec, &spec, x, N, d);
    check_rows_alone(codec, x, N, d);
    ivf_free(codes);
    ivf_free(decoded);
    ivf_free(x);
    ivf_codec_free(codec);
}

START_TEST(scalar_codes_follow_the_formula)
{
    for (size_t i = 0; i < sizeof sq_dims / sizeof sq_dims[0]; i++)
        check_sq(sq_bits[_i], sq_dims[i]);
}
END_TEST

START_TEST(scalar_ranges_are_those_of_all_rows)
{
    enum { N = 9000, D = 3 };
    float *x = normals(N, D, 3);
    x[8999 * D] = -100;
    x[5000 * D + 1] = 100;
    x[4095 * D + 2] = 100;
    for (int threads = 1; threads <= 5; threads++) {
        ivf_team_resize(threads);
        ivf_codec *codec = codec_new(IVF_CODEC_SQ, 0, 8, D);
        ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
        const float *min = array_of(codec, "sq_min");
        const float *span = array_of(codec, "sq_span");
        for (int j = 0; j < D; j++) {
            float low = x[j];
            float high = x[j];
            for (int64_t row = 0; row < N; row++) {
                low = fminf(low, x[row * D + j]);
                high = fmaxf(high, x[row * D + j]);
            }
            ck_assert_float_eq(min[j], low);
            ck_assert_float_eq(span[j], high - low);
        }
        ivf_codec_free(codec);
    }
    ivf_free(x);
}
END_TEST

static const struct {
    ivf_codec_spec spec;
    int d;
} scanned[] = {
    {{IVF_CODEC_SQ, 0, 8}, 130}, {{IVF_CODEC_SQ, 0, 6}, 131}, {{IVF_CODEC_SQ, 0, 4}, 64},
    {{IVF_CODEC_PQ, 67, 8}, 67}, {{IVF_CODEC_PQ, 9, 4}, 18},  {{IVF_CODEC_PQ, 16, 6}, 64},
};

START_TEST(simd_levels_give_the_same_keys)
{
    enum { N = 500 };
    const ivf_codec_spec *spec = &scanned[_i].spec;
    const int d = scanned[_i].d;
    ivf_codec *codec = codec_new(spec->kind, spec->m, spec->bits, d);
    float *x = normals(N, d, 8);
    ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
    uint8_t *codes = encode(codec, x, N);
    void *table = ivf_new(ivf_codec_table_size(codec), 1);
    void *first = ivf_new(ivf_codec_table_size(codec), 1);
    for (int metric = IVF_L2; metric <= IVF_IP; metric++) {
        float expected[N];
        float keys[N];
        ivf_simd_choose(IVF_SIMD_REFERENCE);
        ivf_codec_prepare(codec, (ivf_metric)metric, x, first);
        ivf_codec_scan(codec, (ivf_metric)metric, first, codes, N, expected);
        for (int level = IVF_SIMD_REFERENCE + 1; level < IVF_SIMD_COUNT; level++) {
            if (!ivf_simd_available((ivf_simd)level))
                continue;
            ivf_simd_choose((ivf_simd)level);
            ivf_codec_prepare(codec, (ivf_metric)metric, x, table);
            ck_assert_mem_eq(table, first, ivf_codec_table_size(codec));
            ivf_codec_scan(codec, (ivf_metric)metric, table, codes, N, keys);
            ck_assert_mem_eq(keys, expected, sizeof keys);
        }
    }
    ivf_free(first);
    ivf_free(table);
    ivf_free(codes);
    ivf_free(x);
    ivf_codec_free(codec);
}
END_TEST

START_TEST(training_needs_rows)
{
    float x[4] = {0};
    ivf_codec *sq = codec_new(IVF_CODEC_SQ, 0, 8, 4);
    ivf_codec *pq = codec_new(IVF_CODEC_PQ, 2, 8, 4);
    ck_assert_int_eq(ivf_codec_train_local(sq, x, 0, &training), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "SQ8: no rows"));
    ck_assert_int_eq(ivf_codec_train_local(pq, x, 0, &training), MPIVF_BAD_INPUT);
    ivf_codec_free(sq);
    ivf_codec_free(pq);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec");
    TCase *tests = tcase_create("codec");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, names_are_those_of_the_factory);
    tcase_add_test(tests, shapes_that_do_not_fit_are_refused);
    tcase_add_test(tests, flat_keeps_the_rows);
    tcase_add_test(tests, half_precision_keeps_what_it_can);
    tcase_add_loop_test(tests, scalar_codes_follow_the_formula, 0, 3);
    tcase_add_test(tests, scalar_ranges_are_those_of_all_rows);
    tcase_add_loop_test(tests, simd_levels_give_the_same_keys, 0, (int)(sizeof scanned / sizeof scanned[0]));
    tcase_add_test(tests, training_needs_rows);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
