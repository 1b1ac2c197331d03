/* io/groundtruth: every form, and every way in which sizes can contradict each other. */
#include <check.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/groundtruth.h"
#include "io/h5lock.h"
#include "io/results.h"
#include "shard_files.h"
#include "temp.h"

enum { NQ = 3, K = 2, COUNT = NQ * K };

static const int64_t ids64[COUNT] = {5, 4, 3, 2147483647, 0, -1};
static const int32_t ids32[COUNT] = {5, 4, 3, 2147483647, 0, -1};
static const float floats[COUNT] = {0.5F, 1, 2, 3, 0, 0.25F};
static const double doubles[COUNT] = {0.5, 1, 2, 3, 0, 0.25};

static char folder[TEST_PATH_BYTES];
static char path[TEST_PATH_BYTES + 64];
static ivf_groundtruth truth;

static void setup(void)
{
    test_temp_make(folder);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

static void set_path(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
}

static void expect_truth(bool has_distances)
{
    int rc = ivf_groundtruth_read(path, &truth);
    ck_assert_msg(rc == MPIVF_OK, "%s", ivf_error_last()->text);
    ck_assert_int_eq(truth.queries, NQ);
    ck_assert_int_eq(truth.k, K);
    ck_assert_mem_eq(truth.ids, ids64, sizeof ids64);
    ck_assert_int_eq(truth.distances != NULL, has_distances);
    if (has_distances)
        ck_assert_mem_eq(truth.distances, floats, sizeof floats);
    ivf_groundtruth_free(&truth);
    ck_assert_uint_eq(ivf_memory_now(), 0);
}

/* Refused in words that hold `part` and the file's name; nothing is left. */
static void expect_refusal(const char *part)
{
    truth.k = 77;
    int rc = ivf_groundtruth_read(path, &truth);
    ck_assert_msg(rc == MPIVF_BAD_INPUT, "%d %s", rc, ivf_error_last()->text);
    ck_assert_msg(strstr(ivf_error_last()->text, part) != NULL, "%s", ivf_error_last()->text);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, path));
    ck_assert(truth.ids == NULL && truth.distances == NULL && truth.k == 0);
    ck_assert_uint_eq(ivf_memory_now(), 0);
}

/* Head, ids and distances as a big-ann file, cut or lengthened to `bytes`. */
static void write_bin(uint32_t nq, uint32_t k, const int32_t *ids, size_t bytes)
{
    char file[256] = {0};
    const uint32_t counts[2] = {nq, k};
    memcpy(file, counts, sizeof counts);
    memcpy(file + 8, ids, sizeof ids32);
    memcpy(file + 8 + sizeof ids32, floats, sizeof floats);
    test_write_file(path, file, bytes);
}

START_TEST(big_ann_with_and_without_distances)
{
    const char *const names[] = {"t.bin", "t.gt", "t.ibin", "truth"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        set_path(names[i]);
        write_bin(NQ, K, ids32, 8 + 8 * COUNT);
        expect_truth(true);
        write_bin(NQ, K, ids32, 8 + 4 * COUNT);
        expect_truth(false);
    }
}
END_TEST

START_TEST(big_ann_sizes_must_agree)
{
    const size_t sizes[] = {0, 7, 8, 8 + 4 * COUNT - 1, 8 + 4 * COUNT + 1, 8 + 8 * COUNT - 1, 8 + 8 * COUNT + 1};
    set_path("t.bin");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_bin(NQ, K, ids32, sizes[i]);
        expect_refusal(sizes[i] < 8 ? "ends at byte" : "8 + 8 * 6");
    }
    write_bin(NQ, K, ids32, 40);
    expect_refusal("but it has 40");
    write_bin(0, K, ids32, 8 + 8 * COUNT);
    expect_refusal("0 queries");
    write_bin(NQ, 0, ids32, 8 + 8 * COUNT);
    expect_refusal("0 neighbours");
    write_bin(UINT32_MAX, INT32_MAX, ids32, 8 + 8 * COUNT);
    expect_refusal("4294967295");
    write_bin(UINT32_MAX, UINT32_MAX, ids32, 8 + 8 * COUNT);
    expect_refusal("4294967295");
    write_bin(1U << 31, 1U << 30, ids32, 8 + 8 * COUNT);
    expect_refusal("2147483648");
    const int32_t negative[COUNT] = {0, 1, 2, -2, 4, 5};
    write_bin(NQ, K, negative, 8 + 8 * COUNT);
    expect_refusal("neighbour 1 of query 1 has the id -2");
}
END_TEST

