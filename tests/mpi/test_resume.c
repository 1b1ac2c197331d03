/* build/resume, build/claim: builds that were left unfinished, continued on any number of ranks to the same bytes. A
 * build is left at a row that cannot be indexed, which the sample does not see: so it has a model and some fragments,
 * and goes on when such rows are skipped. */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/team.h"
#include "build/build.h"
#include "comm/transfer.h"
#include "index/building.h"
#include "index/done.h"
#include "index/manifest.h"
#include "index/verify.h"
#include "io/folder.h"
#include "io/stamps.h"
#include "mpi_suite.h"
#include "temp.h"

enum { ROWS = 3000, D = 8, LISTS = 8, FRAGMENT = 200, FRAGMENTS = 15, PATH = TEST_PATH_BYTES + 64 };

static char folder[TEST_PATH_BYTES];
static char input_path[PATH];
static char index_path[PATH];
static char other_path[PATH];
static const char *inputs[1];
static json_t *no_options;

/* The last row that the sample leaves out. */
static int64_t unsampled_row(void)
{
    static uint8_t sampled[ROWS];
    ivf_permutation p = ivf_permutation_make(ROWS, 1, IVF_RNG_SAMPLE);
    memset(sampled, 0, sizeof sampled);
    for (uint64_t i = 0; i < LISTS * 256; i++)
        sampled[ivf_permutation_at(&p, i)] = 1;
    int64_t row = ROWS - 1;
    while (sampled[row])
        row--;
    return row;
}

/* Rank 0 writes ROWS clustered rows as .fbin; the unsampled one holds a NaN. `last` is the last value of all. */
static void write_input(float last)
{
    if (!ivf_ctx_is_root(test_ctx))
        return;
    size_t bytes = 8 + (size_t)ROWS * D * sizeof(float);
    char *data = ivf_new(bytes, 1);
    const uint32_t head[2] = {ROWS, D};
    const int64_t spoilt = unsampled_row() * D;
    memcpy(data, head, sizeof head);
    for (int64_t i = 0; i < (int64_t)ROWS * D; i++) {
        uint64_t at = (uint64_t)i;
        float value = (float)(10 * ivf_rng_uniform(9, IVF_RNG_TEST, at / D % 13 * D + at % D) +
                              ivf_rng_normal(8, IVF_RNG_TEST, at));
        if (i == spoilt)
            value = NAN;
        if (i == (int64_t)ROWS * D - 1)
            value = last;
        memcpy(data + 8 + (size_t)i * sizeof value, &value, sizeof value);
    }
    test_write_file(input_path, data, bytes);
    ivf_free(data);
}

static void setup(void)
{
    test_shared_temp_make(folder);
    ivf_log_set(false, IVF_LOG_QUIET);
    (void)snprintf(input_path, sizeof input_path, "%s/input.fbin", folder);
    (void)snprintf(index_path, sizeof index_path, "%s/index", folder);
    (void)snprintf(other_path, sizeof other_path, "%s/other", folder);
    inputs[0] = input_path;
    write_input(1);
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

static ivf_build_config configure(const char *index)
{
    ivf_build_config config = {.index = index,
                               .input = {.inputs = inputs, .count = 1, .h5_path = "train"},
                               .metric = IVF_L2,
                               .seed = 1,
                               .sample_rows = LISTS * 256,
                               .fragment_rows = FRAGMENT,
                               .iterations = 4,
                               .pq_iterations = 4,
                               .assign = IVF_NEAREST_KINDS,
                               .config = no_options};
    if (ivf_factory_parse("IVF8,PQ4x4", &config.factory) != MPIVF_OK)
        abort();
    return config;
}

static ivf_build_config configure_skipping(const char *index)
{
    ivf_build_config config = configure(index);
    config.skip_bad_rows = true;
    return config;
}

/* By all ranks. */
static int build(const ivf_build_config *config)
{
    ivf_build_result result;
    return ivf_build(test_ctx, config, &result);
}

/* By rank 0 alone, with three threads; every rank returns its outcome. */
static int build_alone(const ivf_build_config *config)
{
    ivf_build_result result;
    int rc = MPIVF_OK;
    ivf_ctx *alone = ivf_ctx_open_self();
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_team_resize(3);
        rc = ivf_build(alone, config, &result);
        ivf_team_resize(0);
    }
    ivf_ctx_close(alone);
    ivf_bcast(test_ctx, &rc, sizeof rc);
    return rc;
}

