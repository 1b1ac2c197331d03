/* Scans in blocks: every SIMD level against sums that are written down one by one, odd sizes included. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/numbers.h"
#include "codec/bits.h"
#include "math/convert.h"
#include "math/scan.h"
#include "math/simd.h"

enum { MOST_Q = 11, MOST_BLOCKS = 19, MOST_N = MOST_BLOCKS * IVF_SCAN_BLOCK, UNTOUCHED = 12345 };

/* Whether a level is one that this CPU has and that has kernels of its own. */
static bool choose_level(int level)
{
    if (level == IVF_SIMD_BLAS || !ivf_simd_available((ivf_simd)level))
        return false;
    ivf_simd_choose((ivf_simd)level);
    return true;
}

typedef struct {
    int nq;
    int64_t blocks;
    bool with_terms;
    float terms[MOST_N];
    float base[MOST_Q];
    float scale[MOST_Q];
    float *low[MOST_Q];
    float *out; /* [MOST_Q][MOST_N + 1] */
    const void *probe[MOST_Q];
    ivf_scan_job job;
} bench_of_scan;

/* Quickly: most of what is drawn are codes (Knuth's multiplier). */
static int draw(int below)
{
    static uint64_t state = 3;
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (int)((state >> 33) % (uint64_t)below);
}

/* Whole numbers, so that sums of whole numbers are exact. */
static void set_up(bench_of_scan *b, int nq, int64_t blocks, bool with_terms, const void *data)
{
    b->nq = nq;
    b->blocks = blocks;
    b->with_terms = with_terms;
    b->out = ivf_new((size_t)MOST_Q * (MOST_N + 1), sizeof *b->out);
    for (int i = 0; i < MOST_Q * (MOST_N + 1); i++)
        b->out[i] = UNTOUCHED;
    for (int i = 0; i < MOST_N; i++)
        b->terms[i] = (float)draw(1000);
    for (int q = 0; q < MOST_Q; q++) {
        b->base[q] = (float)(draw(1000) - 500);
        b->scale[q] = (float)(1 + q);
        b->low[q] = b->out + (size_t)q * (MOST_N + 1);
    }
    b->job = (ivf_scan_job){.blocks = data,
                            .count = blocks,
                            .terms = with_terms ? b->terms : NULL,
                            .nq = nq,
                            .probe = b->probe,
                            .base = b->base,
                            .scale = b->scale,
                            .low = b->low};
}

static double expected(const bench_of_scan *b, int q, int64_t slot, double sum)
{
    return (double)b->base[q] + (b->with_terms ? (double)b->terms[slot] : 0) + (double)b->scale[q] * sum;
}

/* Bounds as they should be. Counted, because asserting each takes longer than computing it. */
static void compare(const bench_of_scan *b, int q, int64_t slot, double sum, int *wrong)
{
    *wrong += (double)b->low[q][slot] != expected(b, q, slot, sum);
}

/* Nothing is written beyond the blocks and the queries. */
static void check_rest(const bench_of_scan *b)
{
    int written = 0;
    for (int q = 0; q < MOST_Q; q++)
        for (int64_t i = q < b->nq ? b->blocks * IVF_SCAN_BLOCK : 0; i <= MOST_N; i++)
            written += b->low[q][i] != UNTOUCHED;
    ck_assert_int_eq(written, 0);
    ivf_free(b->out);
}

static void check_rows(int d, int nq, int64_t blocks, bool half, bool with_terms)
{
    static bench_of_scan b;
    int wrong = 0;
    size_t values = (size_t)blocks * IVF_SCAN_BLOCK * (size_t)d;
    float *rows = ivf_new(values, sizeof *rows);
    uint16_t *halves = ivf_new(values, sizeof *halves);
    float *queries = ivf_new((size_t)nq * (size_t)d, sizeof *queries);
    for (size_t i = 0; i < values; i++)
        rows[i] = (float)(draw(401) - 200);
    for (int i = 0; i < nq * d; i++)
        queries[i] = (float)(draw(101) - 50);
    ivf_f32_to_f16(rows, (int64_t)values, halves);
    set_up(&b, nq, blocks, with_terms, half ? (const void *)halves : rows);
    for (int q = 0; q < nq; q++)
        b.probe[q] = queries + (size_t)q * (size_t)d;
    (half ? ivf_scan_halves : ivf_scan_rows)(&b.job, d);
    for (int q = 0; q < nq; q++)
        for (int64_t slot = 0; slot < blocks * IVF_SCAN_BLOCK; slot++) {
            double sum = 0;
            for (int64_t j = 0; j < d; j++)
                sum += (double)rows[(slot / IVF_SCAN_BLOCK * d + j) * IVF_SCAN_BLOCK + slot % IVF_SCAN_BLOCK] *
                       (double)queries[q * d + j];
            compare(&b, q, slot, sum, &wrong);
        }
    ck_assert_int_eq(wrong, 0);
    check_rest(&b);
    ivf_free(rows);
    ivf_free(halves);
    ivf_free(queries);
}

