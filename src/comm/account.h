/* The account of a run: seconds, bytes and peak memory of each phase, over the ranks. */
#ifndef IVF_COMM_ACCOUNT_H
#define IVF_COMM_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"

enum { IVF_ACCOUNT_PHASES = 16 };

/* What a phase's seconds went into, where it tells. Reading and writing run beside computing, each on a thread of its
 * own; the waits are the computing thread's. */
typedef enum {
    IVF_PART_COMPUTING,
    IVF_PART_READING,
    IVF_PART_WRITING,
    IVF_PART_WAITING_INPUT,  /* rows were not in memory */
    IVF_PART_WAITING_OUTPUT, /* what was finished before was not written */
    IVF_PART_WAITING_RANKS,  /* nothing was left to do here */
    IVF_PARTS
} ivf_part;

typedef struct {
    const char *name; /* static storage */
    double seconds;
    int64_t bytes;  /* read and written, by this rank */
    int64_t memory; /* peak of the process's resident memory during the phase, its share of what ranks hold together */
    bool has_parts;
    double parts[IVF_PARTS]; /* seconds */
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
    bool has_parts;
    ivf_spread parts[IVF_PARTS]; /* seconds */
} ivf_phase_summary;

/* Local. A phase starts where the one before ended. Profilers of MPI learn of it by MPI_Pcontrol(1, name) and (-1,
 * name), as IPM takes regions. */
void ivf_account_begin(ivf_account *account, const char *name);
void ivf_account_end(ivf_account *account, int64_t bytes);

/* Local. From now on `bytes` more (or less) of this process's resident memory are other ranks' share of what they hold
 * together (comm/shared.h), and do not count as its own. */
void ivf_account_relieve(int64_t bytes);

/* Local. Adds seconds to a part of the phase that runs now. A phase that tells of one part tells of all, on every rank.
 */
void ivf_account_part(ivf_account *account, ivf_part part, double seconds);

/* Local. "computing", "reading", "writing", "waiting_for_input", "waiting_for_output", "waiting_for_ranks". */
const char *ivf_part_name(ivf_part part);

/* Collective. Fills summaries[account->count] on rank 0. All ranks have gone through the same phases. */
int ivf_account_sum(const ivf_ctx *ctx, const ivf_account *account, ivf_phase_summary *summaries);

/* Local. Logs the summaries as one table, and a line for each phase that has parts. */
void ivf_account_print(const ivf_phase_summary *summaries, int count);

#endif
