/* A rank's share of an index's postings, for the searcher.
 *
 * A scan goes list by list, and a rank may hold hundreds of fragments, each with a few postings of a list: they are
 * merged into lists of whole blocks while fragments are read, one after the other. The offsets of all fragments are
 * read first, so that every posting has its place from the start; and what belongs to a posting alone (codec/scan.h) is
 * computed while its code is at hand. Memory: codes, ids and 4 bytes for each posting (L2), half a block more for each
 * list, and one fragment while it is read. No collectives. */
#include "search/postings.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "codec/scan.h"
#include "math/distance.h"

enum { LISTS_OF_TASK = 16, ROWS_AT_ONCE = 32 };

/* The rank in whose share the middle of the bytes [before, before + bytes) lies. */
static int owner_of(int64_t before, int64_t bytes, int64_t total, int size)
{
    double middle = (double)before + (double)bytes / 2;
    double owner = total > 0 ? middle / (double)total * size : 0;
    return owner < size ? (int)owner : size - 1;
}

void ivf_postings_share(const ivf_manifest *manifest, int rank, int size, int64_t *from, int64_t *to)
{
    int64_t total = 0;
    int64_t before = 0;
    *from = 0;
    *to = 0;
    for (int64_t f = 0; f < manifest->fragment_count; f++)
        total += manifest->fragments[f].bytes;
    for (int64_t f = 0; f < manifest->fragment_count; f++) {
        int owner = owner_of(before, manifest->fragments[f].bytes, total, size);
        *from += owner < rank;
        *to += owner <= rank;
        before += manifest->fragments[f].bytes;
    }
}

/* While fragments are read. */
typedef struct {
    const char *index;
    const ivf_manifest *manifest;
    const ivf_model *model;
    ivf_postings *postings;
    bool residual;
    bool l2;
    int64_t *filled;              /* [nlist]: postings of each list that are in place */
    float *rows;                  /* [workers][ROWS_AT_ONCE][d] */
    float *shifted;               /* [workers][d]: c - o */
    const ivf_fragment *fragment; /* the present one */
} loading;

/* lists[l].n: the postings of the list in all fragments. */
static int count_postings(const loading *job, int64_t from, int64_t to)
{
    ivf_postings *p = job->postings;
    int rc = MPIVF_OK;
    for (int64_t f = from; rc == MPIVF_OK && f < to; f++) {
        ivf_fragment *fragment = NULL;
        rc = ivf_fragment_skim(job->index, &job->manifest->fragments[f], p->nlist, job->manifest->code_size, &fragment);
        for (int32_t l = 0; rc == MPIVF_OK && l < p->nlist; l++)
            p->lists[l].n += ivf_to_i64(fragment->offsets[l + 1] - fragment->offsets[l]);
        ivf_fragment_free(fragment);
    }
    return rc;
}

static int64_t slots_of(const ivf_list *list)
{
    return ivf_round_up(list->n, IVF_SCAN_BLOCK);
}

static int reserve(const loading *job)
{
    ivf_postings *p = job->postings;
    int64_t slots = 0;
    int64_t postings = 0;
    for (int32_t l = 0; l < p->nlist; l++) {
        slots += slots_of(&p->lists[l]);
        postings += p->lists[l].n;
    }
    p->blocks = ivf_new_zero(ivf_to_size(slots / IVF_SCAN_BLOCK), p->block_size);
    p->terms = ivf_new_zero(job->l2 ? ivf_to_size(slots) : 0, sizeof *p->terms);
    p->ids = ivf_new(ivf_to_size(postings), sizeof *p->ids);
    if (p->blocks == NULL || p->terms == NULL || p->ids == NULL)
        return MPIVF_FAILED;
    slots = 0;
    postings = 0;
    for (int32_t l = 0; l < p->nlist; l++) {
        p->lists[l].blocks = p->blocks + ivf_to_size(slots / IVF_SCAN_BLOCK) * p->block_size;
        p->lists[l].terms = job->l2 ? p->terms + slots : NULL;
        p->lists[l].ids = p->ids + postings;
        slots += slots_of(&p->lists[l]);
        postings += p->lists[l].n;
    }
    return MPIVF_OK;
}

