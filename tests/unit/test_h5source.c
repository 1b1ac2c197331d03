/* io/h5source: HDF5 datasets that are refused, and unusual ones that are read. */
#include <check.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/source.h"
#include "shard_files.h"
#include "temp.h"

enum { PATH = TEST_PATH_BYTES + 128, ROWS = 20, D = 4 };

static char folder[TEST_PATH_BYTES];
static char path[PATH];
static float rows[ROWS][D];

static void setup(void)
{
    test_temp_make(folder);
    (void)snprintf(path, sizeof path, "%s/a.h5", folder);
    for (int i = 0; i < ROWS; i++)
        for (int c = 0; c < D; c++)
            rows[i][c] = test_value(IVF_F32, i, c);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

static int probe(ivf_layout *layout)
{
    ivf_rawfile file;
    ivf_error_clear();
    return ivf_source_probe(path, "x", IVF_VECTORS, layout, &file);
}

static void expect_words(const char *words)
{
    ivf_layout layout;
    const size_t before = ivf_memory_now();
    ck_assert_int_eq(probe(&layout), MPIVF_BAD_INPUT);
    ck_assert_msg(strstr(ivf_error_last()->text, words) != NULL, "'%s' not in '%s'", words, ivf_error_last()->text);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "a.h5"));
    ck_assert_uint_eq(ivf_memory_now(), before);
}

static void expect_rows(void)
{
    ivf_layout layout;
    ivf_source *source = NULL;
    float x[ROWS * D];
    ck_assert_msg(probe(&layout) == MPIVF_OK, "%s", ivf_error_last()->text);
    ck_assert_int_eq(ivf_source_open(path, "x", &layout, &source), MPIVF_OK);
    ck_assert_msg(ivf_source_read(source, 3, ROWS - 3, x) == MPIVF_OK, "%s", ivf_error_last()->text);
    ck_assert(test_rows_right(IVF_F32, 3, ROWS - 3, D, x));
    ivf_source_close(source);
}

/* How the next file's dataset `x` is to be; the handles are closed after it was made. */
typedef struct {
    hid_t type;
    int rank; /* 0: scalar */
    hsize_t dims[3];
    hid_t properties;
    hid_t file_properties;
    bool unwritten;
    bool grows; /* may get more rows, and chunks more than there are */
} form;

static form plain(void)
{
    return (form){.type = H5T_IEEE_F32LE,
                  .rank = 2,
                  .dims = {ROWS, D, 1},
                  .properties = H5Pcreate(H5P_DATASET_CREATE),
                  .file_properties = H5Pcreate(H5P_FILE_CREATE)};
}

static void make(form f)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, f.file_properties, H5P_DEFAULT);
    const hsize_t most[] = {H5S_UNLIMITED, f.dims[1], f.dims[2]};
    hid_t space = f.rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(f.rank, f.dims, f.grows ? most : NULL);
    hid_t dataset = H5Dcreate2(file, "x", f.type, space, H5P_DEFAULT, f.properties, H5P_DEFAULT);
    ck_assert(dataset >= 0);
    if (!f.unwritten)
        ck_assert(H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) >= 0);
    (void)H5Dclose(dataset);
    (void)H5Sclose(space);
    (void)H5Pclose(f.properties);
    (void)H5Pclose(f.file_properties);
    ck_assert(H5Fclose(file) >= 0);
}

START_TEST(unusual_forms_are_read)
{
    form compact = plain();
    ck_assert(H5Pset_layout(compact.properties, H5D_COMPACT) >= 0);
    make(compact);
    expect_rows();
    form behind_a_block = plain();
    ck_assert(H5Pset_userblock(behind_a_block.file_properties, 1024) >= 0);
    make(behind_a_block);
    expect_rows();
    form shuffled = plain();
    ck_assert(H5Pset_chunk(shuffled.properties, 2, (hsize_t[]){7, 3}) >= 0);
    ck_assert(H5Pset_shuffle(shuffled.properties) >= 0 && H5Pset_fletcher32(shuffled.properties) >= 0);
    make(shuffled);
    expect_rows();
}
END_TEST

