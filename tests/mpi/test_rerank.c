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
#include "build/repair.h"
#include "comm/transfer.h"
#include "index/kept.h"
#include "index/verify.h"
#include "math/convert.h"
#include "math/distance.h"
#include "math/rows.h"
#include "mpi_suite.h"
#include "search/searcher.h"
#include "small_index.h"
#include "temp.h"

enum { ROWS = 3000, HALF = ROWS / 2, D = 16, BAD_ROW = 100, QUERIES = 70, PATH = TEST_PATH_BYTES + 64 };

static char folder[TEST_PATH_BYTES];
static char shards[2][PATH];
static char ids_path[PATH];
static char index_path[PATH];
static const char *inputs[2] = {shards[0], shards[1]};
static float rows[ROWS * D];
static float queries[QUERIES * D];
static ivf_metric metric;
static bool with_ids;
static ivf_keeping kept; /* by the index that is built */
static int64_t fragment_rows;

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
    kept = (ivf_keeping){0};
    fragment_rows = 700;
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
                               .fragment_rows = fragment_rows,
                               .iterations = 3,
                               .pq_iterations = 3,
                               .assign = IVF_NEAREST_KINDS,
                               .keeps_vectors = kept.d > 0,
                               .keep_type = kept.type,
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
    if (kept.d > 0 && kept.type == IVF_F16) {
        uint16_t half[D];
        ivf_f32_to_f16(x, D, half);
        ivf_f16_to_f32(half, D, x);
    }
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

/* Collective. Without its input, if it keeps vectors. */
static void check_index(const char *factory, int nlist)
{
    const ivf_searcher_options options = {.vectors = true};
    ivf_searcher *searcher = NULL;
    build(factory);
    if (kept.d > 0)
        test_all(!ivf_ctx_is_root(test_ctx) || (unlink(shards[0]) == 0 && unlink(ids_path) == 0));
    test_all(ivf_searcher_open(test_ctx, index_path, &options, &searcher) == MPIVF_OK);
    check_search(searcher, 3, 50, 10, false);
    check_search(searcher, 1, 400, 400, false);
    check_search(searcher, nlist, ROWS + 9, 30, false);
    check_search(searcher, nlist, ROWS, 1500, true);
    ivf_searcher_close(searcher);
}

/* Of rows that are rotated, as they were read. */
START_TEST(the_nearest_of_the_candidates_by_their_vectors)
{
    metric = (ivf_metric)_i;
    with_ids = _i != IVF_IP;
    check_index(_i == IVF_L2 ? "OPQ4_8,IVF8,PQ4" : "IVF8,PQ4", 8);
}
END_TEST

START_TEST(kept_vectors_need_no_input)
{
    metric = (ivf_metric)_i;
    with_ids = _i != IVF_COSINE;
    kept = (ivf_keeping){.d = D, .type = _i == IVF_IP ? IVF_F16 : IVF_F32};
    check_index(_i == IVF_L2 ? "OPQ4,IVF8,PQ4" : "IVF8,PQ4", 8);
}
END_TEST

/* Directions that half precision cannot hold in the rows' own scale are kept all the same: no row is lost, and keys are
 * as near as its rounding. */
START_TEST(short_vectors_keep_their_direction)
{
    const ivf_searcher_options options = {.vectors = true};
    const ivf_search_params params = {.k = ROWS - 1, .nprobe = 8, .rerank = ROWS - 1};
    ivf_searcher *searcher = NULL;
    bool right = true;
    metric = IVF_COSINE;
    with_ids = false;
    kept = (ivf_keeping){.d = D, .type = IVF_F16};
    for (int64_t i = 0; i < ROWS; i += 2)
        for (int64_t j = 0; j < D; j++)
            rows[i * D + j] *= i % 4 == 0 ? 1e-6F : 1e-12F;
    for (int i = 0; ivf_ctx_is_root(test_ctx) && i < 2; i++)
        write_shard(i);
    ivf_barrier(test_ctx);
    build("IVF8,PQ4");
    kept.d = 0; /* of rows as they were */
    test_all(ivf_searcher_open(test_ctx, index_path, &options, &searcher) == MPIVF_OK);
    ivf_neighbor *found = search(searcher, &params);
    for (int64_t i = 0; ivf_ctx_is_root(test_ctx) && i < (int64_t)QUERIES * (ROWS - 1); i++) {
        right = right && found[i].id < ROWS;
        right = right && fabsf(found[i].key - exact_key(i / (ROWS - 1), row_of(found[i].id))) < 2e-3F;
    }
    test_all(right);
    ivf_free(found);
    ivf_searcher_close(searcher);
}
END_TEST

/* Rank 0. The file of a fragment, and where its vectors lie in it. */
static int64_t locate_vectors(int64_t fragment, char path[IVF_PATH_BYTES])
{
    ivf_manifest *m = NULL;
    ivf_h5 *file = NULL;
    int64_t offset = 0;
    ck_assert_int_eq(ivf_manifest_read(index_path, &m), MPIVF_OK);
    ck_assert(m->kept.d == D && m->kept.type == IVF_F32);
    ck_assert_int_eq(ivf_layout_fragment(index_path, m->fragments[fragment].id, path), MPIVF_OK);
    ck_assert_int_eq(ivf_h5_open(path, &file), MPIVF_OK);
    ck_assert_int_eq(ivf_kept_locate(file, m->kept, m->fragments[fragment].postings, &offset), MPIVF_OK);
    ivf_h5_release(file);
    ivf_manifest_free(m);
    return offset;
}

