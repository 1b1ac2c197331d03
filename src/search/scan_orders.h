/* The two orders in which queries and lists meet (search/scan.h). Private to search/. */
#ifndef IVF_SEARCH_SCAN_ORDERS_H
#define IVF_SEARCH_SCAN_ORDERS_H

#include "search/scan_list.h"

/* Local. The list that is a query's probe number `probe`; what of it is here. */
static inline const ivf_list *ivf_scan_list_at(const ivf_scan *scan, int64_t query, int64_t probe, int32_t *number)
{
    *number = scan->probes->list[query * scan->probes->nprobe + probe];
    return &scan->postings->lists[*number];
}

/* Local. Whether there are postings here of a list that the query looks into. */
bool ivf_scan_looks_here(const ivf_scan *scan, int64_t query);

/* Local, uses the team. Probes from .. to - 1 of all queries, query by query. What is left of a query for a later call
 * wants state->probes. */
int ivf_scan_by_query(ivf_scan_state *state, int from, int to);

/* What scanning by list takes. */
typedef struct {
    ivf_scan_state *state;
    ivf_scan_pair *pairs; /* [nq * nprobe], by list; owned, as are these: */
    int64_t *start;       /* [nlist + 1]: the pairs of each list */
    ivf_scan_part *parts; /* the tasks */
    int64_t count;
    int64_t room;
} ivf_scan_sorted;

/* Local, uses the team. Aims all queries; state->probes is there. */
int ivf_scan_sorted_new(ivf_scan_state *state, ivf_scan_sorted *sorted);

/* Local. Of zeroes as well. */
void ivf_scan_sorted_free(ivf_scan_sorted *sorted);

/* Local, uses the team. Probes from .. to - 1 of all queries with the lists that are in memory. */
int ivf_scan_by_list(ivf_scan_sorted *sorted, int from, int to);

/* Local, uses the team. All probes with the lists that are not; *bytes_read grows. */
int ivf_scan_stored(ivf_scan_sorted *sorted, int64_t *bytes_read);

#endif
