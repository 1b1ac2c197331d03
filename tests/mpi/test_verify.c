/* index/verify and what it is made of: one changed byte anywhere in an index is found, and named as narrowly as it can
 * be. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "comm/transfer.h"
#include "index/inspect.h"
#include "index/verify.h"
#include "io/publish.h"
#include "mpi_suite.h"
#include "small_index.h"
#include "temp.h"

static char folder[TEST_PATH_BYTES];
static ivf_manifest *manifest;
static int64_t list_sizes[SMALL_NLIST];

static void setup(void)
{
    small_index small;
    ivf_log_set(false, IVF_LOG_QUIET);
    test_shared_temp_make(folder);
    if (ivf_ctx_is_root(test_ctx)) {
        ck_assert_int_eq(small_make(&small, "IVF24,PQ4", IVF_L2), MPIVF_OK);
        ck_assert_int_eq(small_write(&small, folder), MPIVF_OK);
        small_free(&small);
        ck_assert_int_eq(ivf_manifest_read(folder, &manifest), MPIVF_OK);
    }
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    ivf_manifest_free(manifest);
    manifest = NULL;
    test_shared_temp_remove(folder);
}

/* ---- flipping a byte ---- */

static int64_t size_of(const char *path)
{
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    return info.st_size;
}

static void flip(const char *path, int64_t at, uint8_t bits)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= bits;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
}

static uint8_t some_bits(int64_t at)
{
    return (uint8_t)(1 + ivf_rng_below(1, IVF_RNG_TEST, (uint64_t)at, 255));
}

/* ---- where a byte lies ---- */

enum { MOST_REGIONS = 8 };

typedef struct {
    const char *name;
    int64_t first, end; /* bytes of the file */
    int64_t row_bytes;
} region;

static int find_regions(const char *path, const char *const *names, int count, region *regions)
{
    ivf_h5 *file = NULL;
    int found = 0;
    ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_OK);
    for (int i = 0; i < count; i++) {
        ivf_array array;
        int64_t at = -1;
        ck_assert_int_eq(ivf_h5_describe(file, names[i], &array, &at), MPIVF_OK);
        if (at < 0)
            continue;
        int64_t bytes = (int64_t)ivf_array_bytes(&array);
        regions[found++] = (region){names[i], at, at + bytes, bytes / array.dims[0]};
    }
    ivf_h5_release(file);
    return found;
}

static const region *region_of(const region *regions, int count, int64_t at)
{
    for (int i = 0; i < count; i++)
        if (at >= regions[i].first && at < regions[i].end)
            return &regions[i];
    return NULL;
}

static bool names_one_of(const char *text, const char *before, int32_t a, int32_t b)
{
    const char *at = strstr(text, before);
    for (at = at == NULL ? NULL : at + strlen(before); at != NULL && *at >= '0' && *at <= '9';) {
        char *end = NULL;
        long found = strtol(at, &end, 10);
        if (found == a || found == b)
            return true;
        at = strncmp(end, ", ", 2) == 0 ? end + 2 : NULL;
    }
    return false;
}

/* Whether the text says what a reader of the index needs: what was changed, and of which list. */
static bool is_named(const char *text, const region *where, const ivf_fragment *f, int64_t at)
{
    char expected[64];
    if (where == NULL)
        return true;
    int64_t row = (at - where->first) / where->row_bytes;
    if (strcmp(where->name, "list_offsets") == 0)
        return names_one_of(text, "list_offsets of list ", (int32_t)row, (int32_t)row - 1) ||
               names_one_of(text, "list_offsets of lists ", (int32_t)row, (int32_t)row - 1);
    if (strncmp(where->name, "skipped/", 8) == 0)
        return strstr(text, where->name) != NULL;
    int64_t list = row;
    if (strcmp(where->name, "list_checksums") != 0)
        for (list = 0; (uint64_t)row >= f->offsets[list + 1];)
            list++;
    (void)snprintf(expected, sizeof expected, "%s of list %d were changed\n", where->name, (int)list);
    return strstr(text, expected) != NULL;
}

/* ---- fragments ---- */

static void check_flip(const char *path, const ivf_fragment_record *record, const region *where, const ivf_fragment *f,
                       int64_t at)
{
    ivf_findings findings = {0};
    char number[32];
    int64_t bytes = 0;
    uint8_t bits = some_bits(at);
    flip(path, at, bits);
    int rc = ivf_inspect_fragment(folder, manifest, record, list_sizes, &bytes, &findings);
    flip(path, at, bits);
    ck_assert_int_eq(rc, MPIVF_OK);
    ck_assert_msg(findings.count == 1, "byte %lld: %lld findings", (long long)at, (long long)findings.count);
    (void)snprintf(number, sizeof number, "fragment %lld: ", (long long)record->number);
    ck_assert_msg(strncmp(findings.text.text, number, strlen(number)) == 0 && strstr(findings.text.text, path) != NULL,
                  "%s", findings.text.text);
    ck_assert_msg(is_named(findings.text.text, where, f, at), "byte %lld, %s: %s", (long long)at,
                  where != NULL ? where->name : "none", findings.text.text);
    ivf_text_free(&findings.text);
}

