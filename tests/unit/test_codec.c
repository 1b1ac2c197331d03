/* codec/: every codec against formulas written out here, one bit and one value at a time. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/team.h"
#include "codec/codec.h"
#include "math/convert.h"
#include "math/distance.h"
#include "math/simd.h"

static const ivf_codec_training training = {.seed = 42, .iterations = 8};

static float *normals(int64_t n, int d, uint64_t seed)
{
    float *x = ivf_new((size_t)n * (size_t)d, sizeof *x);
    for (int64_t i = 0; i < n * d; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

static ivf_codec *codec_new(ivf_codec_kind kind, int m, int bits, int d)
{
    ivf_codec_spec spec = {kind, m, bits};
    ivf_codec *codec;
    ck_assert_int_eq(ivf_codec_new(&spec, d, &codec), MPIVF_OK);
    return codec;
}

static uint8_t *encode(const ivf_codec *codec, const float *x, int64_t n)
{
    uint8_t *codes = ivf_new((size_t)n * ivf_codec_code_size(codec), 1);
    void *scratch = ivf_new(ivf_codec_encode_scratch(codec, n), 1);
    ck_assert_ptr_nonnull(codes);
    ck_assert_ptr_nonnull(scratch);
    ivf_codec_encode(codec, x, n, codes, scratch);
    ivf_free(scratch);
    return codes;
}

/* Number i of a code, read bit by bit. */
static int number_at(const uint8_t *code, int i, int bits)
{
    int number = 0;
    for (int b = 0; b < bits; b++) {
        int at = i * bits + b;
        number |= (code[at / 8] >> (at % 8) & 1) << b;
    }
    return number;
}

static float *array_of(ivf_codec *codec, const char *name)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    int n = ivf_codec_arrays(codec, arrays);
    for (int i = 0; i < n; i++)
        if (strcmp(arrays[i].name, name) == 0)
            return arrays[i].data;
    ck_abort_msg("no array %s", name);
    return NULL;
}

/* Keys of a scan against those of the decoded rows. The codes are moved into a block that ends with them, so that the
 * address sanitizer sees a read beyond. */
static void check_scan(const ivf_codec *codec, const uint8_t *given, int64_t n, int d, double tolerance)
{
    size_t bytes = (size_t)n * ivf_codec_code_size(codec);
    uint8_t *codes = malloc(bytes);
    memcpy(codes, given, bytes);
    static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};
    float *query = normals(1, d, 99);
    float *decoded = ivf_new((size_t)n * (size_t)d, sizeof *decoded);
    float *keys = ivf_new((size_t)n, sizeof *keys);
    void *table = ivf_new(ivf_codec_table_size(codec), 1);
    int64_t wrong = 0;
    ivf_codec_decode(codec, codes, n, decoded);
    for (size_t i = 0; i < 3; i++) {
        ivf_codec_prepare(codec, metrics[i], query, table);
        ivf_codec_scan(codec, metrics[i], table, codes, n, keys);
        for (int64_t row = 0; row < n; row++) {
            double expected = 0;
            for (int j = 0; j < d; j++) {
                double q = (double)query[j];
                double y = (double)decoded[row * d + j];
                expected += metrics[i] == IVF_L2 ? (q - y) * (q - y) : -q * y;
            }
            wrong += !(fabs((double)keys[row] - expected) <= tolerance * (1 + fabs(expected)));
        }
        float alone;
        ivf_codec_scan(codec, metrics[i], table, codes + (size_t)(n - 1) * ivf_codec_code_size(codec), 1, &alone);
        ck_assert_mem_eq(&alone, keys + n - 1, sizeof alone);
    }
    ck_assert_int_eq(wrong, 0);
    free(codes);
    ivf_free(table);
    ivf_free(keys);
    ivf_free(decoded);
    ivf_free(query);
}

/* Another codec that is given the arrays makes the same codes. */
static void check_copy(ivf_codec *codec, const ivf_codec_spec *spec, const float *x, int64_t n, int d)
{
    ivf_codec *copy = codec_new(spec->kind, spec->m, spec->bits, d);
    ivf_array from[IVF_CODEC_ARRAYS];
    ivf_array to[IVF_CODEC_ARRAYS];
    int count = ivf_codec_arrays(codec, from);
    ck_assert_int_eq(ivf_codec_arrays(copy, to), count);
    for (int i = 0; i < count; i++) {
        ck_assert_str_eq(from[i].name, to[i].name);
        ck_assert_uint_eq(ivf_array_bytes(&from[i]), ivf_array_bytes(&to[i]));
        memcpy(to[i].data, from[i].data, ivf_array_bytes(&from[i]));
    }
    ck_assert_int_eq(ivf_codec_ready(copy), MPIVF_OK);
    ck_assert_int_eq(ivf_codec_ready(copy), MPIVF_OK);
    uint8_t *codes = encode(codec, x, n);
    uint8_t *same = encode(copy, x, n);
    ck_assert_mem_eq(codes, same, (size_t)n * ivf_codec_code_size(codec));
    check_scan(copy, same, n, d, 1e-4);
    ivf_free(codes);
    ivf_free(same);
    ivf_codec_free(copy);
}

