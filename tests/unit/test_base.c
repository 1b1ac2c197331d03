/* base/: errors, memory, numbers, random numbers, text, team. */
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/metric.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "base/text.h"

START_TEST(a_failure_is_one_line)
{
    ck_assert_int_eq(ivf_fail(MPIVF_BAD_INPUT, "a\nb %d", 3), MPIVF_BAD_INPUT);
    ck_assert_str_eq(ivf_error_last()->text, "a b 3");
    ck_assert_int_eq(ivf_fail_errno(ENOSPC, "%s", "x"), MPIVF_FAILED);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "free some space"));
}
END_TEST

START_TEST(allocation_checks_overflow_and_counts)
{
    ck_assert_ptr_null(ivf_new(SIZE_MAX / 2, 3));
    ck_assert_ptr_null(ivf_new(SIZE_MAX - 8, 1));
    size_t before = ivf_memory_now();
    char *block = ivf_new(1000, 3);
    ck_assert_uint_eq((uintptr_t)block % 64, 0);
    ck_assert_uint_eq(ivf_memory_now() - before, 3000);
    memset(block, 7, 3000);
    block = ivf_resize(block, 5000, 1);
    ck_assert_int_eq(block[2999], 7);
    ivf_free(block);
    ck_assert_uint_eq(ivf_memory_now(), before);
    ck_assert_uint_ge(ivf_memory_peak(), before + 5000);
}
END_TEST

START_TEST(numbers_parse_whole_text_only)
{
    int64_t value = 0;
    double real = 0;
    ck_assert(ivf_parse_i64("-12", &value) && value == -12);
    ck_assert(!ivf_parse_i64("12x", &value) && !ivf_parse_i64("", &value));
    ck_assert(!ivf_parse_i64("99999999999999999999", &value));
    ck_assert(ivf_parse_f64("1e-4", &real) && real == 1e-4);
    ck_assert(!ivf_parse_f64("nan", &real));
    ck_assert(ivf_parse_bytes("64K", &value) && value == 65536);
    ck_assert(ivf_parse_bytes("1.5GiB", &value) && value == 1610612736);
    ck_assert(ivf_parse_bytes("2MB", &value) && value == 2000000);
    ck_assert(!ivf_parse_bytes("2X", &value) && !ivf_parse_bytes("-1", &value));
    ck_assert_int_eq(ivf_ceil_div(7, 3), 3);
    ck_assert_int_eq(ivf_round_up(8, 4), 8);
}
END_TEST

START_TEST(permutations_hit_every_number_once)
{
    static const uint64_t sizes[] = {1, 2, 3, 5, 64, 1000, 4097};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        ivf_permutation p = ivf_permutation_make(sizes[s], 42, IVF_RNG_TEST);
        uint8_t *seen = ivf_new_zero(sizes[s], 1);
        for (uint64_t i = 0; i < sizes[s]; i++) {
            uint64_t at = ivf_permutation_at(&p, i);
            ck_assert_uint_eq(ivf_permutation_index(&p, at), i);
            ck_assert_uint_lt(at, sizes[s]);
            ck_assert_uint_eq(seen[at]++, 0);
        }
        ivf_free(seen);
    }
}
END_TEST

START_TEST(philox_matches_its_published_vector)
{
    /* Random123's known-answer file: philox4x32-10 with counter and key 0 begins 6627e8d5 e169c58d. */
    ck_assert_uint_eq(ivf_rng_bits(0, 0, 0), 0xe169c58d6627e8d5U);
}
END_TEST

START_TEST(samples_are_uniform)
{
    enum { N = 1000, TAKE = 100, SEEDS = 2000 };
    double sum = 0;
    int low = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ivf_permutation p = ivf_permutation_make(N, seed, IVF_RNG_TEST);
        for (uint64_t i = 0; i < TAKE; i++) {
            uint64_t at = ivf_permutation_at(&p, i);
            sum += (double)at;
            low += at < N / 10;
        }
    }
    ck_assert_double_eq_tol(sum / (TAKE * SEEDS), (N - 1) / 2.0, 4);
    ck_assert_double_eq_tol((double)low / (TAKE * SEEDS), 0.1, 0.004);
}
END_TEST

START_TEST(normals_have_unit_variance)
{
    double sum = 0;
    double squares = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double value = ivf_rng_normal(7, IVF_RNG_TEST, i);
        sum += value;
        squares += value * value;
    }
    ck_assert_double_eq_tol(sum / 1e5, 0, 0.02);
    ck_assert_double_eq_tol(squares / 1e5, 1, 0.02);
}
END_TEST

