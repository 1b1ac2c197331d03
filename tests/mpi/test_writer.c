/* io/writer: the same bytes for any number of ranks, and no file after any failure. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "comm/transfer.h"
#include "io/publish.h"
#include "io/writer.h"
#include "math/pack.h"
#include "mpi_suite.h"
#include "temp.h"

enum { ROWS = 1003, D = 7, BLOCK = 10 };

static char folder[TEST_PATH_BYTES];
static char path[TEST_PATH_BYTES + 64];
static float x[ROWS][D];

static const struct {
    const char *name;
    ivf_element npy_type;
    ivf_element type;
    int head;
    int prefix;
} kinds[] = {
    {"a.npy", IVF_F32, IVF_F32, 128, 0},  {"b.npy", IVF_U8, IVF_U8, 128, 0},  {"c.fbin", IVF_F32, IVF_F32, 8, 0},
    {"d.f16bin", IVF_F32, IVF_F16, 8, 0}, {"e.u8bin", IVF_F32, IVF_U8, 8, 0}, {"f.i8bin", IVF_F32, IVF_I8, 8, 0},
    {"g.fvecs", IVF_F32, IVF_F32, 0, 4},  {"h.bvecs", IVF_F32, IVF_U8, 0, 4},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void setup(void)
{
    test_shared_temp_make(folder);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < D; j++)
            x[i][j] = (float)(ivf_rng_uniform(3, IVF_RNG_TEST, (uint64_t)i * D + (uint64_t)j) * 400 - 100);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

static void set_path(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
}

/* Blocks go round the ranks, each rank's last block first. Rows [skip_first, skip_end) are put by nobody. */
static int put_own(ivf_writer *writer, int skip_first, int skip_end)
{
    int rc = MPIVF_OK;
    int blocks = (ROWS + BLOCK - 1) / BLOCK;
    for (int b = blocks - 1; rc == MPIVF_OK && b >= 0; b--) {
        int first = b * BLOCK;
        int end = first + BLOCK < ROWS ? first + BLOCK : ROWS;
        if (b % ivf_ctx_size(test_ctx) != ivf_ctx_rank(test_ctx) || (first >= skip_first && end <= skip_end))
            continue;
        rc = ivf_writer_put(writer, first, end - first, x[first]);
    }
    return rc;
}

static size_t head_of(int kind, uint8_t *out)
{
    const uint32_t counts[2] = {ROWS, D};
    if (kinds[kind].head == 8)
        memcpy(out, counts, 8);
    if (kinds[kind].head == 128)
        (void)snprintf((char *)out, 129,
                       "\x93NUMPY%c%c%c%c{'descr': '%s', 'fortran_order': False, 'shape': (1003, 7), }%*s\n", 1, 0, 118,
                       0, kinds[kind].type == IVF_F32 ? "<f4" : "|u1", 117 - 62, "");
    return (size_t)kinds[kind].head;
}

/* The whole file, as one process would write it in order. */
static uint8_t *expected_file(int kind, int skip_first, int skip_end, size_t *bytes)
{
    static const float zeros[D];
    const int32_t d = D;
    uint8_t *file = ivf_new_zero(129 + ROWS * (4 + D * sizeof(float)), 1);
    size_t at = head_of(kind, file);
    for (int i = 0; i < ROWS; i++) {
        memcpy(file + at, &d, (size_t)kinds[kind].prefix);
        at += (size_t)kinds[kind].prefix;
        ivf_f32_to_element(kinds[kind].type, i >= skip_first && i < skip_end ? zeros : x[i], D, file + at);
        at += D * ivf_element_size(kinds[kind].type);
    }
    *bytes = at;
    return file;
}

static bool is_as_expected(int kind, int skip_first, int skip_end)
{
    size_t bytes = 0;
    size_t got_bytes = 0;
    char *got = NULL;
    uint8_t *expected = expected_file(kind, skip_first, skip_end, &bytes);
    bool same = ivf_file_read(path, 1 << 20, &got, &got_bytes) == MPIVF_OK && got_bytes == bytes &&
                memcmp(got, expected, bytes) == 0;
    ivf_free(got);
    ivf_free(expected);
    return same;
}

