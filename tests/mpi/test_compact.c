/* build/compact, and search/store: a compacted version finds the same to the bit, in memory and out of core, with kept
 * vectors too, as does the version before; its damage is found list by list and mended; it is made of the same bytes by
 * one rank and by all.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "build/build.h"
#include "build/compact.h"
#include "build/repair.h"
#include "comm/transfer.h"
#include "index/manifest.h"
#include "index/verify.h"
#include "mpi_suite.h"
#include "search/searcher.h"
#include "search/vectors.h"
#include "temp.h"

enum { ROWS = 9000, D = 32, NLIST = 40, QUERIES = 70, K = 7, NPROBE = 9, PATH = TEST_PATH_BYTES + 16 };
enum { BAD_ROW = 4000, PART = 30000, MOST = 1 << 24 };

static char folder[TEST_PATH_BYTES];
static char index_path[PATH], other_path[PATH], rows_path[PATH];
static float *queries;
static ivf_keeping kept; /* what indexes are made with */

static float *make_rows(int64_t n, uint64_t seed)
{
    float *x = ivf_new((size_t)n * D, sizeof *x);
    for (int64_t i = 0; i < n * D; i++)
        x[i] = 0.2F + (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

static void write_rows(void)
{
    const uint32_t head[2] = {ROWS, D};
    const size_t bytes = (size_t)ROWS * D * sizeof(float);
    float *x = make_rows(ROWS, 1);
    char *data = ivf_new(sizeof head + bytes, 1);
    x[(int64_t)BAD_ROW * D] = NAN; /* to be skipped */
    memcpy(data, head, sizeof head);
    memcpy(data + sizeof head, x, bytes);
    test_write_file(rows_path, data, sizeof head + bytes);
    ivf_free(data);
    ivf_free(x);
}

static void setup(void)
{
    ivf_log_set(false, IVF_LOG_QUIET);
    test_shared_temp_make(folder);
    (void)snprintf(index_path, sizeof index_path, "%s/index", folder);
    (void)snprintf(other_path, sizeof other_path, "%s/other", folder);
    (void)snprintf(rows_path, sizeof rows_path, "%s/rows.fbin", folder);
    queries = make_rows(QUERIES, 2);
    kept = (ivf_keeping){0};
    if (ivf_ctx_is_root(test_ctx))
        write_rows();
    ivf_barrier(test_ctx);
}

static void teardown(void)
{
    ivf_free(queries);
    test_shared_temp_remove(folder);
}

/* Collective. */
static void make_index(const char *path, const char *factory, ivf_metric metric)
{
    const char *inputs[1] = {rows_path};
    ivf_build_result result;
    json_t *options = json_object();
    ivf_build_config config = {.index = path,
                               .input = {.inputs = inputs, .count = 1, .h5_path = "train"},
                               .ids_h5 = "ids",
                               .metric = metric,
                               .seed = 1,
                               .sample_rows = 2000,
                               .fragment_rows = 800,
                               .iterations = 2,
                               .pq_iterations = 2,
                               .assign = IVF_NEAREST_KINDS,
                               .skip_bad_rows = true,
                               .keeps_vectors = kept.d > 0,
                               .keep_type = kept.type,
                               .config = options};
    test_all(ivf_factory_parse(factory, &config.factory) == MPIVF_OK);
    test_all(ivf_build(test_ctx, &config, &result) == MPIVF_OK && result.postings == ROWS - 1);
    json_decref(options);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static bool same_neighbors(const ivf_neighbor *a, const ivf_neighbor *b)
{
    bool same = true;
    for (int64_t i = 0; i < (int64_t)QUERIES * K; i++)
        same = same && a[i].id == b[i].id && bits_of(a[i].key) == bits_of(b[i].key);
    return same;
}

/* Collective. Through ivf_new; undefined but on rank 0. With kept vectors candidates are compared by these, and queries
 * are compared with rows of the index. */
static ivf_neighbor *search(ivf_searcher *searcher)
{
    static const uint64_t ids[] = {17, BAD_ROW - 1, ROWS - 1, 17};
    enum { IDS = sizeof ids / sizeof *ids };
    const int32_t nlist = ivf_searcher_model(searcher)->nlist;
    const ivf_search_params params = {
        .k = K, .nprobe = nlist < NPROBE ? nlist : NPROBE, .rerank = kept.d > 0 ? 3 * K : 0};
    ivf_search_stats stats;
    ivf_neighbor *found = ivf_new((size_t)QUERIES * K, sizeof *found);
    if (kept.d > 0)
        test_all(ivf_vectors_of_ids(test_ctx, ivf_searcher_vectors(searcher), ids, IDS, queries) == MPIVF_OK);
    test_all(ivf_search(test_ctx, searcher, queries, QUERIES, &params, found, &stats) == MPIVF_OK);
    return found;
}

static ivf_neighbor *search_in_memory(ivf_spread_kind spread, int parts)
{
    const ivf_searcher_options options = {.vectors = kept.d > 0, .spread = spread, .parts = parts};
    ivf_searcher *searcher = NULL;
    test_all(ivf_searcher_open(test_ctx, index_path, &options, &searcher) == MPIVF_OK);
    test_all(ivf_searcher_lists_on_disk(searcher) == 0);
    ivf_neighbor *found = search(searcher);
    ivf_searcher_close(searcher);
    return found;
}

/* Collective. With the least memory that is accepted. */
static ivf_searcher *open_out_of_core(ivf_spread_kind spread)
{
    enum { STEP = 64 << 10 };
    ivf_searcher_options options = {.held = 1, .vectors = kept.d > 0, .spread = spread};
    ivf_searcher *searcher = NULL;
    int64_t refused = (5 << 20) / STEP;
    int64_t accepted = 0;
    while (refused + 1 != accepted || searcher == NULL) {
        const int64_t steps = accepted == 0             ? 2 * refused
                              : refused + 1 == accepted ? accepted
                                                        : (refused + accepted) / 2;
        ivf_searcher_close(searcher);
        options.memory = steps * STEP;
        const int rc = ivf_searcher_open(test_ctx, index_path, &options, &searcher);
        test_all(rc == MPIVF_OK || (rc == MPIVF_USAGE && steps != accepted && steps < 4096));
        *(rc == MPIVF_OK ? &accepted : &refused) = steps;
    }
    return searcher;
}

/* Collective. So the search finds `expected`; lists that are large, beside what is held for them to be read, stay on
 * disk. */
static void check_out_of_core(const ivf_neighbor *expected, bool large)
{
    ivf_searcher *searcher = open_out_of_core(IVF_SPREAD_AUTO);
    int64_t on_disk = ivf_searcher_lists_on_disk(searcher);
    ivf_allsum_i64(test_ctx, &on_disk, 1);
    test_all(!large || ivf_ctx_size(test_ctx) > 3 || on_disk > 0); /* of many ranks each has little */
    for (int again = 0; again < 2; again++) {
        ivf_neighbor *found = search(searcher);
        test_all(!ivf_ctx_is_root(test_ctx) || same_neighbors(found, expected));
        ivf_free(found);
    }
    ivf_searcher_close(searcher);
}

/* Collective. However lists and queries are shared out; with 4 ranks the last is 2 rows of 2. */
static void check_found(const ivf_neighbor *expected)
{
    static const struct {
        ivf_spread_kind kind;
        int parts;
    } spreads[] = {{IVF_SPREAD_AUTO, 0}, {IVF_SPREAD_LISTS, 0}, {IVF_SPREAD_QUERIES, 0}, {IVF_SPREAD_AUTO, 2}};
    for (size_t i = 0; i < sizeof spreads / sizeof spreads[0]; i++) {
        ivf_neighbor *found = search_in_memory(spreads[i].kind, spreads[i].parts);
        test_all(!ivf_ctx_is_root(test_ctx) || same_neighbors(found, expected));
        ivf_free(found);
    }
}

static ivf_compact_result compact(const char *path, bool single_file, int64_t bytes)
{
    const ivf_compact_config config = {.index = path, .fragment_bytes = bytes, .single_file = single_file};
    ivf_compact_result result;
    test_all(ivf_compact(test_ctx, &config, &result) == MPIVF_OK);
    return result;
}

/* Collective. Nothing is left in the index's folder of unfinished builds, and every file is sound. */
static void check_sound(void)
{
    char path[IVF_PATH_BYTES];
    ivf_verify_report report;
    test_all(ivf_verify(test_ctx, index_path, true, &report) == MPIVF_OK && report.findings == 0);
    ivf_free(report.text);
    test_all(ivf_layout_building(index_path, path) == MPIVF_OK && access(path, F_OK) != 0);
}

static const struct {
    const char *factory;
    ivf_metric metric;
    ivf_keeping kept;
} kinds[] = {{"IVF40,Flat", IVF_L2, {0}},
             {"IVF40,SQ8", IVF_COSINE, {D, IVF_F16}},
             {"IVF40,PQ8x4fs", IVF_IP, {0}},
             {"IVF40,PQ4", IVF_L2, {D, IVF_F32}},
             {"IVF3,Flat", IVF_L2, {0}}}; /* lists that are read in pieces */

START_TEST(finds_the_same)
{
    kept = kinds[_i].kept;
    make_index(index_path, kinds[_i].factory, kinds[_i].metric);
    ivf_neighbor *expected = search_in_memory(IVF_SPREAD_LISTS, 0);
    const bool large = kinds[_i].metric == IVF_L2 && strstr(kinds[_i].factory, "Flat") != NULL;
    if (large)
        check_out_of_core(expected, large);
    ivf_compact_result result = compact(index_path, false, PART);
    test_all(result.version == 2 && result.from == 1 && !result.already && result.postings == ROWS - 1);
    check_found(expected);
    check_out_of_core(expected, large);
    result = compact(index_path, false, PART);
    test_all(result.already && result.version == 2 && result.from == 1);
    result = compact(index_path, true, PART); /* of what is compacted */
    test_all(result.version == 3 && result.from == 2);
    check_found(expected);
    if (large)
        check_out_of_core(expected, large);
    check_sound();
    ivf_free(expected);
}
END_TEST

static bool same_fragments(const ivf_manifest *a, const ivf_manifest *b)
{
    bool same = a->fragment_count == b->fragment_count && strcmp(a->build_id, b->build_id) == 0;
    for (int64_t f = 0; same && f < a->fragment_count; f++)
        same = strcmp(a->fragments[f].id, b->fragments[f].id) == 0 &&
               a->fragments[f].checksum == b->fragments[f].checksum && a->fragments[f].lists == b->fragments[f].lists;
    return same;
}

/* One rank alone, and all together. */
START_TEST(makes_the_same_bytes_on_any_ranks)
{
    const ivf_compact_config config = {.index = other_path, .fragment_bytes = PART, .single_file = _i != 0};
    ivf_manifest *a = NULL;
    ivf_manifest *b = NULL;
    bool same = true;
    kept = (ivf_keeping){D, IVF_F16};
    make_index(index_path, "IVF40,SQ8", IVF_L2);
    make_index(other_path, "IVF40,SQ8", IVF_L2);
    (void)compact(index_path, _i != 0, PART);
    if (ivf_ctx_is_root(test_ctx)) {
        ivf_compact_result result;
        ivf_ctx *alone = ivf_ctx_open_self();
        same = alone != NULL && ivf_compact(alone, &config, &result) == MPIVF_OK &&
               ivf_manifest_read(index_path, &a) == MPIVF_OK && ivf_manifest_read(other_path, &b) == MPIVF_OK &&
               a->layout == IVF_LAYOUT_LISTS && (a->fragment_count == 1) == (_i != 0) && same_fragments(a, b);
        ivf_ctx_close(alone);
        ivf_manifest_free(a);
        ivf_manifest_free(b);
    }
    test_all(same);
}
END_TEST

/* Lists whose parts of the file are much shorter than a block of its checksums. */
START_TEST(sums_what_is_short)
{
    static const char *const factories[] = {"IVF900,SQ8", "IVF900,PQ4x4", "IVF3,PQ1"};
    static const int64_t parts[] = {1, 900, 2500};
    kept = _i == 0 ? (ivf_keeping){D, IVF_F16} : (ivf_keeping){0};
    make_index(index_path, factories[_i], IVF_L2);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const ivf_compact_result result = compact(index_path, true, parts[i]);
        test_all(!result.already && result.postings == ROWS - 1);
        check_sound();
    }
}
END_TEST

/* Changes a byte of a column in the last fragment, which belongs to list *list. */
static void flip(int column, int32_t *list)
{
    char path[IVF_PATH_BYTES];
    char *text = NULL;
    size_t bytes = 0;
    ivf_manifest *m = NULL;
    ivf_place place;
    int64_t sizes[NLIST] = {0};
    ck_assert_int_eq(ivf_manifest_read(index_path, &m), MPIVF_OK);
    const int64_t f = m->fragment_count - 1;
    ck_assert_int_eq(ivf_place_find(index_path, m, f, &place, sizes), MPIVF_OK);
    ck_assert_int_eq(ivf_layout_fragment(index_path, m->fragments[f].id, path), MPIVF_OK);
    ck_assert_int_eq(ivf_file_read(path, MOST, &text, &bytes), MPIVF_OK);
    *list = m->fragments[f].first_list; /* of its first posting, but for empty lists */
    while (sizes[*list] == 0)
        ++*list;
    text[place.columns[column]] ^= 1;
    test_write_file(path, text, bytes);
    ivf_free(text);
    ivf_manifest_free(m);
}

/* What is changed behind a searcher's back, in a piece of a list, is noticed. One list: more of them might fit into the
 * memory of several ranks. */
START_TEST(damage_is_noticed_out_of_core)
{
    const ivf_search_params params = {.k = K, .nprobe = 1};
    ivf_neighbor *found = ivf_new((size_t)QUERIES * K, sizeof *found);
    ivf_search_stats stats;
    int32_t list = 0;
    make_index(index_path, "IVF1,Flat", IVF_L2);
    (void)compact(index_path, true, PART);
    ivf_searcher *searcher = open_out_of_core(IVF_SPREAD_LISTS);
    test_all(ivf_search(test_ctx, searcher, queries, QUERIES, &params, found, &stats) == MPIVF_OK);
    if (ivf_ctx_is_root(test_ctx))
        flip(_i == 0 ? IVF_COLUMN_IDS : IVF_COLUMN_CODES, &list);
    ivf_barrier(test_ctx);
    test_all(ivf_search(test_ctx, searcher, queries, QUERIES, &params, found, &stats) == MPIVF_CORRUPT);
    test_all(strstr(ivf_error_last()->text, "does not have its checksum") != NULL);
    ivf_searcher_close(searcher);
    ivf_free(found);
}
END_TEST

static void remove_source(void)
{
    char path[IVF_PATH_BYTES];
    ck_assert_int_eq(ivf_layout_manifest(index_path, 1, path), MPIVF_OK);
    ck_assert_int_eq(unlink(path), 0);
}

START_TEST(damage_is_named_and_mended)
{
    const ivf_repair_config repair = {.index = index_path};
    ivf_verify_report report;
    ivf_repair_report mended;
    ivf_searcher *searcher = NULL;
    char where[64];
    int32_t list = 0;
    const int column = _i < 2 ? IVF_COLUMN_CODES : IVF_COLUMN_VECTORS;
    kept.d = _i < 2 ? 0 : D;
    make_index(index_path, "IVF40,SQ8", IVF_L2);
    ivf_neighbor *expected = search_in_memory(IVF_SPREAD_LISTS, 0);
    (void)compact(index_path, _i != 0, PART);
    if (ivf_ctx_is_root(test_ctx))
        flip(column, &list);
    ivf_barrier(test_ctx);
    (void)snprintf(where, sizeof where, "%s of list %d were changed", _i < 2 ? "codes" : "vectors", list);
    test_all(ivf_verify(test_ctx, index_path, false, &report) == MPIVF_CORRUPT && report.findings == 1);
    test_all(!ivf_ctx_is_root(test_ctx) || strstr(report.text, where) != NULL);
    ivf_free(report.text);
    test_all(_i >= 2 || ivf_searcher_open(test_ctx, index_path, NULL, &searcher) == MPIVF_CORRUPT);
    test_all(ivf_repair(test_ctx, &repair, &mended) == MPIVF_OK && mended.damaged == 1 && mended.repaired == 1);
    ivf_free(mended.text);
    check_sound();
    check_found(expected);
    ivf_free(expected);
    if (ivf_ctx_is_root(test_ctx)) {
        flip(column, &list);
        remove_source();
    }
    ivf_barrier(test_ctx);
    test_all(ivf_repair(test_ctx, &repair, &mended) == MPIVF_CORRUPT && mended.repaired == 0);
    test_all(strstr(ivf_error_last()->text, "has been removed") != NULL);
    ivf_free(mended.text);
}
END_TEST

/* What is damaged is not copied, and a limit that is too small is told with what fits. */
START_TEST(refuses_and_leaves_nothing)
{
    const ivf_compact_config small = {.index = index_path, .fragment_bytes = 1 << 30, .memory = 1 << 20};
    const ivf_compact_config config = {.index = index_path, .fragment_bytes = PART, .single_file = _i != 0};
    ivf_compact_result result;
    int64_t latest = 0;
    int32_t list = 0;
    char path[IVF_PATH_BYTES];
    kept.d = D;
    make_index(index_path, "IVF40,SQ8", IVF_L2);
    test_all(ivf_compact(test_ctx, &small, &result) == MPIVF_USAGE);
    test_all(strstr(ivf_error_last()->text, "what fits: --memory") != NULL);
    if (ivf_ctx_is_root(test_ctx))
        flip(_i < 2 ? IVF_COLUMN_CODES : IVF_COLUMN_VECTORS, &list);
    ivf_barrier(test_ctx);
    test_all(ivf_compact(test_ctx, &config, &result) == MPIVF_CORRUPT);
    test_all(strstr(ivf_error_last()->text, _i < 2 ? "its checksum;" : "its checksum of vectors;") != NULL);
    test_all(ivf_manifest_latest(index_path, &latest) == MPIVF_OK && latest == 1);
    ivf_barrier(test_ctx);
    test_all(ivf_compact(test_ctx, &(ivf_compact_config){.index = folder, .fragment_bytes = PART}, &result) ==
             MPIVF_BAD_INPUT);
    test_all(ivf_layout_fragments(index_path, path) == MPIVF_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compact");
    TCase *tests = tcase_create("compact");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, finds_the_same, 0, 5);
    tcase_add_loop_test(tests, makes_the_same_bytes_on_any_ranks, 0, 2);
    tcase_add_loop_test(tests, sums_what_is_short, 0, 3);
    tcase_add_loop_test(tests, damage_is_named_and_mended, 0, 3);
    tcase_add_loop_test(tests, damage_is_noticed_out_of_core, 0, 2);
    tcase_add_loop_test(tests, refuses_and_leaves_nothing, 0, 3);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
