/* The library as other programs use it, without MPI: what it finds is what a walk over every posting finds, from
 * several threads at once; what is wrong is told by code and line, and nothing ends the program. */
#include <check.h>
#include <math.h>
#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mpivf/search.h"
#include "mpivf/version.h"
#include "small_index.h"
#include "temp.h"

enum { QUERIES = 40, K = 7, THREADS = 4, ROUNDS = 12 };

static char folder[TEST_PATH_BYTES];
static small_index small;
static float *queries;

static void make_index(const char *factory, ivf_metric metric)
{
    test_temp_make(folder);
    ck_assert_int_eq(small_make(&small, factory, metric), MPIVF_OK);
    ck_assert_int_eq(small_write(&small, folder), MPIVF_OK);
    queries = small_vectors(QUERIES, 2);
    ck_assert_ptr_nonnull(queries);
}

static void drop_index(void)
{
    ivf_free(queries);
    small_free(&small);
    test_temp_remove(folder);
}

static mpivf_index *open_index(void)
{
    mpivf_index *index = NULL;
    ck_assert_msg(mpivf_open(folder, NULL, &index) == MPIVF_OK, "%s", mpivf_last_error());
    ck_assert_str_eq(mpivf_last_error(), "");
    return index;
}

/* One search, compared with `expected`. */
static bool finds(const mpivf_index *index, int nprobe, const ivf_neighbor *expected)
{
    const mpivf_search_options options = {.size = sizeof options, .nprobe = nprobe};
    int64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    if (mpivf_search(index, queries, QUERIES, K, &options, ids, distances) != MPIVF_OK)
        return false;
    for (int i = 0; i < QUERIES * K; i++) {
        float distance = ivf_metric_distance(small.metric, expected[i].key);
        if ((uint64_t)ids[i] != expected[i].id || memcmp(&distance, &distances[i], sizeof distance) != 0)
            return false;
    }
    return true;
}

static const ivf_metric metrics[] = {IVF_L2, IVF_IP, IVF_COSINE};
static const char *const metric_names[] = {"l2", "ip", "cosine"};

START_TEST(finds_what_a_walk_finds)
{
    make_index("IVF24,SQ8", metrics[_i]);
    mpivf_index *index = open_index();
    ck_assert_int_eq(mpivf_dimension(index), SMALL_D);
    ck_assert_int_eq(mpivf_rows(index), SMALL_ROWS - 1);
    ck_assert_int_eq(mpivf_lists(index), SMALL_NLIST);
    ck_assert_int_eq(mpivf_index_version(index), 1);
    ck_assert_str_eq(mpivf_metric(index), metric_names[_i]);
    ck_assert_str_eq(mpivf_factory(index), "IVF24,SQ8");
    ivf_neighbor *eight = small_walk(&small, queries, QUERIES, 8, K);
    ivf_neighbor *all = small_walk(&small, queries, QUERIES, SMALL_NLIST, K);
    ck_assert(finds(index, 8, eight));
    ck_assert(finds(index, 0, eight));
    ck_assert(finds(index, 1000, all));
    ivf_free(all);
    ivf_free(eight);
    mpivf_close(index);
    drop_index();
}
END_TEST

START_TEST(mpi_is_not_called)
{
    int started = -1;
    make_index("IVF24,Flat", IVF_L2);
    mpivf_close(open_index());
    ck_assert_int_eq(MPI_Initialized(&started), MPI_SUCCESS);
    ck_assert_int_eq(started, 0);
    drop_index();
}
END_TEST

/* Fewer rows in the lists than neighbours wanted. */
START_TEST(what_is_not_there_is_said)
{
    enum { MANY = SMALL_ROWS + 3 };
    const mpivf_search_options options = {.size = sizeof options, .nprobe = SMALL_NLIST};
    static int64_t ids[MANY];
    static float distances[MANY];
    make_index("IVF24,Flat", metrics[_i]);
    mpivf_index *index = open_index();
    ck_assert_int_eq(mpivf_search(index, queries, 1, MANY, &options, ids, distances), MPIVF_OK);
    ck_assert(ids[SMALL_ROWS - 2] >= 0 && isfinite(distances[SMALL_ROWS - 2]));
    for (int i = SMALL_ROWS - 1; i < MANY; i++) {
        ck_assert_int_eq(ids[i], -1);
        ck_assert(isinf(distances[i]) && (distances[i] < 0) == (metrics[_i] == IVF_IP));
    }
    mpivf_close(index);
    drop_index();
}
END_TEST

