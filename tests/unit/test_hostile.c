/* io/source under files that were cut or changed at random: each is refused in one line or read within its bounds; none
 * crashes, and none makes us ask for memory that the file does not warrant. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "io/source.h"
#include "shard_files.h"
#include "temp.h"

enum { PATH = TEST_PATH_BYTES + 128, ROWS = 12, D = 5, X_BYTES = 64 << 20 };

static char folder[TEST_PATH_BYTES];
static float *x; /* more than any mutant of these small files may yield */

static void setup(void)
{
    test_temp_make(folder);
    x = malloc(X_BYTES);
    ck_assert_ptr_nonnull(x);
}

static void teardown(void)
{
    free(x);
    test_temp_remove(folder);
}

typedef struct {
    const char *name;
    void (*write)(const char *path);
    size_t header; /* bytes that are worth changing; 0: all */
    int mutants;
} victim;

static void write_npy(const char *path)
{
    test_write_npy(path, 1, IVF_F32, 0, ROWS, D);
}

static void write_long_npy(const char *path)
{
    test_write_npy(path, 2, IVF_F16, 0, ROWS, D);
}

static void write_fvecs(const char *path)
{
    test_write_vecs(path, IVF_F32, 0, ROWS, D);
}

static void write_bvecs(const char *path)
{
    test_write_vecs(path, IVF_U8, 0, ROWS, D);
}

static void write_bin(const char *path)
{
    test_write_bin(path, IVF_I8, 0, ROWS, D);
}

static void write_contiguous(const char *path)
{
    test_write_h5(path, "train", IVF_F32, 0, ROWS, D, (test_h5_form){0});
}

static void write_chunked(const char *path)
{
    test_write_h5(path, "train", IVF_F64, 0, ROWS, D, (test_h5_form){.chunk_rows = 5, .compressed = true});
}

static const victim victims[] = {
    {"a.npy", write_npy, 130, 1500},  {"b.npy", write_long_npy, 130, 1500}, {"a.fvecs", write_fvecs, 0, 500},
    {"a.bvecs", write_bvecs, 0, 500}, {"a.i8bin", write_bin, 9, 500},       {"a.h5", write_contiguous, 0, 700},
    {"b.h5", write_chunked, 0, 700},
};
enum { VICTIMS = sizeof victims / sizeof victims[0] };

static char *load(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rbe");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*bytes);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, *bytes, file), *bytes);
    ck_assert_int_eq(fclose(file), 0);
    return data;
}

/* A new file each time: file systems flush a file that was cut to nothing and written again. */
static void replace(const char *path, const char *data, size_t bytes)
{
    ck_assert_int_eq(remove(path), 0);
    test_write_file(path, data, bytes);
}

static int read_all(const char *path, const ivf_layout *layout)
{
    ivf_source *source = NULL;
    ck_assert_int_le(layout->rows * layout->d * (int64_t)sizeof *x, X_BYTES);
    int rc = ivf_source_open(path, "train", layout, &source);
    if (rc == MPIVF_OK)
        rc = ivf_source_read(source, 0, layout->rows, x);
    ivf_source_close(source);
    return rc;
}

/* Probes and, if that is well, reads all. MPIVF_OK or MPIVF_BAD_INPUT, with words, and no memory kept. */
static int use(const char *path, ivf_layout *layout)
{
    ivf_rawfile file;
    const size_t before = ivf_memory_now();
    ivf_error_clear();
    ivf_memory_reset_peak();
    int rc = ivf_source_probe(path, "train", IVF_VECTORS, layout, &file);
    ck_assert_uint_le(ivf_memory_peak() - before, 1 << 20);
    if (rc == MPIVF_OK)
        rc = read_all(path, layout);
    ck_assert_msg(rc == MPIVF_OK || rc == MPIVF_BAD_INPUT, "%d: %s", rc, ivf_error_last()->text);
    ck_assert(rc == MPIVF_OK || strlen(ivf_error_last()->text) > 20);
    ck_assert_uint_le(ivf_memory_peak() - before, 16 << 20);
    ck_assert_uint_eq(ivf_memory_now(), before);
    return rc;
}

/* Rows that were kept are the rows that were written: what is cut is refused, or shorter. */
START_TEST(cut_files_are_refused)
{
    const victim *v = &victims[_i];
    char path[PATH];
    size_t bytes = 0;
    (void)snprintf(path, sizeof path, "%s/%s", folder, v->name);
    v->write(path);
    char *data = load(path, &bytes);
    const bool is_vecs = strstr(v->name, "vecs") != NULL;
    const size_t stride = strcmp(v->name, "a.fvecs") == 0 ? 4 + 4 * D : 4 + D;
    for (size_t kept = 0; kept < bytes; kept++) {
        ivf_layout layout;
        replace(path, data, kept);
        int rc = use(path, &layout);
        if (is_vecs && kept % stride == 0)
            ck_assert(rc == MPIVF_OK && layout.rows == (int64_t)(kept / stride));
        else
            ck_assert_msg(rc == MPIVF_BAD_INPUT, "cut to %zu bytes of %zu", kept, bytes);
    }
    free(data);
}
END_TEST

START_TEST(changed_files_do_no_harm)
{
    const victim *v = &victims[_i];
    char path[PATH];
    size_t bytes = 0;
    int refused = 0;
    (void)snprintf(path, sizeof path, "%s/%s", folder, v->name);
    v->write(path);
    char *data = load(path, &bytes);
    char *mutant = malloc(bytes);
    ck_assert_ptr_nonnull(mutant);
    const size_t range = v->header > 0 ? v->header : bytes;
    for (uint64_t m = 0; m < (uint64_t)v->mutants; m++) {
        ivf_layout layout;
        memcpy(mutant, data, bytes);
        const uint64_t changes = 1 + m % 3;
        for (uint64_t c = 0; c < changes; c++) {
            const uint64_t bits = ivf_rng_bits(m, IVF_RNG_TEST, c);
            const size_t at = (bits >> 16) % range;
            const uint64_t changed = bits % 4 == 0 ? (uint64_t)mutant[at] ^ 1U << (bits >> 8 & 7) : bits >> 8;
            mutant[at] = (char)(changed & 0xff);
        }
        replace(path, mutant, bytes);
        refused += use(path, &layout) != MPIVF_OK;
    }
    ck_assert_int_gt(refused, v->mutants / 20);
    free(mutant);
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile");
    TCase *tests = tcase_create("hostile");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, cut_files_are_refused, 0, VICTIMS);
    tcase_add_loop_test(tests, changed_files_do_no_harm, 0, VICTIMS);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