START_TEST(types_that_are_no_vectors_are_refused)
{
    const hid_t types[] = {H5T_STD_I32LE, H5T_STD_U64LE, H5T_STD_I64BE, H5T_C_S1};
    static const char *const words[] = {"holds 4-byte integers; vectors need float32", "holds 8-byte integers",
                                        "holds 8-byte integers", "holds 1-byte strings"};
    for (size_t i = 0; i < 4; i++) {
        form f = plain();
        f.type = types[i];
        f.unwritten = true;
        make(f);
        expect_words(words[i]);
    }
    form brain = plain(); /* bfloat16: two bytes, but other fields than half precision */
    brain.type = H5Tcopy(H5T_IEEE_F32LE);
    ck_assert(H5Tset_fields(brain.type, 15, 7, 8, 0, 7) >= 0 && H5Tset_size(brain.type, 2) >= 0);
    make(brain);
    expect_words("holds 2-byte floats of another kind");
    form truth = plain();
    truth.type = H5Tenum_create(H5T_STD_I8LE);
    ck_assert(H5Tenum_insert(truth.type, "FALSE", &(int8_t){0}) >= 0);
    truth.unwritten = true;
    make(truth);
    expect_words("holds 1-byte enumerations (booleans)");
}
END_TEST

START_TEST(shapes_that_are_no_matrix_are_refused)
{
    for (int rank = 0; rank < 4; rank++) {
        form f = plain();
        f.rank = rank;
        f.unwritten = true;
        if (rank == 2)
            f.dims[1] = 0;
        make(f);
        char words[64];
        (void)snprintf(words, sizeof words, "has %d dimensions; vectors need 2", rank);
        expect_words(rank == 2 ? "has d = 0, beyond 1..1048576" : words);
    }
    form wide = plain();
    wide.dims[1] = IVF_D_MOST + 1;
    wide.unwritten = true;
    make(wide);
    expect_words("has d = 1048577, beyond 1..1048576");
    form endless = plain();
    endless.dims[0] = (hsize_t)1 << 61;
    endless.dims[1] = 1;
    endless.unwritten = true;
    ck_assert(H5Pset_chunk(endless.properties, 2, (hsize_t[]){1, 1}) >= 0);
    make(endless);
    expect_words("claims 2305843009213693952 rows");
}
END_TEST

START_TEST(rows_that_are_not_there_are_refused)
{
    form contiguous = plain();
    contiguous.unwritten = true;
    make(contiguous);
    expect_words("was never written, or not to its end");
    form chunked = plain();
    chunked.unwritten = true;
    ck_assert(H5Pset_chunk(chunked.properties, 2, (hsize_t[]){4, 4}) >= 0);
    make(chunked);
    expect_words("was never written, or not to its end");
    form outside = plain();
    char other[PATH + 8];
    (void)snprintf(other, sizeof other, "%s.raw", path);
    ck_assert(H5Pset_external(outside.properties, other, 0, H5F_UNLIMITED) >= 0);
    make(outside);
    expect_words("lies in other files");
    form great = plain();
    great.dims[0] = 300;
    great.dims[1] = 1 << 18;
    great.unwritten = true;
    ck_assert(H5Pset_chunk(great.properties, 2, (hsize_t[]){300, 1}) >= 0);
    ck_assert(H5Pset_alloc_time(great.properties, H5D_ALLOC_TIME_LATE) >= 0);
    make(great);
    expect_words("was never written");
}
END_TEST