typedef int builder(const ivf_build_config *config);

static void leave_unfinished(builder *run)
{
    const ivf_build_config config = configure(index_path);
    test_all(run(&config) == MPIVF_BAD_INPUT);
}

static void remove_index(const char *index)
{
    ivf_barrier(test_ctx);
    if (ivf_ctx_is_root(test_ctx))
        test_temp_remove(index);
    ivf_barrier(test_ctx);
}

/* Rank 0: the manifest without what differs between runs, as text. */
static char *manifest_text(const char *index)
{
    ivf_manifest *m = NULL;
    char *text = NULL;
    if (ivf_manifest_read(index, &m) == MPIVF_OK) {
        json_t *json = ivf_manifest_to_json(m);
        (void)json_object_del(json, "build");
        (void)json_object_del(json, "checksum");
        text = json_dumps(json, JSON_SORT_KEYS);
        json_decref(json);
    }
    ivf_manifest_free(m);
    return text;
}

static void expect_same_manifests(void)
{
    int same = 1;
    if (ivf_ctx_is_root(test_ctx)) {
        char *a = manifest_text(index_path);
        char *b = manifest_text(other_path);
        same = a != NULL && b != NULL && strcmp(a, b) == 0;
        free(b);
        free(a);
    }
    test_all(same);
}

static void expect_sound(void)
{
    ivf_verify_report report;
    int rc = ivf_verify(test_ctx, index_path, false, &report);
    ivf_free(report.text);
    test_all(rc == MPIVF_OK);
}

static int path_exists(const char *below)
{
    char path[PATH + 128];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/%s", index_path, below);
    return lstat(path, &info) == 0;
}

/* Nothing but the version. */
static void expect_finished(void)
{
    ivf_barrier(test_ctx);
    test_all(!path_exists("building"));
    expect_sound();
    expect_same_manifests();
}

/* ---- what is kept ---- */

typedef struct {
    char id[IVF_ID_BYTES]; /* of the one unfinished build */
    ino_t files[FRAGMENTS];
    int done; /* fragments in the logs */
} remains;

/* Rank 0. */
static remains look(void)
{
    remains r = {.done = 0};
    ivf_building_list list;
    char path[IVF_PATH_BYTES];
    if (ivf_building_find(index_path, &list) != MPIVF_OK || list.count != 1)
        abort();
    memcpy(r.id, list.ids[0], sizeof r.id);
    ivf_free(list.ids);
    ivf_fragment_record *records = NULL;
    int64_t count = 0;
    if (ivf_layout_build(index_path, r.id, path) != MPIVF_OK || ivf_done_read(path, &records, &count) != MPIVF_OK)
        abort();
    for (int64_t i = 0; i < count; i++) {
        struct stat info;
        if (ivf_layout_fragment(index_path, records[i].id, path) != MPIVF_OK || stat(path, &info) != 0)
            abort();
        r.files[records[i].number] = info.st_ino;
    }
    for (int f = 0; f < FRAGMENTS; f++)
        r.done += r.files[f] != 0;
    ivf_free(records);
    return r;
}

/* Rank 0: how many of the files are not those that were left. */
static int count_rewritten(const remains *r)
{
    int rewritten = 0;
    for (int f = 0; f < FRAGMENTS; f++) {
        char id[IVF_ID_BYTES + 16];
        char path[IVF_PATH_BYTES];
        struct stat info;
        (void)snprintf(id, sizeof id, "%s-%06d", r->id, f);
        if (r->files[f] != 0)
            rewritten += ivf_layout_fragment(index_path, id, path) != MPIVF_OK || stat(path, &info) != 0 ||
                         info.st_ino != r->files[f];
    }
    return rewritten;
}

static void check_resumed(builder *first, builder *second, builder *reference)
{
    const ivf_build_config whole = configure_skipping(other_path);
    const ivf_build_config rest = configure_skipping(index_path);
    remains left = {.done = 1};
    test_all(reference(&whole) == MPIVF_OK);
    leave_unfinished(first);
    if (ivf_ctx_is_root(test_ctx))
        left = look();
    test_all(left.done >= 1);
    test_all(second(&rest) == MPIVF_OK);
    test_all(!ivf_ctx_is_root(test_ctx) || count_rewritten(&left) == 0);
    expect_finished();
    remove_index(index_path);
    remove_index(other_path);
}

