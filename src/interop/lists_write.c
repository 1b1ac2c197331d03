/* A range of lists is one run of ids and one of codes in each fragment, and one run of bytes in FAISS's layout. So a
 * rank takes a group of neighbouring lists, reads its run from each fragment in turn, puts the pieces where they belong
 * in memory, and writes the group in one go: reads and writes are long, whatever the lists' sizes, and no rank needs
 * what another one has. Files are plain ones here; a rank keeps the first of them open, so that few descriptors are in
 * use. */
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

/* A fragment's file, opened if need be. `spare` serves those that are not kept open. */
static int take_file(ivf_lists *lists, int64_t f, ivf_rawfile *spare, ivf_rawfile **file)
{
    char path[IVF_PATH_BYTES];
    *file = f < IVF_LISTS_HELD ? &lists->files[f] : spare;
    if (f < IVF_LISTS_HELD && lists->files[f].fd >= 0)
        return MPIVF_OK;
    int rc = ivf_layout_fragment(lists->index, lists->manifest->fragments[f].id, path);
    if (rc == MPIVF_OK)
        rc = ivf_rawfile_open(path, *file);
    (*file)->path = lists->manifest->fragments[f].id;
    if (rc != MPIVF_OK)
        (*file)->fd = -1;
    return rc;
}

static void give_file(ivf_rawfile *file, const ivf_rawfile *spare)
{
    if (file == spare && file->fd >= 0)
        ivf_rawfile_close(file);
}

static int grow(void **block, size_t *room, size_t wanted)
{
    if (wanted <= *room)
        return MPIVF_OK;
    ivf_free(*block);
    *room = 0;
    *block = ivf_new(wanted, 1);
    if (*block == NULL)
        return MPIVF_FAILED;
    *room = wanted;
    return MPIVF_OK;
}

static int make_room(ivf_lists *lists, const group *g)
{
    const int64_t n = (int64_t)g->end - g->first;
    if (n > lists->table_room) {
        ivf_free(lists->offsets);
        ivf_free(lists->checksums);
        ivf_free(lists->filled);
        lists->table_room = n;
        lists->offsets = ivf_new(ivf_to_size(n) + 1, sizeof *lists->offsets);
        lists->checksums = ivf_new(ivf_to_size(n), sizeof *lists->checksums);
        lists->filled = ivf_new(ivf_to_size(n), sizeof *lists->filled);
        if (lists->offsets == NULL || lists->checksums == NULL || lists->filled == NULL) {
            lists->table_room = 0;
            return MPIVF_FAILED;
        }
    }
    memset(lists->filled, 0, ivf_to_size(n) * sizeof *lists->filled);
    return MPIVF_OK;
}

/* The group's part of a fragment's tables. They were found sound before; a file that changes meanwhile must not lead
 * astray. */
static int read_group_tables(ivf_lists *lists, const group *g, int64_t f, const ivf_rawfile *file)
{
    const int64_t n = (int64_t)g->end - g->first;
    const ivf_lists_place *p = &lists->places[f];
    const int64_t *starts = lists->starts + g->first;
    int rc = ivf_rawfile_read(file, p->offsets + g->first * (int64_t)sizeof(uint64_t),
                              ivf_to_size(n + 1) * sizeof(uint64_t), lists->offsets);
    if (rc == MPIVF_OK)
        rc = ivf_rawfile_read(file, p->checksums + g->first * (int64_t)sizeof(uint64_t),
                              ivf_to_size(n) * sizeof(uint64_t), lists->checksums);
    bool sound = rc != MPIVF_OK || lists->offsets[n] <= (uint64_t)lists->manifest->fragments[f].postings;
    for (int64_t i = 0; rc == MPIVF_OK && sound && i < n; i++) {
        const int64_t room = (starts[i + 1] - starts[i]) / lists->posting_bytes - lists->filled[i];
        sound =
            lists->offsets[i] <= lists->offsets[i + 1] && lists->offsets[i + 1] - lists->offsets[i] <= (uint64_t)room;
    }
    return sound
               ? rc
               : ivf_fail(MPIVF_CORRUPT, "fragment %s has changed while it was read", lists->manifest->fragments[f].id);
}

static int refuse_list(const ivf_lists *lists, int64_t f, int64_t l)
{
    return ivf_fail(MPIVF_CORRUPT, "fragment %s: list %" PRId64 " does not have its checksum; see mpivf verify",
                    lists->manifest->fragments[f].id, l);
}

/* From a fragment's run of ids and codes to the lists in the group. */
static int place_run(ivf_lists *lists, const group *g, int64_t f, const uint8_t *ids, const uint8_t *codes)
{
    const size_t size = lists->manifest->code_size;
    const int64_t *starts = lists->starts + g->first;
    for (int64_t i = 0; i < (int64_t)g->end - g->first; i++) {
        const size_t n = lists->offsets[i + 1] - lists->offsets[i];
        const size_t before = ivf_to_size(lists->filled[i]);
        const size_t total = ivf_to_size((starts[i + 1] - starts[i]) / lists->posting_bytes);
        uint8_t *list = lists->group + (starts[i] - starts[0]);
        ivf_hasher_reset(lists->hasher);
        ivf_hasher_add(lists->hasher, ids, n * sizeof(uint64_t));
        ivf_hasher_add(lists->hasher, codes, n * size);
        if (ivf_hasher_end(lists->hasher) != lists->checksums[i])
            return refuse_list(lists, f, g->first + i);
        memcpy(list + before * size, codes, n * size);
        memcpy(list + total * size + before * sizeof(uint64_t), ids, n * sizeof(uint64_t));
        lists->filled[i] += (int64_t)n;
        ids += n * sizeof(uint64_t);
        codes += n * size;
    }
    return MPIVF_OK;
}

