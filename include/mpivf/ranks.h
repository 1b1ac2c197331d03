/* Searching an index with all ranks of a communicator: for programs that use MPI themselves. */
#ifndef MPIVF_RANKS_H
#define MPIVF_RANKS_H

#include <mpi.h>

#include "mpivf/search.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Collective. Opens an index whose postings are spread over the ranks of `comm` (which is duplicated), each holding its
 * share of the bytes. Rank 0's `options` count. MPI must have been started, with MPI_THREAD_FUNNELED at least where a
 * rank has several threads. Every rank returns the same code.
 *
 * With such a handle mpivf_search and mpivf_close are collective too, and belong to the thread that may call MPI, one
 * call at a time. What rank 0 passes to mpivf_search counts, and it gets what is found; the other ranks' arguments
 * beside `index` are not looked at. Failures of MPI itself end the run. */
MPIVF_API int mpivf_open_ranks(MPI_Comm comm, const char *path, const mpivf_open_options *options, mpivf_index **index);

#ifdef __cplusplus
}
#endif
#endif
