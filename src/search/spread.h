/* What each rank does of a search: which lists it has at hand, and for which queries. For the searcher. */
#ifndef IVF_SEARCH_SPREAD_H
#define IVF_SEARCH_SPREAD_H

#include "comm/mesh.h"
#include "search/budget.h"

typedef enum {
    IVF_SPREAD_AUTO,    /* both: nodes share out the lists, a node's ranks its lists' queries; or lists, see below */
    IVF_SPREAD_LISTS,   /* each rank has a share of the lists, for all queries */
    IVF_SPREAD_QUERIES, /* each node has all lists, each rank a part of the queries */
} ivf_spread_kind;

typedef struct {
    const char *index;
    ivf_spread_kind kind;
    int parts;               /* that queries are shared out in, at most, for IVF_SPREAD_AUTO; 0: ivf_spread_most */
    ivf_budget_input budget; /* held: 0 if it is to be measured; share, postings and ranks are not known yet */
} ivf_spread_input;

typedef struct {
    ivf_mesh mesh;
    ivf_postings postings; /* of this rank's row */
    ivf_postings own;      /* the same but for the lists that other ranks of the row scan, where all ranks search for
                              the same queries: borrows all but its lists */
    int64_t *offsets;      /* [parts + 1], owned: of a round's parts on their way to rank 0 */
    int64_t batch_bytes;   /* of a batch of queries; the same on every rank */
    int64_t piece_bytes;   /* of vectors that are read at once */
} ivf_spreading;

/* Collective. Chooses, and loads lists. IVF_SPREAD_AUTO holds lists together where they all fit in memory and nodes
 * can share it, else each rank has as much of its share as fits (search/budget.h). MPIVF_USAGE where memory is not
 * enough. Results do not depend on any of it. */
int ivf_spread_open(const ivf_ctx *ctx, const ivf_spread_input *in, ivf_spreading *spread);

/* Collective. Of what was opened, or of zeroes. */
void ivf_spread_close(ivf_spreading *spread);

/* Local. Parts that a batch's queries are worth sharing out to: by list, several queries are to meet at a list. */
int ivf_spread_most(int d);

/* What this rank searches for in a round of queries. */
typedef struct {
    const ivf_ctx *column;        /* with these ranks */
    const ivf_postings *postings; /* in these */
    int64_t first, n;             /* these queries of the round */
} ivf_spread_part;

enum { IVF_SPREAD_STEP = 32 }; /* queries: parts are multiples of it, but for the last */

/* Local. How many parts rounds of nq queries are cut into: 1 where they are few. */
int ivf_spread_parts(const ivf_spreading *spread, int64_t nq);

/* Local. What falls to this rank of a round of nq queries in so many parts. One part is everybody's. */
ivf_spread_part ivf_spread_part_of(const ivf_ctx *ctx, const ivf_spreading *spread, int parts, int64_t nq);

/* Collective. What was found for a round in so many parts, `bytes` for each of nq queries: the first rank of each
 * column has its part in `mine`, rank 0 its own in `all`, which gets them all. */
void ivf_spread_gather(const ivf_ctx *ctx, const ivf_spreading *spread, int parts, int64_t nq, size_t bytes,
                       const void *mine, void *all);

#endif
