/* Sums and extremes over the ranks, made of messages. MPI has them too, but its blocking form cannot be watched while
 * it waits, and the form that can took 2.5 times as long as these messages for a number (0.9 against 0.35 microseconds
 * between two ranks) and twice as long as the blocking one for 64 MiB (bench/README.md).
 *
 * Few numbers: by recursive doubling, all of them in each of log2(ranks) rounds. Many: each rank folds a part and then
 * collects the others (Rabenseifner, "Optimization of collective reduction operations", ICCS 2004), twice the bytes in
 * twice the rounds. Ranks beyond a power of two first hand theirs to a neighbour and get the result at the end. What
 * comes from a partner passes through a fixed piece of memory, so nothing is allocated. Addition modulo 2^64, minima
 * and maxima do not depend on the order. */
#include "comm/reduce.h"

#include <stdbool.h>
#include <string.h>

#include "base/numbers.h"
#include "comm/internal.h"
#include "comm/wait.h"

enum {
    TAG_REDUCE = 121,
    FEW_VALUES = 512,      /* 4 KiB */
    PIECE_VALUES = 1 << 15 /* 256 KiB, of which the cache holds the second half of the work */
};

static int64_t from_partner[PIECE_VALUES]; /* the main thread's */

/* The numbers of this rank, [n]. */
typedef struct {
    const ivf_ctx *ctx;
    ivf_reduction how;
    int64_t *values;
    int power;  /* of two, at most the ranks */
    int extra;  /* ranks beyond it */
    int number; /* of this rank among `power`; -1: it stays out */
} reduction;

static void fold(ivf_reduction how, int64_t *restrict into, const int64_t *restrict from, int64_t n)
{
    switch (how) {
    case IVF_REDUCE_SUM:
        for (int64_t i = 0; i < n; i++)
            into[i] = (int64_t)((uint64_t)into[i] + (uint64_t)from[i]);
        break;
    case IVF_REDUCE_MIN:
        for (int64_t i = 0; i < n; i++)
            into[i] = ivf_min_i64(into[i], from[i]);
        break;
    case IVF_REDUCE_MAX:
        for (int64_t i = 0; i < n; i++)
            into[i] = ivf_max_i64(into[i], from[i]);
        break;
    }
}

/* The rank that has a number. */
static int rank_of(const reduction *r, int number)
{
    return number < r->extra ? 2 * number : number + r->extra;
}

/* One message each way, at most a piece of either; a count of 0 is none. */
static void swap(const reduction *r, int partner, const int64_t *out, int64_t out_count, int64_t *in, int64_t in_count)
{
    MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    if (in_count > 0)
        MPI_Irecv(in, (int)in_count, MPI_INT64_T, partner, TAG_REDUCE, r->ctx->comm, &requests[0]);
    if (out_count > 0)
        MPI_Isend(out, (int)out_count, MPI_INT64_T, partner, TAG_REDUCE, r->ctx->comm, &requests[1]);
    ivf_wait_all(requests, 2);
}

/* values[out..] go to the partner, what it sends is folded into values[in..], or put there. */
static void exchange(const reduction *r, int partner, int64_t out, int64_t out_count, int64_t in, int64_t in_count,
                     bool folding)
{
    for (int64_t at = 0; at < out_count || at < in_count; at += PIECE_VALUES) {
        int64_t sent = ivf_max_i64(0, ivf_min_i64(PIECE_VALUES, out_count - at));
        int64_t received = ivf_max_i64(0, ivf_min_i64(PIECE_VALUES, in_count - at));
        int64_t *to = folding ? from_partner : r->values + in + at;
        swap(r, partner, r->values + out + at, sent, to, received);
        if (folding)
            fold(r->how, r->values + in + at, from_partner, received);
    }
}

static void double_up(const reduction *r, int64_t n)
{
    for (int mask = 1; mask < r->power; mask *= 2)
        exchange(r, rank_of(r, r->number ^ mask), 0, n, 0, n, true);
}

/* The part of n values that is left to the numbers that agree with this one in all bits from `mask` on. */
static void part_of(const reduction *r, int64_t n, int mask, int number, int64_t *first, int64_t *end)
{
    *first = 0;
    *end = n;
    for (int bit = r->power / 2; bit >= mask; bit /= 2) {
        int64_t middle = *first + (*end - *first) / 2;
        if ((number & bit) != 0)
            *first = middle;
        else
            *end = middle;
    }
}

static void halve_and_collect(const reduction *r, int64_t n)
{
    int64_t mine = 0;
    int64_t mine_end = 0;
    int64_t other = 0;
    int64_t other_end = 0;
    for (int mask = r->power / 2; mask > 0; mask /= 2) {
        part_of(r, n, mask, r->number, &mine, &mine_end);
        part_of(r, n, mask, r->number ^ mask, &other, &other_end);
        exchange(r, rank_of(r, r->number ^ mask), other, other_end - other, mine, mine_end - mine, true);
    }
    for (int mask = 1; mask < r->power; mask *= 2) {
        part_of(r, n, mask, r->number, &mine, &mine_end);
        part_of(r, n, mask, r->number ^ mask, &other, &other_end);
        exchange(r, rank_of(r, r->number ^ mask), mine, mine_end - mine, other, other_end - other, false);
    }
}

/* Ranks 0 to 2 extra - 1 make pairs, of which the first works for both. */
static void set_out(reduction *r)
{
    int rank = r->ctx->rank;
    r->power = 1;
    while (r->power <= r->ctx->size / 2)
        r->power *= 2;
    r->extra = r->ctx->size - r->power;
    r->number = rank - r->extra;
    if (rank < 2 * r->extra)
        r->number = rank % 2 == 0 ? rank / 2 : -1;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): they are replaced, through a struct */
void ivf_reduce_all(const ivf_ctx *ctx, ivf_reduction how, int64_t *values, int64_t n)
{
    reduction r = {.ctx = ctx, .how = how, .values = values};
    if (ctx->size == 1 || n == 0)
        return;
    MPI_Pcontrol(IVF_PCONTROL_REDUCE, "reduce", (long)n * (long)sizeof *values);
    set_out(&r);
    bool paired = ctx->rank < 2 * r.extra;
    if (r.number < 0)
        exchange(&r, ctx->rank - 1, 0, n, 0, 0, false);
    else if (paired)
        exchange(&r, ctx->rank + 1, 0, 0, 0, n, true);
    if (r.number >= 0 && n <= FEW_VALUES)
        double_up(&r, n);
    else if (r.number >= 0)
        halve_and_collect(&r, n);
    if (r.number < 0)
        exchange(&r, ctx->rank - 1, 0, 0, 0, n, false);
    else if (paired)
        exchange(&r, ctx->rank + 1, 0, n, 0, 0, false);
}
