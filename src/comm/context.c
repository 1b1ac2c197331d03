#include "comm/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/stop.h"
#include "comm/adopt.h"
#include "comm/internal.h"
#include "comm/reduce.h"
#include "comm/wait.h"

static bool start_mpi(void)
{
    int started = 0;
    MPI_Initialized(&started);
    if (started)
        return false;
    int level = 0;
    ivf_comm_settle();
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    ivf_wait_settle();
    return true;
}

/* A caller of the library may have told MPI to return its failures, which nobody here would look at. */
ivf_ctx *ivf_ctx_open_over(MPI_Comm comm)
{
    ivf_ctx *ctx = ivf_new_zero(1, sizeof *ctx);
    int made = ctx != NULL;
    int length = 0;
    MPI_Comm own;
    MPI_Comm_dup(comm, &own);
    MPI_Comm_set_errhandler(own, MPI_ERRORS_ARE_FATAL);
    MPI_Allreduce(MPI_IN_PLACE, &made, 1, MPI_INT, MPI_MIN, own);
    if (ctx == NULL || !made) {
        MPI_Comm_free(&own);
        if (ctx != NULL)
            (void)ivf_fail(MPIVF_FAILED, "out of memory on another rank");
        ivf_free(ctx);
        return NULL;
    }
    ctx->comm = own;
    MPI_Comm_rank(ctx->comm, &ctx->rank);
    MPI_Comm_size(ctx->comm, &ctx->size);
    ctx->number = ctx->rank;
    MPI_Get_processor_name(ctx->host, &length);
    return ctx;
}

ivf_ctx *ivf_ctx_open_world(void)
{
    bool started = start_mpi();
    ivf_ctx *ctx = ivf_ctx_open_over(MPI_COMM_WORLD);
    if (ctx != NULL)
        ctx->started_mpi = started;
    return ctx;
}

ivf_ctx *ivf_ctx_open_self(void)
{
    ivf_ctx *ctx = ivf_new_zero(1, sizeof *ctx);
    if (ctx == NULL)
        return NULL;
    ctx->comm = MPI_COMM_NULL;
    ctx->size = 1;
    (void)gethostname(ctx->host, sizeof ctx->host - 1);
    return ctx;
}

void ivf_ctx_close(ivf_ctx *ctx)
{
    if (ctx == NULL)
        return;
    bool started_mpi = ctx->started_mpi;
    if (ctx->comm != MPI_COMM_NULL)
        MPI_Comm_free(&ctx->comm);
    ivf_free(ctx);
    if (started_mpi)
        MPI_Finalize();
}

int ivf_ctx_rank(const ivf_ctx *ctx)
{
    return ctx->rank;
}

int ivf_ctx_size(const ivf_ctx *ctx)
{
    return ctx->size;
}

bool ivf_ctx_is_root(const ivf_ctx *ctx)
{
    return ctx->rank == 0;
}

const char *ivf_ctx_host(const ivf_ctx *ctx)
{
    return ctx->host;
}

/* Says where the failure happened, once: a failure may be agreed on again further out. */
static void add_origin(const ivf_ctx *ctx, ivf_error *error)
{
    size_t length = strlen(error->text);
    if (error->located)
        return;
    error->located = 1;
    (void)snprintf(error->text + length, sizeof error->text - length, " (rank %d on %.64s)", ctx->number, ctx->host);
}

int ivf_agree(const ivf_ctx *ctx, int code)
{
    if (code == MPIVF_OK)
        code = ivf_stop_check();
    int64_t lowest = code == MPIVF_OK ? ctx->size : ctx->rank;
    ivf_reduce_all(ctx, IVF_REDUCE_MIN, &lowest, 1);
    if (lowest == ctx->size)
        return MPIVF_OK;
    ivf_error error = *ivf_error_last();
    error.code = code;
    if (ctx->size > 1) {
        MPI_Request request;
        if (ctx->rank == lowest)
            add_origin(ctx, &error);
        MPI_Ibcast(&error, (int)sizeof error, MPI_BYTE, (int)lowest, ctx->comm, &request);
        ivf_wait(&request);
    }
    ivf_error_set(&error);
    return error.code;
}

_Noreturn void ivf_ctx_abort(const ivf_ctx *ctx, int code)
{
    (void)fflush(NULL);
    if (ctx->comm != MPI_COMM_NULL)
        MPI_Abort(ctx->comm, code);
    abort();
}
