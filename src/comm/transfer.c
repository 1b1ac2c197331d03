#include "comm/transfer.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/internal.h"
#include "comm/reduce.h"
#include "comm/wait.h"

enum { TAG_GATHER = 101, TAG_MERGE = 103, TAG_PARTS = 105 };

static int piece_of(size_t left)
{
    return (int)(left < (size_t)IVF_PIECE_BYTES ? left : (size_t)IVF_PIECE_BYTES);
}

void ivf_bcast(const ivf_ctx *ctx, void *data, size_t bytes)
{
    char *at = data;
    for (size_t left = ctx->size > 1 ? bytes : 0; left > 0;) {
        int piece = piece_of(left);
        MPI_Request request;
        MPI_Ibcast(at, piece, MPI_BYTE, 0, ctx->comm, &request);
        ivf_wait(&request);
        at += piece;
        left -= (size_t)piece;
    }
}

void ivf_allsum_i64(const ivf_ctx *ctx, int64_t *values, int64_t n)
{
    ivf_reduce_all(ctx, IVF_REDUCE_SUM, values, n);
}

void ivf_allsum_u64(const ivf_ctx *ctx, uint64_t *values, int64_t n)
{
    ivf_reduce_all(ctx, IVF_REDUCE_SUM, (int64_t *)(void *)values, n);
}

void ivf_allmax_i64(const ivf_ctx *ctx, int64_t *values, int64_t n)
{
    ivf_reduce_all(ctx, IVF_REDUCE_MAX, values, n);
}

void ivf_gather_f64(const ivf_ctx *ctx, const double *mine, int count, double *all)
{
    MPI_Request request;
    if (ctx->size == 1) {
        memcpy(all, mine, (size_t)count * sizeof *all);
        return;
    }
    MPI_Igather(mine, count, MPI_DOUBLE, all, count, MPI_DOUBLE, 0, ctx->comm, &request);
    ivf_wait(&request);
}

static void send_pieces(const ivf_ctx *ctx, const char *data, size_t bytes, int to, int tag)
{
    for (size_t left = bytes; left > 0;) {
        int piece = piece_of(left);
        MPI_Request request;
        MPI_Isend(data, piece, MPI_BYTE, to, tag, ctx->comm, &request);
        ivf_wait(&request);
        data += piece;
        left -= (size_t)piece;
    }
}

static void receive_pieces(const ivf_ctx *ctx, char *data, size_t bytes, int from, int tag)
{
    for (size_t left = bytes; left > 0;) {
        int piece = piece_of(left);
        MPI_Request request;
        MPI_Irecv(data, piece, MPI_BYTE, from, tag, ctx->comm, &request);
        ivf_wait(&request);
        data += piece;
        left -= (size_t)piece;
    }
}

