/* index/building, index/done, build/identity: what unfinished builds leave, however it was cut or damaged. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "build/identity.h"
#include "index/building.h"
#include "index/done.h"
#include "io/folder.h"
#include "temp.h"

enum { PATH = IVF_PATH_BYTES + 256, RECORDS = 5 };

static char index_path[TEST_PATH_BYTES];
static char folder[IVF_PATH_BYTES]; /* of build "aa" */

static void make_build(const char *id)
{
    char path[IVF_PATH_BYTES];
    ck_assert_int_eq(ivf_layout_build(index_path, id, path), MPIVF_OK);
    ck_assert_int_eq(ivf_make_folder(path), MPIVF_OK);
}

static void setup(void)
{
    char path[IVF_PATH_BYTES];
    test_temp_make(index_path);
    make_build("aa");
    ck_assert_int_eq(ivf_layout_build(index_path, "aa", folder), MPIVF_OK);
    ck_assert_int_eq(ivf_layout_fragments(index_path, path), MPIVF_OK);
    ck_assert_int_eq(ivf_make_folder(path), MPIVF_OK);
    ck_assert_int_eq(ivf_layout_models(index_path, path), MPIVF_OK);
    ck_assert_int_eq(ivf_make_folder(path), MPIVF_OK);
    ivf_log_set(false, IVF_LOG_QUIET);
}

static void teardown(void)
{
    test_temp_remove(index_path);
}

static ivf_fragment_record record_of(int64_t number)
{
    ivf_fragment_record record = {.number = number, .first_row = 100 * number, .rows = 100, .postings = 99};
    (void)snprintf(record.id, sizeof record.id, "aa-%06lld", (long long)number);
    return record;
}

static void write_records(void)
{
    ivf_done_log *log = ivf_done_open(folder);
    ck_assert_ptr_nonnull(log);
    for (int64_t i = 0; i < RECORDS; i++) {
        ivf_fragment_record record = record_of(i);
        ck_assert_int_eq(ivf_done_add(log, &record), MPIVF_OK);
    }
    ivf_done_close(log);
}

static int take_name(void *arg, const char *name)
{
    if (strncmp(name, "done.", 5) == 0)
        (void)snprintf(arg, PATH, "%s/%s", folder, name);
    return MPIVF_OK;
}

/* The bytes of the one log of the folder, through ivf_new. */
static char *read_log(char path[PATH], size_t *bytes)
{
    char *text = NULL;
    path[0] = '\0';
    ck_assert_int_eq(ivf_folder_walk(folder, take_name, path), MPIVF_OK);
    ck_assert_str_ne(path, "");
    ck_assert_int_eq(ivf_file_read(path, 1 << 20, &text, bytes), MPIVF_OK);
    return text;
}

static int64_t count_records(void)
{
    ivf_fragment_record *records = NULL;
    int64_t count = 0;
    ck_assert_int_eq(ivf_done_read(folder, &records, &count), MPIVF_OK);
    for (int64_t i = 0; i < count; i++) {
        ivf_fragment_record expected = record_of(records[i].number);
        ck_assert_int_eq(memcmp(&records[i], &expected, sizeof expected), 0);
    }
    ivf_free(records);
    return count;
}

START_TEST(records_come_back_from_all_logs)
{
    ck_assert_int_eq(count_records(), 0);
    ivf_done_log *unused = ivf_done_open(folder);
    ivf_done_close(unused);
    write_records();
    write_records();
    ck_assert_int_eq(count_records(), 2 * RECORDS);
    ck_assert_int_eq(ivf_done_remove(folder), MPIVF_OK);
    ck_assert_int_eq(count_records(), 0);
}
END_TEST

/* What a killed run leaves of its last record is passed over; the records before it count. */
START_TEST(a_torn_tail_costs_one_record)
{
    char path[PATH];
    size_t bytes = 0;
    write_records();
    char *text = read_log(path, &bytes);
    ck_assert_uint_eq(bytes % RECORDS, 0);
    for (size_t kept = 0; kept <= bytes; kept += 7) {
        test_write_file(path, text, kept);
        ck_assert_int_eq(count_records(), (int64_t)(kept / (bytes / RECORDS)));
    }
    ivf_free(text);
}
END_TEST