/* The mean of the centroids, where queries are compared with codes relative to them; else 0. */
static int find_origin(const loading *job)
{
    const ivf_model *model = job->model;
    const float *centroids = ivf_model_centroids(model);
    job->postings->origin = ivf_new_zero((size_t)model->d, sizeof(float));
    double *sums = ivf_new_zero((size_t)model->d, sizeof *sums);
    if (job->postings->origin != NULL && sums != NULL && job->residual && job->l2) {
        for (int32_t l = 0; l < model->nlist; l++)
            for (int j = 0; j < model->d; j++)
                sums[j] += (double)centroids[(size_t)l * (size_t)model->d + (size_t)j];
        for (int j = 0; j < model->d; j++)
            job->postings->origin[j] = (float)(sums[j] / model->nlist);
    }
    ivf_free(sums);
    return job->postings->origin == NULL || sums == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* What is known of some codes beside themselves; shifted is NULL where c - o is 0. */
static void describe(const loading *job, const uint8_t *codes, int64_t n, const float *shifted, float *rows,
                     ivf_list *list, int64_t first)
{
    const ivf_codec *codec = job->model->codec;
    const int d = job->model->d;
    ivf_codec_decode(codec, codes, n, rows);
    for (int64_t i = 0; i < n; i++) {
        const float *row = rows + i * d;
        float square = ivf_dot(row, row, d);
        list->radius = fmaxf(list->radius, sqrtf(square));
        list->spread = fmaxf(list->spread, ivf_codec_spread(codec, codes + (size_t)i * ivf_codec_code_size(codec)));
        if (list->terms != NULL)
            list->terms[first + i] = shifted == NULL ? square : square + 2 * ivf_dot(shifted, row, d);
    }
}

static int refuse_change(const loading *job)
{
    return ivf_fail(MPIVF_CORRUPT, "%s: fragments changed while they were read; search again", job->index);
}

static int place_list(const loading *job, int32_t l, int worker)
{
    const ivf_fragment *f = job->fragment;
    ivf_list *list = &job->postings->lists[l];
    const int d = job->model->d;
    const size_t at = f->offsets[l];
    const int64_t n = ivf_to_i64(f->offsets[l + 1] - at);
    float *rows = job->rows + (ptrdiff_t)worker * ROWS_AT_ONCE * d;
    float *shifted = job->residual && job->l2 ? job->shifted + (ptrdiff_t)worker * d : NULL;
    if (n == 0)
        return MPIVF_OK;
    if (n > list->n - job->filled[l])
        return refuse_change(job);
    if (shifted != NULL) {
        const float *centroid = ivf_model_centroids(job->model) + (ptrdiff_t)l * d;
        for (int j = 0; j < d; j++)
            shifted[j] = centroid[j] - job->postings->origin[j];
        list->shift = sqrtf(ivf_dot(shifted, shifted, d));
    }
    ivf_codec_blocks_put(job->model->codec, f->codes + at * f->code_size, n, job->filled[l], list->blocks);
    memcpy(list->ids + job->filled[l], f->ids + at, ivf_to_size(n) * sizeof *f->ids);
    for (int64_t first = 0; first < n; first += ROWS_AT_ONCE)
        describe(job, f->codes + (at + (size_t)first) * f->code_size, ivf_min_i64(ROWS_AT_ONCE, n - first), shifted,
                 rows, list, job->filled[l] + first);
    job->filled[l] += n;
    return MPIVF_OK;
}

static int place_lists(void *arg, int64_t task, int worker)
{
    const loading *job = arg;
    int64_t end = ivf_min_i64(job->postings->nlist, (task + 1) * LISTS_OF_TASK);
    int rc = MPIVF_OK;
    for (int64_t l = task * LISTS_OF_TASK; rc == MPIVF_OK && l < end; l++)
        rc = place_list(job, (int32_t)l, worker);
    return rc;
}

static int place_fragment(loading *job, int64_t f)
{
    ivf_fragment *fragment = NULL;
    int rc = ivf_fragment_open(job->index, &job->manifest->fragments[f], job->postings->nlist, job->manifest->code_size,
                               &fragment);
    job->fragment = fragment;
    if (rc == MPIVF_OK)
        rc = ivf_team_run(ivf_ceil_div(job->postings->nlist, LISTS_OF_TASK), place_lists, job);
    ivf_fragment_free(fragment);
    return rc;
}

static int load(loading *job, int64_t from, int64_t to)
{
    ivf_postings *p = job->postings;
    size_t row = (size_t)job->model->d * (size_t)ivf_team_size();
    p->lists = ivf_new_zero((size_t)p->nlist, sizeof *p->lists);
    job->filled = ivf_new_zero((size_t)p->nlist, sizeof *job->filled);
    job->rows = ivf_new(row * ROWS_AT_ONCE, sizeof *job->rows);
    job->shifted = ivf_new(row, sizeof *job->shifted);
    if (p->lists == NULL || job->filled == NULL || job->rows == NULL || job->shifted == NULL)
        return MPIVF_FAILED;
    int rc = count_postings(job, from, to);
    if (rc == MPIVF_OK)
        rc = reserve(job);
    if (rc == MPIVF_OK)
        rc = find_origin(job);
    for (int64_t f = from; rc == MPIVF_OK && f < to; f++)
        rc = place_fragment(job, f);
    for (int32_t l = 0; rc == MPIVF_OK && l < p->nlist; l++)
        if (job->filled[l] != p->lists[l].n)
            rc = refuse_change(job);
    return rc;
}

int ivf_postings_load(const char *index, const ivf_manifest *manifest, const ivf_model *model, int64_t from, int64_t to,
                      ivf_postings *postings)
{
    *postings = (ivf_postings){.nlist = model->nlist, .block_size = ivf_codec_block_size(model->codec)};
    loading job = {.index = index,
                   .manifest = manifest,
                   .model = model,
                   .postings = postings,
                   .residual = ivf_codec_is_residual(model->codec),
                   .l2 = model->metric == IVF_L2};
    int rc = load(&job, from, to);
    ivf_free(job.filled);
    ivf_free(job.rows);
    ivf_free(job.shifted);
    if (rc != MPIVF_OK)
        ivf_postings_free(postings);
    return rc;
}

void ivf_postings_free(ivf_postings *postings)
{
    ivf_free(postings->lists);
    ivf_free(postings->origin);
    ivf_free(postings->blocks);
    ivf_free(postings->terms);
    ivf_free(postings->ids);
    *postings = (ivf_postings){0};
}
