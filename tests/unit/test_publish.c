/* io/publish: files that appear whole or not at all. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/bytes.h"
#include "io/publish.h"
#include "temp.h"

static char folder[TEST_PATH_BYTES];
static char path[TEST_PATH_BYTES + 64];

static void setup(void)
{
    test_temp_make(folder);
    (void)snprintf(path, sizeof path, "%s/file", folder);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

static int files_in(const char *name)
{
    int count = 0;
    DIR *dir = opendir(name);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

/* A file-size limit stands for every way in which a write can fail half-way. Lift it before the next assertion: Check
 * itself writes to a file. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        abort();
}

static void expect_text(const char *name, const char *text)
{
    char *got = NULL;
    size_t bytes = 0;
    ck_assert_int_eq(ivf_file_read(name, 1000, &got, &bytes), MPIVF_OK);
    ck_assert_str_eq(got, text);
    ck_assert_uint_eq(bytes, strlen(text));
    ivf_free(got);
}

START_TEST(temporary_names_differ_and_lie_beside)
{
    char a[IVF_PATH_BYTES];
    char b[IVF_PATH_BYTES];
    ck_assert_int_eq(ivf_publish_name(path, a), MPIVF_OK);
    ck_assert_int_eq(ivf_publish_name(path, b), MPIVF_OK);
    ck_assert_str_ne(a, b);
    ck_assert_int_eq(strncmp(a, path, strlen(path)), 0);
    ck_assert_ptr_null(strchr(a + strlen(path), '/'));
    ck_assert_int_eq(files_in(folder), 0);
    char *long_path = ivf_new_zero(IVF_PATH_BYTES, 1);
    memset(long_path, 'a', IVF_PATH_BYTES - 10);
    ck_assert_int_eq(ivf_publish_name(long_path, a), MPIVF_USAGE);
    ivf_free(long_path);
}
END_TEST

START_TEST(rename_replaces_and_reports)
{
    char temp[IVF_PATH_BYTES];
    int fd = -1;
    int64_t bytes = 0;
    uint64_t checksum = 0;
    size_t size = (3 << 20) + 17;
    char *data = ivf_new_zero(size, 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 1000);
    test_write_file(path, "old", 3);
    ck_assert_int_eq(ivf_publish_create(path, temp, &fd), MPIVF_OK);
    ck_assert_int_eq(ivf_bytes_write(fd, data, size, 0), 0);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(ivf_publish_rename(temp, path, &bytes, &checksum), MPIVF_OK);
    ck_assert_int_eq(bytes, (int64_t)size);
    ck_assert_uint_eq(checksum, ivf_hash64(data, size));
    checksum = 0;
    ck_assert_int_eq(ivf_file_checksum(path, &bytes, &checksum), MPIVF_OK);
    ck_assert_uint_eq(checksum, ivf_hash64(data, size));
    ck_assert_int_eq(files_in(folder), 1);
    ivf_free(data);
}
END_TEST

/* Whatever the file holds there: so it is not read. One that lies behind the next is. */
START_TEST(extents_in_memory_are_not_read_again)
{
    enum { SIZE = (2 << 20) + 5, FIRST = 4096, SECOND = FIRST + 70000 };
    char temp[IVF_PATH_BYTES];
    int fd = -1;
    int64_t bytes = 0;
    uint64_t checksum = 0;
    char *data = ivf_new_zero(SIZE, 1);
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(i * 5 + i / 700);
    const ivf_extent extents[] = {
        {FIRST, 70000, data + FIRST}, {SECOND, 100, data + SECOND}, {8, 16, "not looked at"}, {SIZE - 3, 3, "end"}};
    ck_assert_int_eq(ivf_publish_create(path, temp, &fd), MPIVF_OK);
    ck_assert_int_eq(ivf_bytes_write(fd, data, SIZE, 0), 0);
    ck_assert_int_eq(close(fd), 0);
    for (int i = 0; i < 3; i++)
        data[SIZE - 3 + i] = "end"[i];
    ck_assert_int_eq(ivf_publish_rename_known(temp, path, extents, 4, &bytes, &checksum), MPIVF_OK);
    ck_assert_int_eq(bytes, SIZE);
    ck_assert_uint_eq(checksum, ivf_hash64(data, SIZE));
    ck_assert_int_eq(files_in(folder), 1);
    ivf_free(data);
}
END_TEST

