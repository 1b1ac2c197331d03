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

/* The words that a file, given as these bytes, is refused with. */
static void expect_words(const char *name, ivf_contents contents, const char *words)
{
    ivf_layout layout;
    const size_t before = ivf_memory_now();
    ivf_memory_reset_peak();
    ck_assert_int_eq(probe(name, contents, &layout), MPIVF_BAD_INPUT);
    ck_assert_msg(strstr(ivf_error_last()->text, words) != NULL, "'%s' not in '%s'", words, ivf_error_last()->text);
    ck_assert_msg(strstr(ivf_error_last()->text, name) != NULL, "no name in '%s'", ivf_error_last()->text);
    ck_assert_uint_lt(ivf_memory_peak() - before, 1 << 20);
    ck_assert_uint_eq(ivf_memory_now(), before);
}

START_TEST(npy_headers_are_refused_by_name)
{
    static const struct {
        const char *header;
        const char *words;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (4, 4), }", "is in Fortran order"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (4, 4), }", "is big-endian (dtype '>f4')"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (4, 4), }", "dtype '|O' cannot be read; use float32"},
        {"{'descr': '=f4', 'fortran_order': False, 'shape': (4, 4), }", "dtype '=f4' cannot be read"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (4, 4), }", "dtype '<i4' cannot be read"},
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (4, 4), }", "dtype '|b1' cannot be read"},
        {"{'descr': [('a', '<f4'), ('b', '<f4', (3,))], 'fortran_order': False, 'shape': (4, 4), }",
         "dtype 'structured' cannot be read"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (16,), }", "is a 1-d array; vectors need 2 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "is a 0-d array"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2, 2, 2), }", "is a 5-d array"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 0), }", "4 rows of d = 0"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 5), }",
         "4 rows of d = 5 in f32, which make 208 bytes; the file has 192"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", "which make 176 bytes; the file has 192"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (4, 4), }", "in f64, which make 256 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3037000500, 3037000500), }", "more than 2^63 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1000000), }", "1000000000000 rows"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4), }", "is not a dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 4), }", "is not a dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4)", "is not a dictionary"},
        {"{'descr': '<f4', 'fortran_order': False}", "is not a dictionary"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (4, 4), }", "is not a dictionary"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4, 4), }", "is not a dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4), 'more': 1}", "is not a dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4 4), }", "is not a dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4), } x", "is not a dictionary"},
        {"{'descr': [[[[", "is not a dictionary"},
        {"{'descr': '<f4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}", "is not a dictionary"},
        {"", "is not a dictionary"},
    };
    static const char data[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_write_npy_raw(in_folder("a.npy"), 1, cases[i].header, data, sizeof data);
        expect_words("a.npy", IVF_VECTORS, cases[i].words);
    }
}
END_TEST

START_TEST(npy_headers_may_be_spelled_otherwise)
{
    static const char *const headers[] = {
        "{'shape':(4L,4L),'fortran_order':False,'descr':'<f4'}",
        "{ \"descr\" : \"<f4\" , \"fortran_order\" : False , \"shape\" : ( 4 , 4 , ) , }",
        "{'descr': '<f4',\n 'fortran_order': False,\n 'shape': (4, 4)}",
    };
    float data[16];
    ivf_layout layout;
    for (int i = 0; i < 16; i++)
        data[i] = test_value(IVF_F32, i / 4, i % 4);
    for (size_t i = 0; i < 3; i++) {
        test_write_npy_raw(in_folder("a.npy"), 3, headers[i], data, sizeof data);
        check_file("a.npy", IVF_F32, 4, 4);
    }
    test_write_npy_raw(in_folder("a.npy"), 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (0, 4), }", data, 0);
    ck_assert_int_eq(probe("a.npy", IVF_VECTORS, &layout), MPIVF_BAD_INPUT);
    test_write_npy_raw(in_folder("a.npy"), 1, "{'descr': '<i8', 'fortran_order': True, 'shape': (8,), }", data, 64);
    ck_assert_int_eq(probe("a.npy", IVF_ID_LIST, &layout), MPIVF_OK);
    ck_assert_int_eq(layout.rows, 8);
}
END_TEST