/* Rank 0: room for everybody's bytes. */
static int gathered_make(const ivf_ctx *ctx, ivf_gathered *out)
{
    out->offsets = ivf_new_zero((size_t)ctx->size + 1, sizeof *out->offsets);
    return out->offsets == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* Everybody's lengths to offsets[1..] on rank 0. */
static void gather_lengths(const ivf_ctx *ctx, int64_t length, int64_t *offsets)
{
    MPI_Request request;
    if (ctx->size == 1) {
        offsets[1] = length;
        return;
    }
    MPI_Igather(&length, 1, MPI_INT64_T, ctx->rank == 0 ? offsets + 1 : NULL, 1, MPI_INT64_T, 0, ctx->comm, &request);
    ivf_wait(&request);
}

static int gathered_reserve(const ivf_ctx *ctx, ivf_gathered *out)
{
    for (int r = 0; r < ctx->size; r++)
        out->offsets[r + 1] += out->offsets[r];
    out->data = ivf_new(ivf_to_size(out->offsets[ctx->size]), 1);
    return out->data == NULL ? MPIVF_FAILED : MPIVF_OK;
}

int ivf_gather_bytes(const ivf_ctx *ctx, const void *mine, size_t bytes, ivf_gathered *out)
{
    *out = (ivf_gathered){0};
    int rc = ivf_agree(ctx, ctx->rank == 0 ? gathered_make(ctx, out) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    gather_lengths(ctx, (int64_t)bytes, out->offsets);
    rc = ivf_agree(ctx, ctx->rank == 0 ? gathered_reserve(ctx, out) : MPIVF_OK);
    if (rc != MPIVF_OK) {
        ivf_gathered_free(out);
        return rc;
    }
    if (ctx->rank != 0) {
        send_pieces(ctx, mine, bytes, 0, TAG_GATHER);
        return MPIVF_OK;
    }
    if (bytes > 0)
        memcpy(out->data, mine, bytes);
    for (int r = 1; r < ctx->size; r++)
        receive_pieces(ctx, (char *)out->data + out->offsets[r], (size_t)(out->offsets[r + 1] - out->offsets[r]), r,
                       TAG_GATHER);
    return MPIVF_OK;
}

void ivf_gathered_free(ivf_gathered *gathered)
{
    ivf_free(gathered->data);
    ivf_free(gathered->offsets);
    *gathered = (ivf_gathered){0};
}

int ivf_merge_to_root(const ivf_ctx *ctx, void *data, int64_t count, size_t size, ivf_merge *merge, void *arg)
{
    size_t bytes = ivf_to_size(count) * size;
    void *other = ctx->size > 1 ? ivf_new(bytes, 1) : NULL;
    int rc = ivf_agree(ctx, ctx->size > 1 && other == NULL ? MPIVF_FAILED : MPIVF_OK);
    for (int step = 1; rc == MPIVF_OK && step < ctx->size; step *= 2) {
        if (ctx->rank % (2 * step) != 0) {
            send_pieces(ctx, data, bytes, ctx->rank - step, TAG_MERGE);
            break;
        }
        if (ctx->rank + step < ctx->size) {
            receive_pieces(ctx, other, bytes, ctx->rank + step, TAG_MERGE);
            merge(arg, data, other, count);
        }
    }
    ivf_free(other);
    return rc;
}

/* Rank r's bytes inside the window [from, to) of the whole: how many, and where they start in the window. */
static void window_parts(const ivf_ctx *ctx, const int64_t *offsets, int64_t from, int64_t to, int *counts, int *starts)
{
    for (int r = 0; r < ctx->size; r++) {
        int64_t first = ivf_min_i64(ivf_max_i64(offsets[r], from), to);
        int64_t end = ivf_min_i64(ivf_max_i64(offsets[r + 1], from), to);
        counts[r] = (int)(end - first);
        starts[r] = (int)(first - from);
    }
}

int ivf_allgather_bytes(const ivf_ctx *ctx, void *data, const int64_t *offsets)
{
    if (ctx->size == 1)
        return MPIVF_OK;
    int *counts = ivf_new((size_t)ctx->size * 2, sizeof *counts);
    int rc = ivf_agree(ctx, counts == NULL ? MPIVF_FAILED : MPIVF_OK);
    int64_t total = offsets[ctx->size];
    if (rc != MPIVF_OK || counts == NULL) {
        ivf_free(counts);
        return rc;
    }
    for (int64_t from = 0; from < total; from += IVF_PIECE_BYTES) {
        int *starts = counts + ctx->size;
        window_parts(ctx, offsets, from, ivf_min_i64(from + IVF_PIECE_BYTES, total), counts, starts);
        MPI_Request request;
        MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, (char *)data + from, counts, starts, MPI_BYTE, ctx->comm, &request);
        ivf_wait(&request);
    }
    ivf_free(counts);
    return MPIVF_OK;
}

void ivf_gather_parts(const ivf_ctx *ctx, const void *mine, void *all, const int64_t *offsets)
{
    if (ctx->rank != 0)
        send_pieces(ctx, mine, (size_t)(offsets[ctx->rank + 1] - offsets[ctx->rank]), 0, TAG_PARTS);
    for (int r = 1; ctx->rank == 0 && r < ctx->size; r++)
        receive_pieces(ctx, (char *)all + offsets[r], (size_t)(offsets[r + 1] - offsets[r]), r, TAG_PARTS);
}

void ivf_barrier(const ivf_ctx *ctx)
{
    MPI_Request request;
    if (ctx->size == 1)
        return;
    MPI_Ibarrier(ctx->comm, &request);
    ivf_wait(&request);
}
