/* Searching an index from a program of your own.
 *
 *     mpivf_index *index = NULL;
 *     if (mpivf_open("photos.ivf", NULL, &index) != MPIVF_OK ||
 *         mpivf_search(index, queries, count, 10, NULL, ids, distances) != MPIVF_OK)
 *         fprintf(stderr, "%s\n", mpivf_last_error());
 *     mpivf_close(index);
 *
 * No function prints, exits or changes a signal; a failure is a code of mpivf/error.h and a line that mpivf_last_error
 * tells. MPI need not run: a handle of mpivf_open belongs to this process alone and never calls MPI, also under mpirun.
 * mpivf/ranks.h opens an index whose lists are spread over the ranks of a communicator. */
#ifndef MPIVF_SEARCH_H
#define MPIVF_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "mpivf/error.h"
#include "mpivf/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One version of an index, open for searching: it stays what it is when others build the next version. */
typedef struct mpivf_index mpivf_index;

/* How to open one. Set `size`, leave what you do not care about 0: later versions add fields at the end. */
typedef struct {
    size_t size;    /* sizeof(mpivf_open_options) */
    int64_t memory; /* bytes that it may take, see below; 0: no limit */
    int vectors; /* 1: searches will re-rank, with the vectors that the index keeps, or else the files it was built of
                  */
} mpivf_open_options;

/* `memory` counts what the handle holds from its opening on and what one call of mpivf_search takes beside the arrays
 * that it is passed, however many queries there are: those that have no room at once are searched for some at a time.
 * What the process (each rank) held before is not counted; nor are calls that other threads make of the same handle at
 * the same time, each of which takes room for queries and what is found of its own. Lists that have no room are read
 * from their files as they are probed. What is found does not depend on it. A call whose k, rerank or nprobe leave no
 * room for a single query is refused with MPIVF_USAGE.
 *
 * Opens the newest version of the index in a folder whose manifest is sound (mpivf_index_version tells which one that
 * is). options NULL: all defaults. MPIVF_BAD_INPUT: there is none; MPIVF_CORRUPT: a file of it is damaged or missing;
 * MPIVF_USAGE: the memory does not suffice, and mpivf_last_error tells a number that does. On failure *index is NULL.
 * Any thread may open and close, also several at once. */
MPIVF_API int mpivf_open(const char *path, const mpivf_open_options *options, mpivf_index **index);

/* Gives all of it back; NULL is allowed. No search of the handle may be under way. */
MPIVF_API void mpivf_close(mpivf_index *index);

/* Values in a query; rows that can be found; lists; number of the version. */
MPIVF_API int mpivf_dimension(const mpivf_index *index);
MPIVF_API int64_t mpivf_rows(const mpivf_index *index);
MPIVF_API int mpivf_lists(const mpivf_index *index);
MPIVF_API int64_t mpivf_index_version(const mpivf_index *index);

/* "l2", "ip" or "cosine": whether distances are squared Euclidean ones, inner products (the largest is nearest), or
 * 1 - cosine. How the rows are stored, as FAISS writes it: "IVF4096,PQ32". Valid until the handle is closed. */
MPIVF_API const char *mpivf_metric(const mpivf_index *index);
MPIVF_API const char *mpivf_factory(const mpivf_index *index);

/* How to search, likewise. */
typedef struct {
    size_t size;   /* sizeof(mpivf_search_options) */
    int nprobe;    /* lists that each query looks into; more than there are: all; 0: 8 */
    int rerank;    /* candidates of each query that are compared exactly, by their vectors, k or more; 0: none */
    double recall; /* in place of the two: the share of the true k nearest to find; the fastest setting that found it
                      when `mpivf tune` measured the index for this k; 0: none is asked for */
} mpivf_search_options;

/* The k nearest rows of each of queries[count][dimension]: their ids and distances into ids[count][k] and
 * distances[count][k], the nearest first, equal ones by id. Where the lists hold fewer than k rows the rest of `ids` is
 * -1 and of `distances` infinite (for "ip" minus infinite). options NULL: all defaults. MPIVF_USAGE: the index is
 * not tuned for the recall that is asked for, or was opened without the vectors that re-ranking takes. MPIVF_BAD_INPUT
 * names a query that has no nearest row: it holds NaN or infinity, its norm is too large for
 * single precision, or for "cosine" it is zero. On failure ids and
 * distances are undefined.
 *
 * Several threads may search one handle at once. The first of them uses the threads of mpivf_set_threads, the others
 * only themselves meanwhile. What is found depends on neither. Many queries in one call are faster than many calls. */
MPIVF_API int mpivf_search(const mpivf_index *index, const float *queries, int64_t count, int k,
                           const mpivf_search_options *options, int64_t *ids, float *distances);

/* Threads that a call uses, the caller's included; 0, and at the start: OMP_NUM_THREADS, or one for each processor that
 * the process may run on. For the whole process, and not while anything of this library runs. MPIVF_USAGE: negative. */
MPIVF_API int mpivf_set_threads(int threads);

#ifdef __cplusplus
}
#endif
#endif
