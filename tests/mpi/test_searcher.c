/* search/searcher: what it finds in a small index is what a walk over every posting finds, for every codec and metric,
 * any number of ranks and threads, bit by bit. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/team.h"
#include "index/layout.h"
#include "math/simd.h"
#include "mpi_suite.h"
#include "search/searcher.h"
#include "small_index.h"
#include "temp.h"

static char folder[TEST_PATH_BYTES];
static small_index small; /* on rank 0 */
static ivf_searcher *searcher;

/* Collective. An index on disk, and a searcher over it. */
static void open_spread(const char *factory, ivf_metric metric, const ivf_searcher_options *options)
{
    int rc = MPIVF_OK;
    test_shared_temp_make(folder);
    if (ivf_ctx_is_root(test_ctx)) {
        rc = small_make(&small, factory, metric);
        if (rc == MPIVF_OK)
            rc = small_write(&small, folder);
    }
    test_all(ivf_agree(test_ctx, rc) == MPIVF_OK);
    test_all(ivf_searcher_open(test_ctx, folder, options, &searcher) == MPIVF_OK);
}

static void open_index(const char *factory, ivf_metric metric)
{
    open_spread(factory, metric, NULL);
}

static void close_index(void)
{
    ivf_searcher_close(searcher);
    if (ivf_ctx_is_root(test_ctx))
        small_free(&small);
    test_shared_temp_remove(folder);
}

/* Collective. One search against the walk, or against brute force. */
static void check_order(int64_t nq, int nprobe, int k, bool brute_force, ivf_scan_order order)
{
    ivf_search_params params = {.k = k, .nprobe = nprobe, .order = order};
    ivf_search_stats stats = {0};
    float *queries = small_vectors(nq, 2);
    ivf_neighbor *found = ivf_new((size_t)nq * (size_t)k, sizeof *found);
    bool right = ivf_search(test_ctx, searcher, queries, nq, &params, found, &stats) == MPIVF_OK;
    if (nprobe == SMALL_NLIST)
        right = right && stats.postings_scanned == nq * (SMALL_ROWS - 1);
    right = right && stats.seconds >= 0 && stats.seconds < 1000;
    if (right && ivf_ctx_is_root(test_ctx)) {
        ivf_neighbor *expected =
            brute_force ? small_brute_force(&small, queries, nq, k) : small_walk(&small, queries, nq, nprobe, k);
        right = small_same(found, expected, nq * k);
        ivf_free(expected);
    }
    ivf_free(found);
    ivf_free(queries);
    test_all(right);
}

/* Collective. In every order in which queries and lists can meet. */
static void check_search(int64_t nq, int nprobe, int k, bool brute_force)
{
    check_order(nq, nprobe, k, brute_force, IVF_SCAN_AUTO);
    check_order(nq, nprobe, k, brute_force, IVF_SCAN_BY_LIST);
    check_order(nq, nprobe, k, brute_force, IVF_SCAN_BY_QUERY);
}

static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};
static const char *const factories[] = {"IVF24,Flat", "IVF24,SQfp16", "IVF24,SQ8",    "IVF24,SQ6",    "IVF24,SQ4",
                                        "IVF24,PQ4",  "IVF24,PQ8x4",  "IVF24,PQ16x6", "IVF24,PQ8x4fs"};
enum { FACTORIES = sizeof factories / sizeof factories[0] };

/* The bounds differ from level to level; what is found does not. */
static void check_levels(void)
{
    ivf_simd best = ivf_simd_level();
    for (int level = 0; level < IVF_SIMD_COUNT; level++) {
        if (!ivf_simd_available((ivf_simd)level) || level == IVF_SIMD_BLAS)
            continue;
        ivf_simd_choose((ivf_simd)level);
        check_order(20, 5, 10, false, IVF_SCAN_BY_LIST);
    }
    ivf_simd_choose(best);
}

START_TEST(finds_what_a_walk_finds)
{
    open_index(factories[_i / 3], metrics[_i % 3]);
    check_search(40, 1, 10, false);
    check_search(40, 5, 1, false);
    check_search(3, SMALL_NLIST, 33, false);
    ivf_team_resize(3);
    check_search(40, 5, 10, false);
    check_search(1, SMALL_NLIST, 10, false);
    ivf_team_resize(1);
    check_levels();
    close_index();
}
END_TEST

START_TEST(flat_lists_all_probed_are_brute_force)
{
    open_index("IVF24,Flat", metrics[_i]);
    check_search(100, SMALL_NLIST, 10, true);
    close_index();
}
END_TEST

START_TEST(any_number_of_queries_and_neighbours)
{
    open_index("IVF24,Flat", metrics[_i]);
    check_search(0, 3, 10, false);
    check_search(1, 3, 10, false);
    check_search(2, SMALL_NLIST, SMALL_ROWS + 5, false);
    check_search(33, 1, 500, false);
    close_index();
}
END_TEST

static const ivf_searcher_options spreads[] = {{.spread = IVF_SPREAD_LISTS},
                                               {.spread = IVF_SPREAD_QUERIES},
                                               {.spread = IVF_SPREAD_AUTO, .parts = 2},
                                               {.spread = IVF_SPREAD_AUTO, .parts = 3}};
enum { SPREADS = sizeof spreads / sizeof spreads[0] };