START_TEST(other_ranks_continue_to_the_same_bytes)
{
    check_resumed(build, build, build_alone);
    check_resumed(build_alone, build, build_alone);
    check_resumed(build, build_alone, build);
}
END_TEST

/* Rank 0: cuts, or removes, the file of the first fragment that is kept; its number. */
static int spoil_fragment(const remains *left, bool removes)
{
    int f = 0;
    char id[IVF_ID_BYTES + 16];
    char path[IVF_PATH_BYTES];
    while (left->files[f] == 0)
        f++;
    (void)snprintf(id, sizeof id, "%s-%06d", left->id, f);
    if (ivf_layout_fragment(index_path, id, path) != MPIVF_OK || (removes ? unlink(path) : truncate(path, 3000)) != 0)
        abort();
    return f;
}

START_TEST(a_fragment_that_was_lost_is_made_again)
{
    const ivf_build_config whole = configure_skipping(other_path);
    const ivf_build_config rest = configure_skipping(index_path);
    test_all(build(&whole) == MPIVF_OK);
    for (int removes = 0; removes < 2; removes++) {
        remains left;
        int rewritten = 1;
        leave_unfinished(build);
        if (ivf_ctx_is_root(test_ctx)) {
            left = look();
            (void)spoil_fragment(&left, removes == 1);
        }
        test_all(build(&rest) == MPIVF_OK);
        if (ivf_ctx_is_root(test_ctx))
            rewritten = count_rewritten(&left);
        test_all(rewritten == 1 || rewritten == 0); /* the inode may be the same again */
        expect_finished();
        remove_index(index_path);
    }
}
END_TEST

/* Rank 0: the path of the only model. */
static void find_model(char path[IVF_PATH_BYTES])
{
    ivf_building_model model;
    bool found = false;
    remains left = look();
    if (ivf_building_read_model(index_path, left.id, &model, &found) != MPIVF_OK || !found ||
        ivf_layout_model(index_path, model.id, path) != MPIVF_OK)
        abort();
}

START_TEST(a_model_that_was_damaged_is_trained_again)
{
    const ivf_build_config whole = configure_skipping(other_path);
    const ivf_build_config rest = configure_skipping(index_path);
    test_all(build(&whole) == MPIVF_OK);
    leave_unfinished(build);
    if (ivf_ctx_is_root(test_ctx)) {
        char path[IVF_PATH_BYTES];
        char *text = NULL;
        size_t bytes = 0;
        find_model(path);
        ck_assert_int_eq(ivf_file_read(path, 1 << 24, &text, &bytes), MPIVF_OK);
        text[bytes - 20] ^= 1;
        test_write_file(path, text, bytes);
        ivf_free(text);
    }
    ivf_barrier(test_ctx);
    test_all(build(&rest) == MPIVF_OK);
    expect_finished();
}
END_TEST

/* ---- what is refused ---- */

static void expect_refused(const ivf_build_config *config, const char *why)
{
    test_all(build(config) == MPIVF_CONFLICT);
    test_all(strstr(ivf_error_last()->text, why) != NULL && strstr(ivf_error_last()->text, "--restart") != NULL);
}

START_TEST(other_options_are_refused_by_name)
{
    leave_unfinished(build);
    ivf_build_config config = configure_skipping(index_path);
    config.seed = 2;
    config.iterations = 5;
    expect_refused(&config, "seed: 1 before, 2 now; iterations: 4 before, 5 now;");
    config = configure_skipping(index_path);
    config.metric = IVF_IP;
    expect_refused(&config, "metric: l2 before, ip now;");
    config.restart = true;
    test_all(build(&config) == MPIVF_OK);
    expect_sound();
    int files = 0;
    if (ivf_ctx_is_root(test_ctx)) {
        char path[IVF_PATH_BYTES];
        ck_assert_int_eq(ivf_layout_fragments(index_path, path), MPIVF_OK);
        DIR *dir = opendir(path);
        ck_assert_ptr_nonnull(dir);
        for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
            files += entry->d_name[0] != '.';
        (void)closedir(dir);
    }
    test_all(!ivf_ctx_is_root(test_ctx) || files == FRAGMENTS); /* those of the build before are gone */
}
END_TEST

