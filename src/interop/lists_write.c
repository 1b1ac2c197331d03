/* A rank takes a group of neighbouring lists, has each read to its place in memory (index/reader.h), and writes the
 * group in one go: reads and writes are long, whatever the lists' sizes, and no rank needs what another one has. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "index/layout.h"
#include "interop/lists_internal.h"

enum { GROUPS_PER_RANK = 8 };

static const int64_t GROUP_MOST = (int64_t)64 << 20;
static const int64_t GROUP_LEAST = (int64_t)64 << 10;
static const int64_t PIECE_BYTES = (int64_t)4 << 20;

/* ---- a group of lists ---- */

typedef struct {
    int32_t first, end; /* lists */
    int64_t base;       /* of all lists in the file */
    const ivf_outfile *file;
} group;

/* Ids need not be aligned where codes of any size stand before them. */
static uint64_t digest_of(const uint8_t *ids, int64_t n)
{
    enum { AT_ONCE = 512 };
    uint64_t aligned[AT_ONCE];
    uint64_t digest = 0;
    for (int64_t first = 0; first < n; first += AT_ONCE) {
        const int64_t some = ivf_min_i64(AT_ONCE, n - first);
        memcpy(aligned, ids + first * (int64_t)sizeof *aligned, ivf_to_size(some) * sizeof *aligned);
        digest += ivf_digest_ids(aligned, some);
    }
    return digest;
}

static int make_room(ivf_lists *lists, const group *g)
{
    const int64_t n = (int64_t)g->end - g->first;
    const size_t bytes = ivf_to_size(lists->starts[g->end] - lists->starts[g->first]);
    if (n > lists->room) {
        ivf_free(lists->numbers);
        ivf_free((void *)lists->to);
        lists->room = 0;
        lists->numbers = ivf_new(ivf_to_size(n), sizeof *lists->numbers);
        lists->to = ivf_new(ivf_to_size(n), sizeof *lists->to);
        if (lists->numbers == NULL || lists->to == NULL)
            return MPIVF_FAILED;
        lists->room = n;
    }
    if (bytes > lists->group_room) {
        ivf_free(lists->group);
        lists->group_room = 0;
        lists->group = ivf_new(bytes, 1);
        if (lists->group == NULL)
            return MPIVF_FAILED;
        lists->group_room = bytes;
    }
    return MPIVF_OK;
}

static int64_t size_of(const ivf_lists *lists, int32_t l)
{
    return lists->manifest->list_sizes[l];
}

/* Each list is read to where it is going to stand. */
static int read_group(ivf_lists *lists, const group *g)
{
    const int32_t n = g->end - g->first;
    for (int32_t i = 0; i < n; i++) {
        uint8_t *list = lists->group + (lists->starts[g->first + i] - lists->starts[g->first]);
        lists->numbers[i] = g->first + i;
        lists->to[i][IVF_COLUMN_CODES] = list;
        lists->to[i][IVF_COLUMN_IDS] = list + ivf_to_size(size_of(lists, g->first + i)) * lists->manifest->code_size;
    }
    const ivf_reader_job job = {
        .lists = lists->numbers, .count = n, .sizes = lists->manifest->list_sizes + g->first, .to = lists->to};
    int rc = ivf_reader_run(lists->reader, &job);
    for (int32_t i = 0; rc == MPIVF_OK && i < n; i++)
        lists->digest += digest_of(lists->to[i][IVF_COLUMN_IDS], size_of(lists, g->first + i));
    return rc;
}

/* ---- a list that is longer than a group ---- */

/* One fragment's part of it. */
typedef struct {
    int64_t fragment;
    uint64_t offsets[2]; /* postings of the fragment */
    uint64_t checksum;
    int64_t before; /* postings of earlier fragments */
} long_part;

static int refuse_list(const ivf_lists *lists, int64_t f, int64_t l)
{
    return ivf_fail(MPIVF_CORRUPT, "fragment %s: list %" PRId64 " does not have its checksum; see mpivf verify",
                    lists->manifest->fragments[f].id, l);
}

