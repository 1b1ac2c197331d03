/* search/rerank: of what a search without it finds, the nearest by brute force over the rows as they were indexed, bit
 * by bit, for any number of ranks; and input that is not what was indexed is refused. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "build/build.h"
#include "comm/transfer.h"
#include "math/distance.h"
#include "math/rows.h"
#include "mpi_suite.h"
#include "search/searcher.h"
#include "small_index.h"
#include "temp.h"

enum { ROWS = 3000, HALF = ROWS / 2, D = 16, BAD_ROW = 100, QUERIES = 40, PATH = TEST_PATH_BYTES + 64 };

static char folder[TEST_PATH_BYTES];
static char shards[2][PATH];
static char ids_path[PATH];
static char index_path[PATH];
static const char *inputs[2] = {shards[0], shards[1]};
static float rows[ROWS * D];
static float queries[QUERIES * D];
static ivf_metric metric;
static bool with_ids;

static uint64_t id_of(int64_t row)
{
    return with_ids ? (uint64_t)(row * 7 % ROWS) << 33 | 5 : (uint64_t)row;
}

static void write_shard(int half)
{
    const uint32_t head[2] = {HALF, D};
    static char data[8 + (size_t)HALF * D * sizeof(float)];
    memcpy(data, head, sizeof head);
    memcpy(data + sizeof head, rows + (ptrdiff_t)half * HALF * D, sizeof data - sizeof head);
    test_write_file(shards[half], data, sizeof data);
}

static void setup(void)
{
    static uint64_t ids[ROWS];
    test_shared_temp_make(folder);
    (void)snprintf(index_path, sizeof index_path, "%s/index", folder);
    (void)snprintf(ids_path, sizeof ids_path, "%s/ids", folder);
    for (int64_t i = 0; i < (int64_t)ROWS * D; i++)
        rows[i] = 0.3F + (float)ivf_rng_normal(3, IVF_RNG_TEST, (uint64_t)i);
    for (int64_t i = 0; i < (int64_t)QUERIES * D; i++)
        queries[i] = 0.3F + (float)ivf_rng_normal(4, IVF_RNG_TEST, (uint64_t)i);
    rows[(ptrdiff_t)BAD_ROW * D] = NAN;
    with_ids = true;
    for (int64_t i = 0; i < ROWS; i++)
        ids[i] = id_of(i);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(shards[i], sizeof shards[i], "%s/%d.fbin", folder, i);
        if (ivf_ctx_is_root(test_ctx))
            write_shard(i);
    }
    if (ivf_ctx_is_root(test_ctx))
        test_write_file(ids_path, ids, sizeof ids);
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    test_shared_temp_remove(folder);
}

/* Collective. */
static void build(const char *factory)
{
    ivf_build_result result;
    json_t *options =
        json_pack("{s:s, s:s*, s:s}", "dataset", "train", "ids", with_ids ? ids_path : NULL, "ids-dataset", "ids");
    ivf_build_config config = {.index = index_path,
                               .input = {.inputs = inputs, .count = 2, .h5_path = "train"},
                               .ids = with_ids ? ids_path : NULL,
                               .ids_h5 = "ids",
                               .metric = metric,
                               .seed = 1,
                               .fragment_rows = 700,
                               .iterations = 3,
                               .pq_iterations = 3,
                               .assign = IVF_NEAREST_KINDS,
                               .skip_bad_rows = true,
                               .replace = true,
                               .config = options};
    test_all(ivf_factory_parse(factory, &config.factory) == MPIVF_OK);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK);
    json_decref(options);
}

/* ---- the reference ---- */

static int64_t row_of(uint64_t id)
{
    enum { INVERSE = 2143 }; /* of 7, modulo ROWS */
    return with_ids ? (int64_t)(id >> 33) * INVERSE % ROWS : (int64_t)id;
}

static float exact_key(int64_t query, int64_t row)
{
    float q[D];
    float x[D];
    float key = 0;
    memcpy(q, queries + query * D, sizeof q);
    memcpy(x, rows + row * D, sizeof x);
    if (metric == IVF_COSINE) {
        ivf_rows_normalise(q, 1, D);
        ivf_rows_normalise(x, 1, D);
    }
    ivf_keys_f32(metric, q, x, 1, D, &key);
    return key;
}