START_TEST(any_flipped_bit_costs_its_record)
{
    char path[PATH];
    size_t bytes = 0;
    write_records();
    char *text = read_log(path, &bytes);
    for (size_t bit = 0; bit < 8 * bytes; bit += 11) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        test_write_file(path, text, bytes);
        ck_assert_int_eq(count_records(), RECORDS - 1);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
    ivf_free(text);
}
END_TEST

START_TEST(a_log_that_cannot_be_written_takes_no_more)
{
    ivf_fragment_record record = record_of(0);
    ivf_done_log *log = ivf_done_open("/nowhere");
    ck_assert_int_ne(ivf_done_add(log, &record), MPIVF_OK);
    ck_assert_int_eq(ivf_done_add(log, &record), MPIVF_FAILED);
    ivf_done_close(log);
}
END_TEST

START_TEST(a_damaged_model_record_is_none)
{
    const ivf_building_model model = {.id = "0123456789abcdef", .bytes = 4711, .checksum = 0xfedcba9876543210};
    ivf_building_model read = {.bytes = 0};
    char path[IVF_PATH_BYTES];
    char *text = NULL;
    size_t bytes = 0;
    bool found = true;
    ck_assert_int_eq(ivf_building_read_model(index_path, "aa", &read, &found), MPIVF_OK);
    ck_assert(!found && !ivf_building_holds_work(index_path, "aa"));
    ck_assert_int_eq(ivf_building_write_model(index_path, "aa", &model), MPIVF_OK);
    ck_assert_int_eq(ivf_building_read_model(index_path, "aa", &read, &found), MPIVF_OK);
    ck_assert(found && ivf_building_holds_work(index_path, "aa"));
    ck_assert_str_eq(read.id, model.id);
    ck_assert(read.bytes == model.bytes && read.checksum == model.checksum);
    ck_assert_int_eq(ivf_layout_build_file(index_path, "aa", "model.json", path), MPIVF_OK);
    ck_assert_int_eq(ivf_file_read(path, 1 << 20, &text, &bytes), MPIVF_OK);
    for (size_t kept = 0; kept + 2 < bytes; kept++) {
        test_write_file(path, text, kept);
        ck_assert_int_eq(ivf_building_read_model(index_path, "aa", &read, &found), MPIVF_OK);
        ck_assert(!found);
    }
    char *digit = strstr(text, "4711");
    *digit = '5';
    test_write_file(path, text, bytes);
    ck_assert_int_eq(ivf_building_read_model(index_path, "aa", &read, &found), MPIVF_OK);
    ck_assert(!found);
    ivf_free(text);
}
END_TEST

START_TEST(checkpoints_are_work)
{
    char path[IVF_PATH_BYTES];
    ck_assert_int_eq(ivf_layout_build_file(index_path, "aa", "train", path), MPIVF_OK);
    ck_assert_int_eq(ivf_make_folder(path), MPIVF_OK);
    ck_assert(!ivf_building_holds_work(index_path, "aa"));
    ck_assert_int_eq(ivf_layout_build_file(index_path, "aa", "train/kmeans", path), MPIVF_OK);
    test_write_file(path, "x", 1);
    ck_assert(ivf_building_holds_work(index_path, "aa"));
}
END_TEST

/* Names that could lead elsewhere are no builds. */
START_TEST(builds_are_found_in_order)
{
    char path[IVF_PATH_BYTES];
    ivf_building_list list;
    make_build("cc-1");
    make_build("bb");
    make_build("Not Ours");
    ck_assert_int_eq(ivf_layout_build(index_path, "lock", path), MPIVF_OK);
    test_write_file(path, "", 0);
    ck_assert_int_eq(ivf_building_find(index_path, &list), MPIVF_OK);
    ck_assert_int_eq(list.count, 3);
    ck_assert_str_eq(list.ids[0], "aa");
    ck_assert_str_eq(list.ids[1], "bb");
    ck_assert_str_eq(list.ids[2], "cc-1");
    ivf_free(list.ids);
    ck_assert_int_eq(ivf_building_find("/nowhere", &list), MPIVF_OK);
    ck_assert_int_eq(list.count, 0);
}
END_TEST

