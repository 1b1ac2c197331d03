/* cluster/kmeans over ranks: the bytes of the local form, whoever holds the rows. */
#include <stdlib.h>
#include <string.h>

#include "../support/mpi_suite.h"
#include "../unit/kmeans_checks.h"
#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "math/rows.h"

static ivf_kmeans_report local_report;

/* The rows of x, in the order of their places, that `share` gives this rank. */
static float *deal(const float *x, int d, const ivf_share *share)
{
    int64_t n = ivf_share_count(share);
    size_t bytes = (size_t)d * sizeof *x;
    float *mine = ivf_new((size_t)n, bytes);
    for (int64_t row = 0; row < n; row++)
        memcpy(mine + row * d, x + ivf_share_place(share, row) * d, bytes);
    return mine;
}

static bool same_bytes(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

/* The first `holders` ranks hold rows. */
static ivf_share share_of(int64_t total, int holders)
{
    int rank = ivf_ctx_rank(test_ctx);
    return (ivf_share){.total = total, .rank = rank < holders ? rank : -1, .size = holders};
}

static void same_reports(void)
{
    test_all(report.iterations == local_report.iterations);
    test_all(same_bytes(report.objective, local_report.objective, sizeof report.objective));
    test_all(strcmp(report.steps, local_report.steps) == 0);
    test_all(strcmp(report.stopped, local_report.stopped) == 0);
    test_all(report.repairs == local_report.repairs);
    test_all(report.imbalance == local_report.imbalance);
}

/* Whatever the ranks that hold rows, and the threads. */
static void same_as_local(const ivf_kmeans_params *params, const float *x, int64_t n)
{
    size_t values = (size_t)params->k * (size_t)params->d;
    float *alone = ivf_new(values, sizeof *alone);
    float *together = ivf_new(values, sizeof *together);
    ivf_team_resize(1);
    test_all(ivf_kmeans(params, x, n, alone, &local_report) == MPIVF_OK);
    for (int holders = 1; holders <= ivf_ctx_size(test_ctx); holders++) {
        ivf_share share = share_of(n, holders);
        float *mine = deal(x, params->d, &share);
        ivf_team_resize(1 + (holders + ivf_ctx_rank(test_ctx)) % 2);
        memset(together, 0, values * sizeof *together);
        test_all(ivf_kmeans_all(test_ctx, params, mine, &share, together, &report) == MPIVF_OK);
        test_all(same_bytes(alone, together, values * sizeof *alone));
        same_reports();
        ivf_free(mine);
    }
    ivf_free(alone);
    ivf_free(together);
}

START_TEST(ranks_do_not_change_a_bit)
{
    enum { N = 7000, D = 12 };
    static const ivf_metric metrics[] = {IVF_L2, IVF_IP};
    ivf_kmeans_params params = params_of(41, D);
    params.metric = metrics[_i];
    params.iterations = 4;
    float *x = normals(N, D, 21);
    for (int64_t row = 0; row < N; row++)
        for (int j = 0; j < D; j++)
            x[row * D + j] *= (float)(1 + row % 9);
    same_as_local(&params, x, N);
    ivf_free(x);
}
END_TEST

/* Values from tiny to huge: sums whose order showed, or units that a rank chose for itself, would differ. */
START_TEST(scales_do_not_change_a_bit)
{
    enum { N = 6000, D = 6 };
    ivf_kmeans_params params = params_of(16, D);
    params.iterations = 3;
    float *x = normals(N, D, 22);
    for (int i = 0; i < N * D; i++)
        x[i] = ldexpf(x[i], i % 60 - 30);
    same_as_local(&params, x, N);
    ivf_free(x);
}
END_TEST

/* Nearly all seeds fall into a crowd that single precision cannot tell apart. */
START_TEST(repairs_are_the_same)
{
    enum { CROWD = 5000, OTHERS = 700, N = CROWD + OTHERS, D = 8, K = 64 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = normals(N, D, 23);
    for (int64_t row = 0; row < CROWD; row++)
        for (int j = 0; j < D; j++)
            x[row * D + j] = 300 + 1e-4F * x[row * D + j];
    same_as_local(&params, x, N);
    test_all(report.repairs > K / 4);
    ivf_free(x);
}
END_TEST

/* Copies make rounds of seeds that bring little. */
START_TEST(seeds_among_copies_are_the_same)
{
    enum { DISTINCT = 300, N = 4000, D = 3 };
    ivf_kmeans_params params = params_of(DISTINCT, D);
    float *values = normals(DISTINCT, D, 24);
    float *x = ivf_new((size_t)N * D, sizeof *x);
    for (int64_t row = 0; row < N; row++)
        memcpy(x + row * D, values + row * row % DISTINCT * D, D * sizeof *x);
    for (int64_t row = 0; row < DISTINCT; row++)
        memcpy(x + (N - DISTINCT + row) * D, values + row * D, D * sizeof *x);
    same_as_local(&params, x, N);
    test_all(strcmp(report.stopped, "settled") == 0);
    ivf_free(values);
    ivf_free(x);
}
END_TEST

/* All kinds of passes, rows that the grid does not hold, and cells that are moved. */
START_TEST(fast_ones_are_the_same)
{
    enum { N = 40000, D = 11, K = 520, CLUSTERS = 900 };
    static const ivf_metric metrics[] = {IVF_L2, IVF_COSINE, IVF_L2, IVF_IP};
    ivf_kmeans_params params = params_of(K, D);
    params.metric = metrics[_i];
    params.mode = IVF_KMEANS_FAST;
    params.shape = _i < 2 ? IVF_KMEANS_FLAT : IVF_KMEANS_HIERARCHICAL;
    params.iterations = 5;
    float *x = normals(N, D, 25);
    float *centres = normals(CLUSTERS, D, 26);
    for (int64_t row = 0; row < N; row++) {
        int64_t cluster = ivf_to_i64(ivf_rng_below(27, IVF_RNG_TEST, (uint64_t)row, CLUSTERS));
        for (int j = 0; j < D; j++)
            x[row * D + j] = 2 * centres[cluster / 2 * D + j] + x[row * D + j] * (row % 8000 == 3 ? 40.0F : 1.0F);
    }
    if (params.metric == IVF_COSINE)
        ivf_rows_normalise(x, N, D);
    same_as_local(&params, x, N);
    test_all(strcmp(report.steps, _i < 2 ? "mmmmmmqQRRRR" : "mmmmtTTRRR") == 0);
    ivf_free(centres);
    ivf_free(x);
}
END_TEST

START_TEST(too_few_rows_fail_on_every_rank)
{
    enum { N = 3000, D = 2, K = 8 };
    ivf_kmeans_params params = params_of(K, D);
    float *x = ivf_new((size_t)N * D, sizeof *x);
    float centroids[K * D];
    const float *last = &centroids[(size_t)(K - 1) * D];
    for (int i = 0; i < N * D; i++)
        x[i] = (float)(i / D % 5);
    ivf_share share = share_of(N, ivf_ctx_size(test_ctx));
    float *mine = deal(x, D, &share);
    test_all(ivf_kmeans_all(test_ctx, &params, mine, &share, centroids, &report) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "only 5 of the 3000") != NULL);
    params.spare = true;
    test_all(ivf_kmeans_all(test_ctx, &params, mine, &share, centroids, &report) == MPIVF_OK);
    test_all(same_bytes(centroids, last, sizeof(float) * D));
    share.total = 0;
    test_all(ivf_kmeans_all(test_ctx, &params, mine, &share, centroids, &report) == MPIVF_BAD_INPUT);
    params.k = 0;
    test_all(ivf_kmeans_all(test_ctx, &params, mine, &share, centroids, &report) == MPIVF_USAGE);
    ivf_free(mine);
    ivf_free(x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kmeans");
    TCase *tests = tcase_create("kmeans");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, ranks_do_not_change_a_bit, 0, 2);
    tcase_add_test(tests, scales_do_not_change_a_bit);
    tcase_add_test(tests, repairs_are_the_same);
    tcase_add_test(tests, seeds_among_copies_are_the_same);
    tcase_add_loop_test(tests, fast_ones_are_the_same, 0, 4);
    tcase_add_test(tests, too_few_rows_fail_on_every_rank);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