/* `bytes` from one file to the other, in pieces; also into the hasher, and as ids into the digest. */
static int copy_pieces(ivf_lists *lists, const group *g, const ivf_rawfile *file, int64_t from, int64_t to,
                       int64_t bytes, bool ids)
{
    int rc = MPIVF_OK;
    for (int64_t done = 0; rc == MPIVF_OK && done < bytes;) {
        const int64_t n = ivf_min_i64(PIECE_BYTES, bytes - done);
        rc = ivf_rawfile_read(file, from + done, ivf_to_size(n), lists->piece);
        if (rc != MPIVF_OK)
            break;
        ivf_hasher_add(lists->hasher, lists->piece, ivf_to_size(n));
        if (ids)
            lists->digest += digest_of(lists->piece, n / (int64_t)sizeof(uint64_t));
        rc = ivf_outfile_put(g->file, lists->piece, ivf_to_size(n), to + done);
        done += n;
    }
    return rc;
}

/* The list's line in the fragment's tables; none: offsets are equal. */
static int read_part(const ivf_lists *lists, const group *g, const ivf_rawfile *file, long_part *part)
{
    const ivf_fragment_record *record = &lists->manifest->fragments[part->fragment];
    const ivf_place *p = &lists->places[part->fragment];
    int32_t first = 0;
    int32_t count = 0;
    ivf_manifest_lists_of(lists->manifest, record, &first, &count);
    part->offsets[0] = part->offsets[1] = 0;
    if (g->first < first || g->first >= first + count)
        return MPIVF_OK;
    const int64_t at = 8 * ((int64_t)g->first - first);
    int rc = ivf_rawfile_read(file, p->offsets + at, sizeof part->offsets, part->offsets);
    if (rc == MPIVF_OK)
        rc = ivf_rawfile_read(file, p->checksums[IVF_SUMS_LISTS] + at, sizeof part->checksum, &part->checksum);
    const uint64_t room = (uint64_t)(size_of(lists, g->first) - part->before);
    if (rc == MPIVF_OK && (part->offsets[0] > part->offsets[1] || part->offsets[1] > (uint64_t)record->postings ||
                           part->offsets[1] - part->offsets[0] > room))
        rc = ivf_fail(MPIVF_CORRUPT, "fragment %s has changed while it was read", record->id);
    return rc;
}

static int copy_part(ivf_lists *lists, const group *g, const ivf_rawfile *file, long_part *part)
{
    const ivf_place *p = &lists->places[part->fragment];
    const int64_t size = (int64_t)lists->manifest->code_size;
    const int64_t id_size = (int64_t)sizeof(uint64_t);
    int rc = read_part(lists, g, file, part);
    const int64_t n = (int64_t)(part->offsets[1] - part->offsets[0]);
    const int64_t first = (int64_t)part->offsets[0];
    const int64_t list = g->base + lists->starts[g->first];
    if (rc != MPIVF_OK || n == 0)
        return rc;
    ivf_hasher_reset(lists->hasher);
    rc = copy_pieces(lists, g, file, p->columns[IVF_COLUMN_IDS] + first * id_size,
                     list + size_of(lists, g->first) * size + part->before * id_size, n * id_size, true);
    if (rc == MPIVF_OK)
        rc = copy_pieces(lists, g, file, p->columns[IVF_COLUMN_CODES] + first * size, list + part->before * size,
                         n * size, false);
    if (rc == MPIVF_OK && ivf_hasher_end(lists->hasher) != part->checksum)
        rc = refuse_list(lists, part->fragment, g->first);
    part->before += n;
    return rc;
}