static int by_key_and_id(const void *a, const void *b)
{
    const ivf_neighbor *x = a;
    const ivf_neighbor *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Of candidates[QUERIES][width] the k nearest that are not beyond the limit. */
static ivf_neighbor *choose(const ivf_neighbor *candidates, int width, int k, float limit)
{
    ivf_neighbor *best = ivf_new((size_t)QUERIES * (size_t)k, sizeof *best);
    for (int64_t q = 0; q < QUERIES; q++) {
        ivf_neighbor *all = ivf_new((size_t)width + (size_t)k, sizeof *all);
        int n = 0;
        for (int i = 0; i < width; i++) {
            ivf_neighbor c = candidates[q * width + i];
            if (c.id == UINT64_MAX)
                continue;
            c.key = exact_key(q, row_of(c.id));
            if (c.key <= limit)
                all[n++] = c;
        }
        for (int i = 0; i < k; i++)
            all[n++] = (ivf_neighbor){.key = INFINITY, .id = UINT64_MAX};
        qsort(all, (size_t)n, sizeof *all, by_key_and_id);
        memcpy(best + q * k, all, (size_t)k * sizeof *all);
        ivf_free(all);
    }
    return best;
}

/* ---- */

static ivf_neighbor *search(ivf_searcher *searcher, const ivf_search_params *params)
{
    ivf_search_stats stats;
    ivf_neighbor *found = ivf_new((size_t)QUERIES * (size_t)params->k, sizeof *found);
    test_all(ivf_search(test_ctx, searcher, queries, QUERIES, params, found, &stats) == MPIVF_OK);
    return found;
}

/* Collective. */
static void check_search(ivf_searcher *searcher, int nprobe, int candidates, int k, bool limited)
{
    const ivf_search_params plain = {.k = candidates, .nprobe = nprobe};
    ivf_search_params params = {.k = k, .nprobe = nprobe, .rerank = candidates, .limited = limited};
    params.max_distance = metric == IVF_COSINE ? 0.5 : metric == IVF_IP ? 8 : 12;
    ivf_neighbor *from = search(searcher, &plain);
    ivf_neighbor *found = search(searcher, &params);
    bool right = true;
    if (ivf_ctx_is_root(test_ctx)) {
        const float limit = limited ? ivf_metric_limit(metric, params.max_distance) : INFINITY;
        ivf_neighbor *expected = choose(from, candidates, k, limit);
        right = small_same(found, expected, (int64_t)QUERIES * k);
        if (limited)
            right = right && found[k - 1].id == UINT64_MAX && found[0].id != UINT64_MAX;
        ivf_free(expected);
    }
    ivf_free(from);
    ivf_free(found);
    test_all(right);
}

static void check_index(const char *factory, int nlist)
{
    const ivf_searcher_options options = {.vectors = true};
    ivf_searcher *searcher = NULL;
    build(factory);
    test_all(ivf_searcher_open(test_ctx, index_path, &options, &searcher) == MPIVF_OK);
    check_search(searcher, 3, 50, 10, false);
    check_search(searcher, 1, 400, 400, false);
    check_search(searcher, nlist, ROWS + 9, 30, false);
    check_search(searcher, nlist, ROWS, 1500, true);
    ivf_searcher_close(searcher);
}

START_TEST(the_nearest_of_the_candidates_by_their_vectors)
{
    metric = (ivf_metric)_i;
    with_ids = _i != IVF_IP;
    check_index("IVF8,PQ4", 8);
}
END_TEST

START_TEST(rotated_rows_are_compared_as_they_were_read)
{
    metric = IVF_L2;
    with_ids = false;
    check_index("OPQ4_8,IVF8,PQ4", 8);
}
END_TEST

/* Collective. The index cannot be opened with vectors, as the message says, but without. */
static void check_refused(const char *part, const char *other)
{
    const ivf_searcher_options options = {.vectors = true};
    const ivf_search_params params = {.k = 2, .nprobe = 2, .rerank = 5};
    ivf_search_stats stats;
    ivf_neighbor found[QUERIES * 2];
    ivf_searcher *searcher = NULL;
    int rc = ivf_searcher_open(test_ctx, index_path, &options, &searcher);
    if (rc == MPIVF_OK) /* a file of ids is read through by a search */
        rc = ivf_search(test_ctx, searcher, queries, QUERIES, &params, found, &stats);
    test_all(rc == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, part) != NULL && strstr(ivf_error_last()->text, other) != NULL);
    test_all(strstr(ivf_error_last()->text, "search without --rerank") != NULL);
    ivf_searcher_close(searcher);
    test_all(ivf_searcher_open(test_ctx, index_path, NULL, &searcher) == MPIVF_OK);
    test_all(ivf_search(test_ctx, searcher, queries, QUERIES, &params, found, &stats) == MPIVF_USAGE);
    ivf_searcher_close(searcher);
}

/* Rank 0. Changes a byte; with `same_time` as if nothing had happened. */
static void change(const char *path, off_t at, bool same_time)
{
    struct stat before;
    ck_assert_int_eq(stat(path, &before), 0);
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseeko(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    ck_assert_int_eq(fseeko(file, at, SEEK_SET), 0);
    ck_assert_int_ne(fputc(byte ^ 1, file), EOF);
    ck_assert_int_eq(fclose(file), 0);
    const struct timespec times[2] = {before.st_atim,
                                      {before.st_mtim.tv_sec + (same_time ? 0 : 5), before.st_mtim.tv_nsec}};
    ck_assert_int_eq(utimensat(0, path, times, 0), 0);
}

START_TEST(other_input_is_refused_by_name)
{
    const bool root = ivf_ctx_is_root(test_ctx);
    char kept[PATH + 8];
    metric = IVF_L2;
    with_ids = true;
    build("IVF8,PQ4");
    if (root)
        change(shards[1], 5000, true);
    check_refused("/1.fbin changed since it was indexed: its contents", "");
    if (root)
        change(shards[1], 5000, false);
    check_refused("/1.fbin changed since it was indexed: last changed", "");
    (void)snprintf(kept, sizeof kept, "%s.kept", shards[0]);
    test_all(!root || rename(shards[0], kept) == 0);
    check_refused("/0.fbin", "No such file");
    test_all(!root || (rename(kept, shards[0]) == 0));
    if (root)
        write_shard(1);
    build("IVF8,PQ4");
    if (root)
        change(ids_path, 1600, true);
    check_refused("/ids changed since it was indexed: it holds other ids", "");
}
END_TEST

int main(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    Suite *suite = suite_create("rerank");
    TCase *tests = tcase_create("rerank");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, the_nearest_of_the_candidates_by_their_vectors, 0, 3);
    tcase_add_test(tests, rotated_rows_are_compared_as_they_were_read);
    tcase_add_test(tests, other_input_is_refused_by_name);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
