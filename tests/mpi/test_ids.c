/* io/ids: ids from every kind of file, and the same refusal for any number of ranks. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "comm/transfer.h"
#include "io/distinct.h"
#include "io/ids.h"
#include "mpi_suite.h"
#include "shard_files.h"
#include "temp.h"

enum { ROWS = 5003, PATH = TEST_PATH_BYTES + 128 };

static char folder[TEST_PATH_BYTES];
static uint64_t values[ROWS];

/* Distinct, in no order, from 0 to beyond 2^62. */
static void setup(void)
{
    ivf_permutation p = ivf_permutation_make((uint64_t)1 << 62, 9, IVF_RNG_TEST);
    for (uint64_t i = 0; i < ROWS; i++)
        values[i] = i % 2 == 0 ? ivf_permutation_at(&p, i) : i;
    test_shared_temp_make(folder);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

static const char *in_folder(const char *name)
{
    static char path[PATH];
    (void)snprintf(path, PATH, "%s/%s", folder, name);
    return path;
}

static void write_npy(const char *name, const char *descr, int64_t n)
{
    char header[128];
    (void)snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRId64 ",), }", descr,
                   n);
    test_write_npy_raw(in_folder(name), 1, header, values, (uint64_t)n * 8);
}

static void write_raw(int64_t n)
{
    ivf_barrier(test_ctx);
    if (ivf_ctx_is_root(test_ctx))
        test_write_file(in_folder("ids.bin"), values, (unsigned long)n * 8);
    ivf_barrier(test_ctx);
}

static int open_ids(const char *name, ivf_ids **ids)
{
    ivf_barrier(test_ctx);
    return ivf_ids_open(test_ctx, name == NULL ? NULL : in_folder(name), "my/ids", ROWS, ids);
}

START_TEST(without_a_file_ids_are_rows)
{
    ivf_ids *ids = NULL;
    uint64_t out[10];
    test_all(open_ids(NULL, &ids) == MPIVF_OK);
    test_all(ivf_ids_read(ids, 100, 10, out) == MPIVF_OK && out[0] == 100 && out[9] == 109);
    test_all(ivf_ids_read(ids, ROWS - 9, 10, out) == MPIVF_FAILED);
    test_all(ivf_ids_read(ids, -1, 1, out) == MPIVF_FAILED);
    ivf_ids_close(ids);
    ivf_ids_close(NULL);
}
END_TEST

START_TEST(every_kind_of_file_is_read)
{
    static const char *const names[] = {"s.npy", "u.npy", "s.h5", "u.hdf5", "ids.bin", "ids"};
    uint64_t out[ROWS];
    if (ivf_ctx_is_root(test_ctx)) {
        write_npy("s.npy", "<i8", ROWS);
        write_npy("u.npy", "<u8", ROWS);
        test_write_h5_ids(in_folder("s.h5"), "my/ids", true, values, ROWS);
        test_write_h5_ids(in_folder("u.hdf5"), "my/ids", false, values, ROWS);
        test_write_file(in_folder("ids"), values, sizeof values);
    }
    write_raw(ROWS);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ivf_ids *ids = NULL;
        test_all(open_ids(names[i], &ids) == MPIVF_OK);
        test_all(ivf_ids_read(ids, 0, ROWS, out) == MPIVF_OK && memcmp(out, values, sizeof values) == 0);
        test_all(ivf_ids_read(ids, 77, 5, out) == MPIVF_OK && memcmp(out, values + 77, 40) == 0);
        ivf_ids_close(ids);
    }
}
END_TEST

static void expect_refusal(const char *name, const char *words)
{
    ivf_ids *ids = NULL;
    int rc = open_ids(name, &ids);
    if (strstr(ivf_error_last()->text, words) == NULL)
        (void)fprintf(stderr, "expected '%s' in '%s'\n", words, ivf_error_last()->text);
    test_all(rc == MPIVF_BAD_INPUT && ids == NULL);
    test_all(strstr(ivf_error_last()->text, words) != NULL);
}

/* Three pairs and a triple: the smallest id is named, with its first two rows. */
START_TEST(the_smallest_id_given_twice_is_named)
{
    values[10] = values[5000] = 1 << 30;
    values[4999] = values[4998] = 1 << 29;
    values[0] = values[2000] = values[5002] = 1 << 28;
    write_raw(ROWS);
    expect_refusal("ids.bin", "rows 0 and 2000 both have id 268435456;");
    values[2000] = (uint64_t)1 << 61;
    values[0] = (uint64_t)1 << 60;
    values[3001] = values[3003] = 2;
    write_raw(ROWS);
    expect_refusal("ids.bin", "rows 3001 and 3003 both have id 2;");
}
END_TEST

