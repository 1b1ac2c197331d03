/* io/results: the bytes of every form, and nothing half-done. */
#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/h5.h"
#include "io/publish.h"
#include "io/results.h"
#include "temp.h"

enum { NQ = 3, K = 4, COUNT = NQ * K };

static const int64_t ids[COUNT] = {5, 4, 3, 2, 0, 1, -1, -1, 2147483647, 7, 8, 9};
static const int32_t ids32[COUNT] = {5, 4, 3, 2, 0, 1, -1, -1, 2147483647, 7, 8, 9};
static const float distances[COUNT] = {0.5F, 1, 2, 3, 0, 0.25F, 9, 9, 1, 2, 3, 4};

static char folder[TEST_PATH_BYTES];
static char path[TEST_PATH_BYTES + 64];

static void setup(void)
{
    test_temp_make(folder);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

static const char *at(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int files_left(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

/* The file is head, then ids, then distances; each may be missing. */
static void expect_bytes(const char *name, const char *head, size_t head_bytes, const void *first, size_t first_bytes,
                         const void *second, size_t second_bytes)
{
    char *text = NULL;
    size_t bytes = 0;
    ck_assert_int_eq(ivf_file_read(at(name), 10000, &text, &bytes), MPIVF_OK);
    ck_assert_uint_eq(bytes, head_bytes + first_bytes + second_bytes);
    ck_assert_mem_eq(text, head, head_bytes);
    ck_assert_mem_eq(text + head_bytes, first, first_bytes);
    if (second_bytes > 0)
        ck_assert_mem_eq(text + head_bytes + first_bytes, second, second_bytes);
    ivf_free(text);
}

static const char counts[8] = {NQ, 0, 0, 0, K, 0, 0, 0};

START_TEST(big_ann_is_one_file)
{
    ck_assert_int_eq(ivf_results_write(at("r.bin"), ids, distances, NQ, K), MPIVF_OK);
    expect_bytes("r.bin", counts, 8, ids32, sizeof ids32, distances, sizeof distances);
    ck_assert_int_eq(files_left(), 1);
}
END_TEST

START_TEST(ibin_has_its_distances_beside_it)
{
    ck_assert_int_eq(ivf_results_write(at("r.ibin"), ids, distances, NQ, K), MPIVF_OK);
    expect_bytes("r.ibin", counts, 8, ids32, sizeof ids32, NULL, 0);
    expect_bytes("r.fbin", counts, 8, distances, sizeof distances, NULL, 0);
    ck_assert_int_eq(files_left(), 2);
}
END_TEST

static void expect_npy(const char *name, const char *descr, const void *data, size_t bytes)
{
    char dict[64];
    char head[129];
    (void)snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (3, 4), }", descr);
    (void)snprintf(head, sizeof head, "\x93NUMPY%c%c%c%c%-117s\n", 1, 0, 118, 0, dict);
    expect_bytes(name, head, 128, data, bytes, NULL, 0);
}

START_TEST(npy_is_two_files)
{
    ck_assert_int_eq(ivf_results_write(at("r.npy"), ids, distances, NQ, K), MPIVF_OK);
    expect_npy("r.ids.npy", "<i8", ids, sizeof ids);
    expect_npy("r.distances.npy", "<f4", distances, sizeof distances);
    ck_assert_int_eq(files_left(), 2);
}
END_TEST

START_TEST(h5_is_one_file)
{
    const char *const names[] = {"r.h5", "r.HDF5"};
    for (int i = 0; i < 2; i++) {
        int64_t got[COUNT];
        float got_distances[COUNT];
        const ivf_array arrays[] = {
            {"neighbors", IVF_I64, 2, {NQ, K, 0}, got},
            {"distances", IVF_F32, 2, {NQ, K, 0}, got_distances},
        };
        ivf_h5 *file = NULL;
        ck_assert_int_eq(ivf_results_write(at(names[i]), ids, distances, NQ, K), MPIVF_OK);
        ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_OK);
        ck_assert_int_eq(ivf_h5_read(file, &arrays[0]), MPIVF_OK);
        ck_assert_int_eq(ivf_h5_read(file, &arrays[1]), MPIVF_OK);
        ck_assert_mem_eq(got, ids, sizeof ids);
        ck_assert_mem_eq(got_distances, distances, sizeof distances);
        ivf_h5_release(file);
        ck_assert_int_eq(files_left(), i + 1);
    }
}
END_TEST

START_TEST(ids_beyond_32_bits_need_another_form)
{
    const int64_t big[2] = {1, (int64_t)INT32_MAX + 1};
    ck_assert_int_eq(ivf_results_write(at("r.bin"), big, distances, 1, 2), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "2147483648"));
    ck_assert_int_eq(ivf_results_write(at("r.ibin"), big, distances, 1, 2), MPIVF_BAD_INPUT);
    ck_assert_int_eq(files_left(), 0);
    ck_assert_int_eq(ivf_results_write(at("r.npy"), big, distances, 1, 2), MPIVF_OK);
}
END_TEST

