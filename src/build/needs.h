/* What a build needs of a rank's memory, phase by phase, by formulas that stand beside what they count: each module
 * tells its own figure. Known before anything large is allocated, so that what cannot fit is refused before the work.
 *
 * A figure is an upper bound of the rank's resident memory: what the process holds when the build begins (measured),
 * what libraries and stacks grow by (GROWTH and its like in needs.c, measured once), and the largest sum of blocks that
 * are held together at any step of the phase. What the ranks of a node hold together counts for each by its share. */
#ifndef IVF_BUILD_NEEDS_H
#define IVF_BUILD_NEEDS_H

#include <stdint.h>

#include "build/build.h"
#include "build/plan.h"
#include "build/predict.h"
#include "io/dataset.h"

typedef struct {
    const ivf_plan *plan;           /* borrowed */
    const ivf_build_config *config; /* borrowed; its memory is the limit, 0: none */
    int ranks;
    int node_ranks;  /* that share a node; the fewest on any */
    int threads;     /* of a rank */
    int64_t base;    /* bytes that a process holds as the build begins */
    int64_t reading; /* bytes that a thread takes to read rows, and scattered ones (io/dataset.h) */
    int64_t picking;
    int64_t few;               /* scattered rows that are read one by one */
    ivf_dataset_caches caches; /* of HDF5, while rows are read */
    int64_t ids_caches;        /* bytes of them for the file of ids, from its check to the end */
    int64_t files;             /* of the input */
    int64_t path_bytes;        /* of all their paths */
} ivf_needs_input;

typedef struct {
    int64_t bytes;
    const char *step; /* of the phase, that needs them; static storage */
} ivf_need;

/* What may be made smaller to keep the limit, because it changes no byte of the result. All 0: not planned, as usual.
 */
typedef struct {
    int64_t piece_bytes; /* of sampled rows that a rank reads and sends at a time */
    int64_t sum_bytes;   /* of k-means' sums */
    int64_t cache_bytes; /* of HDF5, for shards in chunks */
    int64_t block_rows;  /* of a block of the input, while rows are assigned */
    int depth;           /* blocks that are held */
} ivf_needs_pieces;

typedef struct {
    ivf_need phases[IVF_PREDICT_PHASES];
    int64_t resume;          /* bytes, to go on from what an earlier run has left */
    ivf_needs_pieces pieces; /* as large as the limit allows, between what is usual and what is least */
} ivf_needs;

/* Local. The needs of the rank that needs most. */
void ivf_needs_find(const ivf_needs_input *in, ivf_needs *needs);

/* Local. The bytes of a build's phase by its name. */
int64_t ivf_needs_of(const ivf_needs *needs, const char *name);

/* Local. The largest need of all phases. */
int64_t ivf_needs_most(const ivf_needs *needs);

/* Local. MPIVF_USAGE when a phase needs more than the limit: names the first such phase, its need, the limit, and what
 * would fit: other options, more ranks, another limit; each of these was tried by these formulas. */
int ivf_needs_check(const ivf_needs_input *in, const ivf_needs *needs);

/* Local. Logs the needs in a line. */
void ivf_needs_print(const ivf_needs_input *in, const ivf_needs *needs);

#endif