START_TEST(nearest_word_forgives_little)
{
    static const char *const words[] = {"nprobe", "nlist", "metric"};
    ck_assert_str_eq(ivf_text_nearest("nprob", words, 3), "nprobe");
    ck_assert_str_eq(ivf_text_nearest("metrik", words, 3), "metric");
    ck_assert_ptr_null(ivf_text_nearest("zzzzzz", words, 3));
}
END_TEST

START_TEST(digest_ignores_order_but_not_content)
{
    uint64_t a[] = {1, 2, 3, 3};
    uint64_t b[] = {3, 1, 3, 2};
    uint64_t c[] = {3, 1, 2, 2};
    ck_assert_uint_eq(ivf_digest_ids(a, 4), ivf_digest_ids(b, 4));
    ck_assert_uint_ne(ivf_digest_ids(a, 4), ivf_digest_ids(c, 4));
}
END_TEST

typedef struct {
    int64_t done[1000];
    int64_t fail_from;
} team_state;

static int count_task(void *arg, int64_t task, int worker)
{
    team_state *s = arg;
    if (worker < 0 || worker >= ivf_team_size())
        return ivf_fail(MPIVF_FAILED, "worker %d", worker);
    s->done[task]++;
    if (s->fail_from >= 0 && task >= s->fail_from)
        return ivf_fail(MPIVF_BAD_INPUT, "task %d", (int)task);
    return MPIVF_OK;
}

START_TEST(team_runs_each_task_once)
{
    for (int threads = 1; threads <= 4; threads++) {
        team_state s = {.fail_from = -1};
        ivf_team_resize(threads);
        ck_assert_int_eq(ivf_team_run(1000, count_task, &s), MPIVF_OK);
        for (int i = 0; i < 1000; i++)
            ck_assert_int_eq(s.done[i], 1);
    }
}
END_TEST

START_TEST(team_reports_the_failed_task)
{
    team_state s = {.fail_from = 10};
    ivf_team_resize(1);
    ck_assert_int_eq(ivf_team_run(1000, count_task, &s), MPIVF_BAD_INPUT);
    ck_assert_str_eq(ivf_error_last()->text, "task 10");
    ck_assert_int_eq(s.done[11], 0);
    s = (team_state){.fail_from = 0};
    ivf_team_resize(3);
    ck_assert_int_eq(ivf_team_run(1000, count_task, &s), MPIVF_BAD_INPUT);
}
END_TEST

static void check_limit(ivf_metric metric, double distance)
{
    float key = ivf_metric_limit(metric, distance);
    float next = nextafterf(key, INFINITY);
    double at = (double)ivf_metric_distance(metric, key);
    double beyond = (double)ivf_metric_distance(metric, next);
    ck_assert(metric == IVF_IP ? at >= distance && beyond < distance : at <= distance && beyond > distance);
}

START_TEST(the_limit_of_a_distance_is_its_last_key)
{
    static const double distances[] = {0, 1e-30, 1e-8, 0.1, 0.3, 1, 1.0000001, 2, 12345.678, 1e30};
    for (int i = 0; i < (int)(sizeof distances / sizeof distances[0]); i++) {
        check_limit(IVF_L2, distances[i]);
        check_limit(IVF_IP, distances[i]);
        check_limit(IVF_IP, -distances[i]);
        check_limit(IVF_COSINE, distances[i]);
    }
    ck_assert(ivf_metric_limit(IVF_L2, INFINITY) == INFINITY);
    ck_assert(ivf_metric_limit(IVF_IP, 1e39) == -INFINITY);
}
END_TEST

START_TEST(metrics_have_names)
{
    ivf_metric metric = IVF_L2;
    ck_assert(ivf_metric_parse("cosine", &metric) && metric == IVF_COSINE);
    ck_assert(!ivf_metric_parse("euclid", &metric));
    ck_assert_float_eq(ivf_metric_distance(IVF_COSINE, -0.25F), 0.75F);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    tcase_add_test(tests, a_failure_is_one_line);
    tcase_add_test(tests, allocation_checks_overflow_and_counts);
    tcase_add_test(tests, numbers_parse_whole_text_only);
    tcase_add_test(tests, permutations_hit_every_number_once);
    tcase_add_test(tests, philox_matches_its_published_vector);
    tcase_add_test(tests, samples_are_uniform);
    tcase_add_test(tests, normals_have_unit_variance);
    tcase_add_test(tests, nearest_word_forgives_little);
    tcase_add_test(tests, digest_ignores_order_but_not_content);
    tcase_add_test(tests, team_runs_each_task_once);
    tcase_add_test(tests, team_reports_the_failed_task);
    tcase_add_test(tests, metrics_have_names);
    tcase_add_test(tests, the_limit_of_a_distance_is_its_last_key);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
