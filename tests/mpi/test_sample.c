/* build/sample: which rows are drawn, and that each reaches the rank that holds its place, with and without gaps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "build/sample.h"
#include "comm/transfer.h"
#include "mpi_suite.h"
#include "shard_files.h"
#include "temp.h"

enum { ROWS = 7000, D = 3, SAMPLE = 6000, SPOILED = 5, PATH = TEST_PATH_BYTES + 64 };

static const int64_t spoiled[SPOILED] = {0, 1, 2500, 2501, 6999};

static char folder[TEST_PATH_BYTES];
static char input_path[PATH];
static const char *inputs[1];

static void spoil(void)
{
    const float nothing = NAN;
    FILE *file = fopen(input_path, "r+b");
    int failed = file == NULL;
    for (int i = 0; !failed && i < SPOILED; i++)
        failed = fseek(file, 8 + (long)(spoiled[i] * D * (int64_t)sizeof(float)), SEEK_SET) != 0 ||
                 fwrite(&nothing, sizeof nothing, 1, file) != 1;
    if (failed || fclose(file) != 0)
        abort();
}

static void setup(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    test_shared_temp_make(folder);
    (void)snprintf(input_path, sizeof input_path, "%s/input.fbin", folder);
    inputs[0] = input_path;
    if (ivf_ctx_is_root(test_ctx))
        test_write_bin(input_path, IVF_F32, 0, ROWS, D);
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

static bool is_spoiled(int64_t row)
{
    for (int i = 0; i < SPOILED; i++)
        if (spoiled[i] == row)
            return true;
    return false;
}

/* The dataset's row of each place, unusable ones left out when there are any; how many. */
static int64_t expect(bool with_gaps, int64_t *rows)
{
    ivf_permutation order = ivf_permutation_make(ROWS, 9, IVF_RNG_SAMPLE);
    int64_t kept = 0;
    for (uint64_t place = 0; place < SAMPLE; place++) {
        int64_t row = (int64_t)ivf_permutation_at(&order, place);
        if (!with_gaps || !is_spoiled(row))
            rows[kept++] = row;
    }
    return kept;
}

static int draw(ivf_build_state *build)
{
    const ivf_build_config *config = build->config;
    build->plan = (ivf_plan){.rows = ROWS, .d = D, .metric = IVF_L2, .sample_rows = SAMPLE, .value_limit = INFINITY};
    build->plan.factory.nlist = 4;
    int rc = ivf_dataset_open(test_ctx, &config->input, &build->dataset);
    return rc == MPIVF_OK ? ivf_sample_draw(test_ctx, build) : rc;
}

static void drop(ivf_build_state *build)
{
    ivf_free(build->sample);
    ivf_dataset_close(build->dataset);
}

static bool right_rows(const ivf_build_state *build, const int64_t *rows)
{
    for (int64_t i = 0; i < ivf_share_count(&build->share); i++)
        if (!test_rows_right(IVF_F32, rows[ivf_share_place(&build->share, i)], 1, D, build->sample + i * D))
            return false;
    return true;
}

static void check_dealt(ivf_train_on train_on, bool with_gaps)
{
    static int64_t rows[SAMPLE];
    const ivf_build_config config = {.input = {.inputs = inputs, .count = 1, .h5_path = "train"},
                                     .seed = 9,
                                     .train_on = train_on,
                                     .skip_bad_rows = with_gaps};
    ivf_build_state build = {.config = &config};
    if (with_gaps && ivf_ctx_is_root(test_ctx))
        spoil();
    ivf_barrier(test_ctx);
    test_all(draw(&build) == MPIVF_OK);
    test_all(build.share.total == expect(with_gaps, rows));
    test_all(right_rows(&build, rows));
    int64_t held = ivf_share_count(&build.share);
    test_all(train_on == IVF_TRAIN_ON_ALL || (held > 0) == ivf_ctx_is_root(test_ctx));
    test_all(train_on == IVF_TRAIN_ON_ROOT || held > 0);
    ivf_allsum_i64(test_ctx, &held, 1);
    test_all(held == build.share.total);
    drop(&build);
}

START_TEST(every_row_reaches_the_rank_of_its_place)
{
    check_dealt(IVF_TRAIN_ON_ALL, false);
    check_dealt(IVF_TRAIN_ON_ROOT, false);
}
END_TEST

START_TEST(unusable_rows_leave_no_gaps)
{
    check_dealt(IVF_TRAIN_ON_ALL, true);
    check_dealt(IVF_TRAIN_ON_ROOT, true);
}
END_TEST

START_TEST(little_work_stays_on_rank_0)
{
    const ivf_build_config config = {
        .input = {.inputs = inputs, .count = 1, .h5_path = "train"}, .seed = 9, .train_on = IVF_TRAIN_ON_AUTO};
    ivf_build_state build = {.config = &config};
    test_all(draw(&build) == MPIVF_OK);
    test_all(ivf_share_count(&build.share) == (ivf_ctx_is_root(test_ctx) ? SAMPLE : 0));
    drop(&build);
}
END_TEST

START_TEST(an_unusable_row_fails_all_ranks)
{
    const ivf_build_config config = {
        .input = {.inputs = inputs, .count = 1, .h5_path = "train"}, .seed = 9, .train_on = IVF_TRAIN_ON_ALL};
    ivf_build_state build = {.config = &config};
    if (ivf_ctx_is_root(test_ctx))
        spoil();
    ivf_barrier(test_ctx);
    test_all(draw(&build) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "cannot be indexed") != NULL);
    drop(&build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tests = tcase_create("sample");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_row_reaches_the_rank_of_its_place);
    tcase_add_test(tests, unusable_rows_leave_no_gaps);
    tcase_add_test(tests, little_work_stays_on_rank_0);
    tcase_add_test(tests, an_unusable_row_fails_all_ranks);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
