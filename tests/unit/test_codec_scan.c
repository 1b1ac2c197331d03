/* Codes in blocks: what was put in comes out, and bounds hold for every codec, metric and SIMD level. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "codec/scan.h"
#include "math/distance.h"
#include "math/simd.h"

enum { N = 333, QUERIES = 3, CASES = 14, MOST_D = 96 };

static const struct {
    ivf_codec_spec spec;
    int d;
} cases[CASES] = {
    {{IVF_CODEC_FLAT, 0, 0}, 33}, {{IVF_CODEC_FLAT16, 0, 0}, 35}, {{IVF_CODEC_SQ, 0, 8}, 96},
    {{IVF_CODEC_SQ, 0, 8}, 5},    {{IVF_CODEC_SQ, 0, 6}, 90},     {{IVF_CODEC_SQ, 0, 4}, 71},
    {{IVF_CODEC_PQ, 32, 8}, 64},  {{IVF_CODEC_PQ, 7, 8}, 21},     {{IVF_CODEC_PQ, 9, 5}, 36},
    {{IVF_CODEC_PQ, 12, 7}, 24},  {{IVF_CODEC_PQ, 71, 4}, 71},    {{IVF_CODEC_PQ, 4, 4}, 64},
    {{IVF_CODEC_PQ, 5, 8}, 60},   {{IVF_CODEC_PQ, 12, 8}, 96},
};
static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};

typedef struct {
    ivf_codec *codec;
    int d;
    float *x; /* [N][d] */
    uint8_t *codes;
    uint8_t *blocks;
    float *rows; /* decoded */
} sample;

/* Values around 3, of sizes that differ between dimensions. */
static void set_up(sample *s, int number)
{
    const int64_t blocks = ivf_ceil_div(N, IVF_SCAN_BLOCK);
    ivf_codec_training training = {.seed = 1, .iterations = 3};
    s->d = cases[number].d;
    ck_assert_int_eq(ivf_codec_new(&cases[number].spec, s->d, &s->codec), MPIVF_OK);
    s->x = ivf_new((size_t)N * (size_t)s->d, sizeof *s->x);
    for (int i = 0; i < N * s->d; i++)
        s->x[i] = 3 + (float)(1 + i % s->d % 5) * (float)ivf_rng_normal(7, IVF_RNG_TEST, (uint64_t)i);
    ck_assert_int_eq(ivf_codec_train_local(s->codec, s->x, N, &training), MPIVF_OK);
    s->codes = ivf_new(N, ivf_codec_code_size(s->codec));
    s->rows = ivf_new((size_t)N * (size_t)s->d, sizeof *s->rows);
    s->blocks = ivf_new_zero((size_t)blocks, ivf_codec_block_size(s->codec));
    void *scratch = ivf_new(ivf_codec_encode_scratch(s->codec, N), 1);
    ivf_codec_encode(s->codec, s->x, N, s->codes, scratch);
    ivf_free(scratch);
    ivf_codec_decode(s->codec, s->codes, N, s->rows);
    /* In two parts, the second in the middle of a block. */
    ivf_codec_blocks_put(s->codec, s->codes, 45, 0, s->blocks);
    ivf_codec_blocks_put(s->codec, s->codes + 45 * ivf_codec_code_size(s->codec), N - 45, 45, s->blocks);
}

static void tear_down(sample *s)
{
    ivf_codec_free(s->codec);
    ivf_free(s->x);
    ivf_free(s->codes);
    ivf_free(s->blocks);
    ivf_free(s->rows);
}

START_TEST(codes_come_out_as_they_went_in)
{
    sample s;
    set_up(&s, _i);
    size_t size = ivf_codec_code_size(s.codec);
    uint8_t *code = ivf_new(size, 1);
    for (int64_t i = 0; i < N; i++) {
        ivf_codec_blocks_get(s.codec, s.blocks, i, code);
        ck_assert_mem_eq(code, s.codes + (size_t)i * size, size);
    }
    ivf_free(code);
    tear_down(&s);
}
END_TEST

/* The keys of some, computed in three ways. */
static void check_keys(const sample *s, ivf_metric metric, const float *query, const float *keys, void *table)
{
    const size_t size = ivf_codec_code_size(s->codec);
    for (int64_t first = 0; first + 10 <= N; first += 10) {
        float some[10];
        bool prepared = first % 20 != 0;
        ivf_codec_keys(s->codec, metric, query, s->codes + (size_t)first * size, 10, some, table, &prepared);
        ck_assert_mem_eq(some, keys + first, sizeof some);
    }
}

