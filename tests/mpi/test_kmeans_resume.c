/* k-means that is cut off after each of its checkpoints, and goes on with other ranks and threads: the bytes and the
 * report of one that was left alone, and no iteration twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/cut_keeper.h"
#include "../support/mpi_suite.h"
#include "../support/temp.h"
#include "../unit/kmeans_checks.h"
#include "base/error.h"
#include "base/log.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "math/rows.h"

enum { MOST = 1000 };

typedef struct {
    ivf_kmeans_params params;
    int64_t n;
    float *x; /* in the order of places */
    float *expected;
    ivf_kmeans_report report;
} work;

static size_t bytes_of(const work *w)
{
    return (size_t)w->params.k * (size_t)w->params.d * sizeof(float);
}

/* Left alone, on one rank. */
static void expect(work *w)
{
    w->expected = ivf_new(bytes_of(w), 1);
    ivf_team_resize(1);
    test_all(ivf_kmeans(&w->params, w->x, w->n, w->expected, &w->report) == MPIVF_OK);
}

static void drop(work *w)
{
    ivf_team_resize(0);
    ivf_free(w->x);
    ivf_free(w->expected);
}

/* With keeper and `holders` ranks (0: rank 0 alone, by itself). The code, the same on every rank. */
static int train(const work *w, const ivf_keeper *keeper, int holders, float *centroids)
{
    const int rank = ivf_ctx_rank(test_ctx);
    const ivf_share share = {.total = w->n, .rank = rank < holders ? rank : -1, .size = holders};
    ivf_kmeans_params params = w->params;
    params.keeper = keeper;
    params.kept_as = "lists";
    if (holders == 0)
        return ivf_agree(test_ctx, rank == 0 ? ivf_kmeans(&params, w->x, w->n, centroids, &report) : MPIVF_OK);
    const size_t row = (size_t)w->params.d * sizeof(float);
    float *mine = ivf_new((size_t)ivf_share_count(&share), row);
    for (int64_t i = 0; i < ivf_share_count(&share); i++)
        memcpy(mine + i * w->params.d, w->x + ivf_share_place(&share, i) * w->params.d, row);
    int rc = ivf_kmeans_all(test_ctx, &params, mine, &share, centroids, &report);
    ivf_free(mine);
    return rc;
}

static bool as_expected(const work *w, const float *centroids)
{
    const ivf_kmeans_report *e = &w->report;
    return memcmp(centroids, w->expected, bytes_of(w)) == 0 && report.iterations == e->iterations &&
           memcmp(report.objective, e->objective, sizeof e->objective) == 0 && strcmp(report.steps, e->steps) == 0 &&
           strcmp(report.stopped, e->stopped) == 0 && report.repairs == e->repairs && report.imbalance == e->imbalance;
}

/* Cut off after one checkpoint each time, until it is done. Returns how many there were. */
static int cut_everywhere(const work *w, const char *folder)
{
    const int size = ivf_ctx_size(test_ctx);
    float *centroids = ivf_new(bytes_of(w), 1);
    int rc = MPIVF_INTERRUPTED;
    int runs = 0;
    for (; rc == MPIVF_INTERRUPTED && runs < MOST; runs++) {
        const int holders = runs % (size + 1);
        test_cut_keeper cut;
        test_cut_keeper_make(&cut, folder, 1);
        ivf_team_resize(1 + (runs + ivf_ctx_rank(test_ctx)) % 3);
        memset(centroids, 0, bytes_of(w));
        rc = train(w, &cut.keeper, holders, centroids);
        if (ivf_ctx_is_root(test_ctx))
            ck_assert_int_eq(atomic_load(&cut.found), runs > 0);
        test_cut_keeper_drop(&cut);
    }
    test_all(rc == MPIVF_OK);
    test_all(!ivf_ctx_is_root(test_ctx) || as_expected(w, centroids));
    /* What is done is not done again. */
    test_cut_keeper cut;
    test_cut_keeper_make(&cut, folder, MOST);
    test_all(train(w, &cut.keeper, size, centroids) == MPIVF_OK);
    test_all(as_expected(w, centroids));
    test_all(atomic_load(&cut.begun) == 0);
    test_cut_keeper_drop(&cut);
    ivf_free(centroids);
    return runs;
}

/* Checkpoints of one that is left alone with a keeper. */
static int count_checkpoints(const work *w, const char *folder)
{
    float *centroids = ivf_new(bytes_of(w), 1);
    test_cut_keeper cut;
    test_cut_keeper_make(&cut, folder, MOST);
    test_all(train(w, &cut.keeper, ivf_ctx_size(test_ctx), centroids) == MPIVF_OK);
    test_all(as_expected(w, centroids));
    int64_t begun = atomic_load(&cut.begun);
    test_cut_keeper_drop(&cut);
    ivf_free(centroids);
    ivf_bcast(test_ctx, &begun, sizeof begun);
    return ivf_to_int(begun);
}

