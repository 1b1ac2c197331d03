/* What a Flat index finds with all of its lists is what brute force over its input finds, bit by bit: for every metric
 * and number of ranks, with lists in memory and read from files, as it was built, compacted, and in a single file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "build/build.h"
#include "build/compact.h"
#include "comm/transfer.h"
#include "io/dataset.h"
#include "io/ids.h"
#include "mpi_suite.h"
#include "search/exact.h"
#include "search/searcher.h"
#include "temp.h"

/* Enough of them that with 5 ranks each has more than it must hold to read the rest. */
enum { ROWS = 24000, BAD_ROW = 5000, D = 32, NLIST = 20, QUERIES = 40, K = 9, PATH = TEST_PATH_BYTES + 16 };

static char folder[TEST_PATH_BYTES];
static char index_path[PATH], rows_path[PATH];
static const char *const inputs[1] = {rows_path};
static float queries[QUERIES * D];
static ivf_neighbor expected[QUERIES * K]; /* on rank 0 */

static void fill(float *x, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n * D; i++)
        x[i] = 0.2F + (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
}

static void write_rows(void)
{
    static char data[8 + (size_t)ROWS * D * sizeof(float)];
    static float x[ROWS * D];
    const uint32_t head[2] = {ROWS, D};
    fill(x, ROWS, 1);
    x[(ptrdiff_t)BAD_ROW * D] = INFINITY; /* skipped, and passed over */
    memcpy(data, head, sizeof head);
    memcpy(data + sizeof head, x, sizeof x);
    test_write_file(rows_path, data, sizeof data);
}

static void setup(void)
{
    test_shared_temp_make(folder);
    (void)snprintf(index_path, sizeof index_path, "%s/index", folder);
    (void)snprintf(rows_path, sizeof rows_path, "%s/rows.fbin", folder);
    fill(queries, QUERIES, 2);
    if (ivf_ctx_is_root(test_ctx))
        write_rows();
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

/* Collective. */
static void make_index(ivf_metric metric)
{
    ivf_build_result result;
    json_t *options = json_object();
    ivf_build_config config = {.index = index_path,
                               .input = {.inputs = inputs, .count = 1, .h5_path = "train"},
                               .ids_h5 = "ids",
                               .metric = metric,
                               .seed = 1,
                               .sample_rows = 1000,
                               .fragment_rows = 5000,
                               .iterations = 1,
                               .assign = IVF_NEAREST_KINDS,
                               .skip_bad_rows = true,
                               .config = options};
    test_all(ivf_factory_parse("IVF20,Flat", &config.factory) == MPIVF_OK);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK && result.postings == ROWS - 1);
    json_decref(options);
}

/* Collective. */
static void find_by_brute_force(ivf_metric metric)
{
    const ivf_dataset_spec spec = {.inputs = inputs, .count = 1, .h5_path = "train"};
    ivf_dataset *dataset = NULL;
    ivf_ids *ids = NULL;
    int64_t skipped = 0;
    test_all(ivf_dataset_open(test_ctx, &spec, &dataset) == MPIVF_OK);
    test_all(ivf_ids_open(test_ctx, NULL, NULL, ROWS, &ids) == MPIVF_OK);
    test_all(ivf_exact(test_ctx, dataset, ids, metric, queries, QUERIES, K, expected, &skipped) == MPIVF_OK);
    test_all(skipped == 1);
    ivf_ids_close(ids);
    ivf_dataset_close(dataset);
}

/* Collective. */
static void check_search(ivf_searcher *searcher)
{
    const ivf_search_params params = {.k = K, .nprobe = NLIST};
    ivf_neighbor found[QUERIES * K] = {0};
    ivf_search_stats stats;
    bool same = true;
    test_all(ivf_search(test_ctx, searcher, queries, QUERIES, &params, found, &stats) == MPIVF_OK);
    for (int i = 0; ivf_ctx_is_root(test_ctx) && i < QUERIES * K; i++)
        same = same && found[i].id == expected[i].id && memcmp(&found[i].key, &expected[i].key, sizeof(float)) == 0;
    test_all(same && (stats.bytes_read > 0) == (ivf_searcher_lists_on_disk(searcher) > 0));
}

/* Collective. With no limit, and with less memory than the lists take. */
static void check_index(void)
{
    enum { STEP = 256 << 10 };
    /* Somewhat less than is needed (search/budget.c). */
    ivf_searcher_options options = {.held = 1, .memory = (11 << 19) + ivf_ctx_size(test_ctx) * (384 << 10)};
    ivf_searcher *searcher = NULL;
    int rc = MPIVF_USAGE;
    test_all(ivf_searcher_open(test_ctx, index_path, NULL, &searcher) == MPIVF_OK);
    test_all(ivf_searcher_lists_on_disk(searcher) == 0);
    check_search(searcher);
    ivf_searcher_close(searcher);
    while (rc == MPIVF_USAGE && options.memory < (int64_t)128 << 20) {
        options.memory += STEP;
        rc = ivf_searcher_open(test_ctx, index_path, &options, &searcher);
    }
    test_all(rc == MPIVF_OK && ivf_searcher_lists_on_disk(searcher) > 0);
    check_search(searcher);
    ivf_searcher_close(searcher);
}

/* Collective. */
static void compact(bool single_file)
{
    const ivf_compact_config config = {.index = index_path, .fragment_bytes = 1 << 20, .single_file = single_file};
    ivf_compact_result result;
    test_all(ivf_compact(test_ctx, &config, &result) == MPIVF_OK && result.postings == ROWS - 1);
}

START_TEST(all_lists_are_brute_force)
{
    const ivf_metric metric = (ivf_metric)_i;
    make_index(metric);
    find_by_brute_force(metric);
    check_index();
    compact(false);
    check_index();
    if (metric == IVF_IP) {
        compact(true);
        check_index();
    }
}
END_TEST

int main(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    Suite *suite = suite_create("flat");
    TCase *tests = tcase_create("flat");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, all_lists_are_brute_force, IVF_L2, IVF_COSINE + 1);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
