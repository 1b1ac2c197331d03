/* Groups of neighbouring lists are read ahead (search/fetch.h); the team arranges a group before it is used. Which
 * lists go together follows from their sizes alone. Memory: two groups as they lie in files; for a sparse store a group
 * as scans want it and the tables of all lists. */
#include "search/store.h"

#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "codec/scan.h"
#include "search/fetch.h"

enum { GROUP_LISTS = 8192 };

struct ivf_store {
    ivf_store_source source;
    int64_t bytes; /* of a group */
    int32_t most;  /* lists of a group */
    ivf_reader *reader;
    ivf_fetch *fetch;
    ivf_viewer *viewer;
    pthread_mutex_t turn; /* of callers */
    int64_t *sizes;       /* [most], owned */
    uint8_t *room;        /* [bytes], owned: for what is arranged; NULL unless sparse */
    ivf_list *views;      /* [most], owned */
    ivf_list **pointers;  /* [most], owned: to each of them */
};

static int32_t most_lists(const ivf_manifest *m)
{
    return m->factory.nlist < GROUP_LISTS ? m->factory.nlist : GROUP_LISTS;
}

int64_t ivf_store_weight(const ivf_model *model, int64_t n)
{
    return ivf_max_i64(ivf_fetch_bytes(ivf_codec_code_size(model->codec), n),
                       ivf_viewer_block_bytes(model, n) + ivf_viewer_term_bytes(model, n));
}

/* Lists that a reader's jobs span: of a store that is not sparse they are neighbours, but for empty ones. */
static int32_t span_of(const ivf_store_source *src)
{
    return src->manifest->factory.nlist;
}

int64_t ivf_store_memory(const ivf_store_source *source, int64_t bytes, bool sparse)
{
    const int32_t most = most_lists(source->manifest);
    const int64_t of_list = (int64_t)(sizeof(int64_t) + sizeof(ivf_list) + sizeof(void *));
    return ivf_fetch_memory(bytes, most) + (sparse ? bytes : 0) + most * of_list + ivf_viewer_memory(source->model) +
           ivf_reader_memory(source->manifest, source->from, source->to, span_of(source),
                             (ivf_reader_use){.held = sparse}) +
           (int64_t)sizeof(ivf_store);
}

static int prepare(ivf_store *s, bool sparse)
{
    const ivf_store_source *src = &s->source;
    const size_t most = (size_t)s->most;
    s->sizes = ivf_new(most, sizeof *s->sizes);
    s->views = ivf_new_zero(most, sizeof *s->views);
    s->pointers = ivf_new(most, sizeof(void *));
    s->room = sparse ? ivf_new(ivf_to_size(s->bytes), 1) : NULL;
    if (s->sizes == NULL || s->views == NULL || s->pointers == NULL || (sparse && s->room == NULL))
        return MPIVF_FAILED;
    for (size_t i = 0; i < most; i++)
        s->pointers[i] = &s->views[i];
    s->viewer = ivf_viewer_new(src->model, src->origin);
    s->reader = s->viewer == NULL ? NULL
                                  : ivf_reader_open(src->index, src->manifest, src->places, src->from, src->to,
                                                    (ivf_reader_use){.held = sparse});
    s->fetch = s->reader == NULL ? NULL : ivf_fetch_open(s->reader, src->manifest->code_size, s->bytes, s->most);
    return s->fetch == NULL ? MPIVF_FAILED : MPIVF_OK;
}

