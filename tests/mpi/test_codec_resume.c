/* Training of PQ and OPQ that is cut off after each of its checkpoints, and goes on with other ranks and threads: the
 * bits of one that was left alone, and nothing twice. */
#include <stdio.h>
#include <string.h>

#include "../support/cut_keeper.h"
#include "../support/mpi_suite.h"
#include "../support/temp.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "codec/codec.h"
#include "codec/opq.h"
#include "comm/transfer.h"

enum { MOST = 1000 };

static float *rows_of(const ivf_share *share, int d)
{
    int64_t n = ivf_share_count(share);
    float *x = ivf_new(ivf_to_size(n) * (size_t)d, sizeof *x);
    for (int64_t row = 0; row < n; row++)
        for (int j = 0; j < d; j++) {
            uint64_t at = (uint64_t)(ivf_share_place(share, row) * d + j);
            x[row * d + j] = (float)ivf_rng_normal(4, IVF_RNG_TEST, at) * (float)(1 + j % 3);
            if (j > 0)
                x[row * d + j] += x[row * d + j - 1] / 2;
        }
    return x;
}

/* The first `holders` ranks hold rows; 0 is as good as 1. */
static ivf_share share_of(int64_t total, int holders)
{
    const int rank = ivf_ctx_rank(test_ctx);
    const int size = holders > 0 ? holders : 1;
    return (ivf_share){.total = total, .rank = rank < size ? rank : -1, .size = size};
}

static int64_t sum_of(int64_t value)
{
    ivf_allsum_i64(test_ctx, &value, 1);
    return value;
}

enum { PQ_M = 7, PQ_D = 21, PQ_ROWS = 5000, PQ_BOOKS = PQ_M * 16 * 3 };

static int train_pq(const ivf_keeper *keeper, int holders, bool exact, float *books)
{
    const ivf_codec_spec spec = {IVF_CODEC_PQ, PQ_M, 4};
    const ivf_codec_training training = {.seed = 11, .iterations = 3, .exact = exact, .keeper = keeper};
    const ivf_share share = share_of(PQ_ROWS, holders);
    ivf_array arrays[IVF_CODEC_ARRAYS];
    ivf_codec *codec = NULL;
    float *mine = rows_of(&share, PQ_D);
    test_all(ivf_codec_new(&spec, PQ_D, &codec) == MPIVF_OK);
    int rc = ivf_codec_train(test_ctx, codec, mine, &share, &training);
    test_all(ivf_codec_arrays(codec, arrays) == 1);
    test_all(ivf_array_bytes(&arrays[0]) == PQ_BOOKS * sizeof *books);
    memcpy(books, arrays[0].data, PQ_BOOKS * sizeof *books);
    ivf_codec_free(codec);
    ivf_free(mine);
    return rc;
}

START_TEST(codebooks_are_kept_one_by_one)
{
    char folder[TEST_PATH_BYTES];
    float expected[PQ_BOOKS];
    float books[PQ_BOOKS];
    int64_t kept = 0;
    int rc = MPIVF_INTERRUPTED;
    test_shared_temp_make(folder);
    ivf_team_resize(1);
    test_all(train_pq(NULL, 1, _i == 1, expected) == MPIVF_OK);
    for (int run = 0; rc == MPIVF_INTERRUPTED && run < MOST; run++) {
        test_cut_keeper cut;
        test_cut_keeper_make(&cut, folder, 1);
        ivf_team_resize(1 + run % 3);
        rc = train_pq(&cut.keeper, run % (ivf_ctx_size(test_ctx) + 1), _i == 1, books);
        kept += sum_of(ivf_min_i64(atomic_load(&cut.begun), 1));
        test_cut_keeper_drop(&cut);
    }
    ivf_team_resize(0);
    test_all(rc == MPIVF_OK);
    test_all(memcmp(books, expected, sizeof books) == 0);
    test_all(kept == PQ_M);
    test_cut_keeper cut;
    test_cut_keeper_make(&cut, folder, MOST);
    memset(books, 0, sizeof books);
    test_all(train_pq(&cut.keeper, ivf_ctx_size(test_ctx), _i == 1, books) == MPIVF_OK);
    test_all(memcmp(books, expected, sizeof books) == 0);
    test_all(sum_of(atomic_load(&cut.begun)) == 0);
    test_cut_keeper_drop(&cut);
    test_shared_temp_remove(folder);
}
END_TEST