/* One chunk of five is missing. */
START_TEST(a_missing_chunk_is_noticed)
{
    form f = plain();
    f.unwritten = true;
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){4, 4}) >= 0);
    ck_assert(H5Pset_deflate(f.properties, 1) >= 0);
    make(f);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "x", H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    ck_assert(H5Sselect_hyperslab(space, H5S_SELECT_SET, (hsize_t[]){0, 0}, NULL, (hsize_t[]){16, D}, NULL) >= 0);
    hid_t memory = H5Screate_simple(2, (hsize_t[]){16, D}, NULL);
    ck_assert(H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, rows) >= 0);
    (void)H5Sclose(memory);
    (void)H5Sclose(space);
    (void)H5Dclose(dataset);
    ck_assert(H5Fclose(file) >= 0);
    expect_words("was never written, or not to its end; if zeros are meant, rewrite it with h5repack");
}
END_TEST

/* HDF5 opens them: then comes a division by the extents that lack. */
START_TEST(chunks_of_another_rank_are_refused)
{
    form f = plain();
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){7, 3}) >= 0);
    make(f);
    test_patch_h5_chunk(path, (uint32_t[]){7, 3, 4}, 1, (uint32_t[]){7, 4, 4});
    expect_words("dataset 'x' cannot be read: its chunks do not have the shape of its rows: it is damaged");
    form deep = plain();
    deep.rank = 3;
    ck_assert(H5Pset_chunk(deep.properties, 3, (hsize_t[]){7, 3, 1}) >= 0);
    make(deep);
    test_patch_h5_space(path, 3, (uint64_t[]){ROWS, D, 1}, 2, (uint64_t[]){ROWS, D});
    expect_words("its chunks do not have the shape of its rows");
}
END_TEST

/* HDF5 would ask for as much memory as a compressed chunk claims to take in the file. */
START_TEST(chunks_larger_than_the_file_are_refused)
{
    form f = plain();
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){7, 3}) >= 0 && H5Pset_deflate(f.properties, 6) >= 0);
    make(f);
    test_patch_h5_chunk_bytes(path, 0xffffffe8);
    expect_words("the chunks of dataset 'x' claim 42949");
}
END_TEST

/* HDF5 would take the rest of the chunk from whatever lies behind its bytes in memory. */
START_TEST(chunks_smaller_than_their_shape_are_refused)
{
    form f = plain();
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){7, 3}) >= 0);
    make(f);
    test_patch_h5_chunk_bytes(path, 8);
    expect_words("of dataset 'x' are not those of its");
    form compressed = plain();
    ck_assert(H5Pset_chunk(compressed.properties, 2, (hsize_t[]){7, 3}) >= 0 &&
              H5Pset_deflate(compressed.properties, 6) >= 0);
    make(compressed);
    test_patch_h5_chunk_filters(path, 1);
    expect_words("of dataset 'x' are not those of its");
}
END_TEST

/* The same of a compressed one. */
START_TEST(chunks_that_inflate_to_less_are_refused)
{
    for (int shuffled = 0; shuffled < 2; shuffled++) {
        form f = plain();
        ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){ROWS, D}) >= 0);
        ck_assert(shuffled == 0 || H5Pset_shuffle(f.properties) >= 0);
        ck_assert(H5Pset_deflate(f.properties, 6) >= 0);
        make(f);
        expect_rows();
        test_patch_h5_chunk(path, (uint32_t[]){ROWS, D, 4}, 2, (uint32_t[]){ROWS, 2 * D, 4});
        expect_words("of dataset 'x' are not those of its");
    }
}
END_TEST

/* Chunks that reach beyond the rows may go through no filter, though nothing says so of them. */
START_TEST(edges_without_filters_are_read)
{
    for (hsize_t width = 1; width <= D; width += D - 1) {
        form f = plain();
        f.grows = true;
        ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){ROWS - 1 + 2 * (width / D), width}) >= 0);
        ck_assert(H5Pset_deflate(f.properties, 6) >= 0 &&
                  H5Pset_chunk_opts(f.properties, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) >= 0);
        make(f);
        expect_rows();
    }
}
END_TEST