ivf_store *ivf_store_open(const ivf_store_source *source, int64_t bytes, bool sparse)
{
    ivf_store *s = ivf_new_zero(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->source = *source;
    s->bytes = bytes;
    s->most = most_lists(source->manifest);
    (void)pthread_mutex_init(&s->turn, NULL);
    if (prepare(s, sparse) == MPIVF_OK)
        return s;
    ivf_store_close(s);
    return NULL;
}

void ivf_store_close(ivf_store *store)
{
    if (store == NULL)
        return;
    ivf_fetch_close(store->fetch);
    ivf_reader_close(store->reader);
    ivf_viewer_free(store->viewer);
    ivf_free(store->sizes);
    ivf_free(store->views);
    ivf_free((void *)store->pointers);
    ivf_free(store->room);
    (void)pthread_mutex_destroy(&store->turn);
    ivf_free(store);
}

int64_t ivf_store_posting_bytes(const ivf_store *store)
{
    return (int64_t)store->source.manifest->code_size + (int64_t)sizeof(uint64_t);
}

/* ---- groups ---- */

/* What is to be read: lists[count], from posting `first` of the list `at` on. */
typedef struct {
    const int32_t *lists;
    int32_t count;
    int32_t at;
    int64_t first;
} wanted;

/* Has the next piece of the list read, which does not fit. */
static void begin_piece(ivf_store *s, wanted *w, int64_t size)
{
    const int64_t blocks = s->bytes / ivf_store_weight(s->source.model, IVF_SCAN_BLOCK);
    s->sizes[0] = ivf_min_i64(size - w->first, ivf_max_i64(1, blocks) * IVF_SCAN_BLOCK);
    ivf_fetch_begin(
        s->fetch,
        &(ivf_reader_job){.lists = w->lists + w->at, .count = 1, .sizes = s->sizes, .first = w->first, .whole = size});
    w->first += s->sizes[0];
    if (w->first < size)
        return;
    w->first = 0;
    w->at++;
}

/* Has the next group read; false when there is none. */
static bool begin_group(ivf_store *s, wanted *w)
{
    int64_t bytes = 0;
    int32_t n = 0;
    while (w->at + n < w->count && n < s->most) {
        const int64_t size = s->source.lists[w->lists[w->at + n]].n;
        const int64_t weight = ivf_store_weight(s->source.model, size);
        if (weight > s->bytes - bytes)
            break;
        s->sizes[n++] = size;
        bytes += weight;
    }
    if (n > 0)
        ivf_fetch_begin(s->fetch, &(ivf_reader_job){.lists = w->lists + w->at, .count = n, .sizes = s->sizes});
    else if (w->at < w->count)
        begin_piece(s, w, s->source.lists[w->lists[w->at]].n);
    else
        return false;
    w->at += n;
    return true;
}

static int read_groups(ivf_store *s, const int32_t *lists, int32_t count, ivf_store_visit *visit, void *arg)
{
    wanted w = {.lists = lists, .count = count};
    int rc = MPIVF_OK;
    bool more = begin_group(s, &w);
    while (rc == MPIVF_OK && more) {
        const ivf_reader_job *group = NULL;
        more = begin_group(s, &w);
        rc = ivf_fetch_take(s->fetch, &group);
        if (rc == MPIVF_OK)
            rc = visit(arg, s, group);
    }
    ivf_fetch_drop(s->fetch);
    return rc;
}

int ivf_store_read(ivf_store *store, const int32_t *lists, int32_t count, ivf_store_visit *visit, void *arg)
{
    (void)pthread_mutex_lock(&store->turn);
    const int rc = read_groups(store, lists, count, visit, arg);
    (void)pthread_mutex_unlock(&store->turn);
    return rc;
}

/* ---- arranging ---- */

typedef struct {
    const ivf_store *store;
    const ivf_reader_job *group;
    ivf_list *const *views;
    bool zero;     /* the blocks are not zero yet */
    int64_t first; /* posting of the views that the group's go to */
} arranging;

static int arrange_list(void *arg, int64_t task, int worker)
{
    const arranging *a = arg;
    const ivf_reader_job *group = a->group;
    ivf_list *view = a->views[task];
    const int64_t n = group->sizes[task];
    if (a->zero)
        memset(view->blocks, 0, ivf_to_size(ivf_viewer_block_bytes(a->store->source.model, n)));
    else
        memcpy(view->ids + a->first, group->to[task][IVF_COLUMN_IDS], ivf_to_size(n) * sizeof *view->ids);
    ivf_viewer_fill(a->store->viewer, group->lists[task], group->to[task][IVF_COLUMN_CODES], a->first, n, view, worker);
    return MPIVF_OK;
}

static int arrange(arranging *a)
{
    int rc = ivf_viewer_fit(a->store->viewer);
    return rc == MPIVF_OK ? ivf_team_run(a->group->count, arrange_list, a) : rc;
}

int ivf_store_place(ivf_store *store, const ivf_reader_job *group, ivf_list *const *views)
{
    arranging a = {.store = store, .group = group, .views = views, .first = group->first};
    return arrange(&a);
}

int ivf_store_arrange(ivf_store *store, const ivf_reader_job *group, const ivf_list **views)
{
    const ivf_model *model = store->source.model;
    uint8_t *at = store->room;
    for (int32_t i = 0; i < group->count; i++) {
        ivf_list *view = &store->views[i];
        const int64_t terms = ivf_viewer_term_bytes(model, group->sizes[i]);
        view->n = group->sizes[i];
        view->ids = (uint64_t *)(void *)group->to[i][IVF_COLUMN_IDS];
        view->blocks = at;
        at += ivf_viewer_block_bytes(model, group->sizes[i]);
        view->terms = terms > 0 ? (float *)(void *)at : NULL;
        at += terms;
    }
    arranging a = {.store = store, .group = group, .views = store->pointers, .zero = true};
    *views = store->views;
    return arrange(&a);
}