/* Bounds by one part of a probe, of blocks that it is for, are below the products, but not far. */
static void check_bounds(const sample *s, ivf_metric metric, const float *query, const void *probe, bool wide,
                         double *looseness)
{
    static float low[N + IVF_SCAN_BLOCK];
    const int64_t blocks = ivf_ceil_div(N, IVF_SCAN_BLOCK);
    uint8_t *widened = wide ? ivf_new((size_t)blocks, ivf_codec_wide_size(s->codec)) : NULL;
    const ivf_probe *head = probe;
    const void *payload = (const char *)probe + IVF_PROBE_HEAD;
    float *out = low;
    const float base = 0;
    ivf_scan_job job = {.blocks = wide ? widened : s->blocks,
                        .count = blocks,
                        .nq = 1,
                        .probe = &payload,
                        .base = &base,
                        .scale = &head->scale,
                        .low = &out};
    if (wide)
        ivf_codec_widen(s->codec, s->blocks, blocks, widened);
    (wide ? ivf_codec_wide_bounds : ivf_codec_bounds)(s->codec, &job);
    for (int64_t i = 0; i < N; i++) {
        const float *row = s->rows + i * s->d;
        double product = 0;
        double size = 0;
        for (int j = 0; j < s->d; j++) {
            product += (metric == IVF_L2 ? -2.0 : -1.0) * (double)row[j] * (double)query[j];
            size += fabs((double)row[j] * (double)query[j]);
        }
        double slack = 1e-5 * (size + (double)head->size);
        double slope = (double)head->slope *
                       (double)ivf_codec_spread(s->codec, s->codes + (size_t)i * ivf_codec_code_size(s->codec));
        double found = (double)head->constant + (double)low[i];
        ck_assert_double_le(found - slope - slack, product);
        *looseness = fmax(*looseness, (product - found + slope) / size);
    }
    ck_assert_float_eq_tol(head->norm, sqrtf(ivf_dot(query, query, s->d)), 1e-4F);
    ivf_free(widened);
}

static void check_query(const sample *s, ivf_metric metric, const float *query, double *looseness)
{
    static float keys[N];
    void *table = ivf_new(ivf_codec_table_size(s->codec), 1);
    char *probe = ivf_new(ivf_codec_probe_size(s->codec), 1);
    ivf_codec_probe(s->codec, metric, query, probe, table);
    check_bounds(s, metric, query, probe, false, looseness);
    if (ivf_codec_wide_size(s->codec) > 0)
        check_bounds(s, metric, query, ivf_codec_wide_probe(s->codec, probe), true, looseness);
    ivf_codec_prepare(s->codec, metric, query, table);
    ivf_codec_scan(s->codec, metric, table, s->codes, N, keys);
    check_keys(s, metric, query, keys, table);
    ivf_free(table);
    ivf_free(probe);
}

/* Bytes of sub-vectors of whole quads have wide blocks, at the levels that widen. */
START_TEST(who_has_wide_blocks)
{
    sample s;
    const ivf_codec_spec *spec = &cases[_i].spec;
    set_up(&s, _i);
    const bool quads = spec->kind == IVF_CODEC_PQ && spec->bits > 4 && s.d / spec->m % 4 == 0;
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        if (!ivf_simd_available((ivf_simd)level))
            continue;
        ivf_simd_choose((ivf_simd)level);
        ck_assert_int_eq(ivf_codec_wide_size(s.codec) > 0, quads && level >= IVF_SIMD_AVX2);
    }
    tear_down(&s);
}
END_TEST

START_TEST(bounds_hold)
{
    sample s;
    set_up(&s, _i);
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        double looseness = 0;
        if (!ivf_simd_available((ivf_simd)level))
            continue;
        ivf_simd_choose((ivf_simd)level);
        for (size_t m = 0; m < 3; m++)
            for (int q = 0; q < QUERIES; q++)
                check_query(&s, metrics[m], s.x + q * s.d, &looseness);
        ck_assert_double_le(looseness, 0.5); /* they are worth something, too */
    }
    tear_down(&s);
}
END_TEST

START_TEST(wild_queries_let_everything_pass)
{
    sample s;
    float query[MOST_D];
    set_up(&s, _i);
    void *table = ivf_new(ivf_codec_table_size(s.codec), 1);
    char *probe = ivf_new(ivf_codec_probe_size(s.codec), 1);
    for (int j = 0; j < s.d; j++)
        query[j] = 3e38F;
    ivf_codec_probe(s.codec, IVF_L2, query, probe, table);
    ck_assert(isinf(((const ivf_probe *)(const void *)probe)->norm));
    memset(query, 0, sizeof query);
    ivf_codec_probe(s.codec, IVF_L2, query, probe, table);
    ck_assert_float_eq(((const ivf_probe *)(const void *)probe)->norm, 0);
    ivf_free(table);
    ivf_free(probe);
    tear_down(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec_scan");
    TCase *tests = tcase_create("codec_scan");
    tcase_add_loop_test(tests, codes_come_out_as_they_went_in, 0, CASES);
    tcase_add_loop_test(tests, bounds_hold, 0, CASES);
    tcase_add_loop_test(tests, who_has_wide_blocks, 0, CASES);
    tcase_add_loop_test(tests, wild_queries_let_everything_pass, 0, CASES);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