static int files_left(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

START_TEST(bytes_do_not_depend_on_the_ranks)
{
    for (int kind = 0; kind < KINDS; kind++) {
        ivf_writer *writer = NULL;
        set_path(kinds[kind].name);
        test_all(ivf_writer_open(test_ctx, path, kinds[kind].npy_type, ROWS, D, &writer) == MPIVF_OK);
        int rc = put_own(writer, ROWS, ROWS);
        test_all(ivf_writer_close(test_ctx, writer, rc) == MPIVF_OK);
        test_all(is_as_expected(kind, ROWS, ROWS));
    }
    test_all(files_left() == KINDS);
    test_all(ivf_memory_now() < 4096);
}
END_TEST

START_TEST(rows_that_nobody_puts_are_zero)
{
    for (int kind = 0; kind < KINDS; kind++) {
        ivf_writer *writer = NULL;
        set_path(kinds[kind].name);
        test_all(ivf_writer_open(test_ctx, path, kinds[kind].npy_type, ROWS, D, &writer) == MPIVF_OK);
        int rc = put_own(writer, 300, 900);
        test_all(ivf_writer_close(test_ctx, writer, rc) == MPIVF_OK);
        test_all(is_as_expected(kind, 300, 900));
    }
}
END_TEST

/* Whether a .fvecs file holds `values`[rows][d]. */
static bool holds_values(const float *values, size_t rows, int32_t d)
{
    char *got = NULL;
    size_t bytes = 0;
    size_t stride = 4 + 4 * (size_t)d;
    bool same = ivf_file_read(path, 1 << 24, &got, &bytes) == MPIVF_OK && bytes == rows * stride;
    for (size_t row = 0; same && row < rows; row++)
        same = memcmp(got + row * stride, &d, 4) == 0 &&
               memcmp(got + row * stride + 4, values + row * (size_t)d, stride - 4) == 0;
    ivf_free(got);
    return same;
}

/* A row of more bytes than a piece (4 MiB), and more rows than a piece holds. */
START_TEST(pieces_are_joined)
{
    enum { WIDE = 1100000, LONG_ROWS = 150000 };
    ivf_writer *writer = NULL;
    bool last = ivf_ctx_rank(test_ctx) == ivf_ctx_size(test_ctx) - 1;
    size_t count = (size_t)LONG_ROWS * D;
    float *values = ivf_new(count > WIDE ? count : WIDE, sizeof *values);
    for (size_t i = 0; i < count || i < WIDE; i++)
        values[i] = (float)(i % 8191);
    const int64_t rows[] = {1, LONG_ROWS};
    const int d[] = {WIDE, D};
    for (int i = 0; i < 2; i++) {
        set_path("wide.fvecs");
        test_all(ivf_writer_open(test_ctx, path, IVF_F32, rows[i], d[i], &writer) == MPIVF_OK);
        int rc = last ? ivf_writer_put(writer, 0, rows[i], values) : MPIVF_OK;
        test_all(ivf_writer_close(test_ctx, writer, rc) == MPIVF_OK);
        test_all(!ivf_ctx_is_root(test_ctx) || holds_values(values, (size_t)rows[i], d[i]));
    }
    ivf_free(values);
}
END_TEST

START_TEST(no_rows_make_a_file_too)
{
    ivf_writer *writer = NULL;
    char *text = NULL;
    size_t bytes = 0;
    set_path("none.fbin");
    test_all(ivf_writer_open(test_ctx, path, IVF_F32, 0, D, &writer) == MPIVF_OK);
    test_all(ivf_writer_close(test_ctx, writer, MPIVF_OK) == MPIVF_OK);
    test_all(ivf_file_read(path, 100, &text, &bytes) == MPIVF_OK && bytes == 8 &&
             memcmp(text, "\0\0\0\0\7\0\0\0", 8) == 0);
    ivf_free(text);
    set_path("none.fvecs");
    test_all(ivf_writer_open(test_ctx, path, IVF_F32, 0, D, &writer) == MPIVF_OK);
    test_all(ivf_writer_close(test_ctx, writer, MPIVF_OK) == MPIVF_OK);
    test_all(ivf_file_read(path, 100, &text, &bytes) == MPIVF_OK && bytes == 0);
    ivf_free(text);
}
END_TEST

START_TEST(a_failed_rank_leaves_the_old_file)
{
    ivf_writer *writer = NULL;
    bool last = ivf_ctx_rank(test_ctx) == ivf_ctx_size(test_ctx) - 1;
    char *text = NULL;
    size_t bytes = 0;
    set_path("a.npy");
    if (ivf_ctx_is_root(test_ctx))
        test_write_file(path, "old", 3);
    ivf_barrier(test_ctx);
    test_all(ivf_writer_open(test_ctx, path, IVF_F32, ROWS, D, &writer) == MPIVF_OK);
    int rc = put_own(writer, ROWS, ROWS);
    if (last)
        rc = ivf_fail(MPIVF_BAD_INPUT, "a row is bad");
    test_all(ivf_writer_close(test_ctx, writer, rc) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "a row is bad") != NULL);
    test_all(files_left() == 1);
    test_all(ivf_file_read(path, 100, &text, &bytes) == MPIVF_OK && strcmp(text, "old") == 0);
    ivf_free(text);
    test_all(ivf_memory_now() < 4096);
}
END_TEST

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        abort();
}

