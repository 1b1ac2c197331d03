/* index/: fragments and manifests on disk, and what their readers refuse. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "index/manifest.h"
#include "io/h5.h"
#include "temp.h"

static char folder[TEST_PATH_BYTES];

static void setup(void)
{
    char path[TEST_PATH_BYTES + 32];
    static const char *const below[] = {"manifests", "models", "fragments"};
    test_temp_make(folder);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, below[i]);
        ck_assert_int_eq(mkdir(path, 0777), 0);
    }
    ivf_log_set(false, IVF_LOG_QUIET);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

enum { NLIST = 4, CODE_SIZE = 3 };

/* Lists of 2, 0, 3 and 1 postings, and one skipped row. */
static ivf_fragment *make_fragment(void)
{
    static const uint64_t offsets[NLIST + 1] = {0, 2, 2, 5, 6};
    ivf_fragment *f = NULL;
    ck_assert_int_eq(ivf_fragment_new(NLIST, CODE_SIZE, 6, 1, &f), MPIVF_OK);
    memcpy(f->offsets, offsets, sizeof offsets);
    for (uint64_t i = 0; i < 6; i++) {
        f->ids[i] = 100 + i;
        memset(f->codes + i * CODE_SIZE, (int)i, CODE_SIZE);
    }
    f->skipped_rows[0] = 3;
    f->skipped_ids[0] = 777;
    f->skipped_reasons[0] = IVF_ROW_ZERO_NORM;
    return f;
}

static ivf_fragment_record write_fragment(ivf_fragment *f)
{
    ivf_fragment_record record = {.id = "0123abcd-000000", .rows = 7};
    ck_assert_int_eq(ivf_fragment_write(f, folder, &record), MPIVF_OK);
    record.digest_in = record.digest_out;
    ivf_fragment_free(f);
    return record;
}

START_TEST(a_fragment_comes_back_as_it_was)
{
    ivf_fragment *f = NULL;
    ivf_fragment_record record = write_fragment(make_fragment());
    ck_assert_int_eq(record.postings, 6);
    ck_assert_int_eq(record.skipped[IVF_ROW_ZERO_NORM], 1);
    ck_assert_int_eq(ivf_fragment_read(folder, record.id, NLIST, CODE_SIZE, &f), MPIVF_OK);
    ck_assert_int_eq(f->postings, 6);
    ck_assert_uint_eq(f->offsets[3], 5);
    ck_assert_uint_eq(f->ids[5], 105);
    ck_assert_uint_eq(f->codes[5 * CODE_SIZE + 2], 5);
    ck_assert_uint_eq(f->skipped_ids[0], 777);
    ck_assert_uint_eq(f->skipped_rows[0], 3);
    ivf_fragment_free(f);
}
END_TEST

START_TEST(equal_fragments_are_equal_files)
{
    ivf_fragment_record first = write_fragment(make_fragment());
    ivf_fragment_record second = write_fragment(make_fragment());
    ck_assert_uint_eq(first.checksum, second.checksum);
    ck_assert_int_eq(first.bytes, second.bytes);
}
END_TEST

START_TEST(a_fragment_of_another_model_is_refused)
{
    ivf_fragment *f = NULL;
    ivf_fragment_record record = write_fragment(make_fragment());
    ck_assert_int_eq(ivf_fragment_read(folder, record.id, NLIST + 1, CODE_SIZE, &f), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "list_offsets has 5 entries"));
    ck_assert_int_eq(ivf_fragment_read(folder, record.id, NLIST, CODE_SIZE + 1, &f), MPIVF_CORRUPT);
    ck_assert_ptr_null(f);
}
END_TEST

