/* build/repair: damaged and missing fragments come back byte by byte, and nothing else is touched. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "build/build.h"
#include "build/repair.h"
#include "comm/transfer.h"
#include "index/manifest.h"
#include "index/verify.h"
#include "mpi_suite.h"
#include "temp.h"

enum { ROWS = 3000, D = 16, FRAGMENTS = 8, PATH = TEST_PATH_BYTES + 64 };

static char folder[TEST_PATH_BYTES];
static char shards[2][PATH];
static char moved[2][PATH];
static char ids_path[PATH];
static char index_path[PATH];
static const char *inputs[2] = {shards[0], shards[1]};
static const char *other_inputs[2] = {moved[0], moved[1]};

/* Rank 0: half of the rows as .fbin; `spoil` one of them by a little. */
static void write_shard(const char *path, int half, int64_t spoil)
{
    const uint32_t head[2] = {ROWS / 2, D};
    static char data[8 + ROWS / 2 * D * sizeof(float)];
    float *x = (float *)(void *)(data + sizeof head);
    memcpy(data, head, sizeof head);
    for (uint64_t i = 0; i < (uint64_t)ROWS / 2 * D; i++)
        x[i] = (float)ivf_rng_normal(7 + (uint64_t)half, IVF_RNG_TEST, i);
    if (half == 0)
        memset(&x[(int64_t)100 * D], 0xff, sizeof(float)); /* a NaN, to be skipped */
    if (spoil >= 0)
        x[spoil * D] += 100;
    test_write_file(path, data, sizeof data);
}

static void setup(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    test_shared_temp_make(folder);
    (void)snprintf(index_path, sizeof index_path, "%s/index", folder);
    (void)snprintf(ids_path, sizeof ids_path, "%s/ids", folder);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(shards[i], sizeof shards[i], "%s/%d.fbin", folder, i);
        (void)snprintf(moved[i], sizeof moved[i], "%s/moved%d.fbin", folder, i);
        if (ivf_ctx_is_root(test_ctx))
            write_shard(shards[i], i, -1);
    }
    if (ivf_ctx_is_root(test_ctx)) {
        static uint64_t ids[ROWS];
        for (uint64_t i = 0; i < ROWS; i++)
            ids[i] = i << 20 | 5;
        test_write_file(ids_path, ids, sizeof ids);
    }
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

/* Collective. */
static void build(const char *factory, ivf_metric metric, bool with_ids)
{
    ivf_build_result result;
    json_t *options =
        json_pack("{s:s, s:s*, s:s}", "dataset", "train", "ids", with_ids ? ids_path : NULL, "ids-dataset", "ids");
    ivf_build_config config = {.index = index_path,
                               .input = {.inputs = inputs, .count = 2, .h5_path = "train"},
                               .ids = with_ids ? ids_path : NULL,
                               .ids_h5 = "ids",
                               .metric = metric,
                               .seed = 1,
                               .fragment_rows = 400,
                               .iterations = 3,
                               .pq_iterations = 3,
                               .assign = IVF_NEAREST_KINDS,
                               .skip_bad_rows = true,
                               .replace = true,
                               .config = options};
    test_all(ivf_factory_parse(factory, &config.factory) == MPIVF_OK);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK && result.fragments == FRAGMENTS);
    json_decref(options);
}

/* ---- damage ---- */

static void fragment_path(int64_t number, char path[IVF_PATH_BYTES])
{
    ivf_manifest *m = NULL;
    ck_assert_int_eq(ivf_manifest_read(index_path, &m), MPIVF_OK);
    ck_assert_int_eq(ivf_layout_fragment(index_path, m->fragments[number].id, path), MPIVF_OK);
    ivf_manifest_free(m);
}

static void model_path(char path[IVF_PATH_BYTES])
{
    ivf_manifest *m = NULL;
    ck_assert_int_eq(ivf_manifest_read(index_path, &m), MPIVF_OK);
    ck_assert_int_eq(ivf_layout_model(index_path, m->model_id, path), MPIVF_OK);
    ivf_manifest_free(m);
}

