/* A share of an index's postings, for the searcher.
 *
 * A scan goes list by list, and a rank may hold hundreds of fragments, each with a few postings of a list: they are
 * merged into lists of whole blocks. Where everything lies is found first; then lists are read group by group
 * (search/store.h), each put together from all fragments, and arranged in place. Memory: codes, ids and 4 bytes for
 * each posting (L2), half a block more for each list; a store while lists are read, or as long as there are some that
 * are not in memory. Ranks that hold a share together each open some of its fragments, and read a range of its lists.
 */
#include "search/postings.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "codec/scan.h"
#include "comm/transfer.h"

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

/* Local. This rank's part of the share's fragments; offsets[ranks + 1] become those of all parts, in bytes. */
static int find_places(const ivf_ctx *row, const char *index, const ivf_manifest *manifest,
                       const ivf_postings_share *share, ivf_place *places, int64_t *sizes, int64_t *offsets)
{
    const int64_t count = share->to - share->from;
    const int64_t ranks = ivf_ctx_size(row);
    const int64_t rank = ivf_ctx_rank(row);
    int rc = MPIVF_OK;
    for (int64_t r = 0; r <= ranks; r++)
        offsets[r] = count * r / ranks * (int64_t)sizeof *places;
    for (int64_t f = count * rank / ranks; rc == MPIVF_OK && f < count * (rank + 1) / ranks; f++)
        rc = ivf_place_find(index, manifest, share->from + f, &places[f], sizes);
    return rc;
}

static int find_lists(const ivf_ctx *row, const char *index, const ivf_manifest *manifest,
                      const ivf_postings_share *share, ivf_postings *p)
{
    int64_t *sizes = ivf_new_zero((size_t)p->nlist, sizeof *sizes);
    int64_t *offsets = ivf_new((size_t)ivf_ctx_size(row) + 1, sizeof *offsets);
    p->lists = ivf_new_zero((size_t)p->nlist, sizeof *p->lists);
    p->places = ivf_new(ivf_to_size(share->to - share->from), sizeof *p->places);
    const bool made = sizes != NULL && offsets != NULL && p->lists != NULL && p->places != NULL;
    int rc = MPIVF_FAILED;
    if (made)
        rc = find_places(row, index, manifest, share, p->places, sizes, offsets);
    rc = ivf_agree(row, rc);
    if (rc == MPIVF_OK)
        rc = ivf_allgather_bytes(row, p->places, offsets);
    if (rc == MPIVF_OK)
        ivf_allsum_i64(row, sizes, p->nlist);
    for (int32_t l = share->first; rc == MPIVF_OK && made && l < share->end; l++)
        p->lists[l].n = sizes[l];
    ivf_free(offsets);
    ivf_free(sizes);
    return rc;
}

int ivf_postings_find(const ivf_ctx *row, const char *index, const ivf_manifest *manifest, const ivf_model *model,
                      const ivf_postings_share *share, ivf_postings *postings)
{
    *postings = (ivf_postings){.nlist = model->nlist, .block_size = ivf_codec_block_size(model->codec)};
    int rc = find_lists(row, index, manifest, share, postings);
    if (rc == MPIVF_OK)
        rc = ivf_agree(row, find_origin(model, postings));
    if (rc != MPIVF_OK)
        ivf_postings_free(postings);
    return rc;
}

/* ---- what is in memory ---- */

int64_t ivf_postings_list_bytes(const ivf_model *model, int64_t n)
{
    return ivf_viewer_block_bytes(model, n) + ivf_viewer_term_bytes(model, n) + n * (int64_t)sizeof(uint64_t);
}

/* Lists below `resident` into `room`, each in its place: all blocks, all terms, all ids. Returns the bytes that they
 * take; NULL: only counts. */
static int64_t place_lists(const ivf_model *model, int32_t resident, void *room, ivf_postings *p)
{
    int64_t blocks = 0;
    int64_t terms = 0;
    int64_t postings = 0;
    for (int32_t l = 0; l < resident; l++) {
        blocks += ivf_viewer_block_bytes(model, p->lists[l].n);
        terms += ivf_viewer_term_bytes(model, p->lists[l].n);
        postings += p->lists[l].n;
    }
    if (room == NULL)
        return blocks + terms + postings * (int64_t)sizeof(uint64_t);
    uint8_t *block = room;
    uint8_t *term = block + blocks;
    uint64_t *ids = (uint64_t *)(void *)(term + terms);
    for (int32_t l = 0; l < resident; l++) {
        ivf_list *list = &p->lists[l];
        list->blocks = block;
        list->terms = model->metric == IVF_L2 ? (float *)(void *)term : NULL;
        list->ids = ids;
        block += ivf_viewer_block_bytes(model, list->n);
        term += ivf_viewer_term_bytes(model, list->n);
        ids += list->n;
    }
    return 0;
}