/* As somebody else may write it, all checksums right. */
static ivf_fragment_record write_by_hand(ivf_fragment *f)
{
    ivf_fragment_record record = {.id = "0123abcd-000000"};
    char path[IVF_PATH_BYTES];
    ivf_h5 *file = NULL;
    const ivf_array arrays[] = {{"list_offsets", IVF_U64, 1, {NLIST + 1}, f->offsets},
                                {"ids", IVF_U64, 1, {f->postings}, f->ids},
                                {"codes", IVF_U8, 2, {f->postings, CODE_SIZE}, f->codes},
                                {"skipped/rows", IVF_U64, 1, {1}, f->skipped_rows},
                                {"skipped/ids", IVF_U64, 1, {1}, f->skipped_ids},
                                {"skipped/reasons", IVF_U8, 1, {1}, f->skipped_reasons}};
    ck_assert_int_eq(ivf_layout_fragment(folder, record.id, path), MPIVF_OK);
    (void)unlink(path);
    ck_assert_int_eq(ivf_h5_create(path, &file), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_write_text(file, "format", "mpivf fragment"), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_write_i64(file, "format_version", 1), MPIVF_OK);
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        ck_assert_int_eq(ivf_h5_write(file, &arrays[i]), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_close(file), MPIVF_OK);
    ivf_fragment_free(f);
    return record;
}

START_TEST(broken_list_offsets_are_refused)
{
    static const struct {
        int at;
        uint64_t value;
        const char *says;
    } cases[] = {{0, 1, "list 0 starts at 1"}, {2, 1, "list 1 ends at 1"}, {4, 7, "lists end at 7 of 6"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ivf_fragment *f = make_fragment();
        f->offsets[cases[i].at] = cases[i].value;
        ivf_fragment_record record = write_by_hand(f);
        ck_assert_int_eq(ivf_fragment_read(folder, record.id, NLIST, CODE_SIZE, &f), MPIVF_CORRUPT);
        ck_assert_msg(strstr(ivf_error_last()->text, cases[i].says) != NULL, "%s", ivf_error_last()->text);
    }
}
END_TEST

START_TEST(ids_are_held_against_the_manifest)
{
    ivf_fragment *f = NULL;
    ivf_fragment_record record = write_fragment(make_fragment());
    ck_assert_int_eq(ivf_fragment_open(folder, &record, NLIST, CODE_SIZE, &f), MPIVF_OK);
    ivf_fragment_free(f);
    record.digest_in++;
    ck_assert_int_eq(ivf_fragment_open(folder, &record, NLIST, CODE_SIZE, &f), MPIVF_CORRUPT);
    ck_assert_ptr_null(f);
    f = make_fragment();
    f->ids[2] |= (uint64_t)1 << 63;
    record = write_fragment(f);
    ck_assert_int_eq(ivf_fragment_open(folder, &record, NLIST, CODE_SIZE, &f), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "posting 2 has the id"));
}
END_TEST

START_TEST(a_file_that_the_manifest_names_must_be_there)
{
    ivf_fragment *f = NULL;
    ck_assert_int_eq(ivf_fragment_read(folder, "0123abcd-000009", NLIST, CODE_SIZE, &f), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "is missing"));
}
END_TEST

/* ---- manifests ---- */

typedef struct {
    ivf_manifest manifest;
    ivf_fragment_record fragments[2];
    ivf_manifest_shard shard;
    int64_t list_sizes[NLIST];
} test_manifest;

static void fill_manifest(test_manifest *t, int64_t version)
{
    *t = (test_manifest){
        .shard = {.path = (char *)(uintptr_t) "/data/a.npy", .format = (char *)(uintptr_t) "npy", .rows = 17},
        .list_sizes = {2, 4, 4, 6}};
    t->fragments[0] =
        (ivf_fragment_record){.id = "ab-0", .rows = 10, .postings = 9, .digest_in = 5, .digest_out = 5, .bytes = 4096};
    t->fragments[0].skipped[IVF_ROW_NOT_FINITE] = 1;
    t->fragments[1] = (ivf_fragment_record){.id = "ab-1",
                                            .number = 1,
                                            .first_row = 10,
                                            .rows = 7,
                                            .postings = 7,
                                            .digest_in = ~0ULL,
                                            .digest_out = ~0ULL,
                                            .bytes = 4096};
    t->manifest = (ivf_manifest){.version = version,
                                 .build_id = "ab",
                                 .model_id = "cd",
                                 .d = 8,
                                 .code_size = 32,
                                 .rows = 17,
                                 .postings = 16,
                                 .digest_in = 4,
                                 .digest_out = 4,
                                 .list_sizes = t->list_sizes,
                                 .fragment_count = 2,
                                 .fragments = t->fragments,
                                 .shard_count = 1,
                                 .shards = &t->shard};
    t->manifest.skipped[IVF_ROW_NOT_FINITE] = 1;
    ck_assert_int_eq(ivf_factory_parse("IVF4,Flat", &t->manifest.factory), MPIVF_OK);
}