/* Nothing gathers on one rank when all ids are one. */
START_TEST(one_id_for_all_is_named)
{
    for (int i = 0; i < ROWS; i++)
        values[i] = 7;
    write_raw(ROWS);
    expect_refusal("ids.bin", "rows 0 and 1 both have id 7;");
}
END_TEST

START_TEST(ids_that_are_none_are_refused)
{
    ivf_ids *ids = NULL;
    values[4000] = values[4444] = (uint64_t)1 << 63;
    if (ivf_ctx_is_root(test_ctx)) {
        write_npy("u.npy", "<u8", ROWS);
        write_npy("s.npy", "<i8", ROWS);
    }
    expect_refusal("u.npy", "row 4000 has id 9223372036854775808; the largest is 2^63 - 1");
    expect_refusal("s.npy", "row 4000 has id -9223372036854775808;");
    values[4000] = values[4444] - 1;
    values[4444] = 1 << 29;
    if (ivf_ctx_is_root(test_ctx))
        write_npy("u.npy", "<u8", ROWS);
    test_all(open_ids("u.npy", &ids) == MPIVF_OK);
    ivf_ids_close(ids);
}
END_TEST

START_TEST(files_that_do_not_fit_are_refused)
{
    write_raw(ROWS - 1);
    expect_refusal("ids.bin", "has 5002 ids, the input has 5003 rows");
    if (ivf_ctx_is_root(test_ctx)) {
        write_npy("big.npy", ">i8", ROWS);
        write_npy("float.npy", "<f8", ROWS);
        test_write_npy(in_folder("wide.npy"), 1, IVF_F64, 0, 10, 2);
        test_write_file(in_folder("odd"), values, 13);
        test_write_h5_ids(in_folder("other.h5"), "other", true, values, ROWS);
        test_write_h5(in_folder("float.h5"), "my/ids", IVF_F64, 0, ROWS, 0, (test_h5_form){0});
    }
    expect_refusal("big.npy", "is big-endian");
    expect_refusal("float.npy", "ids of dtype '<f8' cannot be read; use int64 or uint64");
    expect_refusal("wide.npy", "ids of dtype");
    expect_refusal("odd", "13 bytes are no whole number of 64-bit ids");
    expect_refusal("other.h5", "has no dataset 'my/ids'; at its top it has: other");
    expect_refusal("float.h5", "ids need int64 or uint64");
    expect_refusal("missing.npy", "No such file");
}
END_TEST

static uint64_t checked(const uint64_t *ids, int64_t n)
{
    uint64_t twice = 0;
    uint64_t *copy = ivf_new((size_t)n, sizeof *copy);
    if (n > 0)
        memcpy(copy, ids, (size_t)n * sizeof *copy);
    return ivf_distinct_check(test_ctx, copy, n, &twice) == MPIVF_OK ? twice : 1;
}

START_TEST(ranks_may_have_none_and_ids_be_large)
{
    const bool root = ivf_ctx_is_root(test_ctx);
    const bool last = ivf_ctx_rank(test_ctx) == ivf_ctx_size(test_ctx) - 1;
    const uint64_t top = UINT64_MAX - 1;
    test_all(checked(NULL, 0) == UINT64_MAX);
    test_all(checked((uint64_t[]){0, top, 5}, root ? 3 : 0) == UINT64_MAX);
    test_all(checked((uint64_t[]){top, 0, top}, last ? 3 : 0) == top);
    test_all(checked((uint64_t[]){0, top, 0, top}, last ? 4 : 0) == 0);
    const uint64_t shared[] = {(uint64_t)1 << 63, (uint64_t)ivf_ctx_rank(test_ctx)};
    test_all(checked(shared, 2) == (ivf_ctx_size(test_ctx) > 1 ? (uint64_t)1 << 63 : UINT64_MAX));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ids");
    TCase *tests = tcase_create("ids");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, without_a_file_ids_are_rows);
    tcase_add_test(tests, every_kind_of_file_is_read);
    tcase_add_test(tests, the_smallest_id_given_twice_is_named);
    tcase_add_test(tests, one_id_for_all_is_named);
    tcase_add_test(tests, ids_that_are_none_are_refused);
    tcase_add_test(tests, files_that_do_not_fit_are_refused);
    tcase_add_test(tests, ranks_may_have_none_and_ids_be_large);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