/* A file whose form changed between the probe and the opening. */
START_TEST(chunks_of_another_rank_are_not_opened)
{
    ivf_layout layout;
    ivf_source *source = NULL;
    form f = plain();
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){7, 3}) >= 0);
    make(f);
    ck_assert_int_eq(probe(&layout), MPIVF_OK);
    test_patch_h5_chunk(path, (uint32_t[]){7, 3, 4}, 1, (uint32_t[]){7, 4, 4});
    ck_assert_int_eq(ivf_source_open(path, "x", &layout, &source), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "cannot be opened again, or has changed"));
    ck_assert_ptr_null(source);
}
END_TEST

/* As many missing chunks as make none in 64 bits. */
START_TEST(chunks_beyond_counting_are_refused)
{
    form f = plain();
    f.unwritten = true;
    f.dims[0] = (hsize_t)1 << 59;
    f.dims[1] = 1 << 5;
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){1, 1}) >= 0);
    make(f);
    expect_words("was never written, or not to its end");
}
END_TEST

/* HDF5 would read on, past the block or the bytes that hold the dataset. */
START_TEST(shapes_beyond_the_stored_bytes_are_refused)
{
    static const uint64_t claims[][2] = {{600000, D}, {ROWS, D - 1}, {(uint64_t)1 << 58, 1 << 4}, {ROWS + 1, D}};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++)
        for (int kind = 0; kind < 3; kind++) {
            form f = plain();
            ck_assert(kind != 0 || H5Pset_layout(f.properties, H5D_COMPACT) >= 0);
            f.type = kind == 1 ? H5T_IEEE_F32BE : H5T_IEEE_F32LE;
            make(f);
            test_patch_h5_space(path, 2, (uint64_t[]){ROWS, D}, 2, claims[i]);
            expect_words("the 320 bytes of dataset 'x' are not those of its ");
        }
}
END_TEST

START_TEST(what_is_there_but_does_not_open_is_named)
{
    ivf_layout layout;
    ivf_rawfile file;
    test_write_h5(path, "group/x", IVF_F32, 0, ROWS, D, (test_h5_form){0});
    ck_assert_int_eq(ivf_source_probe(path, "group", IVF_VECTORS, &layout, &file), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "dataset 'group' cannot be opened: not a dataset"));
    form f = plain();
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){7, 3}) >= 0);
    make(f);
    test_patch_h5_chunk(path, (uint32_t[]){7, 3, 4}, H5S_MAX_RANK + 1, (uint32_t[]){7, 3, 4});
    expect_words("dataset 'x' cannot be opened: ");
    ck_assert_ptr_null(strstr(ivf_error_last()->text, "no reason"));
}
END_TEST

START_TEST(a_virtual_dataset_is_refused)
{
    form f = plain();
    hid_t space = H5Screate_simple(2, f.dims, NULL);
    ck_assert(H5Pset_virtual(f.properties, space, "other.h5", "x", space) >= 0);
    (void)H5Sclose(space);
    f.unwritten = true;
    make(f);
    expect_words("lies in other files; name those instead");
}
END_TEST

START_TEST(a_missing_name_is_answered_with_those_there_are)
{
    ivf_layout layout;
    ivf_rawfile file;
    test_write_h5(path, "group/x", IVF_F32, 0, ROWS, D, (test_h5_form){0});
    expect_words("has no dataset 'x'; at its top it has: group");
    ck_assert_int_eq(ivf_source_probe(path, "group", IVF_VECTORS, &layout, &file), MPIVF_BAD_INPUT);
    ck_assert_int_eq(ivf_source_probe(path, "group/x", IVF_VECTORS, &layout, &file), MPIVF_OK);
    ck_assert_int_eq(ivf_source_probe(path, "/group/x", IVF_VECTORS, &layout, &file), MPIVF_OK);
    ck_assert_int_eq(ivf_source_probe(path, NULL, IVF_VECTORS, &layout, &file), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "the name of a dataset inside it is needed"));
    test_write_file(path, "not HDF5", 8);
    expect_words("is no readable HDF5 file");
    test_write_file(path, "", 0);
    expect_words("is no readable HDF5 file");
}
END_TEST

