/* A task is a query: its probe stays in the cache while its lists stream past, nearest first, so that its bound is low
 * from the second list on. */
#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "search/scan_orders.h"

static void fetch(const ivf_scan *scan, int64_t query, int64_t probe)
{
    enum { LINE = 64, LINES = 16 };
    int32_t number = 0;
    if (probe >= scan->probes->nprobe)
        return;
    const ivf_list *list = ivf_scan_list_at(scan, query, probe, &number);
    for (size_t line = 0; list->n > 0 && line < LINES; line++)
        __builtin_prefetch(list->blocks + line * LINE, 0, 2);
}

bool ivf_scan_looks_here(const ivf_scan *scan, int64_t query)
{
    int32_t number = 0;
    for (int probe = 0; probe < scan->probes->nprobe; probe++)
        if (ivf_scan_list_at(scan, query, probe, &number)->n > 0)
            return true;
    return false;
}

/* Probes from .. to - 1 of all queries. */
typedef struct {
    ivf_scan_state *state;
    int from;
    int to;
} query_scan;

static void *probe_room(const ivf_scan_state *s, int64_t query, ivf_scan_worker *worker)
{
    return s->probes == NULL ? worker->probe : s->probes + ivf_to_size(query) * s->probe_size;
}

static int scan_query(void *arg, int64_t query, int worker)
{
    const query_scan *part = arg;
    const ivf_scan_state *s = part->state;
    const ivf_scan *scan = s->scan;
    ivf_scan_worker *mine = &s->workers[worker];
    if (!ivf_scan_looks_here(scan, query))
        return MPIVF_OK;
    if (part->from == 0)
        ivf_scan_aim(s, query, probe_room(s, query, mine), mine);
    for (int probe = part->from; probe < part->to; probe++) {
        ivf_scan_pair pair = {(int32_t)query, probe};
        ivf_scan_part list = {.pairs = &pair, .count = 1};
        list.view = ivf_scan_list_at(scan, query, probe, &list.list);
        list.end = list.view->n;
        fetch(scan, query, probe + 1);
        if (list.end > 0)
            ivf_scan_list(s, &list, mine);
    }
    return MPIVF_OK;
}

int ivf_scan_by_query(ivf_scan_state *state, int from, int to)
{
    query_scan part = {.state = state, .from = from, .to = to};
    return ivf_team_run(state->scan->nq, scan_query, &part);
}
