/* search/exact: over files, with rows that cannot be indexed and ids of the user's, what a sort of all keys gives; and
 * what the searcher gives when it probes every list of a Flat index. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "math/distance.h"
#include "mpi_suite.h"
#include "search/exact.h"
#include "search/searcher.h"
#include "small_index.h"
#include "temp.h"

enum { D = SMALL_D };

static char folder[TEST_PATH_BYTES];
static char shards[2][TEST_PATH_BYTES + 16];
static char id_file[TEST_PATH_BYTES + 16];
static ivf_dataset *dataset;
static ivf_ids *ids;

static void write_fbin(const char *path, const float *x, uint32_t rows)
{
    uint32_t head[2] = {rows, D};
    size_t bytes = (size_t)rows * D * sizeof *x;
    char *file = ivf_new(sizeof head + bytes, 1);
    memcpy(file, head, sizeof head);
    memcpy(file + sizeof head, x, bytes);
    test_write_file(path, file, sizeof head + bytes);
    ivf_free(file);
}

/* Collective. x[rows][D] as two shards, and ids (or NULL: row numbers) as a raw file, opened by every rank. */
static void open_files(const float *x, int64_t rows, const uint64_t *id)
{
    int64_t first = rows / 3;
    const char *inputs[] = {shards[0], shards[1]};
    ivf_dataset_spec spec = {.inputs = inputs, .count = 2};
    test_shared_temp_make(folder);
    (void)snprintf(shards[0], sizeof shards[0], "%s/a.fbin", folder);
    (void)snprintf(shards[1], sizeof shards[1], "%s/b.fbin", folder);
    (void)snprintf(id_file, sizeof id_file, "%s/ids.bin", folder);
    if (ivf_ctx_is_root(test_ctx)) {
        write_fbin(shards[0], x, (uint32_t)first);
        write_fbin(shards[1], x + first * D, (uint32_t)(rows - first));
        if (id != NULL)
            test_write_file(id_file, id, (size_t)rows * sizeof *id);
    }
    test_all(ivf_dataset_open(test_ctx, &spec, &dataset) == MPIVF_OK);
    test_all(ivf_ids_open(test_ctx, id == NULL ? NULL : id_file, NULL, rows, &ids) == MPIVF_OK);
}

static void close_files(void)
{
    ivf_ids_close(ids);
    ivf_dataset_close(dataset);
    test_shared_temp_remove(folder);
}

static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};

/* The rows of a small index, as its builder would find them in files. */
static float *small_file_rows(void)
{
    float *x = small_vectors(SMALL_ROWS, 1);
    x[SMALL_BAD_ROW * D + 5] = NAN;
    return x;
}

/* Collective. Exact search and a Flat index agree on the whole, brute force in this process on rank 0. */
static void check_against_flat(ivf_metric metric, int64_t nq, int k)
{
    small_index small;
    ivf_searcher *searcher = NULL;
    ivf_search_params params = {.k = k, .nprobe = SMALL_NLIST};
    ivf_search_stats stats;
    float *x = small_file_rows();
    float *queries = small_vectors(nq, 2);
    ivf_neighbor *exact = ivf_new((size_t)nq * (size_t)k, sizeof *exact);
    ivf_neighbor *found = ivf_new((size_t)nq * (size_t)k, sizeof *found);
    int64_t skipped = -1;
    bool right = small_make(&small, "IVF24,Flat", metric) == MPIVF_OK;
    open_files(x, SMALL_ROWS, small.id);
    right = right && (!ivf_ctx_is_root(test_ctx) || small_write(&small, folder) == MPIVF_OK);
    test_all(right);
    test_all(ivf_exact(test_ctx, dataset, ids, metric, queries, nq, k, exact, &skipped) == MPIVF_OK);
    test_all(skipped == (nq > 0));
    test_all(ivf_searcher_open(test_ctx, folder, NULL, &searcher) == MPIVF_OK);
    test_all(ivf_search(test_ctx, searcher, queries, nq, &params, found, &stats) == MPIVF_OK);
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_neighbor *expected = small_brute_force(&small, queries, nq, k);
        right = small_same(exact, expected, nq * k) && small_same(found, expected, nq * k);
        ivf_free(expected);
    }
    ivf_searcher_close(searcher);
    small_free(&small);
    ivf_free(found);
    ivf_free(exact);
    ivf_free(queries);
    ivf_free(x);
    close_files();
    test_all(right);
}