/* `checkpoints`: at least so many. */
static void survives_cuts(work *w, int checkpoints)
{
    char alone[TEST_PATH_BYTES];
    char cut[TEST_PATH_BYTES];
    test_shared_temp_make(alone);
    test_shared_temp_make(cut);
    expect(w);
    const int count = count_checkpoints(w, alone);
    test_all(count >= checkpoints);
    test_all(cut_everywhere(w, cut) == count);
    test_shared_temp_remove(cut);
    test_shared_temp_remove(alone);
    drop(w);
}

static float *clustered(int64_t n, int d, int64_t clusters)
{
    float *x = normals(n, d, 25);
    float *centres = normals(clusters, d, 26);
    for (int64_t row = 0; row < n; row++) {
        int64_t cluster = ivf_to_i64(ivf_rng_below(27, IVF_RNG_TEST, (uint64_t)row, (uint64_t)clusters));
        for (int j = 0; j < d; j++)
            x[row * d + j] = 2 * centres[cluster / 2 * d + j] + x[row * d + j] * (row % 8000 == 3 ? 40.0F : 1.0F);
    }
    ivf_free(centres);
    return x;
}

START_TEST(exact)
{
    work w = {.params = params_of(41, 12), .n = 7000};
    w.params.metric = _i == 0 ? IVF_L2 : IVF_IP;
    w.params.iterations = 6;
    w.x = normals(w.n, 12, 21);
    survives_cuts(&w, 6);
}
END_TEST

/* A part of the rows, and all of them: cells move from the one to the other. */
START_TEST(fast)
{
    static const ivf_metric metrics[] = {IVF_COSINE, IVF_L2, IVF_L2};
    static const char *const steps[] = {"mmmmmmqQRRR", "mmmmtTTRR", "mmmmmmfFRRR"};
    work w = {.params = params_of(520, 8), .n = 34000};
    w.params.mode = IVF_KMEANS_FAST;
    w.params.metric = metrics[_i];
    w.params.shape = _i == 0 ? IVF_KMEANS_FLAT : IVF_KMEANS_HIERARCHICAL;
    w.params.iterations = 4;
    w.x = clustered(w.n, 8, 900);
    if (w.params.metric == IVF_COSINE)
        ivf_rows_normalise(w.x, w.n, 8);
    for (int64_t row = 0; _i == 2 && row < w.n; row++)
        w.x[row * 8] *= 1e6F;
    survives_cuts(&w, 9);
    test_all(strcmp(w.report.steps, steps[_i]) == 0);
}
END_TEST

START_TEST(fast_without_lists)
{
    work w = {.params = params_of(30, 6), .n = 5000};
    w.params.mode = IVF_KMEANS_FAST;
    w.params.iterations = 4;
    w.x = normals(w.n, 6, 22);
    survives_cuts(&w, 6);
}
END_TEST

/* Cells stay empty when the iterations are over, so that further passes fill them. */
START_TEST(filling)
{
    enum { CROWD = 5000, OTHERS = 700, D = 8, K = 64 };
    work w = {.params = params_of(K, D), .n = CROWD + OTHERS};
    w.params.iterations = 1;
    w.params.mode = _i == 0 ? IVF_KMEANS_EXACT : IVF_KMEANS_FAST;
    w.x = normals(w.n, D, 23);
    for (int64_t row = 0; row < CROWD; row++)
        for (int j = 0; j < D; j++)
            w.x[row * D + j] = 300 + 1e-4F * w.x[row * D + j];
    survives_cuts(&w, 3);
    test_all(w.report.repairs > K / 4);
}
END_TEST

/* Fewer distinct rows than cells. */
START_TEST(spare)
{
    work w = {.params = params_of(30, 2), .n = 3000};
    w.params.spare = true;
    w.params.mode = _i == 0 ? IVF_KMEANS_EXACT : IVF_KMEANS_FAST;
    w.x = normals(w.n, 2, 24);
    for (int64_t row = 20; row < w.n; row++)
        memcpy(w.x + row * 2, w.x + row % 20 * 2, 2 * sizeof(float));
    survives_cuts(&w, 1);
}
END_TEST

static long length_of(FILE *file)
{
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    return ftell(file);
}

