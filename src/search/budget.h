/* How much of a rank's share of an index is held in memory, by formulas that stand beside what they count. */
#ifndef IVF_SEARCH_BUDGET_H
#define IVF_SEARCH_BUDGET_H

#include "search/postings.h"

/* How a limit, or vectors, are spoken of to whoever asked for them. */
typedef struct {
    bool by_library; /* in mpivf_open_options, memory in bytes; else by --memory, --rerank and --ids */
    int64_t base;    /* bytes of the limit that whoever gave it did not count: what the process held */
} ivf_budget_words;

typedef struct {
    const ivf_manifest *manifest;
    const ivf_model *model;
    ivf_budget_words words;
    const ivf_postings_share *share;
    const ivf_postings *postings; /* as ivf_postings_find leaves them */
    int64_t memory;               /* bytes that the rank may take; 0: no limit */
    int64_t held;                 /* that it takes now */
    int64_t beside;               /* that the caller will take, and copies of queries */
    int64_t batch_least;          /* of a batch of queries, at least */
    int64_t other_scratch;        /* while no list is scanned */
    int64_t piece_least;          /* of vectors that are read at once; 0: none are */
    int ranks;
    int together; /* of them, that hold the share together */
} ivf_budget_input;

typedef struct {
    ivf_postings_room room;
    int64_t batch_bytes; /* of a batch of queries */
    int64_t piece_bytes; /* of vectors that are read at once */
    int64_t needed;      /* bytes that the rank takes at most */
} ivf_budget;

/* Local. Whether all lists of the share fit in memory; *budget is defined if so. */
bool ivf_budget_holds(const ivf_budget_input *in, ivf_budget *budget);

/* Local. Without a limit, or where the share fits, all lists are in memory; else as many as a quarter for batches of
 * queries and a quarter for what is read leave room for, the first ones. MPIVF_USAGE, with what would fit, where the
 * limit does not even do for a block of postings. */
int ivf_budget_find(const ivf_budget_input *in, ivf_budget *budget);

#endif