START_TEST(ivecs_have_ids_alone)
{
    int32_t rows[NQ][1 + K];
    set_path("t.ivecs");
    for (int i = 0; i < NQ; i++) {
        rows[i][0] = K;
        memcpy(&rows[i][1], &ids32[(size_t)i * K], K * sizeof(int32_t));
    }
    test_write_file(path, rows, sizeof rows);
    expect_truth(false);
    test_write_file(path, rows, sizeof rows - 4);
    expect_refusal("no whole number of rows");
    test_write_file(path, rows, 3);
    expect_refusal("ends at byte 3");
    rows[1][0] = 3;
    test_write_file(path, rows, sizeof rows);
    expect_refusal("query 1 has 3 neighbours, but query 0 has 2");
    const int32_t first[] = {0, -1, -5, INT32_MAX};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        rows[0][0] = first[i];
        test_write_file(path, rows, sizeof rows);
        expect_refusal("the first row has");
    }
}
END_TEST

/* More rows than a piece of reading holds. */
START_TEST(large_files_come_in_pieces)
{
    enum { ROWS = 150000, WIDTH = 10 };
    set_path("large.ivecs");
    int32_t *rows = ivf_new((size_t)ROWS * (WIDTH + 1), sizeof *rows);
    for (int i = 0; i < ROWS * (WIDTH + 1); i++)
        rows[i] = i % (WIDTH + 1) == 0 ? WIDTH : i;
    test_write_file(path, rows, (size_t)ROWS * (WIDTH + 1) * sizeof *rows);
    ivf_free(rows);
    ck_assert_int_eq(ivf_groundtruth_read(path, &truth), MPIVF_OK);
    ck_assert_int_eq(truth.queries, ROWS);
    for (int i = 0; i < ROWS * WIDTH; i++)
        if (truth.ids[i] != i / WIDTH * (WIDTH + 1) + i % WIDTH + 1)
            ck_abort_msg("id %d is wrong", i);
    ivf_groundtruth_free(&truth);
}
END_TEST

/* A dataset [rows][columns], chunked and deflated if `chunk` is not 0; without bytes when data is NULL. */
static void put_dataset(hid_t file, const char *name, hid_t type, hsize_t rows, hsize_t columns, hsize_t chunk,
                        hid_t memory_type, const void *data)
{
    const hsize_t dims[2] = {rows, columns};
    const hsize_t chunks[2] = {chunk, columns > 0 ? columns : 1};
    hid_t space = H5Screate_simple(2, dims, NULL);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk > 0)
        ck_assert(H5Pset_chunk(list, 2, chunks) >= 0 && H5Pset_deflate(list, 5) >= 0);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    ck_assert_msg(set >= 0, "%s", name);
    if (data != NULL)
        ck_assert(H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    ck_assert(H5Dclose(set) >= 0 && H5Pclose(list) >= 0 && H5Sclose(space) >= 0);
}

static hid_t begin_h5(void)
{
    set_path("t.hdf5");
    ivf_h5_lock();
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(file, 0);
    return file;
}

static void end_h5(hid_t file)
{
    ck_assert_int_ge(H5Fclose(file), 0);
    ivf_h5_unlock();
}

START_TEST(ann_benchmarks_of_every_age)
{
    for (hsize_t chunk = 0; chunk <= 2; chunk += 2) {
        hid_t file = begin_h5();
        put_dataset(file, "neighbors", H5T_STD_I32LE, NQ, K, chunk, H5T_NATIVE_INT64, ids64);
        put_dataset(file, "distances", H5T_IEEE_F32LE, NQ, K, chunk, H5T_NATIVE_FLOAT, floats);
        end_h5(file);
        expect_truth(true);
        file = begin_h5();
        put_dataset(file, "neighbors", H5T_STD_I64LE, NQ, K, chunk, H5T_NATIVE_INT64, ids64);
        put_dataset(file, "distances", H5T_IEEE_F64LE, NQ, K, chunk, H5T_NATIVE_DOUBLE, doubles);
        end_h5(file);
        expect_truth(true);
        file = begin_h5();
        put_dataset(file, "neighbors", H5T_STD_I64BE, NQ, K, chunk, H5T_NATIVE_INT64, ids64);
        end_h5(file);
        expect_truth(false);
    }
}
END_TEST

