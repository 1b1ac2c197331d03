/* index/tuning: the settings that no other beats, kept for each depth, and found again by recall. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "index/tuning.h"

enum { NLIST = 100, MANY = 200 };

static bool beats(const ivf_tuning_setting *a, const ivf_tuning_setting *b)
{
    return a->recall >= b->recall && a->queries_per_second >= b->queries_per_second &&
           (a->recall > b->recall || a->queries_per_second > b->queries_per_second);
}

/* Coarse values, so that there are equal ones. */
static void make_settings(ivf_tuning_setting *settings, int count, uint64_t seed)
{
    for (int i = 0; i < count; i++)
        settings[i] = (ivf_tuning_setting){.nprobe = i % NLIST + 1,
                                           .recall = (double)ivf_rng_below(seed, IVF_RNG_TEST, (uint64_t)i, 30) / 30,
                                           .queries_per_second =
                                               (double)ivf_rng_below(seed, IVF_RNG_TEST + 1, (uint64_t)i, 30) + 1};
}

START_TEST(a_front_is_what_nothing_beats)
{
    ivf_tuning_setting all[MANY];
    ivf_tuning_setting front[MANY];
    make_settings(all, MANY, (uint64_t)_i);
    memcpy(front, all, sizeof all);
    int kept = ivf_tuning_front(front, MANY);
    ck_assert_int_ge(kept, 1);
    for (int i = 1; i < kept; i++)
        ck_assert(front[i].recall > front[i - 1].recall &&
                  front[i].queries_per_second < front[i - 1].queries_per_second);
    for (int i = 0; i < MANY; i++) {
        bool beaten = false;
        bool there = false;
        for (int j = 0; j < kept; j++) {
            ck_assert(!beats(&all[i], &front[j]));
            beaten = beaten || beats(&front[j], &all[i]);
            there =
                there || (front[j].recall == all[i].recall && front[j].queries_per_second == all[i].queries_per_second);
        }
        ck_assert(beaten || there);
    }
}
END_TEST

static int put(ivf_manifest *m, int k, const ivf_tuning_setting *settings, int count)
{
    const ivf_tuning tuning = {.k = k,
                               .queries = 10,
                               .ranks = 1,
                               .threads = 2,
                               .simd = "reference",
                               .host = "here",
                               .settings = settings,
                               .count = count};
    return ivf_tuning_put(m, &tuning);
}

static void refuses(const ivf_manifest *m, int k, double recall, const char *words)
{
    ivf_tuning_setting setting;
    ck_assert_int_eq(ivf_tuning_pick(m, k, recall, &setting), MPIVF_USAGE);
    ck_assert_msg(strstr(ivf_error_last()->text, words) != NULL, "%s", ivf_error_last()->text);
}

