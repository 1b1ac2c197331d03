/* build/: the whole pipeline through the library, and what it leaves behind when it fails. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/team.h"
#include "build/build.h"
#include "build/plan.h"
#include "comm/transfer.h"
#include "index/building.h"
#include "index/manifest.h"
#include "index/model.h"
#include "index/verify.h"
#include "io/lock.h"
#include "mpi_suite.h"
#include "temp.h"

enum { ROWS = 6000, D = 16, PATH = TEST_PATH_BYTES + 64 };

static char folder[TEST_PATH_BYTES];
static char input_path[PATH];
static char index_path[PATH];
static const char *inputs[1];
static json_t *no_options;
static float input_scale;   /* of every value written */
static float input_outlier; /* added to the first value of every third row */

/* Rank 0 writes ROWS clustered rows as .fbin; `spoil` marks rows that get a NaN. */
static void write_input(const int64_t *spoil, int spoiled)
{
    if (!ivf_ctx_is_root(test_ctx))
        return;
    size_t bytes = 8 + (size_t)ROWS * D * sizeof(float);
    char *data = ivf_new(bytes, 1);
    const uint32_t head[2] = {ROWS, D};
    float *x = (float *)(void *)(data + sizeof head);
    memcpy(data, head, sizeof head);
    for (uint64_t i = 0; i < (uint64_t)ROWS * D; i++) {
        uint64_t centre = ivf_rng_below(5, IVF_RNG_TEST, i / D, 40);
        x[i] = input_scale *
               (float)(10 * ivf_rng_normal(6, IVF_RNG_TEST, centre * D + i % D) + ivf_rng_normal(7, IVF_RNG_TEST, i));
    }
    for (int64_t i = 0; i < ROWS; i += 3)
        x[i * D] += input_outlier;
    for (int i = 0; i < spoiled; i++)
        x[spoil[i] * D + 3] = NAN;
    test_write_file(input_path, data, bytes);
    ivf_free(data);
}

