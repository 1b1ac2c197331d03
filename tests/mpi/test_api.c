/* The library over the ranks of a communicator, and queries that come in batches: the same bytes as from one process
 * alone. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "io/dataset.h"
#include "mpi_suite.h"
#include "mpivf/ranks.h"
#include "search/feed.h"
#include "small_index.h"
#include "temp.h"

enum { K = 5, MANY = 40000 };

static char folder[TEST_PATH_BYTES];
static mpivf_index *alone; /* on rank 0 */

/* Collective. An index on disk, and on rank 0 a handle that calls no MPI. */
static void make_index(const char *factory, ivf_metric metric)
{
    int rc = MPIVF_OK;
    test_shared_temp_make(folder);
    if (ivf_ctx_is_root(test_ctx)) {
        small_index small;
        rc = small_make(&small, factory, metric);
        if (rc == MPIVF_OK)
            rc = small_write(&small, folder);
        small_free(&small);
        if (rc == MPIVF_OK)
            rc = mpivf_open(folder, NULL, &alone);
    }
    test_all(ivf_agree(test_ctx, rc) == MPIVF_OK);
}

static void drop_index(void)
{
    mpivf_close(alone);
    alone = NULL;
    test_shared_temp_remove(folder);
}

/* What one process finds for n queries. */
static bool same_as_alone(const float *queries, int64_t n, int nprobe, const int64_t *ids, const float *distances)
{
    const mpivf_search_options options = {.size = sizeof options, .nprobe = nprobe};
    const size_t count = (size_t)n * K;
    int64_t *own_ids = ivf_new(count, sizeof *own_ids);
    float *own_distances = ivf_new(count, sizeof *own_distances);
    bool same = mpivf_search(alone, queries, n, K, &options, own_ids, own_distances) == MPIVF_OK &&
                memcmp(ids, own_ids, count * sizeof *ids) == 0 &&
                memcmp(distances, own_distances, count * sizeof *distances) == 0;
    ivf_free(own_distances);
    ivf_free(own_ids);
    return same;
}

/* Collective. Rank 0's arguments count; the others give none. */
static void check_ranks(const mpivf_index *index, int64_t n, int nprobe)
{
    bool right = false;
    if (ivf_ctx_is_root(test_ctx)) {
        const mpivf_search_options options = {.size = sizeof options, .nprobe = nprobe};
        float *queries = small_vectors(n, 2);
        int64_t *ids = ivf_new((size_t)n * K, sizeof *ids);
        float *distances = ivf_new((size_t)n * K, sizeof *distances);
        right = mpivf_search(index, queries, n, K, &options, ids, distances) == MPIVF_OK &&
                same_as_alone(queries, n, nprobe, ids, distances);
        ivf_free(distances);
        ivf_free(ids);
        ivf_free(queries);
    } else {
        right = mpivf_search(index, NULL, -1, 0, NULL, NULL, NULL) == MPIVF_OK;
    }
    test_all(right);
}

static const char *const factories[] = {"IVF24,Flat", "IVF24,SQ8", "IVF24,PQ4"};

START_TEST(ranks_find_what_one_process_finds)
{
    mpivf_index *index = NULL;
    make_index(factories[_i], IVF_COSINE);
    test_all(mpivf_open_ranks(MPI_COMM_WORLD, folder, NULL, &index) == MPIVF_OK);
    test_all(mpivf_rows(index) == SMALL_ROWS - 1 && mpivf_dimension(index) == SMALL_D);
    check_ranks(index, 33, 3);
    check_ranks(index, 0, 3);
    check_ranks(index, MANY, 1);
    mpivf_close(index);
    const mpivf_open_options limited = {.size = sizeof limited, .memory = 32 << 20}; /* some queries at a time */
    test_all(mpivf_open_ranks(MPI_COMM_WORLD, folder, &limited, &index) == MPIVF_OK);
    check_ranks(index, 0, 3);
    check_ranks(index, MANY, 1);
    mpivf_close(index);
    drop_index();
}
END_TEST

/* Each half of the ranks has a communicator of its own and searches when it likes. */
START_TEST(communicators_of_the_caller)
{
    mpivf_index *index = NULL;
    MPI_Comm half;
    const int rank = ivf_ctx_rank(test_ctx);
    make_index("IVF24,SQ8", IVF_L2);
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
    MPI_Comm_set_errhandler(half, MPI_ERRORS_RETURN);
    bool right = mpivf_open_ranks(half, folder, NULL, &index) == MPIVF_OK;
    MPI_Comm_free(&half);
    int64_t ids[3 * K];
    float distances[3 * K];
    float *queries = small_vectors(3, 2);
    for (int i = 0; right && i <= rank % 2; i++)
        right = mpivf_search(index, queries, 3, K, NULL, ids, distances) == MPIVF_OK;
    if (right && rank == 0)
        right = same_as_alone(queries, 3, 8, ids, distances);
    ivf_free(queries);
    mpivf_close(index);
    test_all(right);
    drop_index();
}
END_TEST

