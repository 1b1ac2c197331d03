/* Which settings of a search are worth choosing: recall and speed of many, measured on queries whose neighbours are
 * known. */
#ifndef IVF_SEARCH_TUNE_H
#define IVF_SEARCH_TUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"
#include "index/tuning.h"
#include "search/known.h"
#include "search/searcher.h"

typedef struct {
    const ivf_known *known; /* with truth for k on rank 0 */
    int k;
    const ivf_search_params *tries; /* [count]: numbers of lists to measure; the rest is set here */
    int count;                      /* 0: chosen by what the ones before them found */
    const int *reranks;             /* [rerank_count]: candidates to compare exactly, each with all numbers of lists;
                                       0: none, else k or more, of a searcher with vectors */
    int rerank_count;
} ivf_tune_config;

/* Local. Bytes that it takes of rank 0 beside the searcher and what is known, for `rows` queries, drawn or given. */
int64_t ivf_tune_memory(int64_t rows, bool drawn, int k);

/* Collective. Measures settings (search/measure.h) and returns them in the order in which they were tried, owned by the
 * caller: (*settings)[*count], the same on every rank. By itself it tries growing numbers of lists, of a tree also with
 * a descent, until all that can be found is found: recall 1, or no longer any more for three times the lists. */
int ivf_tune(const ivf_ctx *ctx, ivf_searcher *searcher, const ivf_tune_config *config, ivf_tuning_setting **settings,
             int *count);

#endif