/* Neither of rows beside it, which ann-benchmarks has in the same file, nor of compressed bytes alone. */
START_TEST(its_memory_is_of_what_is_read)
{
    enum { MANY = 20000, WIDE = 50, SLACK = 4 << 20 };
    int64_t *zeros = ivf_new_zero((size_t)MANY * WIDE, sizeof *zeros);
    for (hsize_t chunk = 0; chunk <= 100; chunk += 100) {
        hid_t file = begin_h5();
        put_dataset(file, "train", H5T_STD_I64LE, MANY, WIDE, 0, H5T_NATIVE_INT64, zeros);
        put_dataset(file, "neighbors", H5T_STD_I32LE, NQ, K, 0, H5T_NATIVE_INT64, ids64);
        end_h5(file);
        ck_assert_int_ge(ivf_groundtruth_memory(path), COUNT * 8);
        ck_assert_int_lt(ivf_groundtruth_memory(path), SLACK);
        file = begin_h5();
        put_dataset(file, "neighbors", H5T_STD_I32LE, MANY, WIDE, chunk, H5T_NATIVE_INT64, zeros);
        put_dataset(file, "distances", H5T_IEEE_F32LE, MANY, WIDE, chunk, H5T_NATIVE_INT64, zeros);
        end_h5(file);
        ck_assert_int_ge(ivf_groundtruth_memory(path), (int64_t)MANY * WIDE * 12);
        ck_assert_int_lt(ivf_groundtruth_memory(path), (int64_t)MANY * WIDE * 12 + SLACK);
        ivf_memory_reset_peak();
        const size_t before = ivf_memory_now();
        ck_assert_int_eq(ivf_groundtruth_read(path, &truth), MPIVF_OK);
        ck_assert_int_le((int64_t)(ivf_memory_peak() - before), ivf_groundtruth_memory(path));
        ivf_groundtruth_free(&truth);
    }
    ivf_free(zeros);
    set_path("missing.h5");
    ck_assert_int_eq(ivf_groundtruth_memory(path), 0);
    set_path("t.ibin");
    test_write_file(path, floats, sizeof floats);
    ck_assert_int_eq(ivf_groundtruth_memory(path), 3 * sizeof floats);
}
END_TEST

START_TEST(wrong_datasets_are_refused)
{
    const int64_t negative[COUNT] = {0, 1, 2, 3, INT64_MIN, 5};
    hid_t file = begin_h5();
    end_h5(file);
    expect_refusal("'neighbors' cannot be read");
    file = begin_h5();
    put_dataset(file, "neighbors", H5T_IEEE_F32LE, NQ, K, 0, H5T_NATIVE_FLOAT, floats);
    end_h5(file);
    expect_refusal("'neighbors' does not hold integers");
    file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, NQ, K, 0, H5T_NATIVE_INT64, ids64);
    put_dataset(file, "distances", H5T_IEEE_F32LE, NQ - 1, K, 0, H5T_NATIVE_FLOAT, floats);
    end_h5(file);
    expect_refusal("neighbors are [3][2], but distances are [2][2]");
    file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, NQ, K, 0, H5T_NATIVE_INT64, ids64);
    put_dataset(file, "distances", H5T_STD_I32LE, NQ, K, 0, H5T_NATIVE_INT64, ids64);
    end_h5(file);
    expect_refusal("'distances' does not hold floats");
    file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, NQ, K, 0, H5T_NATIVE_INT64, negative);
    end_h5(file);
    expect_refusal("neighbour 0 of query 2 has the id -9223372036854775808");
    file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, 0, K, 0, H5T_NATIVE_INT64, NULL);
    end_h5(file);
    expect_refusal("0 queries");
}
END_TEST