START_TEST(a_recall_leads_to_the_fastest_that_has_it)
{
    const ivf_tuning_setting settings[] = {
        {.nprobe = 1, .recall = 0.5, .queries_per_second = 100},
        {.nprobe = 9, .nodes = {0, 4, 2}, .rerank = 50, .recall = 0.8, .queries_per_second = 50},
        {.nprobe = 60, .recall = 0.95, .queries_per_second = 7}};
    ivf_manifest m = {.version = 3, .factory = {.nlist = NLIST}};
    ivf_tuning_setting found;
    ck_assert(!ivf_tuning_usual(&m, &found));
    refuses(&m, 10, 0.5, "version 3 of the index is not tuned; run mpivf tune with --k 10");
    ck_assert_int_eq(put(&m, 10, settings, 3), MPIVF_OK);
    ck_assert_int_eq(ivf_tuning_pick(&m, 10, 0.1, &found), MPIVF_OK);
    ck_assert_int_eq(found.nprobe, 1);
    ck_assert_int_eq(ivf_tuning_pick(&m, 10, 0.5, &found), MPIVF_OK);
    ck_assert_int_eq(found.nprobe, 1);
    ck_assert_int_eq(found.nodes[1], 0);
    ck_assert_int_eq(ivf_tuning_pick(&m, 10, 0.51, &found), MPIVF_OK);
    ck_assert_int_eq(memcmp(&found, &settings[1], sizeof found), 0);
    ck_assert_int_eq(ivf_tuning_pick(&m, 10, 0.95, &found), MPIVF_OK);
    ck_assert_int_eq(found.nprobe, 60);
    refuses(&m, 10, 0.951, "the best one, 60 lists, had 0.9500");
    refuses(&m, 11, 0.5, "is tuned, but not for 11 neighbours; run mpivf tune with --k 11");
    ck_assert(ivf_tuning_usual(&m, &found));
    ck_assert_int_eq(found.nprobe, 60);

    /* Other depths beside it, in order; the same one in its place. */
    ck_assert_int_eq(put(&m, 100, settings, 1), MPIVF_OK);
    ck_assert_int_eq(put(&m, 1, settings, 2), MPIVF_OK);
    ck_assert_int_eq(put(&m, 10, settings + 1, 1), MPIVF_OK);
    ck_assert_uint_eq(json_array_size(m.tuning), 3);
    refuses(&m, 10, 0.9, "the best one, 9 lists");
    ck_assert_int_eq(ivf_tuning_pick(&m, 100, 0.5, &found), MPIVF_OK);
    /* Who does not re-rank has nothing of what re-ranking reached. */
    ck_assert(ivf_tuning_usual(&m, &found));
    ck_assert_int_eq(found.nprobe, 1);
    ck_assert_int_eq(put(&m, 1, settings + 1, 1), MPIVF_OK);
    ck_assert(!ivf_tuning_usual(&m, &found));
    ck_assert(ivf_tuning_is_sound(m.tuning, NLIST));
    ck_assert(!ivf_tuning_is_sound(m.tuning, 8));
    json_decref(m.tuning);
}
END_TEST

START_TEST(what_is_malformed_is_seen)
{
    static const char *const texts[] = {
        "{}",
        "[1]",
        "[{\"k\": 10}]",
        "[{\"k\": 10, \"settings\": []}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"recall\": 0.5, \"queries_per_second\": 1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"rerank\": -1, \"recall\": 0.5, \"queries_per_second\": 1}]}]",
        "[{\"k\": 0, \"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"recall\": 0.5, \"queries_per_second\": 1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 0, \"rerank\": 0, \"recall\": 0.5, \"queries_per_second\": 1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 101, \"rerank\": 0, \"recall\": 0.5, \"queries_per_second\": 1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"recall\": 1.5, \"queries_per_second\": 1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"recall\": 0.5, \"queries_per_second\": -1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"nodes\": [], \"recall\": 0.5, "
        "\"queries_per_second\": 1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"nodes\": [1, 2, 3], \"recall\": 0.5, "
        "\"queries_per_second\": "
        "1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"recall\": 0.5, \"queries_per_second\": 1}, "
        "{\"nprobe\": 2, \"rerank\": 0, "
        "\"recall\": 0.5, \"queries_per_second\": 1}]}]",
        "[{\"k\": 10, \"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"recall\": 0.5, \"queries_per_second\": 1}]}, "
        "{\"k\": 10, "
        "\"settings\": [{\"nprobe\": 1, \"rerank\": 0, \"recall\": 0.5, \"queries_per_second\": 1}]}]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *json = json_loads(texts[i], 0, NULL);
        ck_assert_ptr_nonnull(json);
        ck_assert_msg(!ivf_tuning_is_sound(json, NLIST), "%s", texts[i]);
        json_decref(json);
    }
    ck_assert(ivf_tuning_is_sound(NULL, NLIST));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tuning");
    TCase *tests = tcase_create("tuning");
    tcase_add_loop_test(tests, a_front_is_what_nothing_beats, 0, 20);
    tcase_add_test(tests, a_recall_leads_to_the_fastest_that_has_it);
    tcase_add_test(tests, what_is_malformed_is_seen);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