START_TEST(npy_preambles_are_refused)
{
    test_write_file(in_folder("a.npy"), "", 0);
    expect_words("a.npy", IVF_VECTORS, "is no .npy file");
    test_write_file(in_folder("a.npy"), "\x93NUMPZ\1\0\6\0{}    ", 16);
    expect_words("a.npy", IVF_VECTORS, "is no .npy file");
    test_write_file(in_folder("a.npy"), "\x93NUMPY\4\0\6\0{}    ", 16);
    expect_words("a.npy", IVF_VECTORS, ".npy version 4.0 is not known");
    test_write_file(in_folder("a.npy"), "\x93NUMPY\1\1\6\0{}    ", 16);
    expect_words("a.npy", IVF_VECTORS, ".npy version 1.1 is not known");
    test_write_file(in_folder("a.npy"), "\x93NUMPY\2\0\xff\xff\xff\xff{}  ", 16);
    expect_words("a.npy", IVF_VECTORS, "a .npy header of 4294967295 bytes is beyond the limit of 65536");
    test_write_file(in_folder("a.npy"), "\x93NUMPY\1\0\xff\0{}    ", 16);
    expect_words("a.npy", IVF_VECTORS, "the .npy header ends at byte 265, the file has 16");
}
END_TEST

static void write_words(const char *name, const uint32_t *words, size_t count)
{
    test_write_file(in_folder(name), words, count * sizeof *words);
}

START_TEST(vecs_and_bin_headers_are_refused)
{
    write_words("a.fbin", (uint32_t[]){2, 2, 0, 0, 0}, 5);
    expect_words("a.fbin", IVF_VECTORS, "2 rows of d = 2 in f32, which make 24 bytes; the file has 20");
    write_words("a.fbin", (uint32_t[]){UINT32_MAX, UINT32_MAX, 0}, 3);
    expect_words("a.fbin", IVF_VECTORS, "4294967295 rows of d = 4294967295 in f32, which make more than 2^63 bytes");
    write_words("a.fbin", (uint32_t[]){1, 0}, 2);
    expect_words("a.fbin", IVF_VECTORS, "1 rows of d = 0");
    write_words("a.fbin", (uint32_t[]){7}, 1);
    expect_words("a.fbin", IVF_VECTORS, "4 bytes, too few for a .fbin header of 8");
    write_words("a.fvecs", (uint32_t[]){2, 0, 0, 2, 0}, 5);
    expect_words("a.fvecs", IVF_VECTORS, "20 bytes are no whole number of rows of 12 bytes (d = 2, f32)");
    write_words("a.fvecs", (uint32_t[]){0, 0}, 2);
    expect_words("a.fvecs", IVF_VECTORS, "the first row says d = 0, beyond 1..1048576; is it really .fvecs?");
    write_words("a.fvecs", (uint32_t[]){UINT32_MAX, 0}, 2);
    expect_words("a.fvecs", IVF_VECTORS, "says d = -1");
    test_write_file(in_folder("a.bvecs"), "abc", 3);
    expect_words("a.bvecs", IVF_VECTORS, "3 bytes, too few for the width of one row");
    test_write_file(in_folder("a.bvecs"), "some text", 9);
    expect_words("a.bvecs", IVF_VECTORS, "is it really .bvecs?");
}
END_TEST

/* A sparse file that is as long as its header says. */
START_TEST(a_width_beyond_the_limit_is_refused)
{
    write_words("a.u8bin", (uint32_t[]){1, IVF_D_MOST + 1}, 2);
    ck_assert_int_eq(truncate(in_folder("a.u8bin"), 8 + IVF_D_MOST + 1), 0);
    expect_words("a.u8bin", IVF_VECTORS, "d = 1048577 is beyond the limit of 1048576");
}
END_TEST