static void check_rows_alone(const ivf_codec *codec, const float *x, int64_t n, int d)
{
    size_t size = ivf_codec_code_size(codec);
    uint8_t *codes = encode(codec, x, n);
    for (int64_t row = 0; row < n; row += 7) {
        uint8_t *alone = encode(codec, x + row * d, 1);
        ck_assert_mem_eq(alone, codes + (size_t)row * size, size);
        ivf_free(alone);
    }
    ivf_free(codes);
}

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
    ck_assert_int_eq(ivf_codec_train(codec, NULL, 0, &training), MPIVF_OK);
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
    ck_assert_int_eq(ivf_codec_train(codec, x, N, &training), MPIVF_OK);
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
    for (int threads = 1; threads <= 5; threads++) {
        ivf_team_resize(threads);
        ivf_codec *codec = codec_new(IVF_CODEC_SQ, 0, 8, D);
        ck_assert_int_eq(ivf_codec_train(codec, x, N, &training), MPIVF_OK);
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

static double squared(const float *x, const float *y, int d)
{
    double sum = 0;
    for (int j = 0; j < d; j++)
        sum += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    return sum;
}

/* Each number of each code must be a nearest codeword, up to rounding. */
static void check_pq_codes(ivf_codec *codec, const ivf_codec_spec *spec, const float *x, int64_t n, int d)
{
    const int dsub = d / spec->m;
    const int words = 1 << spec->bits;
    const float *books = array_of(codec, "codebooks");
    float *decoded = ivf_new((size_t)n * (size_t)d, sizeof *decoded);
    uint8_t *codes = encode(codec, x, n);
    int64_t wrong = 0;
    ivf_codec_decode(codec, codes, n, decoded);
    for (int64_t row = 0; row < n; row++) {
        for (int sub = 0; sub < spec->m; sub++) {
            const float *slice = x + row * d + sub * dsub;
            const float *book = books + (size_t)(sub * words) * (size_t)dsub;
            int number = number_at(codes + (size_t)row * ivf_codec_code_size(codec), sub, spec->bits);
            double chosen = squared(slice, book + number * dsub, dsub);
            for (int w = 0; w < words; w++)
                wrong += squared(slice, book + w * dsub, dsub) < chosen - 1e-5;
            ck_assert_mem_eq(decoded + row * d + sub * dsub, book + number * dsub, (size_t)dsub * sizeof(float));
        }
    }
    ck_assert_int_eq(wrong, 0);
    check_scan(codec, codes, n, d, 1e-5);
    ivf_free(codes);
    ivf_free(decoded);
}

static const struct {
    ivf_codec_spec spec;
    int d;
} pq_shapes[] = {
    {{IVF_CODEC_PQ, 8, 8}, 32},  {{IVF_CODEC_PQ, 5, 4}, 20},  {{IVF_CODEC_PQ, 7, 5}, 7},
    {{IVF_CODEC_PQ, 70, 6}, 70}, {{IVF_CODEC_PQ, 13, 7}, 26}, {{IVF_CODEC_PQ, 1, 8}, 9},
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
    ck_assert_int_eq(ivf_codec_train(codec, x, N, &training), MPIVF_OK);
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
        ck_assert_int_eq(ivf_codec_train(codec, x, N, &training), MPIVF_OK);
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
    ck_assert_int_eq(ivf_codec_train(one, x, N, &seeded), MPIVF_OK);
    seeded.seed++;
    ck_assert_int_eq(ivf_codec_train(other, x, N, &seeded), MPIVF_OK);
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
    ck_assert_int_eq(ivf_codec_train(codec, x, N, &training), MPIVF_OK);
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
    ck_assert_int_eq(ivf_codec_train(codec, x, 5, &training), MPIVF_OK);
    codes = encode(codec, x, 5);
    ivf_codec_decode(codec, codes, 5, decoded);
    for (int j = 0; j < 5 * D; j++)
        ck_assert_float_eq(decoded[j], x[j]);
    ivf_free(codes);
    ivf_free(x);
    ivf_codec_free(codec);
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
    ck_assert_int_eq(ivf_codec_train(codec, x, N, &training), MPIVF_OK);
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
    ck_assert_int_eq(ivf_codec_train(sq, x, 0, &training), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "SQ8: no rows"));
    ck_assert_int_eq(ivf_codec_train(pq, x, 0, &training), MPIVF_BAD_INPUT);
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
    tcase_add_loop_test(tests, product_codes_name_the_nearest_words, 0, (int)(sizeof pq_shapes / sizeof pq_shapes[0]));
    tcase_add_loop_test(tests, product_training_is_the_same_for_any_threads, 0, 2);
    tcase_add_test(tests, product_training_depends_on_the_seed);
    tcase_add_test(tests, product_words_left_over_are_harmless);
    tcase_add_loop_test(tests, simd_levels_give_the_same_keys, 0, (int)(sizeof scanned / sizeof scanned[0]));
    tcase_add_test(tests, training_needs_rows);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