/* Where plain HDF5 would give zeros. */
START_TEST(a_shrunken_file_is_named)
{
    ivf_layout layout;
    ivf_source *source = NULL;
    float x[ROWS * D];
    test_write_h5(path, "x", IVF_F32, 0, ROWS, D, (test_h5_form){.chunk_rows = 5});
    ck_assert_int_eq(probe(&layout), MPIVF_OK);
    ck_assert_int_eq(layout.offset, -1);
    ck_assert_int_eq(ivf_source_open(path, "x", &layout, &source), MPIVF_OK);
    ck_assert_int_eq(truncate(path, layout.bytes - 1), 0);
    ck_assert_int_eq(ivf_source_read(source, ROWS - 1, 1, x), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "do not change the input during a run"));
    ivf_source_close(source);
}
END_TEST

/* The last byte of the last compressed chunk is changed. */
START_TEST(a_damaged_chunk_is_named)
{
    ivf_layout layout;
    ivf_source *source = NULL;
    float x[ROWS * D];
    form f = plain();
    ck_assert(H5Pset_chunk(f.properties, 2, (hsize_t[]){ROWS, D}) >= 0 && H5Pset_fletcher32(f.properties) >= 0);
    make(f);
    ck_assert_int_eq(probe(&layout), MPIVF_OK);
    FILE *file = fopen(path, "r+be");
    ck_assert_ptr_nonnull(file);
    char *bytes = malloc((size_t)layout.bytes);
    ck_assert_uint_eq(fread(bytes, 1, (size_t)layout.bytes, file), (size_t)layout.bytes);
    char *data = memmem(bytes, (size_t)layout.bytes, rows, sizeof rows);
    ck_assert_ptr_nonnull(data);
    ck_assert_int_eq(fseek(file, data - bytes + 9, SEEK_SET), 0);
    ck_assert_int_ne(fputc(data[9] ^ 1, file), EOF);
    ck_assert_int_eq(fclose(file), 0);
    free(bytes);
    ck_assert_int_eq(ivf_source_open(path, "x", &layout, &source), MPIVF_OK);
    ck_assert_int_eq(ivf_source_read(source, 2, 1, x), MPIVF_BAD_INPUT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "rows 2 to 2 of dataset 'x' cannot be read: "));
    ivf_source_close(source);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h5source");
    TCase *tests = tcase_create("h5source");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, unusual_forms_are_read);
    tcase_add_test(tests, types_that_are_no_vectors_are_refused);
    tcase_add_test(tests, shapes_that_are_no_matrix_are_refused);
    tcase_add_test(tests, rows_that_are_not_there_are_refused);
    tcase_add_test(tests, a_missing_chunk_is_noticed);
    tcase_add_test(tests, chunks_of_another_rank_are_refused);
    tcase_add_test(tests, chunks_larger_than_the_file_are_refused);
    tcase_add_test(tests, chunks_smaller_than_their_shape_are_refused);
    tcase_add_test(tests, chunks_that_inflate_to_less_are_refused);
    tcase_add_test(tests, edges_without_filters_are_read);
    tcase_add_test(tests, chunks_of_another_rank_are_not_opened);
    tcase_add_test(tests, chunks_beyond_counting_are_refused);
    tcase_add_test(tests, shapes_beyond_the_stored_bytes_are_refused);
    tcase_add_test(tests, what_is_there_but_does_not_open_is_named);
    tcase_add_test(tests, a_virtual_dataset_is_refused);
    tcase_add_test(tests, a_missing_name_is_answered_with_those_there_are);
    tcase_add_test(tests, a_shrunken_file_is_named);
    tcase_add_test(tests, a_damaged_chunk_is_named);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