/* .fvecs whose rows are equally long in bytes alone. */
START_TEST(every_row_of_vecs_is_checked)
{
    ivf_layout layout;
    ivf_source *source = NULL;
    float x[8];
    const int64_t picks[] = {0, 3};
    write_words("a.fvecs", (uint32_t[]){1, 5, 1, 6, 2, 7, 1, 8}, 8);
    ck_assert_int_eq(probe("a.fvecs", IVF_VECTORS, &layout), MPIVF_OK);
    const char *path = in_folder("a.fvecs");
    ck_assert_int_eq(ivf_source_open(path, NULL, &layout, &source), MPIVF_OK);
    ck_assert_int_eq(ivf_source_read(source, 0, 2, x), MPIVF_OK);
    ck_assert_int_eq(ivf_source_read(source, 3, 1, x), MPIVF_OK);
    ck_assert_int_eq(ivf_source_read(source, 1, 3, x), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "row 2 says d = 2, the first row d = 1"));
    ck_assert_int_eq(ivf_source_read_span(source, picks, 2, 0, x), MPIVF_BAD_INPUT);
    ivf_source_close(source);
}
END_TEST

START_TEST(what_is_no_shard_is_refused)
{
    ivf_layout layout;
    ivf_rawfile file;
    ck_assert_int_eq(mkfifo(in_folder("pipe.npy"), 0600), 0);
    expect_words("pipe.npy", IVF_VECTORS, "is not a regular file");
    ck_assert_int_eq(mkdir(in_folder("folder.npy"), 0700), 0);
    expect_words("folder.npy", IVF_VECTORS, "is not a regular file");
    ck_assert_int_eq(symlink("loop.npy", in_folder("loop.npy")), 0);
    expect_words("loop.npy", IVF_VECTORS, "symbolic links");
    expect_words("missing.npy", IVF_VECTORS, "No such file");
    test_write_file(in_folder("a.ivecs"), "", 0);
    expect_words("a.ivecs", IVF_VECTORS, "its name tells no known format; known are .npy, .fvecs");
    test_write_file(in_folder("npy"), "", 0);
    expect_words("npy", IVF_VECTORS, "its name tells no known format");
    ck_assert_int_eq(ivf_source_probe("/dev/null", NULL, IVF_VECTORS, &layout, &file), MPIVF_BAD_INPUT);
    ck_assert_int_eq(ivf_source_format(".npy"), -1);
    ck_assert_int_eq(ivf_source_format("a.u8bin.crop_nb_"), -1);
    ck_assert_int_eq(ivf_source_format("5"), -1);
    ck_assert_int_ge(ivf_source_format("x.npy"), 0);
}
END_TEST

START_TEST(a_file_of_another_size_is_refused)
{
    ivf_layout layout;
    ivf_source *source = NULL;
    const char *path = in_folder("a.fbin");
    test_write_bin(path, IVF_F32, 0, 10, 3);
    ck_assert_int_eq(probe("a.fbin", IVF_VECTORS, &layout), MPIVF_OK);
    ck_assert_int_eq(truncate(path, 127), 0);
    ck_assert_int_eq(ivf_source_open(path, NULL, &layout, &source), MPIVF_BAD_INPUT);
    ck_assert_ptr_null(source);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "has 127 bytes here, and had 128 when the run began"));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(ivf_source_open(path, NULL, &layout, &source), MPIVF_BAD_INPUT);
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
    tcase_add_test(tests, npy_headers_are_refused_by_name);
    tcase_add_test(tests, npy_headers_may_be_spelled_otherwise);
    tcase_add_test(tests, npy_preambles_are_refused);
    tcase_add_test(tests, vecs_and_bin_headers_are_refused);
    tcase_add_test(tests, a_width_beyond_the_limit_is_refused);
    tcase_add_test(tests, every_row_of_vecs_is_checked);
    tcase_add_test(tests, what_is_no_shard_is_refused);
    tcase_add_test(tests, a_file_of_another_size_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
