/* A task is a list, or a slice of a long one, and some of the queries that look into it: the codes stay in the cache,
 * and unpacking them is shared. Lists that are not in memory are read for it, each once for all queries of the batch,
 * in the order of the file, while the group before is scanned. */
#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "search/scan_orders.h"

enum { SLICE = 16 * IVF_SCAN_CHUNK, QUERIES_OF_TASK = 16 };

static bool takes_part(const ivf_list *list, bool in_memory)
{
    return list->n > 0 && (list->blocks != NULL) == in_memory;
}

/* The pairs of probes from .. to - 1 with the lists that are in memory, or with the others, sorted by list, within a
 * list by query. */
static void sort_pairs(const ivf_scan_sorted *sorted, int from, int to, bool in_memory)
{
    const ivf_scan *scan = sorted->state->scan;
    const int32_t nlist = scan->postings->nlist;
    int64_t *start = sorted->start;
    int32_t l = 0;
    for (int32_t i = 0; i <= nlist; i++)
        start[i] = 0;
    for (int64_t q = 0; q < scan->nq; q++)
        for (int p = from; p < to; p++)
            if (takes_part(ivf_scan_list_at(scan, q, p, &l), in_memory))
                start[l + 1]++;
    for (int32_t i = 0; i < nlist; i++)
        start[i + 1] += start[i];
    for (int64_t q = 0; q < scan->nq; q++)
        for (int p = from; p < to; p++)
            if (takes_part(ivf_scan_list_at(scan, q, p, &l), in_memory))
                sorted->pairs[start[l]++] = (ivf_scan_pair){(int32_t)q, p};
    for (int32_t i = nlist; i > 0; i--)
        start[i] = start[i - 1];
    start[0] = 0;
}

static int add_part(ivf_scan_sorted *sorted, const ivf_scan_part *part)
{
    if (sorted->count == sorted->room) {
        int64_t room = 2 * sorted->room + 1024;
        ivf_scan_part *grown = ivf_resize(sorted->parts, ivf_to_size(room), sizeof *grown);
        if (grown == NULL)
            return MPIVF_FAILED;
        sorted->parts = grown;
        sorted->room = room;
    }
    sorted->parts[sorted->count++] = *part;
    return MPIVF_OK;
}

/* Tasks of a size that the team can share: slices of long lists, some of a list's many queries. */
static int add_list(ivf_scan_sorted *sorted, int32_t l, const ivf_list *view)
{
    int rc = MPIVF_OK;
    for (int64_t pair = sorted->start[l]; pair < sorted->start[l + 1]; pair += IVF_SCAN_PAIRS) {
        ivf_scan_part part = {.list = l, .view = view, .pairs = sorted->pairs + pair};
        part.count = (int)ivf_min_i64(IVF_SCAN_PAIRS, sorted->start[l + 1] - pair);
        for (; rc == MPIVF_OK && part.first < view->n; part.first = part.end) {
            part.end = ivf_min_i64(part.first + SLICE, view->n);
            rc = add_part(sorted, &part);
        }
    }
    return rc;
}

static int scan_part(void *arg, int64_t task, int worker)
{
    const ivf_scan_sorted *sorted = arg;
    ivf_scan_list(sorted->state, &sorted->parts[task], &sorted->state->workers[worker]);
    return MPIVF_OK;
}

static int aim_queries(void *arg, int64_t task, int worker)
{
    const ivf_scan_sorted *sorted = arg;
    const ivf_scan_state *s = sorted->state;
    int64_t end = ivf_min_i64(s->scan->nq, (task + 1) * QUERIES_OF_TASK);
    for (int64_t q = task * QUERIES_OF_TASK; q < end; q++)
        if (ivf_scan_looks_here(s->scan, q))
            ivf_scan_aim(s, q, s->probes + ivf_to_size(q) * s->probe_size, &s->workers[worker]);
    return MPIVF_OK;
}

int ivf_scan_by_list(ivf_scan_sorted *sorted, int from, int to)
{
    const ivf_postings *postings = sorted->state->scan->postings;
    int rc = MPIVF_OK;
    sort_pairs(sorted, from, to, true);
    sorted->count = 0;
    for (int32_t l = 0; rc == MPIVF_OK && l < postings->nlist; l++)
        rc = add_list(sorted, l, &postings->lists[l]);
    return rc == MPIVF_OK ? ivf_team_run(sorted->count, scan_part, sorted) : rc;
}

static int scan_group(void *arg, ivf_store *store, const ivf_reader_job *group)
{
    ivf_scan_sorted *sorted = arg;
    const ivf_list *views = NULL;
    int rc = ivf_store_arrange(store, group, &views);
    sorted->count = 0;
    for (int32_t i = 0; rc == MPIVF_OK && i < group->count; i++)
        rc = add_list(sorted, group->lists[i], &views[i]);
    return rc == MPIVF_OK ? ivf_team_run(sorted->count, scan_part, sorted) : rc;
}

int ivf_scan_stored(ivf_scan_sorted *sorted, int64_t *bytes_read)
{
    const ivf_postings *postings = sorted->state->scan->postings;
    int32_t *wanted = ivf_new((size_t)postings->nlist, sizeof *wanted);
    int32_t count = 0;
    if (wanted == NULL)
        return MPIVF_FAILED;
    sort_pairs(sorted, 0, sorted->state->scan->probes->nprobe, false);
    for (int32_t l = 0; l < postings->nlist; l++) {
        if (sorted->start[l + 1] == sorted->start[l])
            continue;
        wanted[count++] = l;
        *bytes_read += postings->lists[l].n * ivf_store_posting_bytes(postings->store);
    }
    const int rc = ivf_store_read(postings->store, wanted, count, scan_group, sorted);
    ivf_free(wanted);
    return rc;
}

int ivf_scan_sorted_new(ivf_scan_state *state, ivf_scan_sorted *sorted)
{
    *sorted = (ivf_scan_sorted){.state = state};
    sorted->pairs = ivf_new(ivf_to_size(state->scan->nq), (size_t)state->scan->probes->nprobe * sizeof *sorted->pairs);
    sorted->start = ivf_new((size_t)state->scan->postings->nlist + 1, sizeof *sorted->start);
    state->locks = ivf_new(IVF_SCAN_LOCKS, sizeof(pthread_mutex_t));
    for (int i = 0; state->locks != NULL && i < IVF_SCAN_LOCKS; i++)
        (void)pthread_mutex_init(&state->locks[i], NULL);
    if (sorted->pairs == NULL || sorted->start == NULL || state->locks == NULL)
        return MPIVF_FAILED;
    return ivf_team_run(ivf_ceil_div(state->scan->nq, QUERIES_OF_TASK), aim_queries, sorted);
}

void ivf_scan_sorted_free(ivf_scan_sorted *sorted)
{
    ivf_scan_state *s = sorted->state;
    if (s == NULL)
        return;
    for (int i = 0; s->locks != NULL && i < IVF_SCAN_LOCKS; i++)
        (void)pthread_mutex_destroy(&s->locks[i]);
    ivf_free(s->locks);
    s->locks = NULL;
    ivf_free(sorted->pairs);
    ivf_free(sorted->start);
    ivf_free(sorted->parts);
}
