/* A rank's share of an index's postings, for the searcher.
 *
 * A scan goes list by list, and a rank may hold hundreds of fragments, each with a few postings of a list: they are
 * merged into lists of whole blocks. Where everything lies is found first; then lists are read group by group
 * (search/store.h), each put together from all fragments, and arranged in place. Memory: codes, ids and 4 bytes for
 * each posting (L2), half a block more for each list; a store while lists are read, or as long as there are some that
 * are not in memory. No collectives. */
#include "search/postings.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "codec/scan.h"

/* ---- shares ---- */

/* The rank in whose share the middle of the bytes [before, before + bytes) lies. */
static int owner_of(int64_t before, int64_t bytes, int64_t total, int size)
{
    double middle = (double)before + (double)bytes / 2;
    double owner = total > 0 ? middle / (double)total * size : 0;
    return owner < size ? (int)owner : size - 1;
}

/* What part i takes; parts follow each other. */
typedef int64_t part_bytes(const ivf_manifest *manifest, int64_t i);

static int64_t fragment_bytes(const ivf_manifest *manifest, int64_t i)
{
    return manifest->fragments[i].bytes;
}

static int64_t list_bytes(const ivf_manifest *manifest, int64_t i)
{
    return manifest->list_sizes[i];
}

static void share_out(const ivf_manifest *m, part_bytes *bytes_of, int64_t count, int rank, int size, int64_t *from,
                      int64_t *to)
{
    int64_t total = 0;
    int64_t before = 0;
    *from = 0;
    *to = 0;
    for (int64_t i = 0; i < count; i++)
        total += bytes_of(m, i);
    for (int64_t i = 0; i < count; i++) {
        int owner = owner_of(before, bytes_of(m, i), total, size);
        *from += owner < rank;
        *to += owner <= rank;
        before += bytes_of(m, i);
    }
}

ivf_postings_share ivf_postings_share_of(const ivf_manifest *manifest, int rank, int size)
{
    ivf_postings_share share = {.end = manifest->factory.nlist};
    int64_t first = 0;
    int64_t end = 0;
    if (manifest->layout == IVF_LAYOUT_ROWS) {
        share_out(manifest, fragment_bytes, manifest->fragment_count, rank, size, &share.from, &share.to);
        return share;
    }
    share_out(manifest, list_bytes, manifest->factory.nlist, rank, size, &first, &end);
    share.first = ivf_to_i32(first);
    share.end = ivf_to_i32(end);
    for (int64_t f = 0; f < manifest->fragment_count; f++) {
        const ivf_fragment_record *record = &manifest->fragments[f];
        share.from += record->first_list + record->lists <= share.first;
        share.to += record->first_list < share.end;
    }
    share.from = ivf_min_i64(share.from, share.to);
    return share;
}

/* ---- where everything lies ---- */

/* The mean of the centroids, where queries are compared with codes relative to them; else 0. */
static int find_origin(const ivf_model *model, ivf_postings *p)
{
    const float *centroids = ivf_model_centroids(model);
    double *sums = ivf_new_zero((size_t)model->d, sizeof *sums);
    p->origin = ivf_new_zero((size_t)model->d, sizeof(float));
    if (p->origin != NULL && sums != NULL && ivf_codec_is_residual(model->codec) && model->metric == IVF_L2) {
        for (int32_t l = 0; l < model->nlist; l++)
            for (int j = 0; j < model->d; j++)
                sums[j] += (double)centroids[(size_t)l * (size_t)model->d + (size_t)j];
        for (int j = 0; j < model->d; j++)
            p->origin[j] = (float)(sums[j] / model->nlist);
    }
    ivf_free(sums);
    return p->origin == NULL || sums == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static int find_lists(const char *index, const ivf_manifest *manifest, const ivf_postings_share *share, ivf_postings *p)
{
    int64_t *sizes = ivf_new_zero((size_t)p->nlist, sizeof *sizes);
    p->lists = ivf_new_zero((size_t)p->nlist, sizeof *p->lists);
    p->places = ivf_new(ivf_to_size(share->to - share->from), sizeof *p->places);
    int rc = sizes == NULL || p->lists == NULL || p->places == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t f = share->from; rc == MPIVF_OK && f < share->to; f++)
        rc = ivf_place_find(index, manifest, f, &p->places[f - share->from], sizes);
    for (int32_t l = share->first; rc == MPIVF_OK && l < share->end; l++)
        p->lists[l].n = sizes[l];
    ivf_free(sizes);
    return rc;
}

