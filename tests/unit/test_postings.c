/* search/postings: the ranks' shares of the fragments. */
#include <check.h>
#include <stdlib.h>

#include "search/postings.h"

enum { MOST = 40 };

/* Shares of fragments of these sizes: each fragment once, in order, and nobody above an even share by more than the
 * largest fragment. */
static void check_shares(const int64_t *bytes, int64_t count, int size)
{
    ivf_fragment_record records[MOST] = {0};
    ivf_manifest manifest = {.fragment_count = count, .fragments = records};
    int64_t total = 0;
    int64_t largest = 0;
    for (int64_t f = 0; f < count; f++) {
        records[f].bytes = bytes[f];
        total += bytes[f];
        largest = bytes[f] > largest ? bytes[f] : largest;
    }
    int64_t next = 0;
    for (int rank = 0; rank < size; rank++) {
        int64_t from = -1;
        int64_t to = -1;
        int64_t held = 0;
        const ivf_postings_share share = ivf_postings_share_of(&manifest, rank, size);
        from = share.from;
        to = share.to;
        ck_assert_int_eq(from, next);
        ck_assert_int_ge(to, from);
        for (int64_t f = from; f < to; f++)
            held += bytes[f];
        ck_assert_int_le(held, total / size + largest + 1);
        next = to;
    }
    ck_assert_int_eq(next, count);
}

START_TEST(every_fragment_has_one_rank)
{
    int64_t even[MOST];
    int64_t mixed[MOST];
    int64_t none[MOST] = {0};
    for (int f = 0; f < MOST; f++) {
        even[f] = 100;
        mixed[f] = (int64_t)1 << (f * 7 % 41);
    }
    for (int size = 1; size <= 9; size++)
        for (int64_t count = 0; count <= MOST; count++) {
            check_shares(even, count, size);
            check_shares(mixed, count, size);
            check_shares(none, count, size);
        }
}
END_TEST

START_TEST(even_fragments_are_spread_evenly)
{
    ivf_fragment_record records[12] = {0};
    ivf_manifest manifest = {.fragment_count = 12, .fragments = records};
    for (int f = 0; f < 12; f++)
        records[f].bytes = (int64_t)1 << 40;
    for (int64_t rank = 0; rank < 4; rank++) {
        int64_t from = -1;
        int64_t to = -1;
        const ivf_postings_share share = ivf_postings_share_of(&manifest, (int)rank, 4);
        from = share.from;
        to = share.to;
        ck_assert_int_eq(from, 3 * rank);
        ck_assert_int_eq(to, 3 * rank + 3);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("postings");
    TCase *tests = tcase_create("postings");
    tcase_add_test(tests, every_fragment_has_one_rank);
    tcase_add_test(tests, even_fragments_are_spread_evenly);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