static int read_run(ivf_lists *lists, const group *g, int64_t f, const ivf_rawfile *file)
{
    const ivf_lists_place *p = &lists->places[f];
    int rc = read_group_tables(lists, g, f, file);
    if (rc != MPIVF_OK)
        return rc;
    const int64_t first = (int64_t)lists->offsets[0];
    const int64_t n = (int64_t)lists->offsets[g->end - g->first] - first;
    if (n == 0)
        return MPIVF_OK;
    const size_t id_bytes = ivf_to_size(n) * sizeof(uint64_t);
    const size_t code_bytes = ivf_to_size(n) * lists->manifest->code_size;
    rc = grow((void **)&lists->run, &lists->run_room, id_bytes + code_bytes);
    if (rc == MPIVF_OK)
        rc = ivf_rawfile_read(file, p->ids + first * (int64_t)sizeof(uint64_t), id_bytes, lists->run);
    if (rc == MPIVF_OK)
        rc = ivf_rawfile_read(file, p->codes + first * (int64_t)lists->manifest->code_size, code_bytes,
                              lists->run + id_bytes);
    if (rc != MPIVF_OK)
        return rc;
    lists->digest += ivf_digest_ids((const uint64_t *)(const void *)lists->run, n);
    return place_run(lists, g, f, lists->run, lists->run + id_bytes);
}

/* ---- a list that is longer than a group ---- */

/* `bytes` from one file to the other, in pieces; also into the hasher, and as ids into the digest. */
static int copy_pieces(ivf_lists *lists, const group *g, const ivf_rawfile *file, int64_t from, int64_t to,
                       int64_t bytes, bool ids)
{
    int rc = grow((void **)&lists->run, &lists->run_room, ivf_to_size(PIECE_BYTES));
    for (int64_t done = 0; rc == MPIVF_OK && done < bytes;) {
        const int64_t n = ivf_min_i64(PIECE_BYTES, bytes - done);
        rc = ivf_rawfile_read(file, from + done, ivf_to_size(n), lists->run);
        if (rc != MPIVF_OK)
            break;
        ivf_hasher_add(lists->hasher, lists->run, ivf_to_size(n));
        if (ids)
            lists->digest += ivf_digest_ids((const uint64_t *)(const void *)lists->run, n / (int64_t)sizeof(uint64_t));
        rc = ivf_outfile_put(g->file, lists->run, ivf_to_size(n), to + done);
        done += n;
    }
    return rc;
}

static int copy_run(ivf_lists *lists, const group *g, int64_t f, const ivf_rawfile *file)
{
    const ivf_lists_place *p = &lists->places[f];
    const int64_t size = (int64_t)lists->manifest->code_size;
    const int64_t id_size = (int64_t)sizeof(uint64_t);
    int rc = read_group_tables(lists, g, f, file);
    if (rc != MPIVF_OK)
        return rc;
    const int64_t first = (int64_t)lists->offsets[0];
    const int64_t n = (int64_t)lists->offsets[1] - first;
    const int64_t total = (lists->starts[g->end] - lists->starts[g->first]) / lists->posting_bytes;
    const int64_t codes_at = g->base + lists->starts[g->first] + lists->filled[0] * size;
    const int64_t ids_at = g->base + lists->starts[g->first] + total * size + lists->filled[0] * id_size;
    if (n == 0)
        return MPIVF_OK;
    ivf_hasher_reset(lists->hasher);
    rc = copy_pieces(lists, g, file, p->ids + first * id_size, ids_at, n * id_size, true);
    if (rc == MPIVF_OK)
        rc = copy_pieces(lists, g, file, p->codes + first * size, codes_at, n * size, false);
    if (rc == MPIVF_OK && ivf_hasher_end(lists->hasher) != lists->checksums[0])
        rc = refuse_list(lists, f, g->first);
    lists->filled[0] += n;
    return rc;
}

/* ---- all groups ---- */

static int check_filled(const ivf_lists *lists, const group *g)
{
    for (int32_t l = g->first; l < g->end; l++)
        if (lists->filled[l - g->first] != lists->manifest->list_sizes[l])
            return ivf_fail(MPIVF_CORRUPT, "%s: list %d has changed while it was read", lists->index, l);
    return MPIVF_OK;
}

static int write_group(ivf_lists *lists, const group *g)
{
    const int64_t bytes = lists->starts[g->end] - lists->starts[g->first];
    const bool whole = bytes <= GROUP_MOST;
    int rc = make_room(lists, g);
    if (rc == MPIVF_OK && whole)
        rc = grow((void **)&lists->group, &lists->group_room, ivf_to_size(bytes));
    for (int64_t f = 0; rc == MPIVF_OK && f < lists->manifest->fragment_count; f++) {
        ivf_rawfile spare = {.fd = -1};
        ivf_rawfile *file = NULL;
        if (lists->manifest->fragments[f].postings == 0)
            continue;
        rc = take_file(lists, f, &spare, &file);
        if (rc == MPIVF_OK)
            rc = whole ? read_run(lists, g, f, file) : copy_run(lists, g, f, file);
        give_file(file, &spare);
    }
    if (rc == MPIVF_OK)
        rc = check_filled(lists, g);
    if (rc == MPIVF_OK && whole)
        rc = ivf_outfile_put(g->file, lists->group, ivf_to_size(bytes), g->base + lists->starts[g->first]);
    return rc;
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