static void setup(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    test_shared_temp_make(folder);
    (void)snprintf(input_path, sizeof input_path, "%s/input.fbin", folder);
    (void)snprintf(index_path, sizeof index_path, "%s/index", folder);
    inputs[0] = input_path;
    input_scale = 1;
    input_outlier = 0;
    write_input(NULL, 0);
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

static ivf_build_config configure(const char *factory, ivf_metric metric)
{
    ivf_build_config config = {.index = index_path,
                               .input = {.inputs = inputs, .count = 1, .h5_path = "train"},
                               .metric = metric,
                               .seed = 1,
                               .fragment_rows = 700,
                               .iterations = 5,
                               .pq_iterations = 5,
                               .assign = IVF_NEAREST_KINDS,
                               .config = no_options};
    if (ivf_factory_parse(factory, &config.factory) != MPIVF_OK)
        abort();
    return config;
}

/* Rank 0: whether both indexes consist of the same model and fragment files. */
static int same_contents(const char *a, const char *b)
{
    ivf_manifest *x = NULL;
    ivf_manifest *y = NULL;
    int same = ivf_manifest_read(a, &x) == MPIVF_OK && ivf_manifest_read(b, &y) == MPIVF_OK &&
               strcmp(x->model_id, y->model_id) == 0 && x->model_checksum == y->model_checksum &&
               x->fragment_count == y->fragment_count;
    for (int64_t f = 0; same && f < x->fragment_count; f++)
        same =
            strcmp(x->fragments[f].id, y->fragments[f].id) == 0 && x->fragments[f].checksum == y->fragments[f].checksum;
    ivf_manifest_free(x);
    ivf_manifest_free(y);
    return same;
}

/* Built by all ranks with the threads they have, and again by rank 0 alone with three threads into another folder. */
static void check_same_bytes(ivf_build_config config)
{
    ivf_build_result result;
    char alone_path[PATH];
    config.replace = true;
    config.train_on = IVF_TRAIN_ON_ALL;
    int rc = ivf_build(test_ctx, &config, &result);
    test_all(rc == MPIVF_OK);
    int64_t version = result.version;
    test_all(result.rows == ROWS && result.postings == ROWS && result.fragments == 9);
    int same = 1;
    ivf_ctx *alone = ivf_ctx_open_self();
    if (ivf_ctx_is_root(test_ctx)) {
        (void)snprintf(alone_path, sizeof alone_path, "%s/alone", folder);
        config.index = alone_path;
        ivf_team_resize(3);
        for (int64_t v = 1; same && v <= version; v++)
            same = ivf_build(alone, &config, &result) == MPIVF_OK;
        ivf_team_resize(0);
        same = same && same_contents(index_path, alone_path);
        test_temp_remove(alone_path);
    }
    ivf_ctx_close(alone);
    test_all(same);
}

static void remove_index(void)
{
    ivf_barrier(test_ctx);
    if (ivf_ctx_is_root(test_ctx))
        test_temp_remove(index_path);
    ivf_barrier(test_ctx);
}

START_TEST(any_number_of_ranks_makes_the_same_bytes)
{
    static const char *const factories[] = {"IVF16,Flat", "IVF16,SQfp16", "IVF16,SQ8",
                                            "IVF16,SQ6",  "IVF16,PQ4",    "IVF16,PQ8x4"};
    for (size_t i = 0; i < sizeof factories / sizeof factories[0]; i++) {
        check_same_bytes(configure(factories[i], (ivf_metric)(i % 3)));
        remove_index();
    }
}
END_TEST

static int verify_finds(int64_t findings)
{
    ivf_verify_report report;
    int rc = ivf_verify(test_ctx, index_path, false, &report);
    ivf_free(report.text);
    return report.findings == findings && rc == (findings == 0 ? MPIVF_OK : MPIVF_CORRUPT);
}

START_TEST(every_way_of_training_and_assigning_makes_the_same_bytes)
{
    for (int i = 0; i < IVF_NEAREST_KINDS; i++) {
        ivf_build_config config = configure("IVF128,SQ8", (ivf_metric)i);
        config.assign = (ivf_nearest_kind)i;
        config.levels = 1 + i;
        config.train_exact = i % 2 == 0;
        check_same_bytes(config);
        remove_index();
    }
}
END_TEST

static ivf_model *read_model(void)
{
    ivf_manifest *m = NULL;
    ivf_model *model = NULL;
    if (ivf_manifest_read(index_path, &m) != MPIVF_OK || ivf_model_read(index_path, m->model_id, &model) != MPIVF_OK)
        abort();
    ivf_manifest_free(m);
    return model;
}

START_TEST(the_model_tells_how_rows_are_assigned)
{
    ivf_build_config config = configure("IVF256,SQ8", IVF_L2);
    ivf_build_result result;
    config.levels = 3;
    config.assign = IVF_NEAREST_TREE;
    config.assign_probes[1] = 5;
    config.assign_probes[2] = 1;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    int right = 1;
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_model *model = read_model();
        right = model->tree.levels == 3 && model->way.kind == IVF_NEAREST_TREE && model->way.probes[1] == 5 &&
                model->way.probes[2] == 1 && model->agreement.rows == ROWS && model->agreement.same > ROWS / 2 &&
                model->agreement.same < ROWS && model->agreement.excess > 0;
        ivf_model_free(model);
    }
    test_all(right);
}
END_TEST

START_TEST(rows_that_8_bits_cannot_tell_apart_are_assigned_exactly)
{
    ivf_build_config config = configure("IVF64,Flat", IVF_L2);
    ivf_build_result result;
    input_outlier = 1e6F;
    write_input(NULL, 0);
    ivf_barrier(test_ctx);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    int right = 1;
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_model *model = read_model();
        right = model->agreement.same * 1000 >= model->agreement.rows * 995;
        ivf_model_free(model);
    }
    test_all(right);
    test_all(verify_finds(0));
}
END_TEST

START_TEST(a_build_verifies_and_damage_is_found)
{
    ivf_build_config config = configure("IVF16,SQ8", IVF_L2);
    ivf_build_result result;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(verify_finds(0));
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_manifest *m = NULL;
        char path[IVF_PATH_BYTES];
        char *text = NULL;
        size_t bytes = 0;
        ck_assert_int_eq(ivf_manifest_read(index_path, &m), MPIVF_OK);
        ck_assert_int_eq(ivf_layout_fragment(index_path, m->fragments[4].id, path), MPIVF_OK);
        ck_assert_int_eq(ivf_file_read(path, 1 << 24, &text, &bytes), MPIVF_OK);
        text[bytes / 2] ^= 1;
        test_write_file(path, text, bytes);
        ivf_free(text);
        ivf_manifest_free(m);
    }
    ivf_barrier(test_ctx);
    test_all(verify_finds(1));
}
END_TEST

