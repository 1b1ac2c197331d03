/* What the files of comm/ share. */
#ifndef IVF_COMM_INTERNAL_H
#define IVF_COMM_INTERNAL_H

#include <mpi.h>

#include "comm/context.h"

/* With one rank no function calls MPI. */
struct ivf_ctx {
    MPI_Comm comm; /* owned duplicate; MPI_COMM_NULL of a process alone */
    int rank;
    int size;
    int number; /* by which messages know this rank: that of the context which this one is a part of */
    bool started_mpi;
    char host[MPI_MAX_PROCESSOR_NAME];
};

/* Messages of any size travel in pieces of this many bytes: MPI's counts are int, and a piece bounds the buffers on the
 * way. */
enum { IVF_PIECE_BYTES = 64 << 20 };

/* Local, before MPI starts. Lifts what a distribution's configuration of Open MPI would break (settings.c). */
void ivf_comm_settle(void);

#endif