static int copy_list(ivf_lists *lists, const group *g)
{
    char path[IVF_PATH_BYTES];
    long_part part = {0};
    int rc = MPIVF_OK;
    if (lists->piece == NULL)
        lists->piece = ivf_new(ivf_to_size(PIECE_BYTES), 1);
    if (lists->piece == NULL)
        return MPIVF_FAILED;
    for (; rc == MPIVF_OK && part.fragment < lists->manifest->fragment_count; part.fragment++) {
        ivf_rawfile file = {.fd = -1};
        if (lists->manifest->fragments[part.fragment].postings == 0)
            continue;
        rc = ivf_layout_fragment(lists->index, lists->manifest->fragments[part.fragment].id, path);
        if (rc == MPIVF_OK)
            rc = ivf_rawfile_open(path, &file);
        if (rc == MPIVF_OK) {
            rc = copy_part(lists, g, &file, &part);
            ivf_rawfile_close(&file);
        }
    }
    if (rc == MPIVF_OK && part.before != size_of(lists, g->first))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: list %d has changed while it was read", lists->index, g->first);
    return rc;
}

/* ---- all groups ---- */

static int write_group(ivf_lists *lists, const group *g)
{
    const int64_t bytes = lists->starts[g->end] - lists->starts[g->first];
    if (bytes > GROUP_MOST)
        return copy_list(lists, g);
    int rc = make_room(lists, g);
    if (rc == MPIVF_OK)
        rc = read_group(lists, g);
    return rc == MPIVF_OK
               ? ivf_outfile_put(g->file, lists->group, ivf_to_size(bytes), g->base + lists->starts[g->first])
               : rc;
}

/* Where groups of lists begin, into groups[nlist + 1]; returns how many there are. */
static int64_t cut(const ivf_ctx *ctx, const ivf_lists *lists, int32_t *groups)
{
    const int32_t nlist = lists->manifest->factory.nlist;
    const int64_t wanted = ivf_lists_bytes(lists) / (GROUPS_PER_RANK * (int64_t)ivf_ctx_size(ctx));
    const int64_t most = ivf_max_i64(GROUP_LEAST, ivf_min_i64(GROUP_MOST, wanted));
    int64_t count = 0;
    groups[0] = 0;
    for (int32_t l = 1; l < nlist; l++)
        if (lists->starts[l + 1] - lists->starts[groups[count]] > most)
            groups[++count] = l;
    groups[++count] = nlist;
    return count;
}

static int write_groups(const ivf_ctx *ctx, ivf_lists *lists, const int32_t *groups, int64_t count, group g)
{
    ivf_tickets *tickets = ivf_tickets_open(ctx, count);
    if (tickets == NULL)
        return MPIVF_FAILED;
    ivf_progress *progress = ivf_progress_open(ctx, "export", "rows", lists->manifest->postings);
    int rc = progress == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        g.first = groups[t];
        g.end = groups[t + 1];
        if (rc == MPIVF_OK)
            rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = write_group(lists, &g);
        if (rc != MPIVF_OK)
            ivf_tickets_withdraw(tickets);
        ivf_progress_add(progress, (lists->starts[g.end] - lists->starts[g.first]) / lists->posting_bytes);
    }
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

static int compare_digest(const ivf_lists *lists, uint64_t digest)
{
    for (int64_t f = 0; f < lists->manifest->fragment_count; f++)
        digest += lists->places[f].skipped;
    return digest == lists->manifest->digest_in
               ? MPIVF_OK
               : ivf_fail(MPIVF_CORRUPT, "%s: the ids in its lists are not those of its manifest; see mpivf verify",
                          lists->index);
}

int ivf_lists_write(const ivf_ctx *ctx, ivf_lists *lists, const ivf_outfile *file, int64_t base)
{
    int32_t *groups = ivf_new((size_t)lists->manifest->factory.nlist + 1, sizeof *groups);
    int rc = ivf_agree(ctx, groups == NULL ? MPIVF_FAILED : MPIVF_OK);
    lists->digest = 0;
    if (rc == MPIVF_OK && groups != NULL)
        rc = write_groups(ctx, lists, groups, cut(ctx, lists, groups), (group){.base = base, .file = file});
    ivf_free(groups);
    if (rc != MPIVF_OK)
        return rc;
    uint64_t digest = lists->digest;
    ivf_allsum_u64(ctx, &digest, 1);
    return ivf_agree(ctx, compare_digest(lists, digest));
}
