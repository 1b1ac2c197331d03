/* Contexts over communicators of others: for those who know MPI's types. */
#ifndef IVF_COMM_ADOPT_H
#define IVF_COMM_ADOPT_H

#include <mpi.h>

#include "comm/context.h"

/* Collective over `comm`, of which the context gets a duplicate. MPI runs already, and goes on when the context is
 * closed. MPI's own failures end the run. NULL on every rank, with a failure recorded, when one
 * cannot. */
ivf_ctx *ivf_ctx_open_over(MPI_Comm comm);

#endif
