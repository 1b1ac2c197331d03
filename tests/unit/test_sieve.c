/* search/sieve: the bits of a plain scan, whatever the data, the SIMD level, the order of the rows and the threads. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/team.h"
#include "math/distance.h"
#include "math/rows.h"
#include "math/simd.h"
#include "search/sieve.h"

typedef struct {
    ivf_metric metric;
    int64_t rows, nq;
    int d, k;
    float *x, *queries;
    uint64_t *ids;
} sieve_case;

static void fill(float *x, int64_t count, uint32_t stream, float offset, float scale)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = offset + scale * (float)ivf_rng_normal(7, IVF_RNG_TEST + stream, (uint64_t)i);
}

static sieve_case case_new(ivf_metric metric, int64_t rows, int64_t nq, int d, int k, float offset, float scale)
{
    sieve_case c = {.metric = metric, .rows = rows, .nq = nq, .d = d, .k = k};
    c.x = ivf_new((size_t)(rows * d), sizeof *c.x);
    c.queries = ivf_new((size_t)(nq * d), sizeof *c.queries);
    c.ids = ivf_new((size_t)rows, sizeof *c.ids);
    fill(c.x, rows * d, 0, offset, scale);
    fill(c.queries, nq * d, 1, offset, scale);
    for (int64_t i = 0; i < rows; i++)
        c.ids[i] = ((uint64_t)1 << 33) + (uint64_t)((i * 7) % rows);
    if (metric == IVF_COSINE) {
        ivf_rows_normalise(c.x, rows, d);
        ivf_rows_normalise(c.queries, nq, d);
    }
    return c;
}

static void case_free(sieve_case *c)
{
    ivf_free(c->x);
    ivf_free(c->queries);
    ivf_free(c->ids);
}

static int by_key_and_id(const void *a, const void *b)
{
    const ivf_neighbor *x = a;
    const ivf_neighbor *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Every key, sorted: shares nothing with the sieve but the keys. */
static ivf_neighbor *naive(const sieve_case *c)
{
    ivf_neighbor *all = ivf_new((size_t)(c->rows + c->k), sizeof *all);
    ivf_neighbor *best = ivf_new((size_t)(c->nq * c->k), sizeof *best);
    for (int64_t q = 0; q < c->nq; q++) {
        for (int64_t i = 0; i < c->rows; i++) {
            all[i].id = c->ids[i];
            ivf_keys_f32(c->metric, c->queries + q * c->d, c->x + i * c->d, 1, c->d, &all[i].key);
        }
        for (int i = 0; i < c->k; i++)
            all[c->rows + i] = (ivf_neighbor){.key = INFINITY, .id = UINT64_MAX};
        qsort(all, (size_t)(c->rows + c->k), sizeof *all, by_key_and_id);
        memcpy(best + q * c->k, all, (size_t)c->k * sizeof *all);
    }
    ivf_free(all);
    return best;
}

/* Offers the rows in chunks of `step`, from the last to the first if `backwards`. */
static ivf_neighbor *sieved(const sieve_case *c, int64_t step, bool backwards)
{
    ivf_neighbor *best = ivf_new((size_t)(c->nq * c->k), sizeof *best);
    float *norm = ivf_new((size_t)step, sizeof *norm);
    ivf_sieve *sieve = ivf_sieve_new(c->metric, c->queries, c->nq, c->d, best, c->k);
    ck_assert_ptr_nonnull(sieve);
    int64_t chunks = (c->rows + step - 1) / step;
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int64_t first = (backwards ? chunks - 1 - chunk : chunk) * step;
        int64_t n = first + step < c->rows ? step : c->rows - first;
        const float *x = c->x + first * c->d;
        for (int64_t i = 0; i < n; i++)
            norm[i] = ivf_dot(x + i * c->d, x + i * c->d, c->d);
        ck_assert_int_eq(ivf_sieve_offer(sieve, x, norm, c->ids + first, n), MPIVF_OK);
    }
    ivf_sieve_finish(sieve);
    ivf_sieve_free(sieve);
    ivf_free(norm);
    return best;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void check_same(const sieve_case *c, const ivf_neighbor *expected, int64_t step, bool backwards)
{
    ivf_neighbor *got = sieved(c, step, backwards);
    for (int64_t i = 0; i < c->nq * c->k; i++) {
        ck_assert_uint_eq(got[i].id, expected[i].id);
        ck_assert_uint_eq(bits_of(got[i].key), bits_of(expected[i].key));
    }
    ivf_free(got);
}