START_TEST(a_manifest_comes_back_as_it_was)
{
    test_manifest t;
    ivf_manifest *read = NULL;
    fill_manifest(&t, 1);
    ck_assert_int_eq(ivf_manifest_commit(&t.manifest, folder), MPIVF_OK);
    ck_assert_int_eq(ivf_manifest_read(folder, &read), MPIVF_OK);
    ck_assert_int_eq(read->version, 1);
    ck_assert_int_eq(read->fragments[1].first_row, 10);
    ck_assert_uint_eq(read->fragments[1].digest_in, ~0ULL);
    ck_assert_int_eq(read->skipped[IVF_ROW_NOT_FINITE], 1);
    ck_assert_int_eq(read->list_sizes[3], 6);
    ck_assert_str_eq(read->shards[0].path, "/data/a.npy");
    ivf_manifest_free(read);
}
END_TEST

START_TEST(a_version_is_committed_once)
{
    test_manifest t;
    fill_manifest(&t, 1);
    ck_assert_int_eq(ivf_manifest_commit(&t.manifest, folder), MPIVF_OK);
    ck_assert_int_eq(ivf_manifest_commit(&t.manifest, folder), MPIVF_CONFLICT);
}
END_TEST

START_TEST(what_no_reader_takes_is_not_committed)
{
    test_manifest t;
    int64_t latest = -1;
    fill_manifest(&t, 1);
    (void)snprintf(t.fragments[1].id, sizeof t.fragments[1].id, "UPPER");
    ck_assert_int_eq(ivf_manifest_commit(&t.manifest, folder), MPIVF_CORRUPT);
    ck_assert_int_eq(ivf_manifest_latest(folder, &latest), MPIVF_OK);
    ck_assert_int_eq(latest, 0);
}
END_TEST

START_TEST(only_the_names_of_manifests_count)
{
    static const char *const names[] = {"0000009.json",
                                        "9.json",
                                        "000009.jso",
                                        "000009.json.tmp",
                                        "9223372036854775806.json",
                                        "-00001.json",
                                        "99999999999999999999.json"};
    char path[TEST_PATH_BYTES + 64];
    int64_t latest = -1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/manifests/%s", folder, names[i]);
        test_write_file(path, "{}", 2);
    }
    ck_assert_int_eq(ivf_manifest_latest(folder, &latest), MPIVF_OK);
    ck_assert_int_eq(latest, 0);
}
END_TEST

START_TEST(rows_that_do_not_add_up_are_never_committed_or_read)
{
    test_manifest t;
    fill_manifest(&t, 1);
    t.fragments[1].postings = 6;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_manifest(&t, 1);
    t.fragments[0].digest_out = 6;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_manifest(&t, 1);
    t.list_sizes[0]--;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_manifest(&t, 1);
    t.shard.rows++;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_manifest(&t, 1);
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_OK);
}
END_TEST