typedef struct {
    const mpivf_index *index;
    ivf_neighbor *expected[3]; /* of each setting */
    atomic_int wrong;
} concurrent;

static const int nprobes[] = {1, 5, SMALL_NLIST};

/* Searches the shared handle with one setting after the other, opens and closes one of its own, and fails once on
 * purpose: the line is this thread's. */
static void *use_library(void *arg)
{
    concurrent *shared = arg;
    mpivf_index *own = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        int s = round % 3;
        if (!finds(shared->index, nprobes[s], shared->expected[s]))
            atomic_fetch_add(&shared->wrong, 1);
    }
    if (mpivf_open(folder, NULL, &own) != MPIVF_OK || !finds(own, nprobes[1], shared->expected[1]))
        atomic_fetch_add(&shared->wrong, 1);
    mpivf_close(own);
    if (mpivf_search(shared->index, queries, 1, 0, NULL, NULL, NULL) != MPIVF_USAGE ||
        strstr(mpivf_last_error(), "k = 0") == NULL)
        atomic_fetch_add(&shared->wrong, 1);
    return NULL;
}

/* With about as little memory as it can be opened with, so that lists are read as they are probed. */
static mpivf_index *open_with_least_memory(void)
{
    mpivf_open_options options = {.size = sizeof options, .memory = (int64_t)1 << 30};
    mpivf_index *index = NULL;
    ck_assert_int_eq(mpivf_open(folder, &options, &index), MPIVF_OK);
    for (int64_t step = options.memory / 2; step > 1 << 14; step /= 2) {
        mpivf_index *smaller = NULL;
        options.memory -= step;
        if (mpivf_open(folder, &options, &smaller) == MPIVF_OK) {
            mpivf_close(index);
            index = smaller;
        } else {
            options.memory += step;
        }
    }
    return index;
}

START_TEST(threads_search_at_once)
{
    static const char *const factories[] = {"IVF24,Flat", "IVF24,SQ8", "IVF24,PQ4", "IVF24,PQ8x4fs", "IVF24,SQ8"};
    pthread_t threads[THREADS];
    concurrent shared = {0};
    make_index(factories[_i], IVF_L2);
    ck_assert_int_eq(mpivf_set_threads(2), MPIVF_OK);
    mpivf_index *index = _i < 4 ? open_index() : open_with_least_memory();
    shared.index = index;
    for (int s = 0; s < 3; s++)
        shared.expected[s] = small_walk(&small, queries, QUERIES, nprobes[s], K);
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&threads[t], NULL, use_library, &shared), 0);
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
    ck_assert_int_eq(atomic_load(&shared.wrong), 0);
    for (int s = 0; s < 3; s++)
        ivf_free(shared.expected[s]);
    mpivf_close(index);
    drop_index();
}
END_TEST

/* Lists that are read belong to whichever worker is free. */
START_TEST(threads_may_become_more)
{
    make_index("IVF24,Flat", IVF_L2);
    ck_assert_int_eq(mpivf_set_threads(1), MPIVF_OK);
    mpivf_index *index = open_with_least_memory();
    ck_assert_int_eq(mpivf_set_threads(16), MPIVF_OK);
    ivf_neighbor *all = small_walk(&small, queries, QUERIES, SMALL_NLIST, K);
    ck_assert(finds(index, 1000, all));
    ivf_free(all);
    mpivf_close(index);
    ck_assert_int_eq(mpivf_set_threads(2), MPIVF_OK);
    drop_index();
}
END_TEST

static void take_what_is_told(mpivf_open_options *options)
{
    const char *told = strstr(mpivf_last_error(), "; what fits: memory = ");
    ck_assert_msg(told != NULL && strstr(mpivf_last_error(), "--") == NULL, "%s", mpivf_last_error());
    options->memory = strtoll(strrchr(told, '=') + 1, NULL, 10);
}

