/* The k nearest of a stream, against a full sort. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "math/topk.h"

enum { N = 700, MAX_K = 900 };

static int compare(const void *a, const void *b)
{
    const ivf_neighbor *x = a;
    const ivf_neighbor *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Keys from a few values, so that most are tied; some NaN. */
static void make_stream(uint64_t seed, uint64_t values, float *keys, uint64_t *ids)
{
    ivf_permutation order = ivf_permutation_make(N, seed, IVF_RNG_TEST);
    for (int i = 0; i < N; i++) {
        keys[i] = (float)ivf_rng_below(seed, IVF_RNG_TEST, (uint64_t)i, values) - 3;
        if (i % 50 == 7)
            keys[i] = NAN;
        ids[i] = ivf_permutation_at(&order, (uint64_t)i) << 40;
    }
}

static int sort_stream(const float *keys, const uint64_t *ids, ivf_neighbor *sorted)
{
    int n = 0;
    for (int i = 0; i < N; i++) {
        if (!isnan(keys[i]))
            sorted[n++] = (ivf_neighbor){.key = keys[i], .id = ids[i]};
    }
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    return n;
}

static void check_against(const ivf_neighbor *found, int k, const ivf_neighbor *sorted, int n)
{
    for (int i = 0; i < k; i++) {
        if (i < n) {
            ck_assert(found[i].key == sorted[i].key);
            ck_assert_uint_eq(found[i].id, sorted[i].id);
        } else {
            ck_assert(found[i].key == INFINITY);
            ck_assert_uint_eq(found[i].id, UINT64_MAX);
        }
    }
}

START_TEST(the_best_are_kept_whatever_the_pieces)
{
    static const int ks[] = {1, 2, 3, 10, 16, 100, N, MAX_K};
    float keys[N];
    uint64_t ids[N];
    ivf_neighbor sorted[N];
    ivf_neighbor heap[MAX_K];
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
        for (uint64_t seed = 0; seed < 6; seed++) {
            make_stream(seed, seed < 3 ? 9 : 100000, keys, ids);
            int n = sort_stream(keys, ids, sorted);
            ivf_topk top = ivf_topk_start(heap, ks[i], INFINITY);
            int piece = 1 + (int)seed * 17;
            for (int from = 0; from < N; from += piece)
                ivf_topk_offer(&top, keys + from, ids + from, from + piece < N ? piece : N - from);
            float bound = ivf_topk_bound(&top);
            ck_assert(ks[i] > n ? bound == INFINITY : bound == sorted[ks[i] - 1].key);
            ivf_topk_finish(&top);
            check_against(heap, ks[i], sorted, n);
        }
    }
}
END_TEST

START_TEST(merging_halves_gives_the_whole)
{
    enum { K = 25, ROWS = 3 };
    float keys[N];
    uint64_t ids[N];
    ivf_neighbor sorted[N];
    ivf_neighbor parts[2][ROWS * K];
    ivf_neighbor scratch[K];
    for (int split = 0; split <= N; split += 100) {
        for (ptrdiff_t row = 0; row < ROWS; row++) {
            make_stream((uint64_t)row, 20, keys, ids);
            ivf_topk a = ivf_topk_start(parts[0] + row * K, K, INFINITY);
            ivf_topk b = ivf_topk_start(parts[1] + row * K, K, INFINITY);
            ivf_topk_offer(&a, keys, ids, split);
            ivf_topk_offer(&b, keys + split, ids + split, N - split);
            ivf_topk_finish(&a);
            ivf_topk_finish(&b);
        }
        ivf_topk_merge(parts[0], parts[1], ROWS, K, scratch);
        for (ptrdiff_t row = 0; row < ROWS; row++) {
            make_stream((uint64_t)row, 20, keys, ids);
            int n = sort_stream(keys, ids, sorted);
            check_against(parts[0] + row * K, K, sorted, n);
        }
    }
}
END_TEST

START_TEST(nothing_beyond_the_limit_enters)
{
    float keys[] = {3, 1, 2.5F, 2, -4, NAN};
    uint64_t ids[] = {3, 1, 9, 2, 4, 5};
    ivf_neighbor heap[4];
    ivf_topk top = ivf_topk_start(heap, 4, 2);
    ck_assert_float_eq(ivf_topk_bound(&top), 2);
    top.list = 17;
    ivf_topk_offer(&top, keys, ids, 6);
    ivf_topk_finish(&top);
    const uint64_t expected[] = {4, 1, 2, UINT64_MAX};
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(heap[i].id, expected[i]);
    ck_assert_int_eq(heap[2].list, 17);
    ck_assert(heap[2].key == 2 && isinf(heap[3].key));
}
END_TEST

START_TEST(infinite_keys_come_before_nothing)
{
    float keys[] = {INFINITY, -INFINITY, NAN, INFINITY};
    uint64_t ids[] = {9, 8, 7, 6};
    ivf_neighbor heap[5];
    ivf_topk top = ivf_topk_start(heap, 5, INFINITY);
    ivf_topk_offer(&top, keys, ids, 4);
    ivf_topk_finish(&top);
    const uint64_t expected[] = {8, 6, 9, UINT64_MAX, UINT64_MAX};
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(heap[i].id, expected[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topk");
    TCase *tests = tcase_create("topk");
    tcase_add_test(tests, the_best_are_kept_whatever_the_pieces);
    tcase_add_test(tests, merging_halves_gives_the_whole);
    tcase_add_test(tests, nothing_beyond_the_limit_enters);
    tcase_add_test(tests, infinite_keys_come_before_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
