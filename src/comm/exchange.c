#include "comm/exchange.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/internal.h"
#include "comm/wait.h"

enum { TAG_EXCHANGE = 111 };

static int piece_at(int64_t bytes, int64_t done)
{
    return (int)ivf_max_i64(0, ivf_min_i64(IVF_PIECE_BYTES, bytes - done));
}

static void swap(const ivf_ctx *ctx, const char *out, int64_t out_bytes, int to, char *in, int64_t in_bytes, int from)
{
    for (int64_t done = 0; done < out_bytes || done < in_bytes; done += IVF_PIECE_BYTES) {
        int sent = piece_at(out_bytes, done);
        int received = piece_at(in_bytes, done);
        MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        if (received > 0)
            MPI_Irecv(in + done, received, MPI_BYTE, from, TAG_EXCHANGE, ctx->comm, &requests[0]);
        if (sent > 0)
            MPI_Isend(out + done, sent, MPI_BYTE, to, TAG_EXCHANGE, ctx->comm, &requests[1]);
        ivf_wait_all(requests, 2);
    }
}

/* What each rank sends to each. */
static void swap_lengths(const ivf_ctx *ctx, const int64_t *out, int64_t *in)
{
    MPI_Request request;
    if (ctx->size == 1) {
        in[0] = out[0];
        return;
    }
    MPI_Ialltoall(out, 1, MPI_INT64_T, in, 1, MPI_INT64_T, ctx->comm, &request);
    ivf_wait(&request);
}

/* Lengths become offsets, and room for all that comes is made. */
static int reserve(const ivf_ctx *ctx, ivf_gathered *in)
{
    for (int r = 0; r < ctx->size; r++)
        if (__builtin_add_overflow(in->offsets[r + 1], in->offsets[r], &in->offsets[r + 1]))
            return ivf_fail(MPIVF_FAILED, "an exchange between ranks would bring one of them more than 2^63 bytes");
    in->data = ivf_new(ivf_to_size(in->offsets[ctx->size]), 1);
    return in->data == NULL ? MPIVF_FAILED : MPIVF_OK;
}

int ivf_exchange(const ivf_ctx *ctx, const void *data, const int64_t *offsets, ivf_gathered *in)
{
    *in = (ivf_gathered){.offsets = ivf_new_zero((size_t)ctx->size + 1, sizeof *in->offsets)};
    int64_t *lengths = ivf_new((size_t)ctx->size, sizeof *lengths);
    int rc = ivf_agree(ctx, in->offsets == NULL || lengths == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || in->offsets == NULL || lengths == NULL) {
        ivf_gathered_free(in);
        ivf_free(lengths);
        return rc;
    }
    for (int r = 0; r < ctx->size; r++)
        lengths[r] = offsets[r + 1] - offsets[r];
    swap_lengths(ctx, lengths, in->offsets + 1);
    rc = ivf_agree(ctx, reserve(ctx, in));
    if (rc == MPIVF_OK && lengths[ctx->rank] > 0)
        memcpy(in->data + in->offsets[ctx->rank], (const char *)data + offsets[ctx->rank], (size_t)lengths[ctx->rank]);
    for (int round = 1; rc == MPIVF_OK && round < ctx->size; round++) {
        int to = (ctx->rank + round) % ctx->size;
        int from = (ctx->rank - round + ctx->size) % ctx->size;
        swap(ctx, (const char *)data + offsets[to], lengths[to], to, (char *)in->data + in->offsets[from],
             in->offsets[from + 1] - in->offsets[from], from);
    }
    if (rc != MPIVF_OK)
        ivf_gathered_free(in);
    ivf_free(lengths);
    return rc;
}