int ivf_postings_find(const char *index, const ivf_manifest *manifest, const ivf_model *model,
                      const ivf_postings_share *share, ivf_postings *postings)
{
    *postings = (ivf_postings){.nlist = model->nlist, .block_size = ivf_codec_block_size(model->codec)};
    int rc = find_lists(index, manifest, share, postings);
    if (rc == MPIVF_OK)
        rc = find_origin(model, postings);
    if (rc != MPIVF_OK)
        ivf_postings_free(postings);
    return rc;
}

/* ---- what is in memory ---- */

int64_t ivf_postings_list_bytes(const ivf_model *model, int64_t n)
{
    return ivf_viewer_block_bytes(model, n) + ivf_viewer_term_bytes(model, n) + n * (int64_t)sizeof(uint64_t);
}

/* Room for the lists below `resident`, each in its place. */
static int reserve(const ivf_model *model, int32_t resident, ivf_postings *p)
{
    int64_t blocks = 0;
    int64_t terms = 0;
    int64_t postings = 0;
    for (int32_t l = 0; l < resident; l++) {
        blocks += ivf_viewer_block_bytes(model, p->lists[l].n);
        terms += ivf_viewer_term_bytes(model, p->lists[l].n);
        postings += p->lists[l].n;
    }
    p->blocks = ivf_new_zero(ivf_to_size(blocks), 1);
    p->terms = ivf_new_zero(ivf_to_size(terms), 1);
    p->ids = ivf_new(ivf_to_size(postings), sizeof *p->ids);
    if (p->blocks == NULL || p->terms == NULL || p->ids == NULL)
        return MPIVF_FAILED;
    blocks = terms = postings = 0;
    for (int32_t l = 0; l < resident; l++) {
        ivf_list *list = &p->lists[l];
        list->blocks = p->blocks + blocks;
        list->terms = model->metric == IVF_L2 ? p->terms + terms / (int64_t)sizeof(float) : NULL;
        list->ids = p->ids + postings;
        blocks += ivf_viewer_block_bytes(model, list->n);
        terms += ivf_viewer_term_bytes(model, list->n);
        postings += list->n;
    }
    return MPIVF_OK;
}

/* While lists are read. */
typedef struct {
    ivf_postings *postings;
    ivf_list **views; /* [resident], owned */
} loading;

static int place_group(void *arg, ivf_store *store, const ivf_reader_job *group)
{
    const loading *job = arg;
    for (int32_t i = 0; i < group->count; i++)
        job->views[i] = &job->postings->lists[group->lists[i]];
    return ivf_store_place(store, group, job->views);
}

static int read_resident(const ivf_store_source *source, const ivf_postings_room *room, ivf_postings *p)
{
    loading job = {.postings = p, .views = ivf_new((size_t)room->resident, sizeof(ivf_list *))};
    int32_t *wanted = ivf_new((size_t)room->resident, sizeof *wanted);
    ivf_store *store = ivf_store_open(source, room->group_bytes, false);
    int32_t count = 0;
    int rc = job.views == NULL || wanted == NULL || store == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int32_t l = 0; rc == MPIVF_OK && l < room->resident; l++)
        if (p->lists[l].n > 0)
            wanted[count++] = l;
    if (rc == MPIVF_OK)
        rc = ivf_store_read(store, wanted, count, place_group, &job);
    ivf_store_close(store);
    ivf_free(wanted);
    ivf_free((void *)job.views);
    return rc;
}

int ivf_postings_load(const char *index, const ivf_manifest *manifest, const ivf_model *model,
                      const ivf_postings_share *share, const ivf_postings_room *room, ivf_postings *postings)
{
    const ivf_store_source source = {.index = index,
                                     .manifest = manifest,
                                     .model = model,
                                     .places = postings->places,
                                     .from = share->from,
                                     .to = share->to,
                                     .lists = postings->lists,
                                     .origin = postings->origin};
    int rc = reserve(model, room->resident, postings);
    if (rc == MPIVF_OK)
        rc = read_resident(&source, room, postings);
    if (rc == MPIVF_OK && room->resident < share->end) {
        postings->store = ivf_store_open(&source, room->group_bytes, true);
        rc = postings->store == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc != MPIVF_OK)
        ivf_postings_free(postings);
    return rc;
}

void ivf_postings_free(ivf_postings *postings)
{
    ivf_store_close(postings->store);
    ivf_free(postings->lists);
    ivf_free(postings->places);
    ivf_free(postings->origin);
    ivf_free(postings->blocks);
    ivf_free(postings->terms);
    ivf_free(postings->ids);
    *postings = (ivf_postings){0};
}
