/* codec/pq: codes against the nearest codewords by the definition, and training on rows that hardly differ. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/team.h"
#include "codec_checks.h"
#include "math/simd.h"

static double squared(const float *x, const float *y, int d)
{
    double sum = 0;
    for (int j = 0; j < d; j++)
        sum += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    return sum;
}

/* Each number of each code must be a nearest codeword, up to rounding: hardly any other one is chosen, and then the
 * distance is nearly the same. */
static void check_pq_codes(ivf_codec *codec, const ivf_codec_spec *spec, const float *x, int64_t n, int d)
{
    const int dsub = d / spec->m;
    const int words = 1 << spec->bits;
    const float *books = array_of(codec, "codebooks");
    float *decoded = ivf_new((size_t)n * (size_t)d, sizeof *decoded);
    uint8_t *codes = encode(codec, x, n);
    int64_t wrong = 0;
    double error = 0;
    double least = 0;
    ivf_codec_decode(codec, codes, n, decoded);
    for (int64_t row = 0; row < n; row++) {
        for (int sub = 0; sub < spec->m; sub++) {
            const float *slice = x + row * d + sub * dsub;
            const float *book = books + (size_t)(sub * words) * (size_t)dsub;
            int number = number_at(codes + (size_t)row * ivf_codec_code_size(codec), sub, spec->bits);
            double chosen = squared(slice, book + number * dsub, dsub);
            double nearest = chosen;
            for (int w = 0; w < words; w++)
                nearest = fmin(nearest, squared(slice, book + w * dsub, dsub));
            wrong += nearest < chosen - 1e-6;
            ck_assert_double_lt(chosen, nearest + 0.01);
            error += chosen;
            least += nearest;
            ck_assert_mem_eq(decoded + row * d + sub * dsub, book + number * dsub, (size_t)dsub * sizeof(float));
        }
    }
    ck_assert_int_le(wrong, n * spec->m / 50);
    ck_assert_double_le(error, least * 1.0005);
    check_scan(codec, codes, n, d, 1e-5);
    ivf_free(codes);
    ivf_free(decoded);
}

static const struct {
    ivf_codec_spec spec;
    int d;
} pq_shapes[] = {
    {{IVF_CODEC_PQ, 8, 8}, 32},  {{IVF_CODEC_PQ, 5, 4}, 20}, {{IVF_CODEC_PQ, 7, 5}, 7},   {{IVF_CODEC_PQ, 70, 6}, 70},
    {{IVF_CODEC_PQ, 13, 7}, 26}, {{IVF_CODEC_PQ, 1, 8}, 9},  {{IVF_CODEC_PQ, 2, 8}, 128}, {{IVF_CODEC_PQ, 2, 5}, 130},
};

START_TEST(product_codes_name_the_nearest_words)
{
    enum { N = 600 };
    const ivf_codec_spec *spec = &pq_shapes[_i].spec;
    const int d = pq_shapes[_i].d;
    ivf_codec *codec = codec_new(IVF_CODEC_PQ, spec->m, spec->bits, d);
    float *x = normals(N, d, 4);
    ck_assert(ivf_codec_is_residual(codec));
    ck_assert_uint_eq(ivf_codec_code_size(codec), (size_t)(spec->m * spec->bits + 7) / 8);
    ck_assert_int_eq(ivf_codec_training_rows(codec), 256 << spec->bits);
    ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
    check_pq_codes(codec, spec, x, N, d);
    check_copy(codec, spec, x, N, d);
    check_rows_alone(codec, x, N, d);
    ivf_free(x);
    ivf_codec_free(codec);
}
END_TEST

/* 2 and 8 sub-vectors: fewer and more than threads. More rows than training uses. */
START_TEST(product_training_is_the_same_for_any_threads)
{
    enum { N = 5000, D = 16 };
    static const int parts[] = {2, 8};
    float *x = normals(N, D, 5);
    float first[16 * D];
    for (int threads = 1; threads <= 5; threads++) {
        ivf_team_resize(threads);
        ivf_codec *codec = codec_new(IVF_CODEC_PQ, parts[_i], 4, D);
        ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
        if (threads == 1)
            memcpy(first, array_of(codec, "codebooks"), sizeof first);
        ck_assert_mem_eq(first, array_of(codec, "codebooks"), sizeof first);
        ivf_codec_free(codec);
    }
    ivf_free(x);
}
END_TEST

START_TEST(product_training_depends_on_the_seed)
{
    enum { N = 1000, D = 4 };
    float *x = normals(N, D, 6);
    ivf_codec *one = codec_new(IVF_CODEC_PQ, 2, 4, D);
    ivf_codec *other = codec_new(IVF_CODEC_PQ, 2, 4, D);
    ivf_codec_training seeded = training;
    ck_assert_int_eq(ivf_codec_train_local(one, x, N, &seeded), MPIVF_OK);
    seeded.seed++;
    ck_assert_int_eq(ivf_codec_train_local(other, x, N, &seeded), MPIVF_OK);
    ck_assert_mem_ne(array_of(one, "codebooks"), array_of(other, "codebooks"), 16 * D * sizeof(float));
    ivf_codec_free(one);
    ivf_codec_free(other);
    ivf_free(x);
}
END_TEST