START_TEST(failed_rename_removes_the_temporary_file)
{
    char temp[IVF_PATH_BYTES];
    int fd = -1;
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(ivf_publish_create(path, temp, &fd), MPIVF_OK);
    (void)close(fd);
    ck_assert_int_eq(ivf_publish_rename(temp, path, NULL, NULL), MPIVF_FAILED);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, path));
    ck_assert_int_eq(files_in(folder), 1);
}
END_TEST

START_TEST(umask_decides_the_rights)
{
    char temp[IVF_PATH_BYTES];
    int fd = -1;
    bool taken = true;
    struct stat info;
    (void)umask(027);
    ck_assert_int_eq(ivf_publish_text_new(path, "x", 1, &taken), MPIVF_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0640);
    ck_assert_int_eq(ivf_publish_create(path, temp, &fd), MPIVF_OK);
    ck_assert_int_eq(fstat(fd, &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0640);
    ivf_publish_discard(temp, fd);
    ck_assert_int_eq(files_in(folder), 1);
}
END_TEST

START_TEST(a_taken_name_is_left_alone)
{
    bool taken = true;
    ck_assert_int_eq(ivf_publish_text_new(path, "first", 5, &taken), MPIVF_OK);
    ck_assert(!taken);
    ck_assert_int_eq(ivf_publish_text_new(path, "second!", 7, &taken), MPIVF_OK);
    ck_assert(taken);
    expect_text(path, "first");
    ck_assert_int_eq(files_in(folder), 1);
}
END_TEST

START_TEST(one_of_many_creators_wins)
{
    enum { CREATORS = 8 };
    int winners = 0;
    for (int i = 0; i < CREATORS; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            char text[2] = {(char)('0' + i), '\0'};
            bool taken = true;
            int rc = ivf_publish_text_new(path, text, 1, &taken);
            _exit(rc != MPIVF_OK ? 2 : taken);
        }
    }
    for (int i = 0; i < CREATORS; i++) {
        int status = 0;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        winners += WEXITSTATUS(status) == 0;
    }
    ck_assert_int_eq(winners, 1);
    ck_assert_int_eq(files_in(folder), 1);
}
END_TEST

START_TEST(a_full_disk_leaves_nothing)
{
    bool taken = true;
    limit_file_size(3);
    int rc = ivf_publish_text_new(path, "too long", 8, &taken);
    limit_file_size(RLIM_INFINITY);
    ck_assert_int_eq(rc, MPIVF_FAILED);
    ck_assert(!taken);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, path));
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "ulimit -f"));
    ck_assert_int_eq(files_in(folder), 0);
}
END_TEST

START_TEST(whole_transfers_report_the_systems_reason)
{
    char text[8] = "";
    size_t got = 0;
    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(full, 0);
    ck_assert_int_eq(ivf_bytes_write(full, "x", 1, 0), ENOSPC);
    ck_assert_int_eq(close(full), 0);
    ck_assert_int_eq(ivf_bytes_write(-1, "x", 1, 0), EBADF);
    ck_assert_int_eq(ivf_bytes_read(-1, text, 1, 0, &got), EBADF);
    test_write_file(path, "12345", 5);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(ivf_bytes_read(fd, text, sizeof text, 2, &got), 0);
    ck_assert_uint_eq(got, 3);
    ck_assert_mem_eq(text, "345", 3);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_missing_or_closed_folder_is_named)
{
    bool taken = true;
    char below[TEST_PATH_BYTES + 96];
    (void)snprintf(below, sizeof below, "%s/none/file", folder);
    ck_assert_int_eq(ivf_publish_text_new(below, "x", 1, &taken), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, below));
    ck_assert_int_eq(chmod(folder, 0500), 0);
    if (geteuid() != 0) {
        ck_assert_int_eq(ivf_publish_text_new(path, "x", 1, &taken), MPIVF_FAILED);
        ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, path));
    }
    ck_assert_int_eq(chmod(folder, 0700), 0);
}
END_TEST