int ivf_postings_reserve(const ivf_ctx *row, const ivf_model *model, int32_t resident, ivf_postings *postings,
                         bool *reserved)
{
    const size_t bytes = ivf_to_size(place_lists(model, resident, NULL, postings));
    int rc = MPIVF_OK;
    if (ivf_ctx_size(row) > 1)
        rc = ivf_shared_join(row, bytes, &postings->block);
    else
        postings->own = ivf_new_zero(bytes, 1);
    if (rc == MPIVF_OK && ivf_ctx_size(row) == 1 && postings->own == NULL)
        rc = MPIVF_FAILED;
    *reserved = rc == MPIVF_OK && (postings->own != NULL || postings->block != NULL);
    if (*reserved)
        (void)place_lists(model, resident, postings->block != NULL ? ivf_shared_data(postings->block) : postings->own,
                          postings);
    return rc;
}

/* While lists are read. */
typedef struct {
    ivf_postings *postings;
    ivf_list **views; /* [lists], owned */
} loading;

static int place_group(void *arg, ivf_store *store, const ivf_reader_job *group)
{
    const loading *job = arg;
    for (int32_t i = 0; i < group->count; i++)
        job->views[i] = &job->postings->lists[group->lists[i]];
    return ivf_store_place(store, group, job->views);
}

/* Lists first .. end - 1 of the share. */
static int read_resident(const ivf_store_source *source, int32_t first, int32_t end, int64_t group_bytes,
                         ivf_postings *p)
{
    loading job = {.postings = p, .views = ivf_new((size_t)(end - first), sizeof(ivf_list *))};
    int32_t *wanted = ivf_new((size_t)(end - first), sizeof *wanted);
    ivf_store *store = ivf_store_open(source, group_bytes, false);
    int32_t count = 0;
    int rc = job.views == NULL || wanted == NULL || store == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int32_t l = first; rc == MPIVF_OK && l < end; l++)
        if (p->lists[l].n > 0)
            wanted[count++] = l;
    if (rc == MPIVF_OK)
        rc = ivf_store_read(store, wanted, count, place_group, &job);
    ivf_store_close(store);
    ivf_free(wanted);
    ivf_free((void *)job.views);
    return rc;
}

/* The first of the lists that rank `rank` of `ranks` reads: each about as many postings. */
static int32_t first_of(const ivf_postings *p, int32_t resident, int rank, int ranks)
{
    int64_t all = 0;
    int64_t before = 0;
    int32_t l = 0;
    for (int32_t i = 0; i < resident; i++)
        all += p->lists[i].n;
    const double wanted = (double)all * rank / ranks;
    while (l < resident && (double)before + (double)p->lists[l].n / 2 < wanted)
        before += p->lists[l++].n;
    return rank == ranks ? resident : l;
}

/* Collective over the row. What else is known of the lists of others (search/view.h); then everybody's are in place. */
static int exchange(const ivf_ctx *row, const ivf_model *model, int32_t resident, ivf_postings *p)
{
    const int ranks = ivf_ctx_size(row);
    int64_t *offsets = ivf_new((size_t)ranks + 1, sizeof *offsets);
    int rc = ivf_agree(row, offsets == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || offsets == NULL)
        return rc;
    for (int r = 0; r <= ranks; r++)
        offsets[r] = first_of(p, resident, r, ranks) * (int64_t)sizeof *p->lists;
    rc = ivf_allgather_bytes(row, p->lists, offsets);
    if (rc == MPIVF_OK)
        (void)place_lists(model, resident, ivf_shared_data(p->block), p);
    ivf_free(offsets);
    return rc;
}

int ivf_postings_load(const ivf_ctx *row, const char *index, const ivf_manifest *manifest, const ivf_model *model,
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
    const int rank = ivf_ctx_rank(row);
    const int32_t first = first_of(postings, room->resident, rank, ivf_ctx_size(row));
    const int32_t end = first_of(postings, room->resident, rank + 1, ivf_ctx_size(row));
    int rc = ivf_agree(row, read_resident(&source, first, end, room->group_bytes, postings));
    if (postings->block != NULL)
        ivf_shared_finish(row, postings->block);
    if (rc == MPIVF_OK && postings->block != NULL)
        rc = exchange(row, model, room->resident, postings);
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
    ivf_shared_free(postings->block);
    ivf_free(postings->own);
    *postings = (ivf_postings){0};
}
