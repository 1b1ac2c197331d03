/* comm/shared: blocks that ranks of a node hold together are as rank 0 left them on every rank, take their memory once,
 * and are each rank's own where the system does not let them share. */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/shared.h"
#include "comm/transfer.h"
#include "mpi_suite.h"

enum { BYTES = 8 << 20 };

/* What rank 0 has put there; every rank looks. */
static bool holds_pattern(const unsigned char *data, size_t bytes)
{
    bool same = true;
    for (size_t i = 0; i < bytes; i++)
        same = same && data[i] == (unsigned char)(i * 31 % 251);
    return same;
}

static ivf_shared *make_pattern(int64_t kind, size_t bytes)
{
    ivf_shared *shared = NULL;
    test_all(ivf_shared_new(test_ctx, bytes, kind, &shared) == MPIVF_OK);
    unsigned char *data = ivf_shared_data(shared);
    for (size_t i = 0; ivf_ctx_is_root(test_ctx) && i < bytes; i++)
        data[i] = (unsigned char)(i * 31 % 251);
    ivf_shared_bcast(test_ctx, shared, 0, bytes);
    ivf_shared_finish(test_ctx, shared);
    return shared;
}

/* Ranks that fill a block. */
static int64_t fillers(const ivf_shared *shared)
{
    int64_t count = ivf_shared_fills(shared);
    ivf_allsum_i64(test_ctx, &count, 1);
    return count;
}

START_TEST(one_rank_of_a_node_fills_what_all_read)
{
    ivf_shared *shared = make_pattern(0, BYTES);
    const char *data = ivf_shared_data(shared);
    test_all(holds_pattern(ivf_shared_data(shared), BYTES));
    test_all(fillers(shared) == 1);
    test_all(ivf_shared_fills(shared) == ivf_ctx_is_root(test_ctx));
    test_all(ivf_shared_holds(shared, data) && ivf_shared_holds(shared, data + BYTES - 1) &&
             !ivf_shared_holds(shared, data + BYTES) && !ivf_shared_holds(shared, &shared));
    test_all(ivf_shared_node_ranks(test_ctx) == ivf_ctx_size(test_ctx));
    ivf_shared_free(shared);
}
END_TEST

/* Nobody has allocated it for himself. */
START_TEST(a_block_is_nobodys_own)
{
    int64_t before = (int64_t)ivf_memory_now();
    ivf_shared *shared = make_pattern(0, BYTES);
    int64_t own = (int64_t)ivf_memory_now() - before;
    ivf_allsum_i64(test_ctx, &own, 1);
    test_all(ivf_ctx_size(test_ctx) == 1 ? own >= BYTES : own < BYTES / 2);
    ivf_shared_free(shared);
}
END_TEST

START_TEST(other_kinds_get_blocks_of_their_own)
{
    ivf_shared *shared = make_pattern(ivf_ctx_rank(test_ctx), BYTES);
    test_all(holds_pattern(ivf_shared_data(shared), BYTES));
    test_all(fillers(shared) == ivf_ctx_size(test_ctx));
    ivf_shared_free(shared);
}
END_TEST

/* A limit of file sizes holds for files in memory too. */
START_TEST(without_the_systems_leave_each_rank_has_its_own)
{
    struct rlimit before;
    struct rlimit none;
    test_all(getrlimit(RLIMIT_FSIZE, &before) == 0);
    (void)signal(SIGXFSZ, SIG_IGN); /* as the program does */
    none = before;
    none.rlim_cur = 4096;
    test_all(setrlimit(RLIMIT_FSIZE, &none) == 0);
    ivf_shared *shared = make_pattern(0, BYTES);
    test_all(setrlimit(RLIMIT_FSIZE, &before) == 0);
    test_all(holds_pattern(ivf_shared_data(shared), BYTES));
    test_all(fillers(shared) == ivf_ctx_size(test_ctx));
    ivf_shared_free(shared);
}
END_TEST

/* Ranks that cannot share get none; a rank alone needs none. */
START_TEST(all_fill_a_joint_block)
{
    const size_t size = (size_t)ivf_ctx_size(test_ctx);
    const size_t rank = (size_t)ivf_ctx_rank(test_ctx);
    ivf_shared *shared = NULL;
    test_all(ivf_shared_join(test_ctx, BYTES, &shared) == MPIVF_OK);
    test_all((shared != NULL) == (size > 1));
    if (shared == NULL)
        return;
    test_all(fillers(shared) == ivf_ctx_size(test_ctx));
    unsigned char *data = ivf_shared_data(shared);
    bool clear = true;
    for (size_t i = BYTES * rank / size; i < BYTES * (rank + 1) / size; i++) {
        clear = clear && data[i] == 0;
        data[i] = (unsigned char)(i * 31 % 251);
    }
    ivf_shared_finish(test_ctx, shared);
    test_all(clear && holds_pattern(data, BYTES));
    ivf_shared_free(shared);
}
END_TEST

START_TEST(small_and_empty_blocks)
{
    for (size_t bytes = 0; bytes < 3; bytes++) {
        ivf_shared *shared = make_pattern(0, bytes);
        test_all(holds_pattern(ivf_shared_data(shared), bytes));
        ivf_shared_free(shared);
    }
    ivf_shared_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared");
    TCase *tests = tcase_create("shared");
    tcase_add_test(tests, one_rank_of_a_node_fills_what_all_read);
    tcase_add_test(tests, a_block_is_nobodys_own);
    tcase_add_test(tests, other_kinds_get_blocks_of_their_own);
    tcase_add_test(tests, without_the_systems_leave_each_rank_has_its_own);
    tcase_add_test(tests, all_fill_a_joint_block);
    tcase_add_test(tests, small_and_empty_blocks);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
