/* Numbered rows dealt out to ranks in blocks, as cards are: block b belongs to rank b mod size. So every rank holds its
 * part of each prefix of the rows, and a block of rows is the same for every number of ranks. A rank's rows lie in its
 * memory in ascending order of their places. */
#ifndef IVF_BASE_SHARE_H
#define IVF_BASE_SHARE_H

#include <stdint.h>

enum { IVF_SHARE_BLOCK = 1024 }; /* rows of a block; the last one may have fewer */

typedef struct {
    int64_t total; /* rows over all ranks: places 0 to total - 1 */
    int rank;      /* -1: a rank that holds none */
    int size;      /* ranks that hold rows */
} ivf_share;

/* Local. How many of the first `prefix` places (at most total) are this rank's: they are its first rows. */
int64_t ivf_share_prefix(const ivf_share *share, int64_t prefix);

/* Local. This rank's rows: ivf_share_prefix of all. */
int64_t ivf_share_count(const ivf_share *share);

/* Local. The place of this rank's row `row`; the rank that holds a place; and which of its rows that is. */
int64_t ivf_share_place(const ivf_share *share, int64_t row);
int ivf_share_owner(const ivf_share *share, int64_t place);
int64_t ivf_share_row(const ivf_share *share, int64_t place);

#endif