START_TEST(a_full_disk_is_everybodys_failure)
{
    ivf_writer *writer = NULL;
    bool root = ivf_ctx_is_root(test_ctx);
    bool last = ivf_ctx_rank(test_ctx) == ivf_ctx_size(test_ctx) - 1;
    set_path("a.fvecs");
    /* Rank 0 cannot reserve the space. */
    if (root)
        limit_file_size(1000);
    int rc = ivf_writer_open(test_ctx, path, IVF_F32, ROWS, D, &writer);
    limit_file_size(RLIM_INFINITY);
    test_all(rc == MPIVF_FAILED && writer == NULL);
    test_all(strstr(ivf_error_last()->text, "ulimit -f") != NULL && strstr(ivf_error_last()->text, path) != NULL);
    test_all(files_left() == 0);
    /* Another rank cannot write its rows. */
    test_all(ivf_writer_open(test_ctx, path, IVF_F32, ROWS, D, &writer) == MPIVF_OK);
    if (last)
        limit_file_size(1000);
    rc = put_own(writer, ROWS, ROWS);
    limit_file_size(RLIM_INFINITY);
    test_all(last ? rc == MPIVF_FAILED : rc == MPIVF_OK);
    test_all(ivf_writer_close(test_ctx, writer, rc) == MPIVF_FAILED);
    test_all(strstr(ivf_error_last()->text, "ulimit -f") != NULL);
    test_all(files_left() == 0);
    test_all(ivf_memory_now() < 4096);
}
END_TEST

START_TEST(impossible_requests_are_refused_everywhere)
{
    ivf_writer *writer = NULL;
    const struct {
        const char *name;
        ivf_element type;
        int64_t rows;
        int d;
        int rc;
    } cases[] = {
        {"a.txt", IVF_F32, 10, 4, MPIVF_USAGE},
        {"a.npy", IVF_I64, 10, 4, MPIVF_USAGE},
        {"a.fbin", IVF_F32, 10, 0, MPIVF_BAD_INPUT},
        {"a.fbin", IVF_F32, -1, 4, MPIVF_BAD_INPUT},
        {"a.fbin", IVF_F32, (int64_t)1 << 32, 1, MPIVF_BAD_INPUT},
        {"a.npy", IVF_F32, INT64_MAX / 4, 4, MPIVF_BAD_INPUT},
        {"none/a.npy", IVF_F32, 10, 4, MPIVF_BAD_INPUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_path(cases[i].name);
        test_all(ivf_writer_open(test_ctx, path, cases[i].type, cases[i].rows, cases[i].d, &writer) == cases[i].rc);
        test_all(writer == NULL);
    }
    test_all(files_left() == 0);
    set_path("a.npy");
    test_all(ivf_writer_open(test_ctx, path, IVF_F32, ROWS, D, &writer) == MPIVF_OK);
    test_all(ivf_writer_put(writer, ROWS - 1, 2, x[0]) == MPIVF_FAILED);
    test_all(ivf_writer_put(writer, -1, 1, x[0]) == MPIVF_FAILED);
    int rc = ivf_writer_put(writer, INT64_MAX, 1, x[0]);
    test_all(ivf_writer_close(test_ctx, writer, rc) == MPIVF_FAILED);
    test_all(ivf_writer_close(test_ctx, NULL, MPIVF_OK) == MPIVF_OK);
    test_all(files_left() == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("writer");
    TCase *tests = tcase_create("writer");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, bytes_do_not_depend_on_the_ranks);
    tcase_add_test(tests, rows_that_nobody_puts_are_zero);
    tcase_add_test(tests, pieces_are_joined);
    tcase_add_test(tests, no_rows_make_a_file_too);
    tcase_add_test(tests, a_failed_rank_leaves_the_old_file);
    tcase_add_test(tests, a_full_disk_is_everybodys_failure);
    tcase_add_test(tests, impossible_requests_are_refused_everywhere);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