/* One that is torn, and one of another length: these two are trained again. */
START_TEST(damaged_codebooks_are_trained_again)
{
    char folder[TEST_PATH_BYTES];
    char path[TEST_PATH_BYTES + 32];
    float expected[PQ_BOOKS];
    float books[PQ_BOOKS];
    test_cut_keeper cut;
    test_shared_temp_make(folder);
    test_cut_keeper_make(&cut, folder, MOST);
    test_all(train_pq(&cut.keeper, ivf_ctx_size(test_ctx), false, expected) == MPIVF_OK);
    test_all(sum_of(atomic_load(&cut.begun)) == PQ_M);
    ivf_log_set(false, IVF_LOG_QUIET);
    if (ivf_ctx_is_root(test_ctx)) {
        const ivf_keeper_part part = {expected, 5 * sizeof *expected};
        (void)snprintf(path, sizeof path, "%s/pq-2.ckpt", folder);
        test_write_file(path, expected, 40);
        ck_assert_int_eq(ivf_keeper_put(&cut.keeper, "pq-5", &part, 1), MPIVF_OK);
    }
    ivf_barrier(test_ctx);
    atomic_store(&cut.begun, 0);
    test_all(train_pq(&cut.keeper, ivf_ctx_size(test_ctx), false, books) == MPIVF_OK);
    ivf_log_set(true, IVF_LOG_INFO);
    test_all(memcmp(books, expected, sizeof books) == 0);
    test_all(sum_of(atomic_load(&cut.begun)) == 2);
    test_cut_keeper_drop(&cut);
    test_shared_temp_remove(folder);
}
END_TEST

static const struct {
    int m, d, d_out;
    int64_t n;
    int iterations;
    int checkpoints; /* the start, its passes and the iterations, and the outcome */
} turns[] = {
    {2, 6, 6, 3000, 3, 1 + 8 + 3 + 1},
    {2, 6, 4, 2000, 2, 1 + 4 + 2 + 1},
    {2, 4, 4, 65536, 3, 1 + 8 + 3 + 1},
    {2, 6, 6, 900, 3, 1 + 1},
};

static int train_opq(int number, const ivf_keeper *keeper, int holders, float *rotation, ivf_opq_report *report)
{
    const ivf_opq_params params = {.m = turns[number].m,
                                   .d = turns[number].d,
                                   .d_out = turns[number].d_out,
                                   .iterations = turns[number].iterations,
                                   .seed = 9,
                                   .keeper = keeper};
    const ivf_share share = share_of(turns[number].n, holders);
    float *mine = rows_of(&share, params.d);
    int rc = ivf_opq_train(test_ctx, &params, mine, &share, rotation, report);
    ivf_free(mine);
    return rc;
}

static bool same_reports(const ivf_opq_report *a, const ivf_opq_report *b)
{
    return a->iterations == b->iterations && a->start == b->start && a->error == b->error;
}

/* Rank 0's; damage to it costs its work alone. */
static void damage_rotation(const test_cut_keeper *cut, const char *folder, bool whole)
{
    char path[TEST_PATH_BYTES + 32];
    const float nothing[9] = {0};
    const ivf_keeper_part part = {(void *)(uintptr_t)nothing, sizeof nothing};
    (void)snprintf(path, sizeof path, "%s/rotation.ckpt", folder);
    if (whole)
        ck_assert_int_eq(ivf_keeper_put(&cut->keeper, "rotation", &part, 1), MPIVF_OK);
    else
        test_write_file(path, nothing, sizeof nothing);
}

START_TEST(rotations_go_on)
{
    char folder[TEST_PATH_BYTES];
    float expected[36];
    float rotation[36];
    ivf_opq_report alone;
    ivf_opq_report report;
    const size_t bytes = (size_t)turns[_i].d * (size_t)turns[_i].d_out * sizeof *rotation;
    int rc = MPIVF_INTERRUPTED;
    int runs = 0;
    test_shared_temp_make(folder);
    ivf_team_resize(1);
    test_all(train_opq(_i, NULL, 1, expected, &alone) == MPIVF_OK);
    for (; rc == MPIVF_INTERRUPTED && runs < MOST; runs++) {
        test_cut_keeper cut;
        test_cut_keeper_make(&cut, folder, 1);
        ivf_team_resize(1 + runs % 3);
        rc = train_opq(_i, &cut.keeper, runs % (ivf_ctx_size(test_ctx) + 1), rotation, &report);
        test_cut_keeper_drop(&cut);
    }
    test_all(rc == MPIVF_OK);
    test_all(runs == turns[_i].checkpoints);
    test_all(memcmp(rotation, expected, bytes) == 0 && same_reports(&report, &alone));
    ivf_log_set(false, IVF_LOG_QUIET);
    for (int damage = 0; damage < 3; damage++) {
        test_cut_keeper cut;
        test_cut_keeper_make(&cut, folder, MOST);
        if (damage > 0 && ivf_ctx_is_root(test_ctx))
            damage_rotation(&cut, folder, damage == 1);
        atomic_store(&cut.begun, 0);
        memset(rotation, 0, bytes);
        test_all(train_opq(_i, &cut.keeper, ivf_ctx_size(test_ctx), rotation, &report) == MPIVF_OK);
        test_all(memcmp(rotation, expected, bytes) == 0 && same_reports(&report, &alone));
        test_all(sum_of(atomic_load(&cut.begun)) == (damage > 0 ? turns[_i].checkpoints : 0));
        test_cut_keeper_drop(&cut);
    }
    ivf_log_set(true, IVF_LOG_INFO);
    ivf_team_resize(0);
    test_shared_temp_remove(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec_resume");
    TCase *tests = tcase_create("codec_resume");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, codebooks_are_kept_one_by_one, 0, 2);
    tcase_add_test(tests, damaged_codebooks_are_trained_again);
    tcase_add_loop_test(tests, rotations_go_on, 0, (int)(sizeof turns / sizeof turns[0]));
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
