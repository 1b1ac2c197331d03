/* The rules that the numbers of a manifest keep (FORMAT.md), for who reads one and for who is about to commit one. */
#include "base/error.h"
#include "index/manifest.h"

static int broken(const char *path, const char *what)
{
    return ivf_fail(MPIVF_CORRUPT, "%s: %s", path, what);
}

/* Sums are taken modulo 2^64: a hostile manifest may hold any numbers. */
static int64_t sum_skipped(const int64_t skipped[IVF_ROW_REASONS])
{
    uint64_t sum = 0;
    for (int r = 0; r < IVF_ROW_REASONS; r++)
        sum += (uint64_t)skipped[r];
    return (int64_t)sum;
}

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
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
            postings = plus(postings, m->list_sizes[l]);
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
    int64_t rows = 0;
    int64_t postings = 0;
    int64_t listed = 0;
    int64_t shard_rows = 0;
    int64_t bytes = 0;
    uint64_t digest_in = 0;
    for (int64_t i = 0; i < m->fragment_count; i++) {
        const ivf_fragment_record *f = &m->fragments[i];
        if (__builtin_add_overflow(bytes, f->bytes, &bytes))
            return broken(path, "the fragments' bytes add up to more than 2^63");
        if (plus(f->postings, sum_skipped(f->skipped)) != f->rows)
            return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s: %lld postings and %lld skipped of %lld rows", path, f->id,
                            (long long)f->postings, (long long)sum_skipped(f->skipped), (long long)f->rows);
        if (m->layout == IVF_LAYOUT_ROWS && f->first_row != rows)
            return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s begins at row %lld, not %lld", path, f->id,
                            (long long)f->first_row, (long long)rows);
        if (f->digest_in != f->digest_out)
            return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s: the ids read are not the ids written", path, f->id);
        rows = plus(rows, f->rows);
        postings = plus(postings, f->postings);
        digest_in += f->digest_in;
    }
    for (int32_t l = 0; l < m->factory.nlist; l++)
        listed = plus(listed, m->list_sizes[l]);
    for (int i = 0; i < m->shard_count; i++)
        shard_rows = plus(shard_rows, m->shards[i].rows);
    if (rows != m->rows || postings != m->postings || listed != m->postings || shard_rows != m->rows ||
        plus(m->postings, sum_skipped(m->skipped)) != m->rows)
        return ivf_fail(
            MPIVF_CORRUPT,
            "%s: rows do not add up: %lld read, %lld in fragments, %lld in the input; %lld postings, %lld in "
            "fragments, %lld in lists; %lld skipped",
            path, (long long)m->rows, (long long)rows, (long long)shard_rows, (long long)m->postings,
            (long long)postings, (long long)listed, (long long)sum_skipped(m->skipped));
    if (digest_in != m->digest_in || m->digest_in != m->digest_out)
        return broken(path, "the digest of the ids read is not that of the ids written");
    return check_lists(m, path);
}
