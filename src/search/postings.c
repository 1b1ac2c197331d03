/* A rank's share of an index's postings, for the searcher.
 *
 * A scan goes list by list, and a rank may hold hundreds of fragments: a directory of segments in list order spares it
 * the offsets of every fragment for every list, of which many are empty. Memory: the fragments as their files hold
 * them, and 24 bytes for each list of a fragment that is not empty. No collectives. */
#include "search/postings.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"

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

/* Adds up the segments of each list into first[l + 1], then turns the counts into positions. */
static void count_segments(ivf_postings *p, int32_t nlist)
{
    for (int64_t f = 0; f < p->count; f++)
        for (int32_t l = 0; l < nlist; l++)
            p->first[l + 1] += p->fragments[f]->offsets[l + 1] > p->fragments[f]->offsets[l];
    for (int32_t l = 0; l < nlist; l++)
        p->first[l + 1] += p->first[l];
}

/* first[l] serves as the place of list l's next segment, which leaves it at the end of the list: shifted back after. */
static void place_segments(ivf_postings *p, int32_t nlist)
{
    for (int64_t f = 0; f < p->count; f++) {
        const ivf_fragment *fragment = p->fragments[f];
        for (int32_t l = 0; l < nlist; l++) {
            uint64_t at = fragment->offsets[l];
            int64_t n = ivf_to_i64(fragment->offsets[l + 1] - at);
            if (n > 0)
                p->segments[p->first[l]++] =
                    (ivf_segment){fragment->codes + at * fragment->code_size, fragment->ids + at, n};
        }
    }
    for (int32_t l = nlist; l > 0; l--)
        p->first[l] = p->first[l - 1];
    p->first[0] = 0;
}

static int make_directory(ivf_postings *p, int32_t nlist)
{
    p->first = ivf_new_zero((size_t)nlist + 1, sizeof *p->first);
    if (p->first == NULL)
        return MPIVF_FAILED;
    count_segments(p, nlist);
    p->segments = ivf_new(ivf_to_size(p->first[nlist]), sizeof *p->segments);
    if (p->segments == NULL)
        return MPIVF_FAILED;
    place_segments(p, nlist);
    return MPIVF_OK;
}

int ivf_postings_load(const char *index, const ivf_manifest *manifest, int64_t from, int64_t to, ivf_postings *postings)
{
    *postings = (ivf_postings){.count = to - from};
    postings->fragments = ivf_new_zero(ivf_to_size(to - from), sizeof(ivf_fragment *));
    int rc = postings->fragments == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t f = from; rc == MPIVF_OK && f < to; f++)
        rc = ivf_fragment_open(index, &manifest->fragments[f], manifest->factory.nlist, manifest->code_size,
                               &postings->fragments[f - from]);
    if (rc == MPIVF_OK)
        rc = make_directory(postings, manifest->factory.nlist);
    if (rc != MPIVF_OK)
        ivf_postings_free(postings);
    return rc;
}

void ivf_postings_free(ivf_postings *postings)
{
    for (int64_t f = 0; postings->fragments != NULL && f < postings->count; f++)
        ivf_fragment_free(postings->fragments[f]);
    ivf_free((void *)postings->fragments);
    ivf_free(postings->first);
    ivf_free(postings->segments);
    *postings = (ivf_postings){0};
}