/* The first sub-vector is constant, the second has three values: every code must decode exactly, and words that repeat
 * another must not be used. */
START_TEST(product_words_left_over_are_harmless)
{
    enum { N = 900, D = 8, M = 4 };
    ivf_codec *codec = codec_new(IVF_CODEC_PQ, M, 8, D);
    float *x = normals(N, D, 7);
    float decoded[N * D];
    for (int64_t row = 0; row < N; row++) {
        x[row * D] = 0;
        x[row * D + 1] = row % 2 == 0 ? 0.0F : -0.0F;
        x[row * D + 2] = 5;
        x[row * D + 3] = (float)(row % 3);
    }
    ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
    uint8_t *codes = encode(codec, x, N);
    ivf_codec_decode(codec, codes, N, decoded);
    for (int64_t row = 0; row < N; row++) {
        ck_assert_int_eq(codes[row * M], 0);
        ck_assert_int_lt(codes[row * M + 1], 3);
        for (int j = 0; j < 4; j++)
            ck_assert_float_eq(decoded[row * D + j], x[row * D + j]);
    }
    ivf_free(codes);
    ivf_codec_free(codec);
    codec = codec_new(IVF_CODEC_PQ, M, 8, D);
    ck_assert_int_eq(ivf_codec_train_local(codec, x, 5, &training), MPIVF_OK);
    codes = encode(codec, x, 5);
    ivf_codec_decode(codec, codes, 5, decoded);
    for (int j = 0; j < 5 * D; j++)
        ck_assert_float_eq(decoded[j], x[j]);
    ivf_free(codes);
    ivf_free(x);
    ivf_codec_free(codec);
}
END_TEST

/* Rows far beyond what the codebooks were trained on, huge ones included: the nearest codeword all the same. */
START_TEST(product_codes_of_outliers_are_the_nearest)
{
    enum { N = 700, D = 12, M = 4 };
    static const float factors[] = {2, 10, 1e6F, 1e18F, -3};
    const ivf_codec_spec spec = {IVF_CODEC_PQ, M, 6};
    ivf_codec *codec = codec_new(IVF_CODEC_PQ, M, 6, D);
    float *x = normals(N, D, 12);
    ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
    for (int64_t i = 0; i < N * D; i += 5)
        x[i] *= factors[(i / 5) % 4];
    const float *books = array_of(codec, "codebooks");
    uint8_t *codes = encode(codec, x, N);
    for (int64_t row = 0; row < N; row++) {
        for (int sub = 0; sub < M; sub++) {
            const float *slice = x + row * D + sub * 3;
            int number = number_at(codes + (size_t)row * ivf_codec_code_size(codec), sub, spec.bits);
            double chosen = squared(slice, books + (sub * 64 + number) * 3, 3);
            for (int w = 0; w < 64; w++)
                ck_assert_double_ge(squared(slice, books + (sub * 64 + w) * 3, 3) + 0.01, chosen * (1 - 1e-6));
        }
    }
    check_rows_alone(codec, x, N, D);
    ivf_free(codes);
    ivf_free(x);
    ivf_codec_free(codec);
}
END_TEST

/* Codes are the same at every SIMD level that has kernels of its own. */
START_TEST(product_codes_are_the_same_at_all_levels)
{
    enum { N = 333 };
    const ivf_codec_spec *spec = &pq_shapes[_i].spec;
    const int d = pq_shapes[_i].d;
    float *x = normals(N, d, 13);
    x[7 % d] = 0.5F;
    uint8_t *first = NULL;
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        if (level == IVF_SIMD_BLAS || !ivf_simd_available((ivf_simd)level))
            continue;
        ivf_simd_choose((ivf_simd)level);
        ivf_codec *codec = codec_new(IVF_CODEC_PQ, spec->m, spec->bits, d);
        ck_assert_int_eq(ivf_codec_train_local(codec, x, N, &training), MPIVF_OK);
        x[7 % d] = 50;
        uint8_t *codes = encode(codec, x, N);
        x[7 % d] = 0.5F;
        if (first == NULL)
            first = codes;
        ck_assert_mem_eq(first, codes, N * ivf_codec_code_size(codec));
        if (first != codes)
            ivf_free(codes);
        ivf_codec_free(codec);
    }
    ivf_free(first);
    ivf_free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pq");
    TCase *tests = tcase_create("pq");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, product_codes_name_the_nearest_words, 0, (int)(sizeof pq_shapes / sizeof pq_shapes[0]));
    tcase_add_test(tests, product_codes_of_outliers_are_the_nearest);
    tcase_add_loop_test(tests, product_codes_are_the_same_at_all_levels, 0,
                        (int)(sizeof pq_shapes / sizeof pq_shapes[0]));
    tcase_add_loop_test(tests, product_training_is_the_same_for_any_threads, 0, 2);
    tcase_add_test(tests, product_training_depends_on_the_seed);
    tcase_add_test(tests, product_words_left_over_are_harmless);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
