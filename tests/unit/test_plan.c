/* build/plan: numbers decided from the dataset and the configuration alone. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "build/plan.h"
#include "index/fragment.h"

START_TEST(nlist_follows_four_roots_of_n)
{
    ck_assert_int_eq(ivf_plan_nlist(1), 1);
    ck_assert_int_eq(ivf_plan_nlist(77), 1);
    ck_assert_int_eq(ivf_plan_nlist(78), 2);
    ck_assert_int_eq(ivf_plan_nlist(10000), 256);
    ck_assert_int_eq(ivf_plan_nlist(1000000), 4096);
    ck_assert_int_eq(ivf_plan_nlist(100000000), 32768);
    ck_assert_int_eq(ivf_plan_nlist(10000000000), 524288);
    ck_assert_int_eq(ivf_plan_nlist(INT64_MAX / 2), 1 << 20);
}
END_TEST

START_TEST(fragments_fit_dataset_lists_and_memory)
{
    ck_assert_int_eq(ivf_fragment_usual_rows(10, 1, 32), 4096);
    ck_assert_int_eq(ivf_fragment_usual_rows(100000, 1024, 32), 4096);
    ck_assert_int_eq(ivf_fragment_usual_rows(1048576, 4096, 32), 16384);
    ck_assert_int_eq(ivf_fragment_usual_rows(1048576, 65536, 32), 262144);
    ck_assert_int_eq(ivf_fragment_usual_rows(10000000000, 65536, 32), 1 << 20);
    ck_assert_int_le(ivf_fragment_usual_rows(10000000000, 65536, 3072) * (3072 + 8), 256 << 20);
    ck_assert_int_eq(ivf_fragment_usual_rows(10000000000, 16, 1 << 20), 4096);
}
END_TEST

START_TEST(fragments_cover_every_row_once)
{
    ivf_plan plan = {.rows = 10000000001, .fragment_rows = 1 << 20, .fragments = 9537};
    int64_t covered = 0;
    for (int64_t f = 0; f < plan.fragments; f++) {
        ck_assert_int_eq(ivf_plan_fragment_first(&plan, f), covered);
        covered += ivf_plan_fragment_count(&plan, f);
    }
    ck_assert_int_eq(covered, plan.rows);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tests = tcase_create("plan");
    tcase_add_test(tests, nlist_follows_four_roots_of_n);
    tcase_add_test(tests, fragments_fit_dataset_lists_and_memory);
    tcase_add_test(tests, fragments_cover_every_row_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
