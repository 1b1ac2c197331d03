/* io/folder: trees that are taken away, and what must stay. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "io/folder.h"
#include "temp.h"

enum { PATH = TEST_PATH_BYTES + 128 };

static char folder[TEST_PATH_BYTES];

static void setup(void)
{
    test_temp_make(folder);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

static void path_of(const char *name, char path[PATH])
{
    (void)snprintf(path, PATH, "%s/%s", folder, name);
}

static void make(const char *name)
{
    char path[PATH];
    path_of(name, path);
    if (name[strlen(name) - 1] == '/')
        ck_assert_int_eq(mkdir(path, 0777), 0);
    else
        test_write_file(path, "x", 1);
}

static bool exists(const char *name)
{
    char path[PATH];
    struct stat info;
    path_of(name, path);
    return lstat(path, &info) == 0;
}

START_TEST(a_tree_goes_with_all_that_is_in_it)
{
    char path[PATH];
    static const char *const names[] = {"a/", "a/one", "a/b/", "a/b/two", "a/b/c/", "beside"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        make(names[i]);
    path_of("a", path);
    ck_assert_int_eq(ivf_folder_remove(path), MPIVF_OK);
    ck_assert(!exists("a"));
    ck_assert(exists("beside"));
    ck_assert_int_eq(ivf_folder_remove(path), MPIVF_OK);
}
END_TEST

START_TEST(links_are_removed_and_what_they_lead_to_stays)
{
    char path[PATH];
    char target[PATH];
    make("outside/");
    make("outside/kept");
    make("a/");
    path_of("outside", target);
    path_of("a/link", path);
    ck_assert_int_eq(symlink(target, path), 0);
    path_of("a", path);
    ck_assert_int_eq(ivf_folder_remove(path), MPIVF_OK);
    ck_assert(!exists("a"));
    ck_assert(exists("outside/kept"));
    path_of("link", path);
    ck_assert_int_eq(symlink(target, path), 0);
    ck_assert_int_eq(ivf_folder_remove(path), MPIVF_OK);
    ck_assert(!exists("link"));
    ck_assert(exists("outside/kept"));
}
END_TEST

START_TEST(trees_deeper_than_ours_are_refused)
{
    char name[64];
    char path[PATH];
    for (size_t depth = 0; depth < 20; depth++) {
        memcpy(name + 2 * depth, "a/", sizeof "a/");
        make(name);
    }
    path_of("a", path);
    ck_assert_int_eq(ivf_folder_remove(path), MPIVF_CONFLICT);
    ck_assert(exists("a"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("folder");
    TCase *tests = tcase_create("folder");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_tree_goes_with_all_that_is_in_it);
    tcase_add_test(tests, links_are_removed_and_what_they_lead_to_stays);
    tcase_add_test(tests, trees_deeper_than_ours_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