static void change_byte(const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    ck_assert_int_eq(ivf_file_read(path, 1 << 24, &text, &bytes), MPIVF_OK);
    text[bytes / 2] ^= 1;
    test_write_file(path, text, bytes);
    ivf_free(text);
}

/* Collective. One fragment changed, one cut off, one gone, one that is a link to a file elsewhere. */
static void damage(void)
{
    char path[IVF_PATH_BYTES];
    char outside[PATH];
    if (ivf_ctx_is_root(test_ctx)) {
        fragment_path(0, path);
        change_byte(path);
        fragment_path(3, path);
        ck_assert_int_eq(truncate(path, 1000), 0);
        fragment_path(4, path);
        ck_assert_int_eq(unlink(path), 0);
        fragment_path(7, path);
        (void)snprintf(outside, sizeof outside, "%s/outside", folder);
        test_write_file(outside, "mine", 4);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(symlink(outside, path), 0);
    }
    ivf_barrier(test_ctx);
}

static int verify_finds(int64_t findings)
{
    ivf_verify_report report;
    int rc = ivf_verify(test_ctx, index_path, true, &report);
    ivf_free(report.text);
    return report.findings == findings && rc == (findings == 0 ? MPIVF_OK : MPIVF_CORRUPT);
}

/* Collective. */
static int repair(const ivf_repair_config *config, int64_t damaged, int64_t repaired, const char *says)
{
    ivf_repair_config used = *config;
    ivf_repair_report report;
    used.index = index_path;
    int rc = ivf_repair(test_ctx, &used, &report);
    int right =
        report.damaged == damaged && report.repaired == repaired &&
        (!ivf_ctx_is_root(test_ctx) || says == NULL || (report.text != NULL && strstr(report.text, says) != NULL));
    ivf_free(report.text);
    test_all(right);
    return rc;
}

static int says(const char *words)
{
    return strstr(ivf_error_last()->text, words) != NULL;
}

/* ---- tests ---- */

START_TEST(damaged_fragments_come_back)
{
    static const struct {
        const char *factory;
        ivf_metric metric;
    } cases[] = {{"IVF16,Flat", IVF_L2}, {"IVF16,PQ4", IVF_COSINE}, {"OPQ4,IVF16,SQ8", IVF_IP}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        build(cases[i].factory, cases[i].metric, i == 1);
        damage();
        test_all(verify_finds(4));
        test_all(repair(&(ivf_repair_config){0}, 4, 4, "fragment 4 (rows 1600 to 1999): repaired\n") == MPIVF_OK);
        test_all(verify_finds(0));
        test_all(repair(&(ivf_repair_config){0}, 0, 0, NULL) == MPIVF_OK);
    }
    if (ivf_ctx_is_root(test_ctx)) {
        char outside[PATH];
        struct stat info;
        (void)snprintf(outside, sizeof outside, "%s/outside", folder);
        ck_assert(stat(outside, &info) == 0 && info.st_size == 4);
    }
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
    build("IVF16,SQ8", IVF_L2, false);
    damage();
    test_all(repair(&(ivf_repair_config){.dry_run = true}, 4, 4, "fragment 7 (rows 2800 to 2999): would be made") ==
             MPIVF_OK);
    test_all(verify_finds(4));
}
END_TEST

START_TEST(what_comes_out_otherwise_is_left_alone)
{
    build("IVF16,Flat", IVF_L2, false);
    damage();
    if (ivf_ctx_is_root(test_ctx))
        write_shard(shards[1], 1, 100); /* row 1600, of fragment 4 */
    ivf_barrier(test_ctx);
    test_all(repair(&(ivf_repair_config){0}, 4, 3, "fragment 4 (rows 1600 to 1999): not repaired: ") ==
             MPIVF_BAD_INPUT);
    test_all(says("1 of 4 damaged fragments came out otherwise"));
    test_all(verify_finds(1));
    if (ivf_ctx_is_root(test_ctx))
        write_shard(shards[1], 1, -1);
    ivf_barrier(test_ctx);
    test_all(repair(&(ivf_repair_config){0}, 1, 1, NULL) == MPIVF_OK);
    test_all(verify_finds(0));
}
END_TEST