static void change(const char *path, off_t at, bool same_time);

START_TEST(changed_vectors_are_found_and_made_again)
{
    char path[IVF_PATH_BYTES];
    ivf_verify_report found;
    ivf_repair_report repaired;
    metric = IVF_L2;
    with_ids = true;
    kept = (ivf_keeping){.d = D, .type = IVF_F32};
    build("IVF8,PQ4");
    test_all(ivf_verify(test_ctx, index_path, false, &found) == MPIVF_OK && found.findings == 0);
    if (ivf_ctx_is_root(test_ctx))
        change(path, locate_vectors(1, path) + 1000, true);
    ivf_barrier(test_ctx);
    test_all(ivf_verify(test_ctx, index_path, false, &found) == MPIVF_CORRUPT && found.findings > 0);
    test_all(!ivf_ctx_is_root(test_ctx) || strstr(found.text, ": vectors of list 0 were changed") != NULL);
    ivf_free(found.text);
    const ivf_repair_config config = {.index = index_path};
    test_all(ivf_repair(test_ctx, &config, &repaired) == MPIVF_OK && repaired.repaired == 1);
    ivf_free(repaired.text);
    test_all(ivf_verify(test_ctx, index_path, false, &found) == MPIVF_OK);
    ivf_free(found.text);
}
END_TEST

/* Collective. A search of nq queries that re-ranks fails, and says so of the file. */
static void check_damaged(int64_t nq, const char *path, const char *what)
{
    const ivf_searcher_options options = {.vectors = true};
    const ivf_search_params params = {.k = 1, .nprobe = 1, .rerank = nq > 1 ? 9 : 1};
    ivf_search_stats stats;
    ivf_neighbor found[QUERIES];
    ivf_searcher *searcher = NULL;
    test_all(ivf_searcher_open(test_ctx, index_path, &options, &searcher) == MPIVF_OK);
    test_all(ivf_search(test_ctx, searcher, queries, nq, &params, found, &stats) == MPIVF_CORRUPT);
    test_all(strstr(ivf_error_last()->text, what) != NULL &&
             strstr(ivf_error_last()->text, "see mpivf verify") != NULL);
    test_all(!ivf_ctx_is_root(test_ctx) || strstr(ivf_error_last()->text, path) != NULL);
    ivf_searcher_close(searcher);
}

/* All queries have candidates all over the list, one has one in it. */
START_TEST(changed_vectors_are_not_used)
{
    char path[IVF_PATH_BYTES];
    metric = (ivf_metric)_i;
    kept = (ivf_keeping){.d = D, .type = IVF_F32};
    fragment_rows = ROWS;
    build("IVF1,PQ4");
    int64_t at = ivf_ctx_is_root(test_ctx) ? locate_vectors(0, path) : 0;
    if (ivf_ctx_is_root(test_ctx))
        change(path, at, true);
    ivf_barrier(test_ctx);
    check_damaged(QUERIES, path, ": vectors of list 0 do not have their checksum");
    if (ivf_ctx_is_root(test_ctx)) {
        static char nothing[(ROWS - 1) * D * sizeof(float)];
        memset(nothing, metric == IVF_COSINE ? 0 : 0xff, sizeof nothing);
        FILE *file = fopen(path, "r+");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(fseeko(file, at, SEEK_SET), 0);
        ck_assert_uint_eq(fwrite(nothing, sizeof nothing, 1, file), 1);
        ck_assert_int_eq(fclose(file), 0);
    }
    ivf_barrier(test_ctx);
    check_damaged(1, path, metric == IVF_COSINE ? "in list 0, was changed: zero norm" : "in list 0, was changed: not");
}
END_TEST

/* Two files of the same shape have each other's names; one is cut short. */
START_TEST(other_fragments_are_refused_by_name)
{
    char paths[2][IVF_PATH_BYTES];
    char aside[PATH];
    ivf_manifest *m = NULL;
    ivf_vectors *vectors = NULL;
    const bool root = ivf_ctx_is_root(test_ctx);
    metric = IVF_L2;
    kept = (ivf_keeping){.d = D, .type = IVF_F32};
    build("IVF8,PQ4");
    (void)snprintf(aside, sizeof aside, "%s/aside", folder);
    for (int i = 0; root && i < 2; i++)
        (void)locate_vectors(1 + i, paths[i]);
    test_all(ivf_manifest_open(test_ctx, index_path, &m) == MPIVF_OK);
    test_all(!root ||
             (rename(paths[0], aside) == 0 && rename(paths[1], paths[0]) == 0 && rename(aside, paths[1]) == 0));
    test_all(ivf_vectors_open(test_ctx, index_path, m, false, &vectors) == MPIVF_CORRUPT && vectors == NULL);
    test_all(!root || strstr(ivf_error_last()->text, paths[0]) != NULL);
    test_all(strstr(ivf_error_last()->text, "holds 700 rows from row 1400, the manifest says 700 from 700") != NULL);
    test_all(!root ||
             (rename(paths[0], aside) == 0 && rename(paths[1], paths[0]) == 0 && rename(aside, paths[1]) == 0));
    test_all(!root || truncate(paths[1], m->fragments[2].bytes - 1) == 0);
    test_all(ivf_vectors_open(test_ctx, index_path, m, false, &vectors) == MPIVF_CORRUPT && vectors == NULL);
    test_all(!root || strstr(ivf_error_last()->text, paths[1]) != NULL);
    ivf_manifest_free(m);
}
END_TEST