START_TEST(folders_are_made_with_parents)
{
    char deep[TEST_PATH_BYTES + 128];
    struct stat info;
    (void)snprintf(deep, sizeof deep, "%s/a/b//c/", folder);
    (void)umask(022);
    ck_assert_int_eq(ivf_make_folder(deep), MPIVF_OK);
    ck_assert_int_eq(ivf_make_folder(deep), MPIVF_OK);
    ck_assert_int_eq(stat(deep, &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0755);
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(ivf_make_folder("x/y"), MPIVF_OK);
    ck_assert_int_eq(stat("x/y", &info), 0);
    ck_assert_int_eq(ivf_make_folder("/"), MPIVF_OK);
    ck_assert_int_eq(ivf_make_folder(""), MPIVF_USAGE);
    test_write_file(path, "x", 1);
    ck_assert_int_eq(ivf_make_folder(path), MPIVF_FAILED);
    (void)snprintf(deep, sizeof deep, "%s/below", path);
    ck_assert_int_ne(ivf_make_folder(deep), MPIVF_OK);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, deep));
}
END_TEST

START_TEST(files_are_read_whole_up_to_a_limit)
{
    char *text = NULL;
    size_t bytes = 0;
    size_t size = 200000;
    char *data = ivf_new(size, 1);
    memset(data, 'q', size);
    test_write_file(path, data, size);
    ck_assert_int_eq(ivf_file_read(path, size, &text, &bytes), MPIVF_OK);
    ck_assert_uint_eq(bytes, size);
    ck_assert_uint_eq(strlen(text), size);
    ivf_free(text);
    size_t held = ivf_memory_now();
    ck_assert_int_eq(ivf_file_read(path, size - 1, &text, &bytes), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "199999"));
    ck_assert_ptr_null(text);
    ck_assert_int_eq(ivf_file_read(folder, size, &text, &bytes), MPIVF_FAILED);
    ck_assert_uint_eq(ivf_memory_now(), held);
    test_write_file(path, "", 0);
    ck_assert_int_eq(ivf_file_read(path, 0, &text, &bytes), MPIVF_OK);
    ck_assert_uint_eq(bytes, 0);
    ck_assert_str_eq(text, "");
    ivf_free(text);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(ivf_file_read(path, size, &text, &bytes), MPIVF_BAD_INPUT);
    ck_assert_int_eq(ivf_file_checksum(path, NULL, NULL), MPIVF_BAD_INPUT);
    ivf_free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("publish");
    TCase *tests = tcase_create("publish");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, temporary_names_differ_and_lie_beside);
    tcase_add_test(tests, rename_replaces_and_reports);
    tcase_add_test(tests, extents_in_memory_are_not_read_again);
    tcase_add_test(tests, failed_rename_removes_the_temporary_file);
    tcase_add_test(tests, umask_decides_the_rights);
    tcase_add_test(tests, a_taken_name_is_left_alone);
    tcase_add_test(tests, one_of_many_creators_wins);
    tcase_add_test(tests, a_full_disk_leaves_nothing);
    tcase_add_test(tests, whole_transfers_report_the_systems_reason);
    tcase_add_test(tests, a_missing_or_closed_folder_is_named);
    tcase_add_test(tests, folders_are_made_with_parents);
    tcase_add_test(tests, files_are_read_whole_up_to_a_limit);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