START_TEST(equals_brute_force_and_a_flat_index)
{
    check_against_flat(metrics[_i], 150, 10);
    ivf_team_resize(3);
    check_against_flat(metrics[_i], 1, 1);
    check_against_flat(metrics[_i], 65, SMALL_ROWS + 3);
    ivf_team_resize(1);
    check_against_flat(metrics[_i], 0, 10);
}
END_TEST

static bool is_bad(int64_t row)
{
    return row < 600 || row % 97 == 3;
}

static float *many_rows(int64_t rows)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38F};
    float *x = small_vectors(rows, 5);
    for (int64_t row = 0; row < rows; row++)
        if (is_bad(row))
            x[row * D + row % D] = bad[row % 4];
    return x;
}

static bool equals_sorted_keys(const float *x, int64_t rows, const float *query, const ivf_neighbor *found, int k)
{
    bool right = true;
    ivf_neighbor *heap = ivf_new((size_t)k, sizeof *heap);
    ivf_topk top = ivf_topk_start(heap, k, INFINITY);
    for (int64_t row = 0; row < rows; row++) {
        float key = ivf_l2_sqr(query, x + row * D, D);
        uint64_t id = (uint64_t)row;
        if (!is_bad(row))
            ivf_topk_offer(&top, &key, &id, 1);
    }
    ivf_topk_finish(&top);
    right = small_same(found, heap, k);
    ivf_free(heap);
    return right;
}

/* Blocks of several chunks, the first without a good row; ids are row numbers. */
START_TEST(bad_rows_are_passed_over_and_counted)
{
    enum { MANY = 9000, NQ = 20, K = 40 };
    float *x = many_rows(MANY);
    float *queries = small_vectors(NQ, 6);
    ivf_neighbor found[NQ * K];
    int64_t bad = 0;
    int64_t skipped = 0;
    bool right = true;
    for (int64_t row = 0; row < MANY; row++)
        bad += is_bad(row);
    open_files(x, MANY, NULL);
    test_all(ivf_exact(test_ctx, dataset, ids, IVF_L2, queries, NQ, K, found, &skipped) == MPIVF_OK);
    test_all(skipped == bad);
    for (int64_t q = 0; ivf_ctx_is_root(test_ctx) && q < NQ; q++)
        right = right && equals_sorted_keys(x, MANY, queries + q * D, found + q * K, K);
    ivf_free(queries);
    ivf_free(x);
    close_files();
    test_all(right);
}
END_TEST

START_TEST(a_shard_that_shrinks_fails_on_every_rank)
{
    enum { MANY = 9000, NQ = 5 };
    float *x = small_vectors(MANY, 5);
    ivf_neighbor found[NQ];
    int64_t skipped = 0;
    open_files(x, MANY, NULL);
    test_all(!ivf_ctx_is_root(test_ctx) || truncate(shards[1], 8 + 4L * D * 5000) == 0);
    ivf_barrier(test_ctx);
    test_all(ivf_exact(test_ctx, dataset, ids, IVF_L2, x, NQ, 1, found, &skipped) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, shards[1]) != NULL);
    ivf_free(x);
    close_files();
}
END_TEST

START_TEST(a_query_without_neighbours_is_named)
{
    float *x = small_vectors(100, 5);
    ivf_neighbor found[3];
    int64_t skipped = 0;
    open_files(x, 100, NULL);
    x[2L * D] = INFINITY;
    test_all(ivf_exact(test_ctx, dataset, ids, IVF_IP, x, 3, 1, found, &skipped) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "query 2 cannot be searched for by ip: not finite") != NULL);
    ivf_free(x);
    close_files();
}
END_TEST

int main(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    Suite *suite = suite_create("exact");
    TCase *tests = tcase_create("exact");
    tcase_add_loop_test(tests, equals_brute_force_and_a_flat_index, 0, 3);
    tcase_add_test(tests, bad_rows_are_passed_over_and_counted);
    tcase_add_test(tests, a_shard_that_shrinks_fails_on_every_rank);
    tcase_add_test(tests, a_query_without_neighbours_is_named);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