START_TEST(an_index_is_replaced_only_on_demand)
{
    ivf_build_config config = configure("IVF16,Flat", IVF_L2);
    ivf_build_result result;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_CONFLICT);
    test_all(strstr(ivf_error_last()->text, "--replace") != NULL);
    test_all(verify_finds(0));
    config.replace = true;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(result.version == 2);
    test_all(verify_finds(0));
}
END_TEST

START_TEST(half_precision_limits_what_is_coded_not_what_is_read)
{
    ivf_build_config config = configure("IVF16,SQfp16", IVF_L2);
    ivf_build_result result;
    input_scale = 1e5F;
    write_input(NULL, 0);
    ivf_barrier(test_ctx);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "out of range") != NULL);
    config.metric = IVF_COSINE;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(result.postings == ROWS);
}
END_TEST

static int index_is_gone(void)
{
    return access(index_path, F_OK) != 0;
}

START_TEST(a_bad_row_fails_the_build_and_leaves_nothing)
{
    static const int64_t spoil[] = {4321};
    ivf_build_config config = configure("IVF16,Flat", IVF_L2);
    ivf_build_result result;
    write_input(spoil, 1);
    ivf_barrier(test_ctx);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "row 4321 of ") != NULL &&
             strstr(ivf_error_last()->text, "input.fbin") != NULL);
    ivf_barrier(test_ctx);
    test_all(index_is_gone());
}
END_TEST

START_TEST(bad_rows_are_skipped_counted_and_listed)
{
    static const int64_t spoil[] = {0, 699, 700, 5999};
    ivf_build_config config = configure("IVF16,PQ4", IVF_L2);
    ivf_build_result result;
    config.skip_bad_rows = true;
    write_input(spoil, 4);
    ivf_barrier(test_ctx);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(result.postings == ROWS - 4 && result.skipped == 4);
    test_all(verify_finds(0));
    int right = 1;
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_manifest *m = NULL;
        ivf_fragment *f = NULL;
        right = ivf_manifest_read(index_path, &m) == MPIVF_OK && m->skipped[IVF_ROW_NOT_FINITE] == 4 &&
                ivf_fragment_read(index_path, m->fragments[0].id, 16, m->code_size, &f) == MPIVF_OK &&
                f->skipped == 2 && f->skipped_rows[1] == 699 && f->skipped_reasons[1] == IVF_ROW_NOT_FINITE;
        ivf_fragment_free(f);
        ivf_manifest_free(m);
    }
    test_all(right);
}
END_TEST

START_TEST(a_failed_replacement_leaves_the_old_version)
{
    static const int64_t spoil[] = {17};
    ivf_build_config config = configure("IVF16,SQ8", IVF_L2);
    ivf_build_result result;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    write_input(spoil, 1);
    ivf_barrier(test_ctx);
    config.replace = true;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_BAD_INPUT);
    test_all(verify_finds(0));
}
END_TEST

/* A row that the sample of 256 rows for each of 16 lists leaves out. */
static int64_t unsampled_row(void)
{
    static uint8_t sampled[ROWS];
    ivf_permutation p = ivf_permutation_make(ROWS, 1, IVF_RNG_SAMPLE);
    memset(sampled, 0, sizeof sampled);
    for (uint64_t i = 0; i < 16 * 256; i++)
        sampled[ivf_permutation_at(&p, i)] = 1;
    int64_t row = 0;
    while (sampled[row])
        row++;
    return row;
}

START_TEST(a_failed_replacement_leaves_the_model_of_the_old_version)
{
    const int64_t spoil[] = {unsampled_row()};
    ivf_build_config config = configure("IVF16,Flat", IVF_L2);
    ivf_build_result result;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    write_input(spoil, 1);
    ivf_barrier(test_ctx);
    config.replace = true;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_BAD_INPUT);
    test_all(verify_finds(0));
    config.skip_bad_rows = true;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(result.version == 2 && result.skipped == 1);
    test_all(verify_finds(0));
}
END_TEST

/* A build that fails at a bad row after its model was published, and so leaves the model and some fragments. */
static ivf_build_config leave_unfinished(void)
{
    const int64_t spoil[] = {unsampled_row()};
    ivf_build_config config = configure("IVF16,Flat", IVF_L2);
    ivf_build_result result;
    write_input(spoil, 1);
    ivf_barrier(test_ctx);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_BAD_INPUT);
    return config;
}

