/* build/predict: arithmetic of the model against sums made by hand. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/share.h"
#include "build/predict.h"

static void near(double value, double expected)
{
    ck_assert_double_eq_tol(value, expected, 1e-9 + 1e-9 * fabs(expected));
}

/* 64 fragments of 1000 rows, a sample of 32 blocks, 16 sub-quantizers; figures that are easy to divide. */
static ivf_plan plan;
static ivf_prediction_input input;

static void setup(void)
{
    plan = (ivf_plan){.factory = {.nlist = 100, .codec = {.kind = IVF_CODEC_PQ, .m = 16, .bits = 8}},
                      .d = 32,
                      .d_rotated = 32,
                      .rows = 64000,
                      .sample_rows = 32 * (int64_t)IVF_SHARE_BLOCK,
                      .fragment_rows = 1000,
                      .fragments = 64,
                      .code_size = 16};
    input = (ivf_prediction_input){.plan = &plan,
                                   .element = 4,
                                   .train_on_all = true,
                                   .iterations = 10,
                                   .codec_rows = 32768,
                                   .codec_units = 16,
                                   .codec_bytes = 32768,
                                   .threads = 1,
                                   .rates = {.open = 0.5,
                                             .sample_row = 1e-6,
                                             .kmeans = 3.2,
                                             .codec = 1.6,
                                             .compare = 1e-8,
                                             .file = 0.01,
                                             .pack = 0.002,
                                             .assign_row = 1e-3,
                                             .read_row = 1e-5,
                                             .write_fragment = 0.1,
                                             .write_byte = 1e-9},
                                   .network = {.latency = 1e-6, .bandwidth = 1e10}};
}

START_TEST(one_rank_sends_nothing)
{
    ivf_prediction p;
    ivf_predict(&input, 1, &p);
    near(p.terms[IVF_TERM_SAMPLE_DEAL], 0);
    near(p.terms[IVF_TERM_REDUCE], 0);
    near(p.terms[IVF_TERM_CODEC_DEAL], 0);
    near(p.terms[IVF_TERM_TICKETS], 0);
    near(p.terms[IVF_TERM_GATHER], 0);
    near(p.phases[IVF_PREDICT_PLAN], 0.5);
    near(p.phases[IVF_PREDICT_SAMPLE], 32768e-6);
    near(p.terms[IVF_TERM_WAY], 16384 * 100 * 1e-8);
    near(p.phases[IVF_PREDICT_TRAIN], 3.2 + 1.6 + 0.016384 + 0.01 + (4 * 100 * 32 + 32768) * 1e-9);
    /* 64 fragments of a second each, the last one's writing behind them. */
    near(p.phases[IVF_PREDICT_ASSIGN], 0.002 + 64 + 0.1 + (1000 * 24 + 8 * 101) * 1e-9);
    double sum = 0;
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        sum += p.phases[phase];
    near(p.seconds, sum);
}
END_TEST

START_TEST(work_is_shared_in_whole_pieces)
{
    ivf_prediction p;
    ivf_predict(&input, 16, &p);
    near(p.terms[IVF_TERM_KMEANS], 3.2 / 16);
    near(p.terms[IVF_TERM_CODEC], 0.1);
    double gathered = 15e-6 + 16384 * 128 / 1e10;
    double summed = 8e-6 + 2 * 24 * 16.0 * 15 / 16 / 1e10;
    near(p.terms[IVF_TERM_WAY], 1024 * 100 * 1e-8 + gathered + 6 * 4e-6 + summed);
    ivf_predict(&input, 31, &p); /* one of them has two of the 32 blocks */
    near(p.terms[IVF_TERM_KMEANS], 0.2);
    near(p.terms[IVF_TERM_CODEC], 0.1);
    ivf_predict(&input, 1000, &p);
    near(p.terms[IVF_TERM_KMEANS], 0.1);
    near(p.terms[IVF_TERM_CODEC], 0.1);
    near(p.terms[IVF_TERM_FRAGMENTS], 1 + 0.1 + (1000 * 24 + 8 * 101) * 1e-9);
    input.threads = 4; /* the 1.6 s are of 4 sub-quantizers at a time */
    ivf_predict(&input, 2, &p);
    near(p.terms[IVF_TERM_CODEC], 0.8);
    ivf_predict(&input, 8, &p);
    near(p.terms[IVF_TERM_CODEC], 0.4);
}
END_TEST