/* Also of one fragment, each vector by one of them. */
START_TEST(ranks_read_equal_shares_of_what_is_kept)
{
    static ivf_neighbor all[ROWS - 1];
    static int64_t places[ROWS - 1];
    ivf_manifest *m = NULL;
    ivf_vectors *vectors = NULL;
    int64_t mine = 0;
    metric = IVF_L2;
    kept = (ivf_keeping){.d = D, .type = IVF_F32};
    fragment_rows = _i == 0 ? ROWS : 700;
    build("IVF8,PQ4");
    for (int64_t i = 0; i < ROWS - 1; i++)
        all[i] = (ivf_neighbor){.id = id_of(i < BAD_ROW ? i : i + 1), .list = -1};
    test_all(ivf_manifest_open(test_ctx, index_path, &m) == MPIVF_OK);
    test_all(ivf_vectors_open(test_ctx, index_path, m, false, &vectors) == MPIVF_OK);
    test_all(ivf_vectors_locate(test_ctx, vectors, all, ROWS - 1, places) == MPIVF_OK);
    for (int64_t i = 0; i < ROWS - 1; i++)
        mine += places[i] >= 0;
    const int64_t share = (ROWS - 1) / ivf_ctx_size(test_ctx);
    test_all(mine == share || mine == share + 1);
    ivf_vectors_close(vectors);
    ivf_manifest_free(m);
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
    char aside[PATH + 8];
    metric = IVF_L2;
    with_ids = true;
    build("IVF8,PQ4");
    if (root)
        change(shards[1], 5000, true);
    check_refused("/1.fbin changed since it was indexed: its contents", "");
    if (root)
        change(shards[1], 5000, false);
    check_refused("/1.fbin changed since it was indexed: last changed", "");
    (void)snprintf(aside, sizeof aside, "%s.aside", shards[0]);
    test_all(!root || rename(shards[0], aside) == 0);
    check_refused("/0.fbin", "No such file");
    test_all(!root || (rename(aside, shards[0]) == 0));
    if (root)
        write_shard(1);
    build("IVF8,PQ4");
    if (root)
        change(ids_path, 1600, true);
    check_refused("/ids changed since it was indexed: it holds other ids", "");
}
END_TEST

/* What no stamp tells: a file that changes after it was looked at. */
START_TEST(rows_that_cannot_be_in_the_index_are_refused)
{
    const ivf_searcher_options options = {.vectors = true};
    const ivf_search_params params = {.k = 2, .nprobe = 8, .rerank = 50};
    ivf_search_stats stats;
    ivf_neighbor found[QUERIES * 2];
    ivf_searcher *searcher = NULL;
    metric = IVF_COSINE;
    build("IVF8,PQ4");
    test_all(ivf_searcher_open(test_ctx, index_path, &options, &searcher) == MPIVF_OK);
    memset(rows + (ptrdiff_t)HALF * D, 0, HALF * D * sizeof *rows);
    if (ivf_ctx_is_root(test_ctx))
        write_shard(1);
    ivf_barrier(test_ctx);
    test_all(ivf_search(test_ctx, searcher, queries, QUERIES, &params, found, &stats) == MPIVF_BAD_INPUT);
    test_all(strstr(ivf_error_last()->text, "/1.fbin changed since it was indexed: row ") != NULL);
    test_all(strstr(ivf_error_last()->text, "cannot be (zero norm)") != NULL);
    ivf_searcher_close(searcher);
}
END_TEST

int main(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    Suite *suite = suite_create("rerank");
    TCase *tests = tcase_create("rerank");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, the_nearest_of_the_candidates_by_their_vectors, 0, 3);
    tcase_add_loop_test(tests, kept_vectors_need_no_input, 0, 3);
    tcase_add_test(tests, short_vectors_keep_their_direction);
    tcase_add_test(tests, changed_vectors_are_found_and_made_again);
    tcase_add_loop_test(tests, changed_vectors_are_not_used, 0, 3);
    tcase_add_test(tests, other_fragments_are_refused_by_name);
    tcase_add_loop_test(tests, ranks_read_equal_shares_of_what_is_kept, 0, 2);
    tcase_add_test(tests, other_input_is_refused_by_name);
    tcase_add_test(tests, rows_that_cannot_be_in_the_index_are_refused);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
