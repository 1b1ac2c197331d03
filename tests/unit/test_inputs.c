/* io/inputs: what users name, as a list of files. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/inputs.h"
#include "temp.h"

enum { PATH = TEST_PATH_BYTES + 128 };

static char folder[TEST_PATH_BYTES];

/* Files are looked for by name alone, so that empty ones do. */
static void touch(const char *name)
{
    test_write_file(name, "", 0);
}

static void setup(void)
{
    test_temp_make(folder);
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(mkdir("data", 0700) + mkdir("data/deeper", 0700) + mkdir("[odd]", 0700), 0);
    touch("data/b.npy");
    touch("data/a.npy");
    touch("data/B.fbin");
    touch("data/a10.npy");
    touch("data/a9.npy");
    touch("data/.hidden.npy");
    touch("data/README");
    touch("data/deeper/c.npy");
    touch("[odd]/1.npy");
    touch("[odd]/2.npy");
    touch("star*.npy");
    touch("starling.npy");
}

static void teardown(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    test_temp_remove(folder);
}

/* `expected`: names below the folder, with blanks between. */
static void expect_files(const char *const *inputs, int count, const char *expected)
{
    ivf_inputs files;
    const size_t before = ivf_memory_now();
    char got[4096] = "";
    size_t used = 0;
    ck_assert_msg(ivf_inputs_expand(inputs, count, &files) == MPIVF_OK, "%s", ivf_error_last()->text);
    for (int64_t i = 0; i < files.count; i++) {
        ck_assert_int_eq(strncmp(files.paths[i], folder, strlen(folder)), 0);
        used += (size_t)snprintf(got + used, sizeof got - used, "%s%s", i > 0 ? " " : "",
                                 files.paths[i] + strlen(folder) + 1);
    }
    ck_assert_str_eq(got, expected);
    ivf_inputs_free(&files);
    ck_assert_uint_eq(ivf_memory_now(), before);
}

static void expect_one(const char *input, const char *expected)
{
    expect_files(&input, 1, expected);
}

static void expect_words(const char *input, const char *words)
{
    ivf_inputs files;
    ck_assert_int_eq(ivf_inputs_expand(&input, 1, &files), MPIVF_BAD_INPUT);
    ck_assert_msg(strstr(ivf_error_last()->text, words) != NULL, "'%s' not in '%s'", words, ivf_error_last()->text);
    ivf_inputs_free(&files);
}

static void write_list(const char *name, const char *text)
{
    test_write_file(name, text, strlen(text));
}

START_TEST(folders_give_known_formats_in_bytewise_order)
{
    expect_one("data", "data/B.fbin data/a.npy data/a10.npy data/a9.npy data/b.npy");
    expect_one("./data/", "data/B.fbin data/a.npy data/a10.npy data/a9.npy data/b.npy");
    expect_one(".", "star*.npy starling.npy");
    expect_one("./", "star*.npy starling.npy");
    expect_words("data/README/", "Not a directory");
    ck_assert_int_eq(mkdir("none", 0700), 0);
    expect_words("none", "holds no file of a known format (.npy");
}
END_TEST

START_TEST(files_are_taken_as_they_come)
{
    char full[PATH];
    expect_files((const char *[]){"data/b.npy", "././data/a.npy", "data/README"}, 3,
                 "data/b.npy data/a.npy data/README");
    (void)snprintf(full, sizeof full, "%s/data/a9.npy", folder);
    expect_one(full, "data/a9.npy");
    expect_words("data/c.npy", "/data/c.npy cannot be read: No such file");
    expect_words("", "an input is empty");
    expect_words("@", "is not a regular file");
    ivf_inputs files;
    ck_assert_int_eq(ivf_inputs_expand(NULL, 0, &files), MPIVF_BAD_INPUT);
    ivf_inputs_free(&files);
}
END_TEST

START_TEST(patterns_match_unless_they_are_names)
{
    expect_one("data/a*.npy", "data/a.npy data/a10.npy data/a9.npy");
    expect_one("data/[ab].npy", "data/a.npy data/b.npy");
    expect_one("data/?.npy", "data/a.npy data/b.npy");
    expect_one("star*.npy", "star*.npy");
    expect_one("sta*.npy", "star*.npy starling.npy");
}
END_TEST

START_TEST(patterns_without_a_match_are_refused)
{
    expect_words("data/z*.npy", "input data/z*.npy: no file has that name, and none matches it as a pattern");
    expect_words("nowhere/*.npy", "none matches");
}
END_TEST

START_TEST(a_folder_that_matches_is_looked_into)
{
    expect_one("data/dee*", "data/deeper/c.npy");
    expect_one("da*", "data/B.fbin data/a.npy data/a10.npy data/a9.npy data/b.npy");
}
END_TEST

START_TEST(lists_are_relative_to_their_folder)
{
    write_list("data/list", "# the shards\r\n\n  b.npy\t\r\n../[odd]\n   # more\na?.npy\ndeeper");
    expect_one("@data/list", "data/b.npy data/../[odd]/1.npy data/../[odd]/2.npy data/a9.npy data/deeper/c.npy");
    write_list("[odd]/list", "2.npy\n?.npy\n");
    expect_one("@[odd]/list", "[odd]/2.npy [odd]/1.npy [odd]/2.npy");
    write_list("outer", "@data/list2\n[odd]/1.npy");
    write_list("data/list2", "a.npy\n@../[odd]/list\n");
    expect_one("@outer", "data/a.npy data/../[odd]/2.npy data/../[odd]/1.npy data/../[odd]/2.npy [odd]/1.npy");
}
END_TEST

START_TEST(lists_that_say_nothing_are_refused)
{
    write_list("list", "\n# nothing\n   \n");
    expect_words("@list", "list names no file");
    write_list("list", "");
    expect_words("@list", "list names no file");
    write_list("list", "data/a.npy\ndata/zz.npy\n");
    expect_words("@list", "data/zz.npy cannot be read");
    write_list("list", "@list\n");
    expect_words("@list", "nested more than 8 deep");
    test_write_file("list", "a\0b\n", 4);
    expect_words("@list", "is no text");
    expect_words("@missing", "missing cannot be read: No such file");
    expect_words("@data", "is not a regular file");
    touch("large");
    ck_assert_int_eq(truncate("large", ((off_t)256 << 20) + 1), 0);
    expect_words("@large", "beyond the limit of 268435456");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inputs");
    TCase *tests = tcase_create("inputs");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, folders_give_known_formats_in_bytewise_order);
    tcase_add_test(tests, files_are_taken_as_they_come);
    tcase_add_test(tests, patterns_match_unless_they_are_names);
    tcase_add_test(tests, patterns_without_a_match_are_refused);
    tcase_add_test(tests, a_folder_that_matches_is_looked_into);
    tcase_add_test(tests, lists_are_relative_to_their_folder);
    tcase_add_test(tests, lists_that_say_nothing_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
