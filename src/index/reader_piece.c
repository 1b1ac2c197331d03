/* Lists that are longer than what a caller holds of them, piece by piece, for one that goes on from a piece to the
 * next.
 *
 * The checksum of a list is of its ids and then of its codes. So of each fragment its ids are read through first, and
 * then again with the codes of each piece: 8 bytes of a posting twice. What was read the second time is held against
 * what was read the first time. */
#include "index/reader_internal.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/numbers.h"

/* The list in one fragment. */
typedef struct {
    const ivf_rawfile *file;
    int64_t first, n; /* postings of the fragment */
    uint64_t checksum;
} segment;

static int find_segment(const ivf_reader *r, const ivf_reader_job *job, int64_t f, const ivf_rawfile *file, segment *s)
{
    ivf_reader_tables t;
    int rc = ivf_reader_internal_tables(r, job, f, file, &t);
    *s = (segment){.file = file};
    if (rc != MPIVF_OK || t.n == 0)
        return rc;
    s->first = (int64_t)t.offsets[0];
    s->n = (int64_t)(t.offsets[1] - t.offsets[0]);
    s->checksum = t.checksums[IVF_SUMS_LISTS][0];
    return MPIVF_OK;
}

/* Where a column of the segment lies, from its posting `at` on. */
static int64_t offset_of(const ivf_reader *r, const segment *s, int column, int64_t at)
{
    return r->places[r->longer.fragment - r->from].columns[column] +
           (s->first + at) * (int64_t)r->columns[column].bytes;
}

/* The segment's ids, through the room that codes of the piece will take, or what is there of it. */
static int read_ids(ivf_reader *r, const ivf_reader_job *job, const segment *s)
{
    const int64_t size = (int64_t)r->columns[IVF_COLUMN_CODES].bytes;
    const int64_t left = (job->sizes[0] - r->filled[0]) * size;
    uint8_t *room = left < IVF_READER_GAP ? r->gap : job->to[0][IVF_COLUMN_CODES] + r->filled[0] * size;
    const int64_t most = ivf_max_i64(left, IVF_READER_GAP);
    const int64_t bytes = s->n * (int64_t)sizeof(uint64_t);
    const int64_t at = offset_of(r, s, IVF_COLUMN_IDS, 0);
    int rc = MPIVF_OK;
    ivf_hasher_reset(r->hasher);
    for (int64_t done = 0; rc == MPIVF_OK && done < bytes; done += most) {
        const int64_t n = ivf_min_i64(most, bytes - done);
        rc = ivf_reader_internal_read(r, s->file, at + done, room, n);
        if (rc == MPIVF_OK)
            ivf_hasher_add(r->hasher, room, ivf_to_size(n));
    }
    r->longer.ids = ivf_hasher_end(r->hasher);
    ivf_hasher_reset(r->again);
    return rc;
}

/* n postings of the segment, from the first that is not read yet on. */
static int read_some(ivf_reader *r, const ivf_reader_job *job, const segment *s, int64_t n)
{
    ivf_reader_long *l = &r->longer;
    int rc = MPIVF_OK;
    for (int c = 0; c < IVF_COLUMNS; c++)
        ivf_rawfile_expect(s->file, offset_of(r, s, c, l->done), n * (int64_t)r->columns[c].bytes);
    for (int c = 0; rc == MPIVF_OK && c < IVF_COLUMNS; c++) {
        const int64_t bytes = n * (int64_t)r->columns[c].bytes;
        uint8_t *to = job->to[0][c] + r->filled[0] * (int64_t)r->columns[c].bytes;
        rc = ivf_reader_internal_read(r, s->file, offset_of(r, s, c, l->done), to, bytes);
        if (rc == MPIVF_OK)
            ivf_hasher_add(c == IVF_COLUMN_IDS ? r->again : r->hasher, to, ivf_to_size(bytes));
        if (rc == MPIVF_OK && c == IVF_COLUMN_IDS)
            rc = ivf_reader_internal_check_ids(r, l->fragment, l->list, to, n);
    }
    l->done += n;
    l->next += n;
    r->filled[0] += n;
    if (rc == MPIVF_OK && l->done == s->n &&
        (ivf_hasher_end(r->hasher) != s->checksum || ivf_hasher_end(r->again) != l->ids))
        rc = ivf_reader_internal_refuse(r, l->fragment, l->list, IVF_SUMS_LISTS);
    return rc;
}

/* What the piece has of the present fragment. */
static int read_fragment(ivf_reader *r, const ivf_reader_job *job)
{
    ivf_reader_long *l = &r->longer;
    ivf_rawfile spare = {.fd = -1};
    ivf_rawfile *file = NULL;
    segment s = {0};
    int rc = ivf_reader_internal_take(r, l->fragment, &spare, &file);
    if (rc == MPIVF_OK)
        rc = find_segment(r, job, l->fragment, file, &s);
    const int64_t n = ivf_min_i64(job->sizes[0] - r->filled[0], s.n - l->done);
    if (rc == MPIVF_OK && s.n > 0 && l->done == 0)
        rc = read_ids(r, job, &s);
    if (rc == MPIVF_OK && n > 0)
        rc = read_some(r, job, &s, n);
    if (rc == MPIVF_OK && l->done >= s.n) {
        l->fragment++;
        l->done = 0;
    }
    ivf_reader_internal_give(file, &spare);
    return rc == MPIVF_BAD_INPUT ? ivf_reader_internal_refuse_change(r, l->fragment) : rc;
}

int ivf_reader_internal_piece(ivf_reader *r, const ivf_reader_job *job)
{
    ivf_reader_long *l = &r->longer;
    int rc = MPIVF_OK;
    if (job->first == 0)
        *l = (ivf_reader_long){.list = job->lists[0], .fragment = r->from};
    if (l->list != job->lists[0] || l->next != job->first)
        return ivf_fail(MPIVF_FAILED, "pieces of list %d are read out of order", job->lists[0]);
    while (rc == MPIVF_OK && r->filled[0] < job->sizes[0] && l->fragment < r->to) {
        if (r->manifest->fragments[l->fragment].postings > 0)
            rc = read_fragment(r, job);
        else
            l->fragment++;
    }
    if (rc == MPIVF_OK && r->filled[0] < job->sizes[0])
        rc = ivf_fail(MPIVF_CORRUPT, "%s: list %d has changed while it was read; see mpivf verify", r->index, l->list);
    return rc;
}
