/* Counts what a program hands to MPI, phase by phase: a library of MPI_* wrappers around PMPI_*, put before the MPI
 * library with LD_PRELOAD. Phases are announced by the program with MPI_Pcontrol(1, name) and MPI_Pcontrol(-1, name).
 *
 * At the end each rank writes TRAFFIC.<rank> (TRAFFIC: the variable MPIVF_TRAFFIC), one line for each function in each
 * phase: "phase kind function calls bytes", "-" for what is outside of phases. What is counted:
 *     message     at the sender: its bytes
 *     onesided    at the origin: its bytes, once even where as many come back
 *     collective  on every rank: the bytes of the buffer that it hands over (what it contributes; for a broadcast the
 *                 payload on every rank, for an all-to-all what it has for all)
 *     carried     at the sender: messages that make up the program's own reductions, each of which it announces with
 *                 MPI_Pcontrol(2, "reduce", bytes) and which count as collectives of that many bytes
 * How MPI carries a collective (trees, rings) is its own business and not seen here. */
#include <mpi.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1024 };

/* comm/reduce.c: its messages, and how it announces them. */
enum { TAG_REDUCE = 121, PCONTROL_REDUCE = 2 };

typedef enum { MESSAGE, ONESIDED, COLLECTIVE, CARRIED } traffic_kind;

static struct {
    char phase[32];
    const char *function;
    traffic_kind kind;
    int64_t calls;
    int64_t bytes;
} rows[ROWS];
static int row_count;
static char phase[32] = "-";

static void count(traffic_kind kind, const char *function, int64_t bytes)
{
    int i = 0;
    while (i < row_count && (rows[i].function != function || rows[i].kind != kind || strcmp(rows[i].phase, phase) != 0))
        i++;
    if (i == ROWS)
        abort();
    if (i == row_count) {
        row_count++;
        (void)snprintf(rows[i].phase, sizeof rows[i].phase, "%s", phase);
        rows[i].function = function;
        rows[i].kind = kind;
    }
    rows[i].calls++;
    rows[i].bytes += bytes;
}

static int64_t size_of(int64_t n, MPI_Datatype type)
{
    int size = 0;
    (void)PMPI_Type_size(type, &size);
    return n * size;
}

int MPI_Pcontrol(const int level, ...)
{
    va_list arguments;
    va_start(arguments, level);
    const char *name = va_arg(arguments, const char *);
    if (level == PCONTROL_REDUCE)
        count(COLLECTIVE, "reduce", va_arg(arguments, long));
    else
        (void)snprintf(phase, sizeof phase, "%s", level == 1 ? name : "-");
    va_end(arguments);
    return MPI_SUCCESS;
}

/* __func__ is one array for each function, so pointers tell them apart. */
int MPI_Isend(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    if (to != MPI_PROC_NULL)
        count(tag == TAG_REDUCE ? CARRIED : MESSAGE, __func__, size_of(n, type));
    return PMPI_Isend(data, n, type, to, tag, comm, request);
}

int MPI_Rget_accumulate(const void *origin, int n, MPI_Datatype type, void *result, int n_back, MPI_Datatype type_back,
                        int target, MPI_Aint at, int n_there, MPI_Datatype type_there, MPI_Op op, MPI_Win win,
                        MPI_Request *request)
{
    count(ONESIDED, __func__, size_of(n, type));
    return PMPI_Rget_accumulate(origin, n, type, result, n_back, type_back, target, at, n_there, type_there, op, win,
                                request);
}

int MPI_Ibarrier(MPI_Comm comm, MPI_Request *request)
{
    count(COLLECTIVE, __func__, 0);
    return PMPI_Ibarrier(comm, request);
}

int MPI_Allreduce(const void *data, void *result, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    count(COLLECTIVE, __func__, size_of(n, type));
    return PMPI_Allreduce(data, result, n, type, op, comm);
}

int MPI_Ibcast(void *data, int n, MPI_Datatype type, int root, MPI_Comm comm, MPI_Request *request)
{
    count(COLLECTIVE, __func__, size_of(n, type));
    return PMPI_Ibcast(data, n, type, root, comm, request);
}

int MPI_Igather(const void *out, int n, MPI_Datatype type, void *in, int n_in, MPI_Datatype type_in, int root,
                MPI_Comm comm, MPI_Request *request)
{
    count(COLLECTIVE, __func__, out == MPI_IN_PLACE ? size_of(n_in, type_in) : size_of(n, type));
    return PMPI_Igather(out, n, type, in, n_in, type_in, root, comm, request);
}

int MPI_Iallgatherv(const void *out, int n, MPI_Datatype type, void *in, const int *counts, const int *starts,
                    MPI_Datatype type_in, MPI_Comm comm, MPI_Request *request)
{
    int rank = 0;
    (void)PMPI_Comm_rank(comm, &rank);
    count(COLLECTIVE, __func__, out == MPI_IN_PLACE ? size_of(counts[rank], type_in) : size_of(n, type));
    return PMPI_Iallgatherv(out, n, type, in, counts, starts, type_in, comm, request);
}

int MPI_Ialltoall(const void *out, int n, MPI_Datatype type, void *in, int n_in, MPI_Datatype type_in, MPI_Comm comm,
                  MPI_Request *request)
{
    int size = 0;
    (void)PMPI_Comm_size(comm, &size);
    count(COLLECTIVE, __func__, size * (out == MPI_IN_PLACE ? size_of(n_in, type_in) : size_of(n, type)));
    return PMPI_Ialltoall(out, n, type, in, n_in, type_in, comm, request);
}

int MPI_Comm_dup(MPI_Comm comm, MPI_Comm *copy)
{
    count(COLLECTIVE, __func__, 0);
    return PMPI_Comm_dup(comm, copy);
}

int MPI_Comm_split(MPI_Comm comm, int colour, int key, MPI_Comm *part)
{
    count(COLLECTIVE, __func__, 0);
    return PMPI_Comm_split(comm, colour, key, part);
}

int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *part)
{
    count(COLLECTIVE, __func__, 0);
    return PMPI_Comm_split_type(comm, type, key, info, part);
}

int MPI_Win_allocate(MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win)
{
    count(COLLECTIVE, __func__, 0);
    return PMPI_Win_allocate(bytes, unit, info, comm, base, win);
}

int MPI_Win_free(MPI_Win *win)
{
    count(COLLECTIVE, __func__, 0);
    return PMPI_Win_free(win);
}

static void write_rows(void)
{
    static const char *const kinds[] = {"message", "onesided", "collective", "carried"};
    const char *name = getenv("MPIVF_TRAFFIC");
    char path[4096];
    int rank = 0;
    if (name == NULL)
        return;
    (void)PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    (void)snprintf(path, sizeof path, "%s.%d", name, rank);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        abort();
    for (int i = 0; i < row_count; i++)
        (void)fprintf(file, "%s %s %s %lld %lld\n", rows[i].phase, kinds[rows[i].kind], rows[i].function,
                      (long long)rows[i].calls, (long long)rows[i].bytes);
    (void)fclose(file);
}

int MPI_Finalize(void)
{
    write_rows();
    return PMPI_Finalize();
}