START_TEST(root_trains_alone)
{
    ivf_prediction p;
    input.train_on_all = false;
    ivf_predict(&input, 8, &p);
    near(p.terms[IVF_TERM_KMEANS], 3.2);
    near(p.terms[IVF_TERM_CODEC], 1.6);
    near(p.terms[IVF_TERM_REDUCE], 0);
    /* All rows but those that rank 0 read itself come over its link. */
    near(p.terms[IVF_TERM_SAMPLE_DEAL], 7e-6 + 32768.0 * (8 + 128) * 7 / 8 / 1e10 + 8 * 3e-6);
}
END_TEST

START_TEST(sums_cost_latency_and_bandwidth)
{
    ivf_prediction p;
    ivf_predict(&input, 8, &p);
    double bytes = 8 * 100 * 35;
    double reduce = 6e-6 + 2 * bytes * 7 / 8 / 1e10;
    double seeds = 3e-6 + 2 * 4 * 32 * 100.0 * 7 / 8 / 1e10 + 7e-6 + 256 * 4 * 33 / 1e10;
    near(p.terms[IVF_TERM_REDUCE], seeds + 10 * (reduce + 3e-6));
}
END_TEST

START_TEST(filesystem_limits_all_ranks)
{
    ivf_prediction p;
    input.network.read_limit = 64 * 128 / 1e-2; /* 64 ranks get a row each in 10 ms: ten times what computing takes */
    ivf_predict(&input, 64, &p);
    near(p.terms[IVF_TERM_FRAGMENTS], 10 + 0.1 + (1000 * 24 + 8 * 101) * 1e-9);
    near(p.terms[IVF_TERM_SAMPLE_READ], 512 * 1e-2);
    input.network = (ivf_network){.latency = 1e-6, .bandwidth = 1e10, .write_limit = 64 * 24808 / 2.0};
    ivf_predict(&input, 64, &p);
    near(p.terms[IVF_TERM_FRAGMENTS], 1 + 0.1 + 2);
    ivf_predict(&input, 32, &p); /* two each: the second is made while the first is written */
    near(p.terms[IVF_TERM_FRAGMENTS], 1 + (0.1 + 1) + (0.1 + 1));
}
END_TEST

START_TEST(scaling_ends_where_fragments_do)
{
    ivf_scaling_limit limit;
    input.rates.kmeans = 0;
    input.rates.codec = 0;
    input.rates.open = 0;
    ivf_predict_limit(&input, 4096, &limit);
    ck_assert_int_eq(limit.ranks, 64);
    ck_assert_int_eq(limit.term, IVF_TERM_FRAGMENTS);
    ck_assert_str_eq(ivf_term_remedy(limit.term), "a smaller --fragment-rows");
    ivf_predict_limit(&input, 64, &limit);
    ck_assert_int_eq(limit.ranks, 0);
    input.rates.kmeans = 1000;
    input.train_on_all = false;
    ivf_predict_limit(&input, 4096, &limit);
    ck_assert_int_eq(limit.ranks, 1);
    ck_assert_int_eq(limit.term, IVF_TERM_KMEANS);
}
END_TEST

START_TEST(terms_are_named)
{
    for (int term = 0; term < IVF_TERMS; term++) {
        ck_assert_uint_gt(strlen(ivf_term_key((ivf_term)term)), 0);
        ck_assert_uint_gt(strlen(ivf_term_name((ivf_term)term)), 0);
        ck_assert(term == 0 || ivf_term_phase((ivf_term)term) >= ivf_term_phase((ivf_term)(term - 1)));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("predict");
    TCase *tests = tcase_create("predict");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, one_rank_sends_nothing);
    tcase_add_test(tests, work_is_shared_in_whole_pieces);
    tcase_add_test(tests, root_trains_alone);
    tcase_add_test(tests, sums_cost_latency_and_bandwidth);
    tcase_add_test(tests, filesystem_limits_all_ranks);
    tcase_add_test(tests, scaling_ends_where_fragments_do);
    tcase_add_test(tests, terms_are_named);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
