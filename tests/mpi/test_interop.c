/* interop/: an index goes to FAISS's format and comes back the same, on any number of ranks; and what comes of a file
 * that was damaged is a clean refusal, or an index that is sound. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "comm/transfer.h"
#include "index/verify.h"
#include "interop/export.h"
#include "interop/import.h"
#include "io/folder.h"
#include "io/publish.h"
#include "mpi_suite.h"
#include "small_index.h"
#include "temp.h"

enum { PATH_BYTES = TEST_PATH_BYTES + 64, DAMAGED = 300, POSTINGS = SMALL_ROWS - 1 };

static char folder[TEST_PATH_BYTES];
static char source[PATH_BYTES], file[PATH_BYTES], target[PATH_BYTES], again[PATH_BYTES];

static void setup(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    test_shared_temp_make(folder);
    (void)snprintf(source, sizeof source, "%s/source", folder);
    (void)snprintf(file, sizeof file, "%s/a.faiss", folder);
    (void)snprintf(target, sizeof target, "%s/target", folder);
    (void)snprintf(again, sizeof again, "%s/b.faiss", folder);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

/* Collective. `source` becomes an index of that shape. */
static void make_source(const char *factory, ivf_metric metric)
{
    small_index small;
    if (ivf_ctx_is_root(test_ctx)) {
        (void)ivf_folder_remove(source);
        ck_assert_int_eq(ivf_make_folder(source), MPIVF_OK);
        ck_assert_int_eq(small_make(&small, factory, metric), MPIVF_OK);
        ck_assert_int_eq(small_write(&small, source), MPIVF_OK);
        small_free(&small);
    }
    ivf_barrier(test_ctx);
}

static int export_to(const char *index, const char *output, ivf_export_format format)
{
    const ivf_export_config config = {.index = index, .output = output, .format = format, .nprobe = 5};
    ivf_export_report report;
    int rc = ivf_export(test_ctx, &config, &report);
    test_all(rc != MPIVF_OK || report.postings == POSTINGS);
    return rc;
}

static int import_from(const char *path, int64_t fragment_rows, ivf_import_report *report)
{
    json_t *options = json_object();
    const ivf_import_config config = {.file = path, .index = target, .fragment_rows = fragment_rows, .config = options};
    int rc = ivf_import(test_ctx, &config, report);
    json_decref(options);
    return rc;
}

static void forget_target(void)
{
    ivf_barrier(test_ctx);
    if (ivf_ctx_is_root(test_ctx))
        (void)ivf_folder_remove(target);
    ivf_barrier(test_ctx);
}

static uint64_t checksum_of(const char *path)
{
    int64_t bytes = 0;
    uint64_t checksum = 0;
    ck_assert_int_eq(ivf_file_checksum(path, &bytes, &checksum), MPIVF_OK);
    return checksum;
}

/* ---- there and back ---- */

static const struct {
    const char *factory;
    ivf_metric metric;
} shapes[] = {{"IVF24,Flat", IVF_L2},  {"IVF24,Flat", IVF_IP},   {"IVF24,SQfp16", IVF_L2}, {"IVF24,SQ8", IVF_L2},
              {"IVF24,SQ6", IVF_IP},   {"IVF24,SQ4", IVF_L2},    {"IVF24,PQ4", IVF_L2},    {"IVF24,PQ4x5", IVF_COSINE},
              {"IVF24,PQ8x4", IVF_IP}, {"IVF24,PQ8x4fs", IVF_L2}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

START_TEST(what_was_exported_comes_back)
{
    const ivf_metric metric = shapes[_i].metric;
    ivf_import_report report;
    ivf_verify_report verified;
    make_source(shapes[_i].factory, metric);
    test_all(export_to(source, file, IVF_EXPORT_FAISS) == MPIVF_OK);
    test_all(import_from(file, 200, &report) == MPIVF_OK);
    test_all(report.rows == POSTINGS && report.fragments == 8 && report.nprobe == 5);
    test_all(report.metric == (metric == IVF_COSINE ? IVF_IP : metric));
    test_all(ivf_verify(test_ctx, target, true, &verified) == MPIVF_OK && verified.postings == POSTINGS);
    test_all(export_to(target, again, IVF_EXPORT_FAISS) == MPIVF_OK);
    test_all(checksum_of(file) == checksum_of(again));
    forget_target();
}
END_TEST

START_TEST(lists_come_from_a_file_of_their_own)
{
    ivf_import_report report;
    make_source("IVF24,SQ8", IVF_L2);
    test_all(export_to(source, file, IVF_EXPORT_FAISS) == MPIVF_OK);
    test_all(export_to(source, again, IVF_EXPORT_FAISS_DISK) == MPIVF_OK);
    test_all(import_from(again, 0, &report) == MPIVF_OK && report.fragments == 1);
    test_all(export_to(target, again, IVF_EXPORT_FAISS) == MPIVF_OK);
    test_all(checksum_of(file) == checksum_of(again));
    forget_target();
}
END_TEST

START_TEST(an_index_that_is_there_stays)
{
    ivf_import_report report;
    make_source("IVF24,SQ8", IVF_L2);
    test_all(export_to(source, file, IVF_EXPORT_FAISS) == MPIVF_OK);
    test_all(import_from(file, 0, &report) == MPIVF_OK);
    test_all(import_from(file, 0, &report) == MPIVF_CONFLICT);
    test_all(strstr(ivf_error_last()->text, "--replace") != NULL);
    forget_target();
}
END_TEST

/* ---- what does not go out ---- */

START_TEST(damage_is_not_exported)
{
    make_source("IVF24,PQ4", IVF_L2);
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_manifest *manifest = NULL;
        char path[IVF_PATH_BYTES];
        ck_assert_int_eq(ivf_manifest_read(source, &manifest), MPIVF_OK);
        ck_assert_int_eq(ivf_layout_fragment(source, manifest->fragments[2].id, path), MPIVF_OK);
        ivf_manifest_free(manifest);
        int fd = open(path, O_RDWR);
        uint8_t bytes[64];
        ck_assert_int_eq(pread(fd, bytes, sizeof bytes, 3 * 4096), sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] ^= 0x10;
        ck_assert_int_eq(pwrite(fd, bytes, sizeof bytes, 3 * 4096), sizeof bytes);
        (void)close(fd);
    }
    ivf_barrier(test_ctx);
    test_all(export_to(source, file, IVF_EXPORT_FAISS) == MPIVF_CORRUPT);
    test_all(access(file, F_OK) != 0);
}
END_TEST

