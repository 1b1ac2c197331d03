/* base/stop.h, and how the team heeds it. Each test runs in a process of its own. */
#include <check.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/pulse.h"
#include "base/stop.h"
#include "base/team.h"

static void pass(long milliseconds)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

START_TEST(nothing_is_wanted_at_first)
{
    ck_assert(!ivf_stop_wanted());
    ck_assert_int_eq(ivf_stop_check(), MPIVF_OK);
}
END_TEST

START_TEST(a_signal_is_a_reason_to_stop)
{
    static const struct {
        int number;
        const char *name;
    } signals[] = {{SIGUSR1, "SIGUSR1"}, {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}};
    char text[128];
    ivf_stop_on_signals("build", 8);
    ivf_pulse_enter("train");
    (void)raise(signals[_i].number);
    ck_assert(ivf_stop_wanted());
    ck_assert_int_eq(ivf_stop_check(), MPIVF_INTERRUPTED);
    (void)snprintf(text, sizeof text, "stopped by %s in the phase train; the same command continues it",
                   signals[_i].name);
    ck_assert_str_eq(ivf_error_last()->text, text);
    ck_assert_int_eq(ivf_error_last()->located, 0);
}
END_TEST

START_TEST(an_ignored_interrupt_stays_ignored)
{
    (void)signal(SIGINT, SIG_IGN);
    ivf_stop_on_signals("build", 8);
    (void)raise(SIGINT);
    ck_assert(!ivf_stop_wanted());
}
END_TEST

START_TEST(the_first_reason_stays)
{
    char why[IVF_STOP_WHY];
    ivf_stop_on_signals("build", 8);
    ivf_stop_request("SIGTERM on rank 2 (node7)", true);
    ivf_stop_request("something else", false);
    (void)raise(SIGUSR1);
    ck_assert(ivf_stop_reason(why));
    ck_assert_str_eq(why, "SIGTERM on rank 2 (node7)");
    ck_assert_int_eq(ivf_stop_check(), MPIVF_INTERRUPTED);
    ck_assert_int_eq(ivf_error_last()->located, 1);
}
END_TEST

START_TEST(what_must_be_finished_is)
{
    ivf_stop_on_signals("build", 8);
    ivf_stop_forbid();
    (void)raise(SIGTERM);
    ck_assert(!ivf_stop_wanted());
    ck_assert_int_eq(ivf_stop_check(), MPIVF_OK);
    ivf_stop_allow();
    ck_assert_int_eq(ivf_stop_check(), MPIVF_INTERRUPTED);
}
END_TEST