/* At every level that this CPU has, in one thread and in three. */
static void check_case(sieve_case c)
{
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        if (!ivf_simd_available((ivf_simd)level))
            continue;
        ivf_simd_choose((ivf_simd)level);
        ivf_neighbor *expected = naive(&c);
        ivf_team_resize(1);
        check_same(&c, expected, 600, false);
        ivf_team_resize(3);
        check_same(&c, expected, 100, true);
        ivf_free(expected);
    }
    case_free(&c);
}

static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};

START_TEST(plain_data)
{
    check_case(case_new(metrics[_i], 800, 130, 33, 10, 0, 1));
    check_case(case_new(metrics[_i], 700, 1, 128, 1, 0.5F, 1));
}
END_TEST

/* Far from the origin the products lose nearly all digits of the distances: only the margin keeps the rows. */
START_TEST(data_far_from_the_origin)
{
    check_case(case_new(metrics[_i], 600, 20, 64, 7, 1000, 0.25F));
    check_case(case_new(metrics[_i], 600, 20, 20, 7, -3e6F, 1));
}
END_TEST

START_TEST(tiny_and_huge_values)
{
    check_case(case_new(metrics[_i], 500, 20, 16, 5, 0, 1e-22F));
    if (metrics[_i] != IVF_COSINE)
        check_case(case_new(metrics[_i], 500, 20, 16, 5, 0, 1e-30F));
    check_case(case_new(metrics[_i], 500, 20, 16, 5, 0, 1e18F));
}
END_TEST

/* Norms just below FLT_MAX: keys overflow, and so do the scores of rows opposite a query; rows at an infinite distance
 * still fill the heap. */
START_TEST(distances_that_overflow)
{
    sieve_case c = case_new(metrics[_i], 300, 10, 4, 8, 0, 1);
    for (int64_t i = 0; metrics[_i] != IVF_COSINE && i < c.rows * 4; i++)
        c.x[i] = (i / 4 % 3 == 0 || i % 2 == 0) ? -9e18F : 9e18F;
    for (int64_t i = 0; metrics[_i] != IVF_COSINE && i < c.nq * 4; i++)
        c.queries[i] = 9e18F;
    check_case(c);
}
END_TEST

START_TEST(equal_rows_go_by_id)
{
    sieve_case c = case_new(metrics[_i], 600, 20, 12, 9, 0, 1);
    for (int64_t i = 0; i < c.rows; i++)
        memcpy(c.x + i * 12, c.x + i % 5 * 12, 12 * sizeof *c.x);
    check_case(c);
}
END_TEST

START_TEST(fewer_rows_than_wanted)
{
    check_case(case_new(metrics[_i], 3, 70, 8, 10, 0, 1));
    check_case(case_new(metrics[_i], 0, 5, 8, 2, 0, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sieve");
    TCase *tests = tcase_create("sieve");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, plain_data, 0, 3);
    tcase_add_loop_test(tests, data_far_from_the_origin, 0, 3);
    tcase_add_loop_test(tests, tiny_and_huge_values, 0, 3);
    tcase_add_loop_test(tests, distances_that_overflow, 0, 3);
    tcase_add_loop_test(tests, equal_rows_go_by_id, 0, 3);
    tcase_add_loop_test(tests, fewer_rows_than_wanted, 0, 3);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