START_TEST(rows_and_halves)
{
    static const int sizes[] = {1, 2, 7, 16, 33};
    if (!choose_level(_i))
        return;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int nq = 1; nq <= MOST_Q; nq++) {
            check_rows(sizes[i], nq, 1 + (nq + (int)i * 3) % 9, i % 2 == 0, nq % 3 != 0);
            check_rows(sizes[i], nq, 1 + (nq + (int)i) % 9, i % 2 != 0, nq % 2 != 0);
        }
}
END_TEST

static void check_numbers(int d, int bits, int nq, int64_t blocks)
{
    static bench_of_scan b;
    int wrong = 0;
    int64_t n = blocks * IVF_SCAN_BLOCK - 5;
    size_t stride = (size_t)ivf_round_up(d, IVF_SCAN_GROUP);
    uint8_t *numbers = ivf_new((size_t)n, (size_t)d);
    uint8_t *back = ivf_new((size_t)d, 1);
    uint8_t *data = ivf_new_zero((size_t)blocks, ivf_scan_numbers_size(d, bits));
    int8_t *weights = ivf_new_zero((size_t)nq, stride);
    int most = ivf_scan_weight_max();
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < d; j++) /* the largest ones too, in a row */
            numbers[i * d + j] = (uint8_t)(i % 3 == 0 ? (1 << bits) - 1 : draw(1 << bits));
        ivf_scan_numbers_put(numbers + i * d, d, bits, i, data);
    }
    for (int64_t i = 0; i < n; i++) {
        ivf_scan_numbers_get(data, d, bits, i, back);
        ck_assert_mem_eq(back, numbers + i * d, (size_t)d);
    }
    set_up(&b, nq, blocks, true, data);
    for (int q = 0; q < nq; q++) {
        b.probe[q] = weights + (size_t)q * stride;
        for (int j = 0; j < d; j++)
            weights[(size_t)q * stride + (size_t)j] = (int8_t)(q == 0   ? most
                                                               : q == 1 ? -most
                                                                        : draw(2 * most + 1) - most);
    }
    ivf_scan_numbers(&b.job, d, bits);
    for (int q = 0; q < nq; q++)
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int j = 0; j < d; j++)
                sum += numbers[i * d + j] * weights[(size_t)q * stride + (size_t)j];
            compare(&b, q, i, sum, &wrong);
        }
    ck_assert_int_eq(wrong, 0);
    check_rest(&b);
    ivf_free(numbers);
    ivf_free(back);
    ivf_free(data);
    ivf_free(weights);
}

START_TEST(numbers_of_every_width)
{
    static const int sizes[] = {1, 3, 4, 8, 15, 16, 17, 45};
    static const int widths[] = {8, 6, 4};
    if (!choose_level(_i))
        return;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t w = 0; w < 3; w++)
            for (int nq = 1; nq <= MOST_Q; nq += 1 + (int)i % 2)
                check_numbers(sizes[i], widths[w], nq, 1 + (nq + (int)i) % 6);
}
END_TEST

/* The sum of a posting's entries; of nibbles', of means of eight, and beside it what they are means of. */
static double sum_of_tables(const uint8_t *table, const uint8_t *numbers, int m, bool nibbles, int *wrong)
{
    int entries = 0;
    int means = 0;
    for (size_t sub = 0; sub < (size_t)m; sub++)
        entries += table[nibbles ? ivf_scan_nibbles_at(sub, numbers[sub]) : ivf_scan_bytes_at(sub, numbers[sub])];
    if (!nibbles)
        return entries;
    for (int first = 0; first < m; first += first % 4 == 0 ? 2 : 14) {
        int eight[8];
        for (int i = 0; i < 8; i++) {
            int sub = first + i / 2 * 4 + i % 2;
            eight[i] = sub < m ? table[ivf_scan_nibbles_at((size_t)sub, numbers[sub])] : 0;
        }
        for (int n = 4; n > 0; n /= 2)
            for (ptrdiff_t i = 0; i < n; i++)
                eight[i] = (eight[2 * i] + eight[2 * i + 1] + 1) / 2;
        means += eight[0];
    }
    *wrong += 8 * means < entries || 8 * means > entries + 12 * ((m + 15) / 16 * 2);
    return means;
}