/* What claims more than it holds. */
START_TEST(hostile_shapes_are_refused)
{
    hid_t file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, (hsize_t)1 << 50, K, 1 << 20, H5T_NATIVE_INT64, NULL);
    end_h5(file);
    expect_refusal("cannot hold");
    file = begin_h5();
    int64_t *filler = ivf_new_zero(20000, sizeof *filler);
    put_dataset(file, "filler", H5T_STD_I64LE, 20000, 1, 0, H5T_NATIVE_INT64, filler);
    put_dataset(file, "neighbors", H5T_STD_I8LE, (hsize_t)1 << 25, K, (hsize_t)1 << 25, H5T_NATIVE_INT64, NULL);
    ivf_free(filler);
    end_h5(file);
    expect_refusal("chunks of 33554432");
    file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, NQ, K, 0, H5T_NATIVE_INT64, NULL);
    end_h5(file);
    expect_refusal("never written");
    file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, NQ, K, 0, H5T_NATIVE_INT64, ids64);
    end_h5(file);
    ck_assert_int_eq(truncate(path, 100), 0);
    expect_refusal("no readable HDF5 file");
    test_write_file(path, "not HDF5", 8);
    expect_refusal("no readable HDF5 file");
    set_path("missing.h5");
    expect_refusal("No such file");
}
END_TEST

/* HDF5 opens both kinds; a division by 0, or reads past its block, would follow. */
START_TEST(damaged_forms_are_refused)
{
    hid_t file = begin_h5();
    put_dataset(file, "neighbors", H5T_STD_I64LE, NQ, K, 1, H5T_NATIVE_INT64, ids64);
    end_h5(file);
    test_patch_h5_chunk(path, (uint32_t[]){1, K, 8}, 1, (uint32_t[]){1, 8, 8});
    expect_refusal("its chunks do not have the shape of its rows");
    for (int compact = 0; compact < 2; compact++) {
        file = begin_h5();
        hid_t space = H5Screate_simple(2, (hsize_t[]){NQ, K}, NULL);
        hid_t list = H5Pcreate(H5P_DATASET_CREATE);
        ck_assert_int_ge(H5Pset_layout(list, compact ? H5D_COMPACT : H5D_CONTIGUOUS), 0);
        hid_t set = H5Dcreate2(file, "neighbors", H5T_STD_I64LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
        ck_assert_int_ge(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids64), 0);
        ck_assert(H5Dclose(set) >= 0 && H5Pclose(list) >= 0 && H5Sclose(space) >= 0);
        end_h5(file);
        test_patch_h5_space(path, 2, (uint64_t[]){NQ, K}, 2, (uint64_t[]){100000, K});
        expect_refusal("the 48 bytes of dataset 'neighbors' are not those of 100000 queries with 2 neighbours");
    }
}
END_TEST

START_TEST(our_own_results_serve_as_truth)
{
    set_path("r.h5");
    ck_assert_int_eq(ivf_results_write(path, ids64, floats, NQ, K), MPIVF_OK);
    expect_truth(true);
    set_path("r.bin");
    ck_assert_int_eq(ivf_results_write(path, ids64, floats, NQ, K), MPIVF_OK);
    expect_truth(true);
    set_path("r.ibin");
    ck_assert_int_eq(ivf_results_write(path, ids64, floats, NQ, K), MPIVF_OK);
    expect_truth(false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("groundtruth");
    TCase *tests = tcase_create("groundtruth");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, big_ann_with_and_without_distances);
    tcase_add_test(tests, big_ann_sizes_must_agree);
    tcase_add_test(tests, ivecs_have_ids_alone);
    tcase_add_test(tests, large_files_come_in_pieces);
    tcase_add_test(tests, ann_benchmarks_of_every_age);
    tcase_add_test(tests, its_memory_is_of_what_is_read);
    tcase_add_test(tests, wrong_datasets_are_refused);
    tcase_add_test(tests, hostile_shapes_are_refused);
    tcase_add_test(tests, damaged_forms_are_refused);
    tcase_add_test(tests, our_own_results_serve_as_truth);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
