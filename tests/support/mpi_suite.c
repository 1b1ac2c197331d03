#include "mpi_suite.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "comm/transfer.h"
#include "temp.h"

ivf_ctx *test_ctx;

void test_all_at(int holds, const char *text, const char *file, int line)
{
    int code = MPIVF_OK;
    if (!holds)
        code = ivf_fail(MPIVF_FAILED, "%s", text);
    if (ivf_agree(test_ctx, code) != MPIVF_OK)
        ck_abort_msg("%s:%d: %s", file, line, ivf_error_last()->text);
}

void test_shared_temp_make(char *path)
{
    if (ivf_ctx_is_root(test_ctx))
        test_temp_make(path);
    ivf_bcast(test_ctx, path, TEST_PATH_BYTES);
}

void test_shared_temp_remove(const char *path)
{
    ivf_barrier(test_ctx);
    if (ivf_ctx_is_root(test_ctx))
        test_temp_remove(path);
}

int test_mpi_run(Suite *suite)
{
    test_ctx = ivf_ctx_open_world();
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, ivf_ctx_is_root(test_ctx) ? CK_NORMAL : CK_SILENT);
    int64_t failed = srunner_ntests_failed(runner);
    int64_t ran = srunner_ntests_run(runner);
    srunner_free(runner);
    ivf_allsum_i64(test_ctx, &failed, 1);
    ivf_ctx_close(test_ctx);
    return failed == 0 && ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