/* What a hostile hand wrote: sums that come out right modulo 2^64, and numbers that lead out of tables. */
START_TEST(numbers_that_only_wrap_around_are_refused)
{
    test_manifest t;
    fill_manifest(&t, 1);
    t.fragments[1].number = (int64_t)1 << 40;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "has number 1099511627776, but is number 1"));
    /* More postings than rows, by as much as the skipped rows wrap around. */
    fill_manifest(&t, 1);
    t.fragments[0].postings += 1000;
    t.fragments[0].bytes = INT64_MAX / 2;
    t.fragments[0].skipped[IVF_ROW_NOT_FINITE] = INT64_MAX;
    t.fragments[0].skipped[IVF_ROW_ZERO_NORM] = INT64_MAX;
    t.fragments[0].skipped[IVF_ROW_OUT_OF_RANGE] = 3 - 1000;
    t.list_sizes[0] += 1000;
    t.manifest.postings += 1000;
    memcpy(t.manifest.skipped, t.fragments[0].skipped, sizeof t.manifest.skipped);
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "fragment ab-0 do not add up"));
    /* The same in the total alone. */
    fill_manifest(&t, 1);
    t.manifest.skipped[IVF_ROW_NOT_FINITE] = t.manifest.skipped[IVF_ROW_ZERO_NORM] = INT64_MAX;
    t.manifest.skipped[IVF_ROW_OUT_OF_RANGE] = 3;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "rows do not add up"));
    fill_manifest(&t, 1);
    t.fragments[0].bytes = 100;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "cannot hold 9 postings in 100 bytes"));
    fill_manifest(&t, 1);
    t.shard.first_row = -1;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "/data/a.npy has 17 rows from row -1"));
}
END_TEST

/* The same, compacted: two fragments of two lists each. */
static void fill_compacted(test_manifest *t, int64_t version)
{
    fill_manifest(t, version);
    t->manifest.layout = IVF_LAYOUT_LISTS;
    t->manifest.compacted = (ivf_manifest_origin){.version = 1, .build_id = "ab", .fragment_bytes = 4096};
    t->fragments[0].postings = 6;
    t->fragments[0].rows = 7;
    t->fragments[0].lists = 2;
    t->fragments[1].postings = t->fragments[1].rows = 10;
    t->fragments[1].first_row = 0;
    t->fragments[1].first_list = t->fragments[1].lists = 2;
}

START_TEST(a_compacted_version_comes_back_as_it_was)
{
    test_manifest t;
    ivf_manifest *read = NULL;
    int32_t first = 0;
    int32_t count = 0;
    fill_compacted(&t, 2);
    ck_assert_int_eq(ivf_manifest_commit(&t.manifest, folder), MPIVF_OK);
    ck_assert_int_eq(ivf_manifest_read(folder, &read), MPIVF_OK);
    ck_assert_int_eq(read->layout, IVF_LAYOUT_LISTS);
    ck_assert_int_eq(read->compacted.version, 1);
    ck_assert_str_eq(read->compacted.build_id, "ab");
    ck_assert_int_eq(read->compacted.fragment_bytes, 4096);
    ck_assert(!read->compacted.single_file);
    ivf_manifest_lists_of(read, &read->fragments[1], &first, &count);
    ck_assert_int_eq(first, 2);
    ck_assert_int_eq(count, 2);
    ivf_manifest_free(read);
}
END_TEST

START_TEST(lists_that_do_not_add_up_are_never_committed_or_read)
{
    test_manifest t;
    fill_compacted(&t, 2);
    t.fragments[1].first_list = 1;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_compacted(&t, 2);
    t.fragments[1].lists = 1;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_compacted(&t, 2);
    t.fragments[0].lists = INT32_MAX;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_compacted(&t, 2);
    t.list_sizes[1]++;
    t.list_sizes[2]--;
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_CORRUPT);
    fill_compacted(&t, 2);
    ck_assert_int_eq(ivf_manifest_check(&t.manifest, "m"), MPIVF_OK);
}
END_TEST

static char *read_text(int64_t version, char path[TEST_PATH_BYTES + 32], size_t *bytes)
{
    char *text = NULL;
    (void)snprintf(path, TEST_PATH_BYTES + 32, "%s/manifests/%06d.json", folder, (int)version);
    ck_assert_int_eq(ivf_file_read(path, 1 << 20, &text, bytes), MPIVF_OK);
    return text;
}