START_TEST(other_input_is_refused_by_name)
{
    leave_unfinished(build);
    const ivf_build_config config = configure_skipping(index_path);
    write_input(2);
    ivf_barrier(test_ctx);
    expect_refused(&config, "input.fbin: other contents than before;");
    write_input(1);
    ivf_barrier(test_ctx);
    expect_refused(&config, "input.fbin: written since, or a copy");
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(truncate(input_path, 8 + (ROWS - 1) * D * 4), 0);
    ivf_barrier(test_ctx);
    test_all(build(&config) == MPIVF_BAD_INPUT); /* not what its header says */
}
END_TEST

START_TEST(rows_that_were_skipped_cannot_be_refused_later)
{
    leave_unfinished(build);
    if (ivf_ctx_is_root(test_ctx)) {
        remains left = look();
        json_t *plan = NULL;
        ck_assert_int_eq(ivf_building_read_plan(index_path, left.id, &plan), MPIVF_OK);
        ck_assert_str_eq(json_string_value(json_object_get(plan, "on_bad_row")), "fail");
        (void)json_object_set_new(plan, "on_bad_row", json_string("skip"));
        ck_assert_int_eq(ivf_building_write_plan(index_path, left.id, plan), MPIVF_OK);
        json_decref(plan);
    }
    ivf_barrier(test_ctx);
    const ivf_build_config config = configure(index_path);
    expect_refused(&config, "on-bad-row: skip before, fail now;");
}
END_TEST

/* ---- versions ---- */

START_TEST(the_same_again_leaves_the_files_of_the_old_version)
{
    ivf_build_config config = configure_skipping(index_path);
    ivf_build_result result;
    ivf_manifest *first = NULL;
    struct stat before;
    struct stat after;
    char path[IVF_PATH_BYTES];
    test_all(build(&config) == MPIVF_OK);
    test_all(ivf_manifest_read(index_path, &first) == MPIVF_OK);
    test_all(ivf_layout_fragment(index_path, first->fragments[0].id, path) == MPIVF_OK && stat(path, &before) == 0);
    config.replace = true;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK && result.version == 2);
    test_all(stat(path, &after) == 0 && before.st_ino == after.st_ino);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK && result.version == 3);
    ivf_manifest_free(first);
    expect_sound();
}
END_TEST

/* Killed between its commit and the removal of its folder: the same command has only that left to do. */
START_TEST(a_build_that_was_committed_is_not_built_again)
{
    ivf_build_config config = configure_skipping(index_path);
    ivf_build_result result;
    test_all(build(&config) == MPIVF_OK);
    for (int replaces = 0; replaces < 2; replaces++) {
        if (ivf_ctx_is_root(test_ctx)) {
            ivf_manifest *m = NULL;
            char path[IVF_PATH_BYTES];
            ck_assert_int_eq(ivf_manifest_read(index_path, &m), MPIVF_OK);
            ck_assert_int_eq(ivf_layout_build(index_path, m->build_id, path), MPIVF_OK);
            ck_assert_int_eq(ivf_make_folder(path), MPIVF_OK);
            ivf_manifest_free(m);
        }
        ivf_barrier(test_ctx);
        config.replace = replaces == 1;
        test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
        test_all(result.version == 1 && result.postings == ROWS - 1 && result.fragments == FRAGMENTS);
        test_all(!path_exists("building"));
    }
    expect_sound();
}
END_TEST

/* Another build commits while this one is under way: its work is the next version. */
START_TEST(what_came_second_becomes_the_next_version)
{
    ivf_build_config config = configure_skipping(index_path);
    ivf_build_config winner = configure_skipping(index_path);
    ivf_build_result result;
    ivf_lock *lock = NULL;
    remains left = {.done = 0};
    leave_unfinished(build);
    if (ivf_ctx_is_root(test_ctx)) {
        left = look();
        ck_assert_int_eq(ivf_building_claim(index_path, left.id, &lock), MPIVF_OK); /* as if it ran */
    }
    winner.seed = 7;
    test_all(ivf_build(test_ctx, &winner, &result) == MPIVF_OK && result.version == 1);
    ivf_lock_release(lock);
    ivf_barrier(test_ctx);
    test_all(build(&config) == MPIVF_CONFLICT);
    test_all(strstr(ivf_error_last()->text, "--replace") != NULL);
    config.replace = true;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK && result.version == 2);
    test_all(!ivf_ctx_is_root(test_ctx) || count_rewritten(&left) == 0);
    expect_sound();
}
END_TEST