static bool exists(const char *name)
{
    char path[PATH];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/%s", index_path, name);
    return lstat(path, &info) == 0;
}

static void make_file(const char *name)
{
    char path[PATH];
    (void)snprintf(path, sizeof path, "%s/%s", index_path, name);
    test_write_file(path, "x", 1);
}

START_TEST(a_build_goes_with_its_own_files_alone)
{
    const ivf_building_model own = {.id = "11"};
    const ivf_building_model shared = {.id = "22"};
    static const char *const names[] = {"fragments/aa-000000.h5", "fragments/aa-000001.h5.0123.tmp",
                                        "fragments/aab-000000.h5", "models/11.h5", "models/22.h5"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        make_file(names[i]);
    make_build("aab");
    ck_assert_int_eq(ivf_building_write_model(index_path, "aa", &shared), MPIVF_OK);
    ck_assert_int_eq(ivf_building_write_model(index_path, "aab", &shared), MPIVF_OK);
    ck_assert_int_eq(ivf_building_discard(index_path, "aa"), MPIVF_OK);
    ck_assert(!exists("building/aa") && !exists(names[0]) && !exists(names[1]));
    ck_assert(exists(names[2]) && exists(names[3]) && exists(names[4]));
    make_build("aa");
    ck_assert_int_eq(ivf_building_write_model(index_path, "aa", &own), MPIVF_OK);
    ck_assert_int_eq(ivf_building_discard(index_path, "aa"), MPIVF_OK);
    ck_assert(!exists(names[3]) && exists(names[4]));
}
END_TEST

/* A damaged manifest may name anything, so nothing goes that it could name. */
START_TEST(a_damaged_manifest_protects_all)
{
    char path[IVF_PATH_BYTES];
    ck_assert_int_eq(ivf_layout_manifests(index_path, path), MPIVF_OK);
    ck_assert_int_eq(ivf_make_folder(path), MPIVF_OK);
    make_file("manifests/000001.json");
    make_file("fragments/aa-000000.h5");
    ck_assert_int_eq(ivf_building_discard(index_path, "aa"), MPIVF_OK);
    ck_assert(!exists("building/aa") && exists("fragments/aa-000000.h5"));
}
END_TEST

START_TEST(sweeping_takes_temporary_files_of_one_build)
{
    make_file("fragments/aa-000000.h5");
    make_file("fragments/aa-000001.h5.0123.tmp");
    make_file("fragments/ab-000001.h5.0123.tmp");
    ck_assert_int_eq(ivf_building_sweep(index_path, "aa"), MPIVF_OK);
    ck_assert(exists("fragments/aa-000000.h5") && exists("fragments/ab-000001.h5.0123.tmp"));
    ck_assert(!exists("fragments/aa-000001.h5.0123.tmp"));
}
END_TEST

START_TEST(a_lock_tells_who_runs)
{
    ivf_lock *lock = NULL;
    ivf_lock *again = NULL;
    ck_assert_int_eq(ivf_building_claim(index_path, "aa", &lock), MPIVF_OK);
    ck_assert_int_eq(ivf_building_claim(index_path, "aa", &again), MPIVF_CONFLICT);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, "this build is running"));
    ivf_lock_release(lock);
    ck_assert_int_eq(ivf_building_claim(index_path, "aa", &again), MPIVF_OK);
    ivf_lock_release(again);
    ck_assert_int_eq(ivf_building_enter(index_path, &lock), MPIVF_OK);
    ck_assert(exists("building/lock"));
    ivf_building_leave(index_path, lock);
    ck_assert(!exists("building/lock"));
}
END_TEST

/* ---- identities ---- */

static json_t *identity_of(int seed, int files, int bytes, const char *checksum)
{
    json_t *list = json_array();
    for (int i = 0; i < files; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s}", "path", i == 0 ? "/a.npy" : "/b.npy",
                                                    "bytes", bytes, "mtime_ns", bytes, "checksum", checksum));
    return json_pack("{s:i, s:s, s:n, s:[i,i], s:f, s:o}", "seed", seed, "metric", "l2", "ids", "assign-probes", 0,
                     seed, "tolerance", 0.25, "input", list);
}