static void check_fragment(int64_t number)
{
    static const char *const names[] = {"list_offsets", "ids",         "codes",          "list_checksums",
                                        "skipped/rows", "skipped/ids", "skipped/reasons"};
    const ivf_fragment_record *record = &manifest->fragments[number];
    region regions[MOST_REGIONS];
    char path[IVF_PATH_BYTES];
    ivf_fragment *f = NULL;
    ck_assert_int_eq(ivf_layout_fragment(folder, record->id, path), MPIVF_OK);
    ck_assert_int_eq(ivf_fragment_open(folder, record, SMALL_NLIST, manifest->code_size, &f), MPIVF_OK);
    int count = find_regions(path, names, 7, regions);
    for (int64_t at = 0; at < size_of(path); at++) {
        const region *where = region_of(regions, count, at);
        int64_t every = where == NULL ? 151 : where->end - where->first > 500 ? 31 : 7;
        if ((at + number) % every == 0)
            check_flip(path, record, where, f, at);
    }
    ivf_fragment_free(f);
}

START_TEST(a_changed_byte_of_a_fragment_is_found_and_its_list_named)
{
    if (ivf_ctx_is_root(test_ctx) && ivf_ctx_size(test_ctx) == 1)
        for (int64_t number = 0; number < manifest->fragment_count; number++)
            check_fragment(number);
    ivf_barrier(test_ctx);
}
END_TEST

/* ---- the model ---- */

START_TEST(a_changed_byte_of_the_model_is_found_and_its_dataset_named)
{
    static const char *const names[] = {"centroids", "grid/centre", "grid/step", "objective", "codec/codebooks"};
    region regions[MOST_REGIONS];
    char path[IVF_PATH_BYTES];
    bool alone = ivf_ctx_size(test_ctx) == 1;
    int count = alone ? (ivf_layout_model(folder, manifest->model_id, path), find_regions(path, names, 5, regions)) : 0;
    for (int64_t at = 0; alone && at < size_of(path); at++) {
        const region *where = region_of(regions, count, at);
        ivf_findings findings = {0};
        int64_t bytes = 0;
        uint8_t bits = some_bits(at);
        if (at % (where == NULL ? 307 : where->end - where->first > 500 ? 61 : 3) != 0)
            continue;
        flip(path, at, bits);
        ck_assert_int_eq(ivf_inspect_model(folder, manifest, &bytes, &findings), MPIVF_OK);
        flip(path, at, bits);
        ck_assert_msg(findings.count == 1, "byte %lld: %lld findings", (long long)at, (long long)findings.count);
        ck_assert_ptr_nonnull(strstr(findings.text.text, path));
        ck_assert_msg(where == NULL || strstr(findings.text.text, where->name) != NULL, "byte %lld: %s", (long long)at,
                      findings.text.text);
        ivf_text_free(&findings.text);
    }
    ivf_barrier(test_ctx);
}
END_TEST

/* ---- the whole, and the manifest ---- */

/* Collective. One finding that holds `expected`, on rank 0. */
static int finds_one(const char *expected)
{
    ivf_verify_report report;
    int rc = ivf_verify(test_ctx, folder, false, &report);
    int found = rc == MPIVF_CORRUPT && report.findings == 1 &&
                (!ivf_ctx_is_root(test_ctx) || strstr(report.text, expected) != NULL);
    ivf_free(report.text);
    return found;
}

static int finds_nothing(void)
{
    ivf_verify_report report;
    int rc = ivf_verify(test_ctx, folder, true, &report);
    ivf_free(report.text);
    return rc == MPIVF_OK && report.findings == 0 && report.postings == SMALL_ROWS - 1 &&
           report.files == SMALL_FRAGMENTS + 2;
}

/* The case of a letter is the change that texts forgive most. */
START_TEST(any_changed_character_of_the_manifest_is_found)
{
    char path[IVF_PATH_BYTES];
    bool alone = ivf_ctx_size(test_ctx) == 1;
    (void)ivf_layout_manifest(folder, 1, path);
    for (int64_t at = 0; alone && at < size_of(path); at++)
        for (int i = 0; i < 2; i++) {
            uint8_t bits = i == 0 ? 0x20 : some_bits(at);
            ivf_manifest *read = NULL;
            int64_t bytes = 0;
            flip(path, at, bits);
            bool sound = ivf_manifest_read_version(folder, 1, &read) == MPIVF_OK &&
                         ivf_manifest_check_text(folder, 1, &bytes) == MPIVF_OK;
            flip(path, at, bits);
            ivf_manifest_free(read);
            ck_assert_msg(!sound, "byte %lld, bits %d", (long long)at, bits);
        }
    ivf_barrier(test_ctx);
}
END_TEST