/* The number that a refusal tells is one that does, and a call keeps to it whatever it is asked for. */
START_TEST(a_call_keeps_to_the_memory)
{
    enum { MANY = 16000, WIDE = 120 };
    mpivf_open_options tight = {.size = sizeof tight, .memory = 1 << 18};
    const mpivf_search_options few = {.size = sizeof few, .nprobe = 2};
    static int64_t ids[2][MANY * WIDE];
    static float distances[2][MANY * WIDE];
    mpivf_index *index = NULL;
    make_index(_i == 0 ? "IVF24,Flat" : "OPQ4,IVF24,PQ4", _i == 0 ? IVF_L2 : IVF_COSINE);
    ck_assert_int_eq(mpivf_open(folder, &tight, &index), MPIVF_USAGE);
    ck_assert_msg(strstr(mpivf_last_error(), "memory allows 256.0 KiB; ") != NULL, "%s", mpivf_last_error());
    take_what_is_told(&tight);
    float *many = small_vectors(MANY, 3);
    ck_assert_ptr_nonnull(many);
    const size_t before = ivf_memory_now();
    ivf_memory_reset_peak();
    /* A sanitizer keeps what is given back, so that the process grows by each attempt. */
    for (int attempt = 0; attempt < 2 && mpivf_open(folder, &tight, &index) != MPIVF_OK; attempt++)
        take_what_is_told(&tight);
    ck_assert_msg(index != NULL || mpivf_open(folder, &tight, &index) == MPIVF_OK, "%s", mpivf_last_error());
    ck_assert_int_eq(mpivf_search(index, many, MANY, WIDE, &few, ids[0], distances[0]), MPIVF_OK);
    ck_assert_int_le((int64_t)(ivf_memory_peak() - before), tight.memory);
    ck_assert_int_lt(tight.memory, (int64_t)MANY * WIDE * (int64_t)sizeof(ivf_neighbor));
    mpivf_close(index);
    index = open_index();
    ck_assert_int_eq(mpivf_search(index, many, MANY, WIDE, &few, ids[1], distances[1]), MPIVF_OK);
    ck_assert(memcmp(ids[0], ids[1], sizeof ids[0]) == 0 && memcmp(distances[0], distances[1], sizeof *distances) == 0);
    mpivf_close(index);
    ivf_free(many);
    drop_index();
}
END_TEST

static void refuses(int code, int wanted, const char *words)
{
    ck_assert_int_eq(code, wanted);
    ck_assert_msg(strstr(mpivf_last_error(), words) != NULL, "\"%s\" without \"%s\"", mpivf_last_error(), words);
}

/* Queries that are searched for some at a time have the numbers that they have in the call. */
static void refuses_among_many(void)
{
    enum { MANY = 20000 };
    static int64_t ids[MANY];
    static float distances[MANY];
    const mpivf_open_options limited = {.size = sizeof limited, .memory = 1 << 24};
    mpivf_index *index = NULL;
    float *many = small_vectors(MANY, 3);
    ck_assert_ptr_nonnull(many);
    memset(many + (ptrdiff_t)(MANY - 1) * SMALL_D, 0, SMALL_D * sizeof *many);
    ck_assert_msg(mpivf_open(folder, &limited, &index) == MPIVF_OK, "%s", mpivf_last_error());
    refuses(mpivf_search(index, many, MANY, 1, NULL, ids, distances), MPIVF_BAD_INPUT, "query 19999 ");
    mpivf_close(index);
    ivf_free(many);
}

