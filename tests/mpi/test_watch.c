/* comm/watch.h, wait.h and reduce.h: reductions of every size, and a stop that one rank is asked for. The stop comes
 * last: there is no way back from it. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "base/stop.h"
#include "base/team.h"
#include "comm/reduce.h"
#include "comm/transfer.h"
#include "comm/watch.h"
#include "mpi_suite.h"

static void pass(long milliseconds)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* What a rank brings to place i. */
static int64_t value_at(int rank, int64_t i)
{
    return (int64_t)((uint64_t)(rank + 1) * 0x9E3779B97F4A7C15U * (uint64_t)(i + 1)) >> 3;
}

static int64_t folded(ivf_reduction how, int64_t i)
{
    int64_t all = value_at(0, i);
    for (int r = 1; r < ivf_ctx_size(test_ctx); r++) {
        int64_t value = value_at(r, i);
        if (how == IVF_REDUCE_SUM)
            all = (int64_t)((uint64_t)all + (uint64_t)value);
        else if (how == IVF_REDUCE_MIN ? value < all : value > all)
            all = value;
    }
    return all;
}

START_TEST(reductions_of_every_size_are_exact)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 511, 512, 513, 1000, 4097, 32768, 65537, 200001};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t n = sizes[s];
        int64_t *values = ivf_new((size_t)n + 1, sizeof *values);
        for (ivf_reduction how = IVF_REDUCE_SUM; how <= IVF_REDUCE_MAX; how++) {
            bool right = values != NULL;
            for (int64_t i = 0; right && i < n; i++)
                values[i] = value_at(ivf_ctx_rank(test_ctx), i);
            values[n] = -7;
            ivf_reduce_all(test_ctx, how, values, n);
            for (int64_t i = 0; right && i < n; i++)
                right = values[i] == folded(how, i);
            test_all(right && values[n] == -7);
        }
        ivf_free(values);
    }
}
END_TEST

START_TEST(a_rank_that_waits_leaves_the_processor)
{
    double before = 0;
    double used = 0;
    bool late = ivf_ctx_rank(test_ctx) == ivf_ctx_size(test_ctx) - 1;
    ivf_barrier(test_ctx);
    before = ivf_clock_cpu();
    if (late)
        pass(500);
    ivf_barrier(test_ctx);
    used = ivf_clock_cpu() - before;
    test_all(used < 0.25);
}
END_TEST

/* Ends right when the first pings and answers are under way, and at once. */
START_TEST(watching_can_begin_and_end)
{
    for (int i = 0; i < 6; i++) {
        const ivf_watch_settings settings = {.command = "test", .stall = 9, .started = ivf_clock()};
        int rc = ivf_watch_start(test_ctx, &settings);
        test_all(rc == MPIVF_OK);
        for (double began = ivf_clock(); i == 0 && ivf_clock() - began < settings.stall / 3 + 0.02;) {
            pass(1);
            ivf_pulse_beat();
            ivf_pulse_attend();
        }
        ivf_watch_end(test_ctx);
    }
}
END_TEST

enum { TASKS = 10000 };

static int count_slowly(void *arg, int64_t task, int worker)
{
    (void)task;
    (void)worker;
    pass(5);
    atomic_fetch_add((atomic_int *)arg, 1);
    return MPIVF_OK;
}

/* The last rank is asked; the first one waits for the others, who work alone. */
START_TEST(a_stop_reaches_every_rank)
{
    const ivf_watch_settings settings = {.command = "test", .started = ivf_clock()};
    int rank = ivf_ctx_rank(test_ctx);
    int last = ivf_ctx_size(test_ctx) - 1;
    atomic_int ran = 0;
    int rc = ivf_watch_start(test_ctx, &settings);
    test_all(rc == MPIVF_OK);
    if (rank == last)
        ivf_stop_request("a test", false);
    int mine = rank > 0 || last == 0 ? ivf_team_run_stoppable(TASKS, count_slowly, &ran) : MPIVF_INTERRUPTED;
    rc = ivf_agree(test_ctx, rank > 0 || last == 0 ? mine : MPIVF_OK);
    bool worded = strstr(ivf_error_last()->text, "stopped by a test") != NULL;
    ivf_watch_end(test_ctx);
    ivf_stop_forbid(); /* so that ranks can agree again */
    test_all(rc == MPIVF_INTERRUPTED && worded);
    test_all(mine == MPIVF_INTERRUPTED && atomic_load(&ran) < TASKS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch");
    TCase *tests = tcase_create("watch");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, reductions_of_every_size_are_exact);
    tcase_add_test(tests, a_rank_that_waits_leaves_the_processor);
    tcase_add_test(tests, watching_can_begin_and_end);
    tcase_add_test(tests, a_stop_reaches_every_rank);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
