/* How long ranks take to agree, by MPI's blocking functions and by ours, which wait in comm/wait.h. Run it under
 * mpirun, on as many ranks as there are cores, and on more: mpirun -n 2 build/release/bench/bench_ranks. Wall-clock
 * time, on rank 0; the best and the median of the repetitions. "beside work": each rank also computes between
 * agreements, for unequal times, so that most of a wait is for a rank that still works. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/reduce.h"
#include "comm/transfer.h"
#include "mpivf/error.h"

enum { REPETITIONS = 41, MOST_VALUES = 8 << 20, CALLS = 200 };

static const ivf_ctx *ctx;
static int64_t *values;
static int64_t count;
static double work_seconds; /* of processor time, on the busiest rank */

static void compute(int call)
{
    double share = (double)((ivf_ctx_rank(ctx) + call) % ivf_ctx_size(ctx) + 1) / ivf_ctx_size(ctx);
    double until = ivf_clock_cpu() + work_seconds * share;
    volatile double sink = 0;
    while (work_seconds > 0 && ivf_clock_cpu() < until)
        sink = sqrt(sink + 1);
}

static void by_mpi(void)
{
    MPI_Allreduce(MPI_IN_PLACE, values, (int)count, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD);
}

static void by_ours(void)
{
    ivf_reduce_all(ctx, IVF_REDUCE_MIN, values, count);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *what, int calls)
{
    void (*const ways[2])(void) = {by_mpi, by_ours};
    double seconds[2][REPETITIONS];
    for (int r = -1; r < REPETITIONS; r++) {
        for (int way = 0; way < 2; way++) {
            MPI_Barrier(MPI_COMM_WORLD);
            double before = ivf_clock();
            for (int call = 0; call < calls; call++) {
                compute(call);
                ways[way]();
            }
            if (r >= 0)
                seconds[way][r] = (ivf_clock() - before) / calls;
        }
    }
    for (int way = 0; way < 2; way++)
        qsort(seconds[way], REPETITIONS, sizeof(double), ascending);
    if (ivf_ctx_is_root(ctx))
        (void)printf(
            "%-28s MPI %9.2f us (best %9.2f)   ours %9.2f us (best %9.2f)   ratio of medians %.2f, of bests %.2f\n",
            what, 1e6 * seconds[0][REPETITIONS / 2], 1e6 * seconds[0][0], 1e6 * seconds[1][REPETITIONS / 2],
            1e6 * seconds[1][0], seconds[1][REPETITIONS / 2] / seconds[0][REPETITIONS / 2],
            seconds[1][0] / seconds[0][0]);
}

int main(void)
{
    static const int64_t counts[] = {1, 64, 512, 4096, 65536, MOST_VALUES};
    char what[64];
    ivf_ctx *world = ivf_ctx_open_world();
    if (world == NULL)
        return MPIVF_FAILED;
    ctx = world;
    values = ivf_new_zero(MOST_VALUES, sizeof *values);
    if (values == NULL)
        ivf_ctx_abort(ctx, MPIVF_FAILED);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        count = counts[i];
        (void)snprintf(what, sizeof what, "%lld values", (long long)count);
        measure(what, count > 4096 ? 1 : CALLS);
    }
    count = 1;
    work_seconds = 200e-6;
    measure("1 value beside 0.2 ms of work", 20);
    work_seconds = 5e-3;
    measure("1 value beside 5 ms of work", 4);
    ivf_free(values);
    ivf_ctx_close(world);
    return MPIVF_OK;
}