START_TEST(one_run_of_a_build_at_a_time)
{
    ivf_build_config config = leave_unfinished();
    ivf_build_result result;
    ivf_building_list list = {0};
    ivf_lock *lock = NULL;
    config.skip_bad_rows = true;
    if (ivf_ctx_is_root(test_ctx)) {
        ck_assert_int_eq(ivf_building_find(index_path, &list), MPIVF_OK);
        ck_assert_int_eq(list.count, 1);
        ck_assert_int_eq(ivf_building_claim(index_path, list.ids[0], &lock), MPIVF_OK);
    }
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_CONFLICT);
    test_all(strstr(ivf_error_last()->text, "this build is running") != NULL);
    ivf_lock_release(lock);
    ivf_free(list.ids);
    ivf_barrier(test_ctx);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(result.skipped == 1);
    test_all(verify_finds(0));
}
END_TEST

START_TEST(a_folder_that_was_there_before_stays)
{
    static const int64_t spoil[] = {17};
    ivf_build_config config = configure("IVF16,Flat", IVF_L2);
    ivf_build_result result;
    write_input(spoil, 1);
    if (ivf_ctx_is_root(test_ctx))
        ck_assert_int_eq(ivf_make_folder(index_path), MPIVF_OK);
    ivf_barrier(test_ctx);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_BAD_INPUT);
    test_all(!index_is_gone());
    int removed = ivf_ctx_is_root(test_ctx) ? rmdir(index_path) : 0;
    test_all(removed == 0); /* it was empty again */
}
END_TEST

START_TEST(the_smallest_fragments_and_samples_have_limits)
{
    ivf_plan plan = {0};
    ivf_build_config config = configure("IVF16,Flat", IVF_L2);
    ivf_dataset *dataset = NULL;
    test_all(ivf_dataset_open(test_ctx, &config.input, &dataset) == MPIVF_OK);
    config.fragment_rows = 1;
    test_all(ivf_plan_make(&config, dataset, 1, &plan) == MPIVF_OK); /* 6000 of them are possible */
    config.sample_rows = 15;
    test_all(ivf_plan_make(&config, dataset, 1, &plan) == MPIVF_USAGE);
    ivf_dataset_close(dataset);
}
END_TEST

START_TEST(fewer_rows_than_lists_are_refused)
{
    ivf_build_config config = configure("IVF6001,Flat", IVF_L2);
    ivf_build_result result;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "6000 rows, fewer than the 6001 lists") != NULL);
    test_all(index_is_gone());
}
END_TEST

START_TEST(a_foreign_folder_is_left_alone)
{
    ivf_build_config config = configure("IVF16,Flat", IVF_L2);
    ivf_build_result result;
    config.index = folder;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_CONFLICT);
    test_all(access(input_path, F_OK) == 0);
}
END_TEST

START_TEST(nlist_is_chosen_from_the_rows)
{
    ivf_build_config config = configure("IVF,Flat", IVF_L2);
    ivf_build_result result;
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    test_all(result.nlist ==
             128); /* 4 sqrt(6000) = 310 would leave 23 rows a list; 128 is the first power of two with 39 */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("build");
    TCase *tests = tcase_create("build");
    no_options = json_object();
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, any_number_of_ranks_makes_the_same_bytes);
    tcase_add_test(tests, every_way_of_training_and_assigning_makes_the_same_bytes);
    tcase_add_test(tests, the_model_tells_how_rows_are_assigned);
    tcase_add_test(tests, rows_that_8_bits_cannot_tell_apart_are_assigned_exactly);
    tcase_add_test(tests, a_build_verifies_and_damage_is_found);
    tcase_add_test(tests, an_index_is_replaced_only_on_demand);
    tcase_add_test(tests, half_precision_limits_what_is_coded_not_what_is_read);
    tcase_add_test(tests, a_bad_row_fails_the_build_and_leaves_nothing);
    tcase_add_test(tests, bad_rows_are_skipped_counted_and_listed);
    tcase_add_test(tests, a_failed_replacement_leaves_the_old_version);
    tcase_add_test(tests, a_failed_replacement_leaves_the_model_of_the_old_version);
    tcase_add_test(tests, one_run_of_a_build_at_a_time);
    tcase_add_test(tests, a_folder_that_was_there_before_stays);
    tcase_add_test(tests, the_smallest_fragments_and_samples_have_limits);
    tcase_add_test(tests, fewer_rows_than_lists_are_refused);
    tcase_add_test(tests, a_foreign_folder_is_left_alone);
    tcase_add_test(tests, nlist_is_chosen_from_the_rows);
    suite_add_tcase(suite, tests);
    int status = test_mpi_run(suite);
    json_decref(no_options);
    return status;
}
