/* search/recall: by id, by distance with ties, missing entries. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "search/recall.h"

/* found[] from ids; UINT64_MAX marks a missing entry as the searcher leaves it. */
static void fill(ivf_neighbor *found, const uint64_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        found[i] = (ivf_neighbor){.key = ids[i] == UINT64_MAX ? INFINITY : (float)i, .id = ids[i]};
}

static ivf_recall recall_of(ivf_groundtruth truth, const uint64_t *found, int width, int k)
{
    ivf_neighbor neighbors[64];
    fill(neighbors, found, (int)truth.queries * width);
    return ivf_recall_at(&truth, neighbors, truth.queries, width, k);
}

START_TEST(counts_ids_in_any_order)
{
    int64_t truth[] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t found[] = {3, 9, 1, 2, 8, 7, 6, 5};
    ivf_recall r = recall_of((ivf_groundtruth){2, 4, truth, NULL}, found, 4, 4);
    ck_assert_double_eq(r.by_id, 7.0 / 8);
    ck_assert_double_eq(r.by_distance, -1);
}
END_TEST

START_TEST(looks_at_the_first_k_on_both_sides)
{
    int64_t truth[] = {1, 2, 3, 4};
    uint64_t found[] = {4, 1, 2, 3, 7};
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 4, truth, NULL}, found, 5, 1).by_id, 0);
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 4, truth, NULL}, found, 5, 2).by_id, 0.5);
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 4, truth, NULL}, found, 5, 4).by_id, 1);
}
END_TEST

START_TEST(rows_as_near_as_the_last_count_by_distance)
{
    int64_t truth[] = {1, 2, 3, 4, 5};
    uint64_t found[] = {1, 3, 4};
    float ascending[] = {0.5F, 1, 1, 1, 2};
    float descending[] = {9, 7, 7, 7, 2};
    ivf_recall r = recall_of((ivf_groundtruth){1, 5, truth, ascending}, found, 3, 2);
    ck_assert_double_eq(r.by_id, 0.5);
    ck_assert_double_eq(r.by_distance, 1);
    r = recall_of((ivf_groundtruth){1, 5, truth, descending}, found, 3, 2);
    ck_assert_double_eq(r.by_distance, 1);
    uint64_t farther[] = {1, 5, 3};
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 5, truth, ascending}, farther, 3, 2).by_distance, 0.5);
}
END_TEST

START_TEST(never_exceeds_one)
{
    int64_t truth[] = {1, 2, 3, 4};
    float distances[] = {1, 1, 1, 1};
    uint64_t ties[] = {1, 3, 4, 2};
    uint64_t twice[] = {1, 1, 1, 1};
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 4, truth, distances}, ties, 4, 2).by_distance, 1);
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 4, truth, distances}, twice, 4, 2).by_id, 0.5);
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 4, truth, distances}, twice, 4, 2).by_distance, 0.5);
}
END_TEST

START_TEST(missing_entries_match_nothing)
{
    int64_t truth[] = {7, -1, 8, 9};
    float distances[] = {1, INFINITY, 1, 2};
    uint64_t found[] = {7, UINT64_MAX, 8, UINT64_MAX};
    ivf_recall r = recall_of((ivf_groundtruth){2, 2, truth, distances}, found, 2, 2);
    ck_assert_double_eq(r.by_id, 2.0 / 3);
    ck_assert_double_eq(r.by_distance, 2.0 / 3);
    ck_assert_double_eq(recall_of((ivf_groundtruth){0, 2, truth, distances}, found, 2, 2).by_id, 0);
}
END_TEST

START_TEST(ids_are_64_bits_wide)
{
    int64_t truth[] = {(int64_t)1 << 32, INT64_MAX};
    uint64_t found[] = {0, INT64_MAX};
    ck_assert_double_eq(recall_of((ivf_groundtruth){1, 2, truth, NULL}, found, 2, 2).by_id, 0.5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recall");
    TCase *tests = tcase_create("recall");
    tcase_add_test(tests, counts_ids_in_any_order);
    tcase_add_test(tests, looks_at_the_first_k_on_both_sides);
    tcase_add_test(tests, rows_as_near_as_the_last_count_by_distance);
    tcase_add_test(tests, never_exceeds_one);
    tcase_add_test(tests, missing_entries_match_nothing);
    tcase_add_test(tests, ids_are_64_bits_wide);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