START_TEST(unknown_names_are_refused)
{
    const char *const wrong[] = {"r.txt", "r", "folder.npy/r", ".npy", "x/.bin", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(ivf_results_check_name(wrong[i]), MPIVF_USAGE);
        ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, ".ibin"));
    }
    ck_assert_int_eq(ivf_results_check_name("a/b.npy"), MPIVF_OK);
    ck_assert_int_eq(ivf_results_write("r.txt", ids, distances, NQ, K), MPIVF_USAGE);
}
END_TEST

/* Any point of failure leaves the folder as it was, here with an old result in it. */
START_TEST(a_full_disk_leaves_the_old_files)
{
    const char *const names[] = {"r.h5", "r.npy", "r.ibin", "r.bin"};
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(ivf_results_write(at(names[i]), ids, distances, NQ, K), MPIVF_OK);
        int files = files_left();
        for (rlim_t limit = 0; limit < 55; limit += 9) {
            struct rlimit rlimit = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY};
            ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &rlimit), 0);
            int rc = ivf_results_write(path, ids, distances, NQ, K);
            rlimit.rlim_cur = RLIM_INFINITY;
            if (setrlimit(RLIMIT_FSIZE, &rlimit) != 0)
                abort();
            ck_assert_int_eq(rc, MPIVF_FAILED);
            ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "ulimit -f"));
            ck_assert_int_eq(files_left(), files);
        }
    }
    expect_bytes("r.bin", counts, 8, ids32, sizeof ids32, distances, sizeof distances);
    expect_bytes("r.ibin", counts, 8, ids32, sizeof ids32, NULL, 0);
    ck_assert_uint_eq(ivf_memory_now(), 0);
}
END_TEST

START_TEST(a_name_that_is_a_folder_leaves_nothing)
{
    ck_assert_int_eq(mkdir(at("r.fbin"), 0700), 0);
    ck_assert_int_eq(ivf_results_write(at("r.ibin"), ids, distances, NQ, K), MPIVF_FAILED);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "r.fbin"));
    ck_assert_int_le(files_left(), 2);
    ck_assert_int_eq(ivf_results_write("/nonexistent/r.bin", ids, distances, NQ, K), MPIVF_BAD_INPUT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("results");
    TCase *tests = tcase_create("results");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, big_ann_is_one_file);
    tcase_add_test(tests, ibin_has_its_distances_beside_it);
    tcase_add_test(tests, npy_is_two_files);
    tcase_add_test(tests, h5_is_one_file);
    tcase_add_test(tests, ids_beyond_32_bits_need_another_form);
    tcase_add_test(tests, unknown_names_are_refused);
    tcase_add_test(tests, a_full_disk_leaves_the_old_files);
    tcase_add_test(tests, a_name_that_is_a_folder_leaves_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
