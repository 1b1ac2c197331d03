/* The choice of the SIMD level: in children, because it is made once for each process. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/team.h"
#include "math/simd.h"

static ivf_simd best_available(void)
{
    int level = IVF_SIMD_COUNT - 1;
    while (!ivf_simd_available((ivf_simd)level))
        level--;
    return (ivf_simd)level;
}

/* Keeps what is written to stderr while the level is chosen and asked for again. */
static ivf_simd level_with(const char *wanted, char *said, size_t size)
{
    FILE *log = tmpfile();
    ck_assert_ptr_nonnull(log);
    int saved = dup(STDERR_FILENO);
    ck_assert_int_eq(setenv("MPIVF_SIMD", wanted, 1), 0);
    ck_assert_int_ge(dup2(fileno(log), STDERR_FILENO), 0);
    ivf_simd level = ivf_simd_level();
    ck_assert_int_eq(ivf_simd_level(), level);
    ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
    (void)close(saved);
    rewind(log);
    said[fread(said, 1, size - 1, log)] = '\0';
    (void)fclose(log);
    return level;
}

START_TEST(every_level_can_be_asked_for)
{
    char said[512];
    ivf_simd wanted = (ivf_simd)_i;
    ivf_simd level = level_with(ivf_simd_name(wanted), said, sizeof said);
    if (ivf_simd_available(wanted)) {
        ck_assert_int_eq(level, wanted);
        ck_assert_str_eq(said, "");
    } else {
        ck_assert_int_eq(level, best_available());
        ck_assert_ptr_nonnull(strstr(said, "cannot run"));
    }
}
END_TEST

START_TEST(an_unknown_level_is_named_once)
{
    char said[512];
    ck_assert_int_eq(level_with("neon", said, sizeof said), best_available());
    const char *warning = strstr(said, "MPIVF_SIMD=neon is not known");
    ck_assert_ptr_nonnull(warning);
    ck_assert_ptr_null(strstr(warning + 1, "MPIVF_SIMD=neon"));
}
END_TEST

START_TEST(nothing_asked_is_the_best)
{
    char said[512];
    ck_assert_int_eq(level_with("", said, sizeof said), best_available());
    ck_assert_str_eq(said, "");
    ck_assert(best_available() != IVF_SIMD_REFERENCE);
}
END_TEST

static int ask(void *arg, int64_t task, int worker)
{
    (void)worker;
    ((ivf_simd *)arg)[task] = ivf_simd_level();
    return 0;
}

START_TEST(threads_see_the_same_level)
{
    enum { TASKS = 64 };
    ivf_simd seen[TASKS];
    ivf_team_resize(8);
    ck_assert_int_eq(ivf_team_run(TASKS, ask, seen), 0);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(seen[i], ivf_simd_level());
}
END_TEST

START_TEST(a_choice_is_kept_if_the_cpu_can_run_it)
{
    ivf_simd_choose(IVF_SIMD_REFERENCE);
    ck_assert_int_eq(ivf_simd_level(), IVF_SIMD_REFERENCE);
    ivf_simd_choose(IVF_SIMD_AVX512);
    ck_assert_int_eq(ivf_simd_level(), ivf_simd_available(IVF_SIMD_AVX512) ? IVF_SIMD_AVX512 : IVF_SIMD_REFERENCE);
    ck_assert(!ivf_simd_available(IVF_SIMD_COUNT));
}
END_TEST

int main(void)
{
    ivf_log_set(true, IVF_LOG_WARN);
    Suite *suite = suite_create("simd");
    TCase *tests = tcase_create("simd");
    tcase_add_loop_test(tests, every_level_can_be_asked_for, 0, IVF_SIMD_COUNT);
    tcase_add_test(tests, an_unknown_level_is_named_once);
    tcase_add_test(tests, nothing_asked_is_the_best);
    tcase_add_test(tests, threads_see_the_same_level);
    tcase_add_test(tests, a_choice_is_kept_if_the_cpu_can_run_it);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