START_TEST(every_rank_learns_what_is_wrong)
{
    mpivf_index *index = NULL;
    int64_t ids[K];
    float distances[K];
    make_index("IVF24,Flat", IVF_L2);
    test_all(mpivf_open_ranks(MPI_COMM_WORLD, "missing", NULL, &index) == MPIVF_BAD_INPUT && index == NULL);
    test_all(strstr(mpivf_last_error(), "missing holds no index") != NULL);
    test_all(mpivf_open_ranks(MPI_COMM_WORLD, folder, NULL, &index) == MPIVF_OK);
    float *queries = small_vectors(1, 2);
    test_all(mpivf_search(index, queries, 1, 0, NULL, ids, distances) == MPIVF_USAGE);
    test_all(strstr(mpivf_last_error(), "k = 0") != NULL);
    ivf_free(queries);
    mpivf_close(index);
    drop_index();
}
END_TEST

/* Collective. Queries of a file, more than a batch, against the same as an array. */
static void check_file(ivf_searcher *searcher, ivf_dataset *dataset, const float *queries, int64_t n)
{
    const ivf_search_params params = {.k = K, .nprobe = 2};
    const ivf_feed feed = {.count = n, .dataset = dataset};
    ivf_search_stats stats = {0};
    ivf_search_stats whole = {0};
    ivf_neighbor *expected = ivf_new((size_t)n * K, sizeof *expected);
    ivf_neighbor *found = ivf_ctx_is_root(test_ctx) ? ivf_new((size_t)n * K, sizeof *found) : NULL;
    test_all(ivf_search(test_ctx, searcher, queries, n, &params, expected, &whole) == MPIVF_OK);
    test_all(ivf_search_feed(test_ctx, searcher, &feed, &params, found, &stats) == MPIVF_OK);
    test_all(stats.postings_scanned == whole.postings_scanned);
    test_all(found == NULL || small_same(found, expected, n * K));
    ivf_free(found);
    ivf_free(expected);
}

START_TEST(queries_of_a_file_come_in_batches)
{
    char path[TEST_PATH_BYTES + 16];
    ivf_searcher *searcher = NULL;
    ivf_dataset *dataset = NULL;
    const ivf_search_params params = {.k = K, .nprobe = 2};
    ivf_search_stats stats;
    make_index("IVF24,SQ8", IVF_L2);
    (void)snprintf(path, sizeof path, "%s/queries.fbin", folder);
    float *file = ivf_new(2 + (size_t)MANY * SMALL_D, sizeof *file);
    float *queries = small_vectors(MANY, 2);
    const uint32_t head[2] = {MANY, SMALL_D};
    memcpy(file, head, sizeof head);
    memcpy(file + 2, queries, (size_t)MANY * SMALL_D * sizeof *queries);
    file[2 + 30000 * SMALL_D] = INFINITY;
    if (ivf_ctx_is_root(test_ctx))
        test_write_file(path, file, sizeof head + (unsigned long)MANY * SMALL_D * sizeof *file);
    ivf_agree(test_ctx, MPIVF_OK);
    const char *input = path;
    const ivf_dataset_spec spec = {.inputs = &input, .count = 1};
    test_all(ivf_dataset_open(test_ctx, &spec, &dataset) == MPIVF_OK);
    test_all(ivf_searcher_open(test_ctx, folder, NULL, &searcher) == MPIVF_OK);
    check_file(searcher, dataset, queries, 30000);
    check_file(searcher, dataset, queries, 1);
    const ivf_feed feed = {.count = MANY, .dataset = dataset};
    ivf_neighbor *found = ivf_new((size_t)MANY * K, sizeof *found);
    test_all(ivf_search_feed(test_ctx, searcher, &feed, &params, found, &stats) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "query 30000 cannot be searched for") != NULL);
    ivf_free(found);
    ivf_searcher_close(searcher);
    ivf_dataset_close(dataset);
    ivf_free(queries);
    ivf_free(file);
    drop_index();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tests = tcase_create("api");
    tcase_add_loop_test(tests, ranks_find_what_one_process_finds, 0, 3);
    tcase_add_test(tests, communicators_of_the_caller);
    tcase_add_test(tests, every_rank_learns_what_is_wrong);
    tcase_add_test(tests, queries_of_a_file_come_in_batches);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