/* A child that gets two signals, `apart` milliseconds between them, and would end with 0. */
static int outcome_of_two_signals(long apart)
{
    int status = 0;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        ivf_stop_on_signals("build", 8);
        (void)raise(SIGUSR1);
        pass(apart);
        (void)raise(SIGTERM);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(a_second_signal_ends_at_once)
{
    ck_assert_int_eq(outcome_of_two_signals(800), MPIVF_INTERRUPTED);
}
END_TEST

START_TEST(one_signal_that_comes_twice_is_one)
{
    ck_assert_int_eq(outcome_of_two_signals(0), 0);
}
END_TEST

/* A child that gets a signal while MPI starts, say, which may take it a second at most, and would end with 0. */
static int outcome_of_a_start(bool heeds)
{
    int status = 0;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        ivf_stop_on_signals("build", 1);
        (void)raise(SIGTERM);
        if (heeds)
            ivf_stop_heed();
        for (int i = 0; i < 30; i++) /* the handlers end a sleep early */
            pass(100);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(a_signal_that_nobody_heeds_ends_the_process)
{
    ck_assert_int_eq(outcome_of_a_start(false), MPIVF_INTERRUPTED);
}
END_TEST

START_TEST(a_signal_that_is_heeded_leaves_time)
{
    ck_assert_int_eq(outcome_of_a_start(true), 0);
}
END_TEST

enum { TASKS = 1000, STOPPING = 10 };

static int count_and_stop(void *arg, int64_t task, int worker)
{
    (void)task;
    (void)worker;
    if (atomic_fetch_add((atomic_int *)arg, 1) == STOPPING)
        ivf_stop_request("a test", false);
    return MPIVF_OK;
}

START_TEST(a_stoppable_loop_stops_between_tasks)
{
    atomic_int ran = 0;
    ivf_team_resize(3);
    ck_assert_int_eq(ivf_team_run_stoppable(TASKS, count_and_stop, &ran), MPIVF_INTERRUPTED);
    ck_assert_int_eq(ivf_error_last()->code, MPIVF_INTERRUPTED);
    ck_assert_int_gt(atomic_load(&ran), STOPPING);
    ck_assert_int_lt(atomic_load(&ran), TASKS);
}
END_TEST

START_TEST(any_other_loop_runs_to_its_end)
{
    atomic_int ran = 0;
    ivf_team_resize(3);
    ck_assert_int_eq(ivf_team_run(TASKS, count_and_stop, &ran), MPIVF_OK);
    ck_assert_int_eq(atomic_load(&ran), TASKS);
    ck_assert(ivf_stop_wanted());
}
END_TEST

static atomic_int attended;

static void attend(void)
{
    atomic_fetch_add(&attended, 1);
}

static int wait_a_little(void *arg, int64_t task, int worker)
{
    (void)arg;
    (void)worker;
    if (task == 1)
        pass(300);
    return MPIVF_OK;
}

START_TEST(the_main_thread_attends_while_others_work)
{
    uint64_t before = ivf_pulse_beats();
    ivf_team_resize(2);
    ivf_pulse_hook(attend);
    ck_assert_int_eq(ivf_team_run(2, wait_a_little, NULL), MPIVF_OK);
    ck_assert_int_gt(atomic_load(&attended), 1);
    ck_assert_uint_eq(ivf_pulse_beats() - before, 2);
    ivf_pulse_hook(NULL);
    int so_far = atomic_load(&attended);
    ivf_pulse_attend();
    ck_assert_int_eq(atomic_load(&attended), so_far);
}
END_TEST

START_TEST(durations_are_read)
{
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"0", 0},        {"90", 90},    {"2.5", 2.5},      {"90s", 90},   {"15m", 900},
                {"1h30m", 5400}, {"1d", 86400}, {"2h5m10s", 7510}, {"0.5m", 30.0}};
    static const char *const bad[] = {"", "s", "-1", "-1s", "1x", "1h30", "1 h", "nan", "inf", "1h-5m", "1hm"};
    double seconds = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(ivf_parse_duration(good[i].text, &seconds) && seconds == good[i].seconds, "%s", good[i].text);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!ivf_parse_duration(bad[i], &seconds), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stop");
    TCase *tests = tcase_create("stop");
    tcase_add_test(tests, nothing_is_wanted_at_first);
    tcase_add_loop_test(tests, a_signal_is_a_reason_to_stop, 0, 3);
    tcase_add_test(tests, an_ignored_interrupt_stays_ignored);
    tcase_add_test(tests, the_first_reason_stays);
    tcase_add_test(tests, what_must_be_finished_is);
    tcase_add_test(tests, a_second_signal_ends_at_once);
    tcase_add_test(tests, one_signal_that_comes_twice_is_one);
    tcase_add_test(tests, a_signal_that_nobody_heeds_ends_the_process);
    tcase_add_test(tests, a_signal_that_is_heeded_leaves_time);
    tcase_add_test(tests, a_stoppable_loop_stops_between_tasks);
    tcase_add_test(tests, any_other_loop_runs_to_its_end);
    tcase_add_test(tests, the_main_thread_attends_while_others_work);
    tcase_add_test(tests, durations_are_read);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