/* Rank 0. One byte of the checkpoint is another one; or it ends early. */
static void damage(const char *folder, double where, bool cut)
{
    char path[TEST_PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/lists.ckpt", folder);
    FILE *file = fopen(path, "r+be");
    ck_assert_ptr_nonnull(file);
    const long length = length_of(file);
    const long at = (long)(where * (double)(length - 1));
    char *bytes = ivf_new((size_t)length, 1);
    ck_assert_int_eq(fseek(file, 0, SEEK_SET), 0);
    ck_assert_uint_eq(fread(bytes, 1, (size_t)length, file), (size_t)length);
    ck_assert_int_eq(fclose(file), 0);
    bytes[at] = (char)(bytes[at] ^ 1);
    test_write_file(path, bytes, (unsigned long)(cut ? at : length));
    ivf_free(bytes);
}

/* Rank 0. The same checkpoint, but for one value of its contents, as a whole file. */
static void forge(const test_cut_keeper *cut, long at, int32_t value)
{
    size_t bytes = 0;
    const ivf_keeper *keeper = &cut->keeper;
    ivf_kept *kept = keeper->open(keeper->arg, "lists", &bytes);
    ck_assert_ptr_nonnull(kept);
    ck_assert(labs(at) < (long)bytes);
    char *all = ivf_new(bytes, 1);
    ck_assert(keeper->take(kept, all, bytes));
    keeper->close(kept);
    memcpy(all + (at >= 0 ? at : (long)bytes + at), &value, sizeof value);
    const ivf_keeper_part part = {all, bytes};
    ck_assert_int_eq(ivf_keeper_put(keeper, "lists", &part, 1), MPIVF_OK);
    ivf_free(all);
}

static void goes_on_all_the_same(const work *w, const char *folder)
{
    float *centroids = ivf_new(bytes_of(w), 1);
    test_cut_keeper cut;
    test_cut_keeper_make(&cut, folder, MOST);
    test_all(train(w, &cut.keeper, ivf_ctx_size(test_ctx), centroids) == MPIVF_OK);
    test_all(as_expected(w, centroids));
    test_cut_keeper_drop(&cut);
    ivf_free(centroids);
}

/* A checkpoint that is not whole, or does not fit, costs its work and nothing else: `count` damages, of which the first
 * `torn` are to the file, the others to what it holds, to the checkpoint after so many iterations. */
static void damage_costs_time_alone(const work *w, int iterations, const long *values, int count, int torn)
{
    char folder[TEST_PATH_BYTES];
    float *centroids = ivf_new(bytes_of(w), 1);
    ivf_log_set(false, IVF_LOG_QUIET);
    for (int i = 0; i < count; i++) {
        test_cut_keeper cut;
        test_shared_temp_make(folder);
        test_cut_keeper_make(&cut, folder, iterations);
        test_all(train(w, &cut.keeper, ivf_ctx_size(test_ctx), centroids) == MPIVF_INTERRUPTED);
        cut.left = MOST;
        if (ivf_ctx_is_root(test_ctx) && i < torn)
            damage(folder, (double)values[i] / 100, i % 2 == 0);
        else if (ivf_ctx_is_root(test_ctx))
            forge(&cut, values[i], i % 2 == 0 ? INT32_MAX : -7);
        test_cut_keeper_drop(&cut);
        goes_on_all_the_same(w, folder);
        test_shared_temp_remove(folder);
    }
    ivf_log_set(true, IVF_LOG_INFO);
    ivf_free(centroids);
}

START_TEST(damaged_files_and_heads)
{
    static const long values[] = {0,  0,  50, 50, 100, 100, 0,   24,
                                  32, 40, 48, 56, 64,  120, 136, 88}; /* per cent; bytes */
    work w = {.params = params_of(20, 4), .n = 2000};
    w.x = normals(w.n, 4, 21);
    w.params.iterations = 3;
    expect(&w);
    damage_costs_time_alone(&w, w.report.iterations - 1, values, (int)(sizeof values / sizeof values[0]), 6);
    drop(&w);
}
END_TEST

START_TEST(damaged_cells_and_centroids)
{
    static const long values[] = {-4, 4 * -34100, 4 * -35500}; /* from the end: cells, nodes, centroids */
    work w = {.params = params_of(520, 8), .n = 34000};
    w.params.mode = IVF_KMEANS_FAST;
    w.params.shape = IVF_KMEANS_HIERARCHICAL;
    w.params.iterations = 4;
    w.x = clustered(w.n, 8, 900);
    expect(&w);
    damage_costs_time_alone(&w, w.report.iterations - 1, values, 3, 0);
    /* Before centroids are moved: the spread of a cell, behind head, objective, step, centroids and short lists. */
    static const long spread[] = {160 + 8 + 1 + 520 * 8 * 4 + 520 + 8 * 7 + 4};
    damage_costs_time_alone(&w, 1, spread, 1, 0);
    drop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kmeans_resume");
    TCase *tests = tcase_create("kmeans_resume");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, exact, 0, 2);
    tcase_add_loop_test(tests, fast, 0, 3);
    tcase_add_test(tests, fast_without_lists);
    tcase_add_loop_test(tests, filling, 0, 2);
    tcase_add_loop_test(tests, spare, 0, 2);
    tcase_add_test(tests, damaged_files_and_heads);
    tcase_add_test(tests, damaged_cells_and_centroids);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