/* ---- input that changes ---- */

START_TEST(input_that_changes_is_noticed)
{
    enum { FILES = 7, BYTES = 400000 };
    char paths[FILES][PATH + 16];
    ivf_stamp stamps[FILES] = {{.path = NULL}};
    char *data = ivf_new_zero(BYTES, 1);
    for (int i = 0; i < FILES; i++) {
        struct stat info;
        (void)snprintf(paths[i], sizeof paths[i], "%s/file%d", folder, i);
        if (ivf_ctx_is_root(test_ctx))
            test_write_file(paths[i], data, i == 3 ? 5 : BYTES);
        ivf_barrier(test_ctx);
        test_all(stat(paths[i], &info) == 0);
        stamps[i] = (ivf_stamp){.path = paths[i], .bytes = info.st_size};
        stamps[i].mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    }
    test_all(ivf_stamps_take(test_ctx, stamps, FILES) == MPIVF_OK);
    test_all(stamps[0].checksum == stamps[6].checksum && stamps[0].checksum != stamps[3].checksum);
    bool changed = true;
    test_all(ivf_stamps_check(test_ctx, stamps, FILES, &changed) == MPIVF_OK);
    test_all(!changed);
    /* One that is away may be what it was. */
    char away[PATH + 32];
    (void)snprintf(away, sizeof away, "%s.away", paths[4]);
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(rename(paths[4], away), 0);
    ivf_barrier(test_ctx);
    test_all(ivf_stamps_check(test_ctx, stamps, FILES, &changed) == MPIVF_BAD_INPUT);
    test_all(!changed);
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(rename(away, paths[4]), 0);
    /* A byte of the third piece, under the time of before. */
    if (ivf_ctx_is_root(test_ctx)) {
        const struct timespec times[2] = {
            {.tv_nsec = UTIME_OMIT},
            {.tv_sec = stamps[5].mtime_ns / 1000000000, .tv_nsec = stamps[5].mtime_ns % 1000000000}};
        data[(BYTES - IVF_STAMP_PIECE_BYTES) / 7 * 2 + 100] = 1;
        test_write_file(paths[5], data, BYTES);
        ck_assert_int_eq(utimensat(AT_FDCWD, paths[5], times, 0), 0);
    }
    ivf_barrier(test_ctx);
    test_all(ivf_stamps_check(test_ctx, stamps, FILES, &changed) == MPIVF_BAD_INPUT);
    test_all(changed);
    test_all(strstr(ivf_error_last()->text, "/file5 changed during the run: its contents") != NULL);
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(truncate(paths[3], 4), 0);
    ivf_barrier(test_ctx);
    test_all(ivf_stamps_check(test_ctx, stamps, FILES, &changed) == MPIVF_BAD_INPUT);
    test_all(changed);
    test_all(strstr(ivf_error_last()->text, "/file3 changed during the run: 5 bytes before, 4 now") != NULL);
    ivf_free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resume");
    TCase *tests = tcase_create("resume");
    no_options = json_object();
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, other_ranks_continue_to_the_same_bytes);
    tcase_add_test(tests, a_fragment_that_was_lost_is_made_again);
    tcase_add_test(tests, a_model_that_was_damaged_is_trained_again);
    tcase_add_test(tests, other_options_are_refused_by_name);
    tcase_add_test(tests, other_input_is_refused_by_name);
    tcase_add_test(tests, rows_that_were_skipped_cannot_be_refused_later);
    tcase_add_test(tests, the_same_again_leaves_the_files_of_the_old_version);
    tcase_add_test(tests, a_build_that_was_committed_is_not_built_again);
    tcase_add_test(tests, what_came_second_becomes_the_next_version);
    tcase_add_test(tests, input_that_changes_is_noticed);
    suite_add_tcase(suite, tests);
    int status = test_mpi_run(suite);
    json_decref(no_options);
    return status;
}