/* ---- what does not come in ---- */

/* Bytes 0 to n - 1 of the file, through ivf_new. */
static uint8_t *read_whole(const char *path, size_t *n)
{
    char *bytes = NULL;
    ck_assert_int_eq(ivf_file_read(path, (size_t)1 << 24, &bytes, n), MPIVF_OK);
    return (uint8_t *)bytes;
}

/* Damage number i: the file is cut off, some bytes are changed (most in the head, where the numbers are), or eight
 * bytes become a large number. */
static size_t damage(uint8_t *bytes, size_t n, size_t head, int i)
{
    const uint64_t random = ivf_rng_below(5, IVF_RNG_TEST, (uint64_t)i, INT64_MAX);
    static const uint64_t large[] = {UINT64_MAX, INT64_MAX, (uint64_t)1 << 62, (uint64_t)1 << 40, 0x7fffffff, 1};
    if (i % 3 == 0)
        return (size_t)(random % n);
    const size_t range = i % 2 == 0 ? n : head;
    const size_t at = (size_t)(random % (range - 8));
    if (i % 3 == 1)
        bytes[at] ^= (uint8_t)(1 + random % 255);
    else
        memcpy(bytes + at, &large[(size_t)i / 3 % 6], 8);
    return n;
}

/* Collective. Imports the damaged file: either it is refused, and nothing is left, or the index is sound. Never is more
 * memory asked for than the file could fill. */
static void survive(size_t bytes, int *refused)
{
    ivf_import_report report;
    ivf_verify_report verified;
    const size_t before = ivf_memory_now();
    ivf_memory_reset_peak();
    int rc = import_from(file, 0, &report);
    test_all(ivf_memory_peak() - before < 24 * bytes + (8U << 20));
    test_all(rc == MPIVF_OK || rc == MPIVF_BAD_INPUT);
    test_all(rc == MPIVF_OK || ivf_error_last()->text[0] != '\0');
    if (rc == MPIVF_OK)
        test_all(ivf_verify(test_ctx, target, false, &verified) == MPIVF_OK);
    else
        test_all(access(target, F_OK) != 0);
    test_all(ivf_memory_now() == before);
    *refused += rc != MPIVF_OK;
    forget_target();
}

START_TEST(damaged_files_are_refused_or_harmless)
{
    static const char *const factories[] = {"IVF24,Flat", "IVF24,SQ6", "IVF24,PQ4"};
    size_t n = 0;
    int refused = 0;
    uint8_t *whole = NULL;
    make_source(factories[_i], IVF_L2);
    test_all(export_to(source, file, IVF_EXPORT_FAISS) == MPIVF_OK);
    if (ivf_ctx_is_root(test_ctx))
        whole = read_whole(file, &n);
    uint64_t shared = n;
    ivf_bcast(test_ctx, &shared, sizeof shared);
    /* All of them on one rank, some on several. */
    const int count = ivf_ctx_size(test_ctx) == 1 ? DAMAGED / 3 : DAMAGED / 30;
    for (int i = _i * DAMAGED / 3; i < _i * DAMAGED / 3 + count; i++) {
        if (whole != NULL) {
            uint8_t *bytes = ivf_new(n, 1);
            memcpy(bytes, whole, n);
            test_write_file(file, bytes, damage(bytes, n, 3000, i));
            ivf_free(bytes);
        }
        ivf_barrier(test_ctx);
        survive((size_t)shared, &refused);
    }
    test_all(refused >= count / 3);
    ivf_free(whole);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interop");
    TCase *tc = tcase_create("faiss");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, what_was_exported_comes_back, 0, SHAPES);
    tcase_add_test(tc, lists_come_from_a_file_of_their_own);
    tcase_add_test(tc, an_index_that_is_there_stays);
    tcase_add_test(tc, damage_is_not_exported);
    tcase_add_loop_test(tc, damaged_files_are_refused_or_harmless, 0, 3);
    suite_add_tcase(suite, tc);
    return test_mpi_run(suite);
}
