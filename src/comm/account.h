/* The account of a run: seconds, bytes and peak memory of each phase, over the ranks. */
#ifndef IVF_COMM_ACCOUNT_H
#define IVF_COMM_ACCOUNT_H

#include <stdint.h>

#include "comm/context.h"

enum { IVF_ACCOUNT_PHASES = 16 };

typedef struct {
    const char *name; /* static storage */
    double seconds;
    int64_t bytes;  /* read and written, by this rank */
    int64_t memory; /* peak resident set of the process during the phase */
} ivf_phase;

typedef struct {
    ivf_phase phases[IVF_ACCOUNT_PHASES];
    int count;
    double started; /* of the phase that runs now */
} ivf_account;

/* Smallest, mean and largest value over the ranks. */
typedef struct {
    double min, mean, max;
} ivf_spread;

typedef struct {
    const char *name;
    ivf_spread seconds, bytes, memory;
} ivf_phase_summary;

/* Local. A phase starts where the one before ended. Profilers of MPI learn of it by MPI_Pcontrol(1, name) and (-1,
 * name), as IPM takes regions. */
void ivf_account_begin(ivf_account *account, const char *name);
void ivf_account_end(ivf_account *account, int64_t bytes);

/* Collective. Fills summaries[account->count] on rank 0. All ranks have gone through the same phases. */
int ivf_account_sum(const ivf_ctx *ctx, const ivf_account *account, ivf_phase_summary *summaries);

/* Local. Logs the summaries as one table. */
void ivf_account_print(const ivf_phase_summary *summaries, int count);

#endif