/* Few queries, as many as just make parts for 5 ranks, and parts of different lengths. */
START_TEST(however_lists_and_queries_are_shared_out)
{
    open_spread("IVF24,SQ8", metrics[_i % 3], &spreads[_i]);
    check_search(31, 5, 10, false);
    check_search(160, 5, 10, false);
    check_search(203, SMALL_NLIST, 10, false);
    close_index();
}
END_TEST

/* With the least memory that all lists fit in there is room for a few queries at once. */
START_TEST(rounds_of_parts_follow_each_other)
{
    ivf_searcher_options options = {.spread = IVF_SPREAD_QUERIES, .memory = 4 << 20, .held = 1};
    int refused = 0;
    open_index("IVF24,Flat", IVF_L2);
    ivf_searcher_close(searcher);
    for (; ivf_searcher_open(test_ctx, folder, &options, &searcher) == MPIVF_USAGE; refused++)
        options.memory += 512 << 10;
    test_all(searcher != NULL && refused > 0);
    check_order(1001, 2, 200, false, IVF_SCAN_AUTO);
    close_index();
}
END_TEST

/* A limit of file sizes holds for files in memory too. */
START_TEST(without_the_systems_leave_each_rank_has_its_own_lists)
{
    ivf_searcher_options options = {.spread = IVF_SPREAD_QUERIES};
    struct rlimit before;
    struct rlimit none;
    ivf_searcher *other = NULL;
    open_index("IVF24,Flat", IVF_L2);
    test_all(getrlimit(RLIMIT_FSIZE, &before) == 0);
    (void)signal(SIGXFSZ, SIG_IGN); /* as the program does */
    none = before;
    none.rlim_cur = 4096;
    test_all(setrlimit(RLIMIT_FSIZE, &none) == 0);
    const int alone = ivf_searcher_open(test_ctx, folder, &options, &other);
    test_all(alone == (ivf_ctx_size(test_ctx) == 1 ? MPIVF_OK : MPIVF_USAGE));
    ivf_searcher_close(other);
    ivf_searcher_close(searcher);
    test_all(ivf_searcher_open(test_ctx, folder, NULL, &searcher) == MPIVF_OK);
    test_all(setrlimit(RLIMIT_FSIZE, &before) == 0);
    check_search(200, 5, 10, false);
    close_index();
}
END_TEST

/* As many neighbours as make the queries more than one batch. */
START_TEST(batches_follow_each_other)
{
    open_index("IVF24,Flat", IVF_L2);
    check_search(1000, 2, 2100, false);
    close_index();
}
END_TEST

START_TEST(a_query_without_neighbours_is_named)
{
    ivf_search_params params = {.k = 2, .nprobe = 2};
    ivf_search_stats stats;
    ivf_neighbor found[10];
    float *queries = small_vectors(5, 2);
    open_index("IVF24,Flat", IVF_COSINE);
    memset(queries + 3L * SMALL_D, 0, SMALL_D * sizeof *queries);
    test_all(ivf_search(test_ctx, searcher, queries, 5, &params, found, &stats) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "query 3 cannot be searched for by cosine: zero norm") != NULL);
    queries[0] = NAN;
    test_all(ivf_search(test_ctx, searcher, queries, 5, &params, found, &stats) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "query 0 cannot be searched for by cosine: not finite") != NULL);
    ivf_free(queries);
    close_index();
}
END_TEST

START_TEST(a_damaged_index_is_refused_by_every_rank)
{
    char path[IVF_PATH_BYTES];
    ivf_searcher *none = NULL;
    test_shared_temp_make(folder);
    test_all(ivf_searcher_open(test_ctx, folder, NULL, &none) == MPIVF_BAD_INPUT && none == NULL);
    test_shared_temp_remove(folder);

    open_index("IVF24,SQ8", IVF_L2);
    test_all(ivf_layout_fragment(folder, ivf_searcher_manifest(searcher)->fragments[SMALL_FRAGMENTS - 1].id, path) ==
             MPIVF_OK);
    test_all(!ivf_ctx_is_root(test_ctx) || truncate(path, 3000) == 0);
    test_all(ivf_searcher_open(test_ctx, folder, NULL, &none) == MPIVF_CORRUPT && none == NULL);
    test_all(!ivf_ctx_is_root(test_ctx) || unlink(path) == 0);
    test_all(ivf_searcher_open(test_ctx, folder, NULL, &none) != MPIVF_OK && none == NULL);
    test_all(strstr(ivf_error_last()->text, path) != NULL);
    close_index();
}
END_TEST

int main(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    Suite *suite = suite_create("searcher");
    TCase *tests = tcase_create("searcher");
    tcase_add_loop_test(tests, finds_what_a_walk_finds, 0, FACTORIES * 3);
    tcase_add_loop_test(tests, flat_lists_all_probed_are_brute_force, 0, 3);
    tcase_add_loop_test(tests, any_number_of_queries_and_neighbours, 0, 3);
    tcase_add_loop_test(tests, however_lists_and_queries_are_shared_out, 0, SPREADS);
    tcase_add_test(tests, rounds_of_parts_follow_each_other);
    tcase_add_test(tests, without_the_systems_leave_each_rank_has_its_own_lists);
    tcase_add_test(tests, batches_follow_each_other);
    tcase_add_test(tests, a_query_without_neighbours_is_named);
    tcase_add_test(tests, a_damaged_index_is_refused_by_every_rank);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
