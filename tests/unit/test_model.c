/* index/model: a model of several levels keeps everything on its way through a file; damaged trees are refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/rng.h"
#include "index/model.h"
#include "temp.h"

enum { NLIST = 12, D = 3, TOPS = 4 };

static char folder[TEST_PATH_BYTES];

static void setup(void)
{
    char path[TEST_PATH_BYTES + 16];
    test_temp_make(folder);
    (void)snprintf(path, sizeof path, "%s/models", folder);
    ck_assert_int_eq(mkdir(path, 0777), 0);
}

static void teardown(void)
{
    test_temp_remove(folder);
}

static ivf_model *make_model(void)
{
    static const int32_t first[TOPS + 1] = {0, 5, 5, 11, 12};
    const ivf_model_sizes sizes = {.levels = 2, .count = {NLIST, TOPS}, .iterations = 3};
    ivf_factory factory;
    ivf_model *model = NULL;
    ck_assert_int_eq(ivf_factory_parse("IVF12,Flat", &factory), MPIVF_OK);
    ck_assert_int_eq(ivf_model_new(&factory, D, IVF_L2, &model), MPIVF_OK);
    ck_assert_int_eq(ivf_model_resize(model, &sizes), MPIVF_OK);
    for (uint64_t i = 0; i < NLIST * D; i++)
        model->tree.centroids[0][i] = (float)ivf_rng_normal(1, IVF_RNG_TEST, i);
    for (uint64_t i = 0; i < TOPS * D; i++)
        model->tree.centroids[1][i] = (float)ivf_rng_normal(2, IVF_RNG_TEST, i);
    memcpy(model->tree.first[1], first, sizeof first);
    for (int i = 0; i < 3; i++)
        model->training.objective[i] = 10.0 - i;
    (void)snprintf(model->training.stopped, sizeof model->training.stopped, "iterations");
    return model;
}

static void write_model(ivf_model *model)
{
    int64_t bytes = 0;
    uint64_t checksum = 0;
    ck_assert_int_eq(ivf_model_seal(model), MPIVF_OK);
    ck_assert_int_eq(ivf_model_write(model, folder, &bytes, &checksum), MPIVF_OK);
    ck_assert_int_gt(bytes, 0);
}

START_TEST(all_levels_come_back)
{
    ivf_model *model = make_model();
    ivf_model *read = NULL;
    ivf_model_arrays wanted;
    ivf_model_arrays found;
    write_model(model);
    ck_assert_int_eq(ivf_model_read(folder, model->id, &read), MPIVF_OK);
    ck_assert_int_eq(read->tree.levels, 2);
    ivf_model_list_arrays(model, &wanted);
    ivf_model_list_arrays(read, &found);
    ck_assert_int_eq(found.count, wanted.count);
    for (int i = 0; i < wanted.count; i++) {
        ck_assert_str_eq(found.arrays[i].name, wanted.arrays[i].name);
        ck_assert_uint_eq(ivf_array_bytes(&found.arrays[i]), ivf_array_bytes(&wanted.arrays[i]));
        ck_assert_mem_eq(found.arrays[i].data, wanted.arrays[i].data, ivf_array_bytes(&wanted.arrays[i]));
    }
    ivf_model_free(read);
    ivf_model_free(model);
}
END_TEST

START_TEST(the_tree_is_part_of_the_id)
{
    ivf_model *model = make_model();
    char before[IVF_ID_BYTES];
    ck_assert_int_eq(ivf_model_seal(model), MPIVF_OK);
    memcpy(before, model->id, sizeof before);
    model->tree.first[1][1]--;
    ck_assert_int_eq(ivf_model_seal(model), MPIVF_OK);
    ck_assert_str_ne(model->id, before);
    ivf_model_free(model);
}
END_TEST

static const struct {
    int at;
    int32_t value;
    const char *says;
} damages[] = {
    {0, 1, "children of level 1 are nodes 1 to 11"},
    {TOPS, 13, "children of level 1 are nodes 0 to 12"},
    {2, 4, "children of node 1 of level 1 end (4) before they start (5)"},
    {1, -1, "children of node 0 of level 1 end (-1)"},
};

START_TEST(a_damaged_tree_is_refused)
{
    ivf_model *model = make_model();
    ivf_model *read = NULL;
    model->tree.first[1][damages[_i].at] = damages[_i].value;
    write_model(model);
    ck_assert_int_eq(ivf_model_read(folder, model->id, &read), MPIVF_CORRUPT);
    ck_assert_ptr_null(read);
    ck_assert_ptr_nonnull(strstr(ivf_error_last()->text, damages[_i].says));
    ivf_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tests = tcase_create("model");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, all_levels_come_back);
    tcase_add_test(tests, the_tree_is_part_of_the_id);
    tcase_add_loop_test(tests, a_damaged_tree_is_refused, 0, (int)(sizeof damages / sizeof *damages));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