START_TEST(what_is_wrong_is_told)
{
    int64_t ids[K];
    float distances[K];
    mpivf_search_options options = {.size = sizeof options};
    mpivf_index *none = NULL;
    make_index("IVF24,Flat", IVF_COSINE);
    mpivf_index *index = open_index();
    refuses(mpivf_open(NULL, NULL, &none), MPIVF_USAGE, "no path");
    refuses(mpivf_open(folder, NULL, NULL), MPIVF_USAGE, "no place");
    refuses(mpivf_open("missing", NULL, &none), MPIVF_BAD_INPUT, "missing holds no index");
    ck_assert_ptr_null(none);
    mpivf_open_options tight = {.size = sizeof tight, .memory = 1};
    refuses(mpivf_open(folder, &tight, &none), MPIVF_USAGE, "memory");
    tight.memory = -1;
    refuses(mpivf_open(folder, &tight, &none), MPIVF_USAGE, "memory = -1");
    const mpivf_open_options exact = {.size = sizeof exact, .vectors = 1}; /* its rows are in no file */
    refuses(mpivf_open(folder, &exact, &none), MPIVF_BAD_INPUT, "; open the index without vectors, or put back what");
    refuses(mpivf_search(NULL, queries, 1, K, NULL, ids, distances), MPIVF_USAGE, "no index");
    refuses(mpivf_search(index, NULL, 1, K, NULL, ids, distances), MPIVF_USAGE, "no queries");
    refuses(mpivf_search(index, queries, -1, K, NULL, ids, distances), MPIVF_USAGE, "-1 queries");
    refuses(mpivf_search(index, queries, INT64_MAX / 2, K, NULL, ids, distances), MPIVF_USAGE, "address space");
    refuses(mpivf_search(index, queries, 1, 65537, NULL, ids, distances), MPIVF_USAGE, "k = 65537");
    options.nprobe = -1;
    refuses(mpivf_search(index, queries, 1, K, &options, ids, distances), MPIVF_USAGE, "nprobe = -1, rerank = 0");
    options = (mpivf_search_options){.size = sizeof options, .recall = 0.5};
    refuses(mpivf_search(index, queries, 1, K, &options, ids, distances), MPIVF_USAGE, "not tuned");
    options.rerank = 20;
    refuses(mpivf_search(index, queries, 1, K, &options, ids, distances), MPIVF_USAGE, "rerank = 20");
    options.recall = 0;
    refuses(mpivf_search(index, queries, 1, K, &options, ids, distances), MPIVF_USAGE, "not opened with vectors");
    options.size = 3;
    refuses(mpivf_search(index, queries, 1, K, &options, ids, distances), MPIVF_USAGE, "3 bytes");
    refuses(mpivf_set_threads(-1), MPIVF_USAGE, "-1 threads");
    memset(queries + 2 * SMALL_D, 0, SMALL_D * sizeof *queries);
    int64_t many[3 * K];
    float far[3 * K];
    refuses(mpivf_search(index, queries, 3, K, NULL, many, far), MPIVF_BAD_INPUT, "query 2");
    refuses_among_many();
    ck_assert_int_eq(mpivf_search(index, queries, 0, K, NULL, NULL, NULL), MPIVF_OK);
    ck_assert_str_eq(mpivf_last_error(), "");
    mpivf_close(index);
    mpivf_close(NULL);
    drop_index();
}
END_TEST

/* Programs that were compiled with an older or a newer header. */
START_TEST(options_of_other_versions)
{
    struct {
        mpivf_search_options known;
        int64_t later;
    } newer = {.known = {.size = sizeof newer}};
    int64_t ids[K];
    float distances[K];
    make_index("IVF24,Flat", IVF_L2);
    mpivf_index *index = open_index();
    ivf_neighbor *eight = small_walk(&small, queries, 1, 8, K);
    const mpivf_search_options oldest = {.size = sizeof oldest.size, .nprobe = 1};
    ck_assert_int_eq(mpivf_search(index, queries, 1, K, &oldest, ids, distances), MPIVF_OK);
    ck_assert_uint_eq((uint64_t)ids[K - 1], eight[K - 1].id);
    ck_assert_int_eq(mpivf_search(index, queries, 1, K, &newer.known, ids, distances), MPIVF_OK);
    newer.later = 1;
    refuses(mpivf_search(index, queries, 1, K, &newer.known, ids, distances), MPIVF_USAGE, "does not know");
    ivf_free(eight);
    mpivf_close(index);
    drop_index();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tests = tcase_create("api");
    tcase_add_loop_test(tests, finds_what_a_walk_finds, 0, 3);
    tcase_add_test(tests, mpi_is_not_called);
    tcase_add_loop_test(tests, what_is_not_there_is_said, 0, 3);
    tcase_add_loop_test(tests, threads_search_at_once, 0, 5);
    tcase_add_test(tests, threads_may_become_more);
    tcase_add_loop_test(tests, a_call_keeps_to_the_memory, 0, 2);
    tcase_add_test(tests, what_is_wrong_is_told);
    tcase_add_test(tests, options_of_other_versions);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