START_TEST(a_torn_newest_manifest_falls_back)
{
    test_manifest t;
    char path[TEST_PATH_BYTES + 32];
    size_t bytes = 0;
    for (int64_t version = 1; version <= 2; version++) {
        fill_manifest(&t, version);
        ck_assert_int_eq(ivf_manifest_commit(&t.manifest, folder), MPIVF_OK);
    }
    char *text = read_text(2, path, &bytes);
    for (size_t length = 0; length < bytes; length += 97) {
        ivf_manifest *read = NULL;
        test_write_file(path, text, length);
        ck_assert_int_eq(ivf_manifest_read(folder, &read), MPIVF_OK);
        ck_assert_int_eq(read->version, 1);
        ivf_manifest_free(read);
    }
    ivf_free(text);
}
END_TEST

START_TEST(any_changed_character_is_noticed)
{
    test_manifest t;
    char path[TEST_PATH_BYTES + 32];
    size_t bytes = 0;
    fill_manifest(&t, 1);
    ck_assert_int_eq(ivf_manifest_commit(&t.manifest, folder), MPIVF_OK);
    char *text = read_text(1, path, &bytes);
    for (size_t i = 0; i < bytes; i++) {
        ivf_manifest *read = NULL;
        if (text[i] == ' ' || text[i] == '\n')
            continue;
        text[i] ^= 1;
        test_write_file(path, text, bytes);
        ck_assert_msg(ivf_manifest_read(folder, &read) == MPIVF_CORRUPT, "character %zu", i);
        text[i] ^= 1;
    }
    ivf_free(text);
}
END_TEST

START_TEST(an_id_cannot_lead_out_of_the_index)
{
    test_manifest t;
    ivf_manifest *read = NULL;
    fill_manifest(&t, 1);
    (void)snprintf(t.fragments[1].id, sizeof t.fragments[1].id, "../../evil");
    json_t *json = ivf_manifest_to_json(&t.manifest);
    ck_assert_int_eq(ivf_manifest_from_json(json, "m", &read), MPIVF_CORRUPT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "../../evil"));
    json_decref(json);
}
END_TEST

START_TEST(no_index_is_bad_input)
{
    ivf_manifest *read = NULL;
    ck_assert_int_eq(ivf_manifest_read(folder, &read), MPIVF_BAD_INPUT);
    ck_assert_int_eq(ivf_manifest_read("/nowhere/at/all", &read), MPIVF_BAD_INPUT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index");
    TCase *tests = tcase_create("index");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_fragment_comes_back_as_it_was);
    tcase_add_test(tests, equal_fragments_are_equal_files);
    tcase_add_test(tests, a_fragment_of_another_model_is_refused);
    tcase_add_test(tests, broken_list_offsets_are_refused);
    tcase_add_test(tests, ids_are_held_against_the_manifest);
    tcase_add_test(tests, a_file_that_the_manifest_names_must_be_there);
    tcase_add_test(tests, a_manifest_comes_back_as_it_was);
    tcase_add_test(tests, a_version_is_committed_once);
    tcase_add_test(tests, what_no_reader_takes_is_not_committed);
    tcase_add_test(tests, only_the_names_of_manifests_count);
    tcase_add_test(tests, rows_that_do_not_add_up_are_never_committed_or_read);
    tcase_add_test(tests, numbers_that_only_wrap_around_are_refused);
    tcase_add_test(tests, a_compacted_version_comes_back_as_it_was);
    tcase_add_test(tests, lists_that_do_not_add_up_are_never_committed_or_read);
    tcase_add_test(tests, a_torn_newest_manifest_falls_back);
    tcase_add_test(tests, any_changed_character_is_noticed);
    tcase_add_test(tests, an_id_cannot_lead_out_of_the_index);
    tcase_add_test(tests, no_index_is_bad_input);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