START_TEST(input_that_was_moved_is_found_where_it_is_said_to_be)
{
    build("IVF16,SQ8", IVF_L2, true);
    damage();
    if (ivf_ctx_is_root(test_ctx)) {
        char other[PATH];
        (void)snprintf(other, sizeof other, "%s/elsewhere", folder);
        ck_assert(rename(shards[0], moved[0]) == 0 && rename(shards[1], moved[1]) == 0);
        ck_assert_int_eq(rename(ids_path, other), 0);
    }
    ivf_barrier(test_ctx);
    test_all(repair(&(ivf_repair_config){0}, 4, 0, NULL) == MPIVF_BAD_INPUT);
    test_all(says("0.fbin"));
    const char *swapped[2] = {moved[1], moved[0]};
    char elsewhere[PATH];
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    ivf_repair_config config = {.input = {.inputs = swapped, .count = 1}, .ids = elsewhere};
    test_all(repair(&config, 4, 0, NULL) == MPIVF_BAD_INPUT && says("1 files of 16"));
    config.input.count = 2;
    test_all(repair(&config, 4, 0, "not repaired") == MPIVF_BAD_INPUT);
    config.input.inputs = other_inputs;
    test_all(repair(&config, 4, 4, NULL) == MPIVF_OK);
    test_all(verify_finds(0));
}
END_TEST

START_TEST(a_shard_of_another_size_is_refused_by_name)
{
    build("IVF16,SQ8", IVF_L2, false);
    damage();
    if (ivf_ctx_is_root(test_ctx)) {
        const uint32_t head[2] = {1, D};
        const float row[D] = {0};
        char data[sizeof head + sizeof row];
        memcpy(data, head, sizeof head);
        memcpy(data + sizeof head, row, sizeof row);
        test_write_file(shards[1], data, sizeof data);
    }
    ivf_barrier(test_ctx);
    test_all(repair(&(ivf_repair_config){0}, 4, 0, NULL) == MPIVF_BAD_INPUT);
    test_all(says("1.fbin has 1 rows in 72 bytes; what was indexed"));
    test_all(verify_finds(4));
}
END_TEST

START_TEST(what_cannot_be_made_again_is_said)
{
    char path[IVF_PATH_BYTES];
    build("IVF16,SQ8", IVF_L2, false);
    build("IVF16,Flat", IVF_L2, false);
    damage();
    if (ivf_ctx_is_root(test_ctx)) {
        model_path(path);
        change_byte(path);
    }
    ivf_barrier(test_ctx);
    test_all(repair(&(ivf_repair_config){0}, 4, 0, "model: ") == MPIVF_CORRUPT);
    test_all(says("the model of version 2 is damaged") && says("--replace"));
    if (ivf_ctx_is_root(test_ctx)) {
        (void)ivf_layout_manifest(index_path, 2, path);
        change_byte(path);
    }
    ivf_barrier(test_ctx);
    test_all(repair(&(ivf_repair_config){0}, 0, 0, NULL) == MPIVF_CORRUPT);
    test_all(says("the manifest of version 2 is damaged") && says("version 1"));
}
END_TEST

START_TEST(an_index_without_ids_takes_none)
{
    build("IVF16,SQ8", IVF_L2, false);
    damage();
    test_all(repair(&(ivf_repair_config){.ids = ids_path}, 4, 0, NULL) == MPIVF_USAGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("repair");
    TCase *tests = tcase_create("repair");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, damaged_fragments_come_back);
    tcase_add_test(tests, a_dry_run_changes_nothing);
    tcase_add_test(tests, what_comes_out_otherwise_is_left_alone);
    tcase_add_test(tests, input_that_was_moved_is_found_where_it_is_said_to_be);
    tcase_add_test(tests, a_shard_of_another_size_is_refused_by_name);
    tcase_add_test(tests, what_cannot_be_made_again_is_said);
    tcase_add_test(tests, an_index_without_ids_takes_none);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