static void expect_difference(json_t *before, json_t *now, const char *expected)
{
    ivf_text text = {0};
    ivf_identity_compare(before, now, &text);
    ck_assert_str_eq(text.text != NULL ? text.text : "", expected);
    ivf_text_free(&text);
    json_decref(before);
    json_decref(now);
}

START_TEST(differences_are_named_from_old_to_new)
{
    expect_difference(identity_of(1, 1, 10, "x"), identity_of(1, 1, 10, "x"), "");
    expect_difference(identity_of(1, 1, 10, "x"), identity_of(2, 1, 10, "x"),
                      "seed: 1 before, 2 now; assign-probes: [0,1] before, [0,2] now");
    expect_difference(identity_of(1, 1, 10, "x"), identity_of(1, 2, 10, "x"), "number of input files: 1 before, 2 now");
    expect_difference(identity_of(1, 1, 10, "x"), identity_of(1, 1, 12, "x"), "input /a.npy: 10 bytes before, 12 now");
    expect_difference(identity_of(1, 1, 10, "x"), identity_of(1, 1, 10, "y"),
                      "input /a.npy: other contents than before");
    expect_difference(identity_of(1, 2, 10, "x"), identity_of(2, 2, 10, "y"),
                      "seed: 1 before, 2 now; assign-probes: [0,1] before, [0,2] now; input /a.npy: other contents "
                      "than before; and 1 more");
    json_t *touched = identity_of(1, 1, 10, "x");
    (void)json_object_set_new(json_array_get(json_object_get(touched, "input"), 0), "mtime_ns", json_integer(11));
    expect_difference(identity_of(1, 1, 10, "x"), touched,
                      "input /a.npy: written since, or a copy (its time of change is another)");
    json_t *with_ids = identity_of(1, 1, 10, "x");
    (void)json_object_set_new(with_ids, "ids", json_string("/ids"));
    expect_difference(identity_of(1, 1, 10, "x"), with_ids, "ids: none before, /ids now");
    expect_difference(json_object(), json_pack("{s:s}", "metric", "ip"), "metric: none before, ip now");
}
END_TEST

START_TEST(ids_follow_from_identity_and_generation)
{
    char ids[4][IVF_ID_BYTES];
    json_t *one = identity_of(1, 1, 10, "x");
    json_t *two = identity_of(2, 1, 10, "x");
    ck_assert_int_eq(ivf_identity_name(one, 0, ids[0]), MPIVF_OK);
    ck_assert_int_eq(ivf_identity_name(one, 1, ids[1]), MPIVF_OK);
    ck_assert_int_eq(ivf_identity_name(one, 2, ids[2]), MPIVF_OK);
    ck_assert_int_eq(ivf_identity_name(two, 0, ids[3]), MPIVF_OK);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(ids[i], ids[j]);
    ck_assert_int_eq(ivf_identity_name(one, 0, ids[1]), MPIVF_OK);
    ck_assert_str_eq(ids[0], ids[1]);
    json_decref(one);
    json_decref(two);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("building");
    TCase *tests = tcase_create("building");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, records_come_back_from_all_logs);
    tcase_add_test(tests, a_torn_tail_costs_one_record);
    tcase_add_test(tests, any_flipped_bit_costs_its_record);
    tcase_add_test(tests, a_log_that_cannot_be_written_takes_no_more);
    tcase_add_test(tests, a_damaged_model_record_is_none);
    tcase_add_test(tests, checkpoints_are_work);
    tcase_add_test(tests, builds_are_found_in_order);
    tcase_add_test(tests, a_build_goes_with_its_own_files_alone);
    tcase_add_test(tests, a_damaged_manifest_protects_all);
    tcase_add_test(tests, sweeping_takes_temporary_files_of_one_build);
    tcase_add_test(tests, a_lock_tells_who_runs);
    tcase_add_test(tests, differences_are_named_from_old_to_new);
    tcase_add_test(tests, ids_follow_from_identity_and_generation);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