/* Bytes or nibbles. */
static void check_tables(int m, bool nibbles, int nq, int64_t blocks)
{
    static bench_of_scan b;
    int wrong = 0;
    const size_t entries = nibbles ? 16 : 256;
    const int largest = nibbles ? ivf_scan_nibble_max(m) : (int)ivf_min_i64(255, IVF_SCAN_SUM_MAX / m);
    const size_t size = nibbles ? ivf_scan_nibbles_size(m) : (size_t)m * IVF_SCAN_BLOCK;
    const size_t table_size = nibbles ? ivf_scan_nibbles_size(m) : (size_t)m * 256;
    int64_t n = blocks * IVF_SCAN_BLOCK - 3;
    uint8_t *numbers = ivf_new((size_t)n, (size_t)m);
    const int64_t packed_size = (m + 1) / 2;
    uint8_t *packed = ivf_new((size_t)n, (size_t)packed_size);
    uint8_t *back = ivf_new((size_t)packed_size, 1);
    uint8_t *data = ivf_new_zero((size_t)blocks, size);
    uint8_t *tables = ivf_new_zero((size_t)nq, table_size);
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < m; j++)
            numbers[i * m + j] = (uint8_t)draw((int)entries);
        if (nibbles) {
            ivf_bits_pack(numbers + i * m, m, 4, packed + i * packed_size);
            ivf_scan_nibbles_put(packed + i * packed_size, m, i, data);
        } else
            for (int j = 0; j < m; j++)
                data[(i / IVF_SCAN_BLOCK * m + j) * IVF_SCAN_BLOCK + i % IVF_SCAN_BLOCK] = numbers[i * m + j];
    }
    for (int64_t i = 0; nibbles && i < n; i++) {
        ivf_scan_nibbles_get(data, m, i, back);
        ck_assert_mem_eq(back, packed + i * packed_size, (size_t)packed_size);
    }
    set_up(&b, nq, blocks, nq % 2 == 0, data);
    for (int q = 0; q < nq; q++) {
        b.probe[q] = tables + (size_t)q * table_size;
        for (size_t sub = 0; sub < (size_t)m; sub++)
            for (size_t e = 0; e < entries; e++) {
                size_t at = nibbles ? ivf_scan_nibbles_at(sub, e) : ivf_scan_bytes_at(sub, e);
                tables[(size_t)q * table_size + at] = (uint8_t)(q == 0 ? largest : draw(largest + 1));
            }
    }
    (nibbles ? ivf_scan_nibbles : ivf_scan_bytes)(&b.job, m);
    for (int q = 0; q < nq; q++)
        for (int64_t i = 0; i < n; i++) {
            double sum = sum_of_tables(b.probe[q], numbers + i * m, m, nibbles, &wrong);
            compare(&b, q, i, sum, &wrong);
        }
    ck_assert_int_eq(wrong, 0);
    check_rest(&b);
    ivf_free(numbers);
    ivf_free(packed);
    ivf_free(back);
    ivf_free(data);
    ivf_free(tables);
}

START_TEST(bytes_and_nibbles)
{
    static const int sizes[] = {1, 2, 3, 4, 7, 9, 15, 32, 96, 300};
    if (!choose_level(_i))
        return;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int nq = 1; nq <= MOST_Q; nq += 2) {
            check_tables(sizes[i], false, nq, 1 + (nq + (int)i * 5) % MOST_BLOCKS);
            check_tables(sizes[i], true, nq, 1 + (nq + (int)i * 3) % MOST_BLOCKS);
            check_tables(sizes[i], true, nq + 1 <= MOST_Q ? nq + 1 : 1, 2);
        }
}
END_TEST

START_TEST(what_is_low_enough_is_chosen)
{
    enum { N = 100 };
    float low[N];
    int32_t chosen[N];
    if (!choose_level(_i))
        return;
    for (int n = 0; n <= N; n++) {
        int32_t expected_count = 0;
        for (int i = 0; i < N; i++)
            low[i] = draw(20) == 0 ? NAN : (float)draw(10);
        int64_t count = ivf_scan_choose(low, n, 4, chosen);
        for (int i = 0; i < n; i++)
            if (!(low[i] > 4)) {
                ck_assert_int_lt(expected_count, count);
                ck_assert_int_eq(chosen[expected_count++], i);
            }
        ck_assert_int_eq(count, expected_count);
    }
}
END_TEST

START_TEST(the_kth_bound_holds_for_k_values)
{
    enum { N = 5000 };
    static float low[N];
    static const int ks[] = {1, 2, 10, 16, 33, 100, 1000, 1024, 1025};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++)
        for (int n = 1; n <= N; n = n * 3 / 2 + 1) {
            int within = 0;
            for (int v = 0; v < n; v++)
                low[v] = draw(50) == 0 ? NAN : (float)draw(n);
            float bound = ivf_scan_kth(low, n, ks[i]);
            for (int v = 0; v < n; v++)
                within += low[v] <= bound;
            ck_assert(isinf(bound) ? ks[i] > 1024 || n < 5 * ks[i] + 16 : within >= ks[i]);
            if (n >= 100 * ks[i]) /* and is a good one */
                ck_assert_int_le(within, 3 * ks[i] + 4);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scan");
    TCase *tests = tcase_create("scan");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, rows_and_halves, 0, IVF_SIMD_COUNT);
    tcase_add_loop_test(tests, numbers_of_every_width, 0, IVF_SIMD_COUNT);
    tcase_add_loop_test(tests, bytes_and_nibbles, 0, IVF_SIMD_COUNT);
    tcase_add_loop_test(tests, what_is_low_enough_is_chosen, 0, IVF_SIMD_COUNT);
    tcase_add_test(tests, the_kth_bound_holds_for_k_values);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
