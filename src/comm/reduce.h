/* Integers folded over all ranks, for the functions of comm/transfer.h. */
#ifndef IVF_COMM_REDUCE_H
#define IVF_COMM_REDUCE_H

#include <stdint.h>

#include "comm/context.h"

typedef enum { IVF_REDUCE_SUM, IVF_REDUCE_MIN, IVF_REDUCE_MAX } ivf_reduction;

/* Collective. values[n] of all ranks, folded one by one (sums modulo 2^64), on every rank. A rank sends at most
 * (log2(ranks) + 1) 8 n bytes up to 4 KiB of values, 24 n beyond; no memory. Each call is told to profilers by
 * MPI_Pcontrol(IVF_PCONTROL_REDUCE, "reduce", bytes), since to them it is only messages. */
enum { IVF_PCONTROL_REDUCE = 2 };
void ivf_reduce_all(const ivf_ctx *ctx, ivf_reduction how, int64_t *values, int64_t n);

#endif
