/* io/source: every format read right, every refusal in its words. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/source.h"
#include "shard_files.h"
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

static const char *in_folder(const char *name)
{
    static char paths[4][PATH];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH, "%s/%s", folder, name);
    return path;
}

static int probe(const char *name, ivf_contents contents, ivf_layout *layout)
{
    ivf_rawfile file;
    ivf_error_clear();
    return ivf_source_probe(in_folder(name), "group/train", contents, layout, &file);
}

static const ivf_element types[] = {IVF_F32, IVF_F64, IVF_F16, IVF_U8, IVF_I8};
enum { TYPES = 5 };

/* All pieces of the file equal what was written. */
static void check_file(const char *name, ivf_element type, int64_t rows, int d)
{
    ivf_layout layout;
    const char *path = in_folder(name);
    ck_assert_msg(probe(name, IVF_VECTORS, &layout) == MPIVF_OK, "%s", ivf_error_last()->text);
    ck_assert_int_eq(layout.rows, rows);
    ck_assert_int_eq(layout.d, rows > 0 ? d : 0);
    if (rows == 0)
        return;
    ck_assert_int_eq(layout.type, type);
    ivf_source *source = NULL;
    ck_assert_msg(ivf_source_open(path, "group/train", &layout, &source) == MPIVF_OK, "%s", ivf_error_last()->text);
    float *x = malloc((size_t)rows * (size_t)d * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (int64_t first = 0; first < rows; first += rows / 5 + 1) {
        for (int64_t n = 0; n <= rows - first; n = 3 * n + 1) {
            ck_assert_msg(ivf_source_read(source, first, n, x) == MPIVF_OK, "%s", ivf_error_last()->text);
            ck_assert(test_rows_right(type, first, n, d, x));
        }
    }
    const int64_t picks[] = {100, 100 + rows / 2 + (rows == 1), 100 + rows + (rows == 1)};
    const int64_t count = rows > 2 ? 2 : 1;
    ck_assert_int_eq(ivf_source_read_span(source, picks, count, 100, x), MPIVF_OK);
    for (int64_t i = 0; i < count; i++)
        ck_assert(test_rows_right(type, picks[i] - 100, 1, d, x + i * d));
    free(x);
    ivf_source_close(source);
}

static const int64_t row_counts[] = {0, 1, 2, 33, 1000};
static const int widths[] = {1, 3, 16, 129};

START_TEST(npy_of_every_type_and_version)
{
    for (int version = 1; version <= 3; version++)
        for (size_t r = 0; r < 5; r++) {
            const ivf_element type = types[_i];
            test_write_npy(in_folder("a.npy"), version, type, 0, row_counts[r], widths[r % 4]);
            check_file("a.npy", type, row_counts[r], widths[r % 4]);
        }
}
END_TEST

START_TEST(vecs_and_bin_of_every_type)
{
    static const struct {
        const char *name;
        ivf_element type;
        bool vecs;
    } cases[] = {{"a.fvecs", IVF_F32, true}, {"a.bvecs", IVF_U8, true},
                 {"a.fbin", IVF_F32, false}, {"a.f16bin", IVF_F16, false},
                 {"a.u8bin", IVF_U8, false}, {"a.i8bin", IVF_I8, false},
                 {"A.FBIN", IVF_F32, false}, {"base.u8bin.crop_nb_1000", IVF_U8, false}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (size_t r = 0; r < 5; r++) {
            (cases[c].vecs ? test_write_vecs : test_write_bin)(in_folder(cases[c].name), cases[c].type, 0,
                                                               row_counts[r], widths[_i]);
            check_file(cases[c].name, cases[c].type, row_counts[r], widths[_i]);
        }
}
END_TEST

START_TEST(hdf5_of_every_type_and_form)
{
    const test_h5_form forms[] = {{0},
                                  {.big_endian = true},
                                  {.chunk_rows = 1},
                                  {.chunk_rows = 7, .compressed = true},
                                  {.chunk_rows = 40, .chunk_columns = 2, .compressed = true, .big_endian = true}};
    for (size_t f = 0; f < 5; f++)
        for (size_t r = 1; r < 5; r++) {
            const int d = widths[(r + 1) % 4];
            test_write_h5(in_folder("a.h5"), "group/train", types[_i], 0, row_counts[r], d, forms[f]);
            check_file("a.h5", types[_i], row_counts[r], d);
        }
}
END_TEST

START_TEST(contiguous_hdf5_is_read_at_its_offset)
{
    ivf_layout layout;
    test_write_h5(in_folder("a.h5"), "group/train", IVF_F32, 0, 10, 3, (test_h5_form){0});
    ck_assert_int_eq(probe("a.h5", IVF_VECTORS, &layout), MPIVF_OK);
    ck_assert_int_gt(layout.offset, 0);
    test_write_h5(in_folder("a.h5"), "group/train", IVF_F32, 0, 10, 3, (test_h5_form){.chunk_rows = 2});
    ck_assert_int_eq(probe("a.h5", IVF_VECTORS, &layout), MPIVF_OK);
    ck_assert_int_eq(layout.offset, -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("source");
    TCase *tests = tcase_create("source");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, npy_of_every_type_and_version, 0, TYPES);
    tcase_add_loop_test(tests, vecs_and_bin_of_every_type, 0, 4);
    tcase_add_loop_test(tests, hdf5_of_every_type_and_form, 0, TYPES);
    tcase_add_test(tests, contiguous_hdf5_is_read_at_its_offset);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
