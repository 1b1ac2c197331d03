/* Check under mpirun: assertions that all ranks fail together, and a main that joins their verdicts. */
#ifndef TEST_MPI_SUITE_H
#define TEST_MPI_SUITE_H

#include <check.h>

#include "comm/context.h"

/* The context over all ranks, open while the suite runs. */
extern ivf_ctx *test_ctx;

/* Collective. Fails on every rank when `condition` is false on any: a rank-local ck_assert would leave the others
 * waiting. */
#define test_all(condition) test_all_at((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
void test_all_at(int holds, const char *text, const char *file, int line);

/* Collective. A scratch folder that all ranks share; rank 0 makes and removes it. */
void test_shared_temp_make(char *path);
void test_shared_temp_remove(const char *path);

/* Collective. Runs the suite on every rank without forking; rank 0 reports. Returns the exit status, the same on every
 * rank. */
int test_mpi_run(Suite *suite);

#endif