START_TEST(any_changed_byte_of_the_manifest_is_found)
{
    char path[IVF_PATH_BYTES];
    int64_t bytes = 0;
    (void)ivf_layout_manifest(folder, 1, path);
    if (ivf_ctx_is_root(test_ctx))
        bytes = size_of(path);
    ivf_bcast(test_ctx, &bytes, sizeof bytes);
    for (int64_t at = 0; at < bytes; at += ivf_ctx_size(test_ctx) == 1 ? 37 : 977) {
        if (ivf_ctx_is_root(test_ctx))
            flip(path, at, some_bits(at));
        ivf_barrier(test_ctx);
        test_all(finds_one(path));
        if (ivf_ctx_is_root(test_ctx))
            flip(path, at, some_bits(at));
    }
    ivf_barrier(test_ctx);
    test_all(finds_nothing());
}
END_TEST

/* A random byte of a random fragment or of the model. */
static void pick(uint64_t i, char path[IVF_PATH_BYTES], int64_t *at)
{
    uint64_t file = ivf_rng_below(2, IVF_RNG_TEST, i, SMALL_FRAGMENTS + 1);
    if (file < SMALL_FRAGMENTS)
        (void)ivf_layout_fragment(folder, manifest->fragments[file].id, path);
    else
        (void)ivf_layout_model(folder, manifest->model_id, path);
    *at = (int64_t)ivf_rng_below(3, IVF_RNG_TEST, i, (uint64_t)size_of(path));
}

START_TEST(any_changed_byte_is_found_by_all_ranks_together)
{
    char path[IVF_PATH_BYTES];
    int64_t at = 0;
    for (uint64_t i = 0; i < (ivf_ctx_size(test_ctx) == 1 ? 150 : 12); i++) {
        if (ivf_ctx_is_root(test_ctx)) {
            pick(i, path, &at);
            flip(path, at, some_bits(at));
        }
        ivf_barrier(test_ctx);
        test_all(finds_one(path));
        if (ivf_ctx_is_root(test_ctx))
            flip(path, at, some_bits(at));
    }
    ivf_barrier(test_ctx);
    test_all(finds_nothing());
}
END_TEST

/* ---- worse damage ---- */

START_TEST(a_cut_or_missing_file_is_found)
{
    char path[IVF_PATH_BYTES];
    if (ivf_ctx_is_root(test_ctx)) {
        (void)ivf_layout_fragment(folder, manifest->fragments[0].id, path);
        ck_assert_int_eq(truncate(path, size_of(path) - 1), 0);
    }
    ivf_barrier(test_ctx);
    test_all(finds_one("bytes, the manifest says"));
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(unlink(path), 0);
    ivf_barrier(test_ctx);
    test_all(finds_one("is missing, though the manifest names it"));
}
END_TEST

START_TEST(much_damage_is_told_briefly)
{
    char path[IVF_PATH_BYTES];
    if (ivf_ctx_is_root(test_ctx)) {
        static const char *const names[] = {"codes"};
        region codes;
        (void)ivf_layout_fragment(folder, manifest->fragments[0].id, path);
        ck_assert_int_eq(find_regions(path, names, 1, &codes), 1);
        for (int64_t at = codes.first; at < codes.end; at++)
            flip(path, at, some_bits(at));
    }
    ivf_barrier(test_ctx);
    test_all(finds_one("codes of lists 0, 1, 2, 3, 4, 5, 6, 7 and 11 more were changed"));
}
END_TEST

START_TEST(versions_are_told_apart)
{
    ivf_verify_report report;
    char path[IVF_PATH_BYTES];
    if (ivf_ctx_is_root(test_ctx)) {
        manifest->version = 2;
        ck_assert_int_eq(ivf_manifest_commit(manifest, folder), MPIVF_OK);
        (void)ivf_layout_manifest(folder, 1, path);
        flip(path, 100, 1);
    }
    ivf_barrier(test_ctx);
    test_all(ivf_verify(test_ctx, folder, false, &report) == MPIVF_OK && report.version == 2);
    test_all(ivf_verify(test_ctx, folder, true, &report) == MPIVF_CORRUPT && report.version == 2 &&
             report.versions == 1 && report.findings == 1);
    ivf_free(report.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *tests = tcase_create("verify");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_changed_byte_of_a_fragment_is_found_and_its_list_named);
    tcase_add_test(tests, a_changed_byte_of_the_model_is_found_and_its_dataset_named);
    tcase_add_test(tests, any_changed_character_of_the_manifest_is_found);
    tcase_add_test(tests, any_changed_byte_of_the_manifest_is_found);
    tcase_add_test(tests, any_changed_byte_is_found_by_all_ranks_together);
    tcase_add_test(tests, a_cut_or_missing_file_is_found);
    tcase_add_test(tests, much_damage_is_told_briefly);
    tcase_add_test(tests, versions_are_told_apart);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
