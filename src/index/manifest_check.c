/* The rules that the numbers of a manifest keep (FORMAT.md), for who reads one and for who is about to commit one.
 * Nothing may be believed of a hostile one: no sum may pass 2^63 - 1, and no part be larger than its whole, so that
 * who reads a manifest that was checked may add and subtract its numbers, and take a fragment's for its place. */
#include <stdbool.h>

#include "base/error.h"
#include "index/manifest.h"

/* What the records add up to. */
typedef struct {
    int64_t rows;
    int64_t postings;
    int64_t listed; /* postings, by the lists */
    int64_t input;  /* rows, by the input's files */
    int64_t bytes;
    uint64_t digest; /* modulo 2^64 */
} totals;

static int broken(const char *path, const char *what)
{
    return ivf_fail(MPIVF_CORRUPT, "%s: %s", path, what);
}

/* Adds what is not negative; false, with *sum as it was, where the sum would be beyond 2^63 - 1. */
static bool add(int64_t *sum, int64_t value)
{
    return value >= 0 && !__builtin_add_overflow(*sum, value, sum);
}

static bool add_skipped(int64_t *sum, const int64_t skipped[IVF_ROW_REASONS])
{
    bool sound = true;
    for (int r = 0; r < IVF_ROW_REASONS; r++)
        sound = sound && add(sum, skipped[r]);
    return sound;
}

/* Whether rows are the postings and the skipped ones: then neither is more than they. */
static bool are_conserved(int64_t rows, int64_t postings, const int64_t skipped[IVF_ROW_REASONS])
{
    int64_t sum = 0;
    return add(&sum, postings) && add_skipped(&sum, skipped) && sum == rows;
}

static int check_fragment(const ivf_manifest *m, const char *path, int64_t i, const totals *before)
{
    const ivf_fragment_record *f = &m->fragments[i];
    if (f->number != i)
        return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s has number %lld, but is number %lld", path, f->id,
                        (long long)f->number, (long long)i);
    if (f->bytes < 0 || f->postings > f->bytes / ((int64_t)sizeof(uint64_t) + (int64_t)m->code_size))
        return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s cannot hold %lld postings in %lld bytes", path, f->id,
                        (long long)f->postings, (long long)f->bytes);
    if (!are_conserved(f->rows, f->postings, f->skipped))
        return ivf_fail(MPIVF_CORRUPT,
                        "%s: the postings and skipped rows of fragment %s do not add up to its %lld rows", path, f->id,
                        (long long)f->rows);
    if (m->layout == IVF_LAYOUT_ROWS && f->first_row != before->rows)
        return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s begins at row %lld, not %lld", path, f->id,
                        (long long)f->first_row, (long long)before->rows);
    if (f->digest_in != f->digest_out)
        return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s: the ids read are not the ids written", path, f->id);
    return MPIVF_OK;
}

static int add_fragments(const ivf_manifest *m, const char *path, totals *t)
{
    for (int64_t i = 0; i < m->fragment_count; i++) {
        const ivf_fragment_record *f = &m->fragments[i];
        int rc = check_fragment(m, path, i, t);
        if (rc != MPIVF_OK)
            return rc;
        if (!add(&t->rows, f->rows) || !add(&t->postings, f->postings) || !add(&t->bytes, f->bytes))
            return broken(path, "the fragments' rows or bytes add up to more than 2^63");
        t->digest += f->digest_in;
    }
    return MPIVF_OK;
}

static int add_lists(const ivf_manifest *m, const char *path, totals *t)
{
    for (int32_t l = 0; l < m->factory.nlist; l++)
        if (!add(&t->listed, m->list_sizes[l]))
            return ivf_fail(MPIVF_CORRUPT, "%s: list %d has %lld postings, which is negative, or too many", path,
                            (int)l, (long long)m->list_sizes[l]);
    return MPIVF_OK;
}

static int add_input(const ivf_manifest *m, const char *path, totals *t)
{
    for (int i = 0; i < m->shard_count; i++) {
        const ivf_manifest_shard *s = &m->shards[i];
        if (s->first_row != t->input || !add(&t->input, s->rows))
            return ivf_fail(MPIVF_CORRUPT, "%s: input %.200s has %lld rows from row %lld, after %lld", path, s->path,
                            (long long)s->rows, (long long)s->first_row, (long long)t->input);
    }
    return MPIVF_OK;
}

/* Fragments by lists follow each other without gap, and hold what the lists hold. */
static int check_lists(const ivf_manifest *m, const char *path)
{
    int32_t next = 0;
    for (int64_t i = 0; m->layout == IVF_LAYOUT_LISTS && i < m->fragment_count; i++) {
        const ivf_fragment_record *f = &m->fragments[i];
        int64_t postings = 0;
        if (f->first_list != next || f->lists < 1 || f->lists > m->factory.nlist - next)
            return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s has %d lists from list %d, after %d of %d", path, f->id,
                            f->lists, f->first_list, next, m->factory.nlist);
        next += f->lists;
        for (int32_t l = f->first_list; l < next; l++)
            postings += m->list_sizes[l];
        if (postings != f->postings)
            return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s has %lld postings, its lists %lld", path, f->id,
                            (long long)f->postings, (long long)postings);
    }
    if (m->layout == IVF_LAYOUT_LISTS && next != m->factory.nlist)
        return ivf_fail(MPIVF_CORRUPT, "%s: the fragments have %d lists of %d", path, next, m->factory.nlist);
    return MPIVF_OK;
}

/* Conservation: what went in is what is indexed or listed as skipped, for each fragment and for the whole. */
int ivf_manifest_check(const ivf_manifest *m, const char *path)
{
    totals t = {0};
    int rc = add_fragments(m, path, &t);
    if (rc == MPIVF_OK)
        rc = add_lists(m, path, &t);
    if (rc == MPIVF_OK)
        rc = add_input(m, path, &t);
    if (rc != MPIVF_OK)
        return rc;
    if (t.rows != m->rows || t.postings != m->postings || t.listed != m->postings || t.input != m->rows ||
        !are_conserved(m->rows, m->postings, m->skipped))
        return ivf_fail(MPIVF_CORRUPT,
                        "%s: rows do not add up: %lld read, %lld in fragments, %lld in the input; %lld postings, %lld "
                        "in fragments, %lld in lists",
                        path, (long long)m->rows, (long long)t.rows, (long long)t.input, (long long)m->postings,
                        (long long)t.postings, (long long)t.listed);
    if (t.digest != m->digest_in || m->digest_in != m->digest_out)
        return broken(path, "the digest of the ids read is not that of the ids written");
    return check_lists(m, path);
}
