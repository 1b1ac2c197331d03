/* Rows dealt out to ranks: every place has one owner and one row there, prefixes are prefixes of each rank's rows. */
#include <check.h>
#include <stdlib.h>

#include "base/share.h"

static const int64_t totals[] = {0, 1, 1023, 1024, 1025, 5000, 10 * 1024, 12345};

START_TEST(test_places)
{
    for (int size = 1; size <= 5; size++) {
        int64_t total = totals[_i];
        int64_t held = 0;
        for (int rank = 0; rank < size; rank++) {
            ivf_share share = {.total = total, .rank = rank, .size = size};
            int64_t before = -1;
            for (int64_t row = 0; row < ivf_share_count(&share); row++) {
                int64_t place = ivf_share_place(&share, row);
                ck_assert(place > before && place < total);
                ck_assert_int_eq(ivf_share_owner(&share, place), rank);
                ck_assert_int_eq(ivf_share_row(&share, place), row);
                before = place;
                held++;
            }
        }
        ck_assert_int_eq(held, total);
    }
}
END_TEST

START_TEST(test_prefixes)
{
    int64_t total = totals[_i];
    for (int rank = 0; rank < 3; rank++) {
        ivf_share share = {.total = total, .rank = rank, .size = 3};
        int64_t mine = 0;
        for (int64_t prefix = 0; prefix <= total; prefix++) {
            ck_assert_int_eq(ivf_share_prefix(&share, prefix), mine);
            mine += prefix < total && ivf_share_owner(&share, prefix) == rank;
        }
    }
}
END_TEST

START_TEST(test_nobody)
{
    ivf_share share = {.total = 5000, .rank = -1, .size = 2};
    ck_assert_int_eq(ivf_share_count(&share), 0);
}
END_TEST

START_TEST(test_far)
{
    ivf_share share = {.total = INT64_C(10000000000), .rank = 998, .size = 1000};
    int64_t last = ivf_share_count(&share) - 1;
    int64_t place = ivf_share_place(&share, last);
    ck_assert_int_eq(ivf_share_row(&share, place), last);
    ck_assert_int_eq(ivf_share_owner(&share, place), 998);
    ck_assert(place < share.total && place + share.size * (int64_t)IVF_SHARE_BLOCK >= share.total);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("share");
    TCase *tcase = tcase_create("share");
    int count = (int)(sizeof totals / sizeof *totals);
    tcase_add_loop_test(tcase, test_places, 0, count);
    tcase_add_loop_test(tcase, test_prefixes, 0, count);
    tcase_add_test(tcase, test_nobody);
    tcase_add_test(tcase, test_far);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
