/* Sharing out lists makes room: more nodes hold larger indexes. But it does not make as many times more of the work
 * quicker: each rank prepares all queries, and computes keys of postings that only others' neighbours would have ruled
 * out. Sharing out queries has neither fault; so ranks of a node, which can hold lists once for all of them, share out
 * queries. Too many parts, though, leave too few queries to scan a list for at once; then a node is several rows.
 *
 * Of few queries there is nothing to share out: then every rank scans some of the lists of its row for all of them.
 *
 * Which of it is chosen depends on memory by formulas, on d and on the ranks of the nodes, never on the clock. */
#include "search/spread.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "comm/transfer.h"
#include "search/feed.h"

enum { PART_LEAST = 512 }; /* queries of the feed's batches */

int ivf_spread_most(int d)
{
    return ivf_to_int(ivf_max_i64(1, ivf_feed_batch(INT64_MAX, d) / PART_LEAST));
}

static void say_budget(const ivf_budget *budget, const ivf_postings_share *share)
{
    char needed[24];
    if (budget->room.resident < share->end)
        ivf_info(
            "%d of %d lists are held in memory, the others are read as they are probed; memory of a rank, at most: %s",
            budget->room.resident > share->first ? budget->room.resident - share->first : 0, share->end - share->first,
            ivf_text_bytes((double)budget->needed, needed));
    else
        ivf_debug("memory of a rank, at most: %s", ivf_text_bytes((double)budget->needed, needed));
}

/* The share of the mesh's row: its rows share out the lists. */
static ivf_postings_share share_of(const ivf_ctx *ctx, const ivf_spread_input *in, const ivf_mesh *mesh)
{
    const ivf_ctx *column = mesh->column != NULL ? mesh->column : ctx;
    return ivf_postings_share_of(in->budget.manifest, ivf_ctx_rank(column), ivf_ctx_size(column));
}

static ivf_budget_input budget_input(const ivf_ctx *ctx, const ivf_spread_input *in, const ivf_spreading *spread,
                                     const ivf_postings_share *share)
{
    ivf_budget_input budget = in->budget;
    ivf_memory_trim();
    budget.share = share;
    budget.postings = &spread->postings;
    budget.ranks = ivf_ctx_size(ctx);
    budget.together = ivf_ctx_size(spread->mesh.row);
    if (budget.held == 0)
        budget.held = ivf_memory_resident();
    if (spread->mesh.parts > 1) /* find_own */
        budget.beside += budget.model->nlist * (int64_t)sizeof(ivf_list);
    return budget;
}

/* Local. The same by the manifest, before files are opened: lists that are cut across rows count for nothing here. */
static int check_first(const ivf_ctx *ctx, const ivf_spread_input *in, const ivf_spreading *spread,
                       const ivf_postings_share *share, bool *fits)
{
    const ivf_manifest *m = in->budget.manifest;
    ivf_spreading known = {.mesh = spread->mesh, .postings = {.nlist = m->factory.nlist}};
    const bool whole = m->layout == IVF_LAYOUT_LISTS || share->to - share->from == m->fragment_count;
    ivf_budget budget = {0};
    *fits = true;
    if (in->budget.memory == 0 || !whole)
        return MPIVF_OK;
    known.postings.lists = ivf_new_zero((size_t)m->factory.nlist, sizeof *known.postings.lists);
    if (known.postings.lists == NULL)
        return MPIVF_FAILED;
    for (int32_t l = share->first; l < share->end; l++)
        known.postings.lists[l].n = m->list_sizes[l];
    const ivf_budget_input input = budget_input(ctx, in, &known, share);
    *fits = ivf_budget_holds(&input, &budget);
    ivf_free(known.postings.lists);
    return MPIVF_OK;
}

/* Collective. *all: whether every rank says so; the code that they agree on. */
static int agree_on(const ivf_ctx *ctx, int rc, bool fits, bool *all)
{
    int64_t refused = !fits;
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_allmax_i64(ctx, &refused, 1);
    *all = rc == MPIVF_OK && refused == 0;
    return rc;
}

/* Collective. Every rank of the row finds and reads some; *held: whether they all fit, on every rank. */
static int load_together(const ivf_ctx *ctx, const ivf_spread_input *in, ivf_spreading *spread, bool *held)
{
    const ivf_ctx *row = spread->mesh.row;
    const ivf_postings_share share = share_of(ctx, in, &spread->mesh);
    ivf_budget budget = {0};
    bool fits = false;
    int rc = check_first(ctx, in, spread, &share, &fits);
    rc = agree_on(ctx, rc, fits, &fits);
    if (rc != MPIVF_OK || !fits)
        return rc;
    rc = ivf_postings_find(row, in->index, in->budget.manifest, in->budget.model, &share, &spread->postings);
    if (rc == MPIVF_OK) {
        const ivf_budget_input input = budget_input(ctx, in, spread, &share);
        fits = ivf_budget_holds(&input, &budget);
    }
    rc = agree_on(ctx, rc, fits, &fits);
    if (rc != MPIVF_OK || !fits)
        return rc;
    rc = ivf_postings_reserve(row, in->budget.model, budget.room.resident, &spread->postings, &fits);
    rc = agree_on(ctx, rc, fits, &fits);
    if (rc != MPIVF_OK || !fits)
        return rc;
    rc = ivf_postings_load(row, in->index, in->budget.manifest, in->budget.model, &share, &budget.room,
                           &spread->postings);
    spread->batch_bytes = budget.batch_bytes;
    spread->piece_bytes = budget.piece_bytes;
    say_budget(&budget, &share);
    *held = true;
    return ivf_agree(ctx, rc);
}

/* Local, but for the row, which is this rank alone. */
static int load_share(const ivf_ctx *ctx, const ivf_spread_input *in, ivf_spreading *spread)
{
    const ivf_ctx *row = spread->mesh.row;
    const ivf_postings_share share = share_of(ctx, in, &spread->mesh);
    ivf_budget budget = {0};
    bool reserved = false;
    int rc = ivf_postings_find(row, in->index, in->budget.manifest, in->budget.model, &share, &spread->postings);
    if (rc != MPIVF_OK)
        return rc;
    const ivf_budget_input input = budget_input(ctx, in, spread, &share);
    rc = ivf_budget_find(&input, &budget);
    if (rc == MPIVF_OK)
        rc = ivf_postings_reserve(row, in->budget.model, budget.room.resident, &spread->postings, &reserved);
    if (rc != MPIVF_OK)
        return rc;
    spread->batch_bytes = budget.batch_bytes;
    spread->piece_bytes = budget.piece_bytes;
    say_budget(&budget, &share);
    return ivf_postings_load(row, in->index, in->budget.manifest, in->budget.model, &share, &budget.room,
                             &spread->postings);
}

/* Of the row's lists every `parts`-th is this rank's when all scan for the same queries. */
static int find_own(ivf_spreading *spread)
{
    const ivf_postings *all = &spread->postings;
    const ivf_mesh *mesh = &spread->mesh;
    spread->own = *all;
    spread->own.lists = ivf_new((size_t)all->nlist, sizeof *all->lists);
    spread->offsets = ivf_new((size_t)mesh->parts + 1, sizeof *spread->offsets);
    if (spread->own.lists == NULL || spread->offsets == NULL)
        return MPIVF_FAILED;
    memcpy(spread->own.lists, all->lists, (size_t)all->nlist * sizeof *all->lists);
    for (int32_t l = 0; l < all->nlist; l++)
        if (l % mesh->parts != mesh->part)
            spread->own.lists[l].n = 0;
    return MPIVF_OK;
}

static int refuse_queries(void)
{
    return ivf_fail(MPIVF_USAGE, "--spread queries wants all lists in the memory of every node: --memory, or what the "
                                 "system lets processes share, does not allow it; use --spread lists");
}

/* Collective. Several ranks may hold lists together. */
static int open_together(const ivf_ctx *ctx, const ivf_spread_input *in, ivf_spreading *spread, bool *held)
{
    const bool all = in->kind == IVF_SPREAD_QUERIES;
    const int most = in->parts > 0 ? in->parts : ivf_spread_most(in->budget.model->d);
    int rc = ivf_mesh_open(ctx, all ? IVF_MESH_NODES : IVF_MESH_GRID, most, &spread->mesh);
    if (rc == MPIVF_OK && spread->mesh.parts > 1)
        rc = load_together(ctx, in, spread, held);
    if (rc == MPIVF_OK && all && !*held)
        rc = ivf_agree(ctx, refuse_queries());
    if (rc == MPIVF_OK && *held)
        rc = ivf_agree(ctx, find_own(spread));
    return rc;
}

int ivf_spread_open(const ivf_ctx *ctx, const ivf_spread_input *in, ivf_spreading *spread)
{
    bool held = false;
    int rc = MPIVF_OK;
    *spread = (ivf_spreading){0};
    if (ivf_ctx_size(ctx) > 1 && in->kind != IVF_SPREAD_LISTS)
        rc = open_together(ctx, in, spread, &held);
    if (rc == MPIVF_OK && !held) {
        ivf_spread_close(spread);
        rc = ivf_mesh_open(ctx, IVF_MESH_COLUMN, 1, &spread->mesh);
        if (rc == MPIVF_OK)
            rc = ivf_agree(ctx, load_share(ctx, in, spread));
    }
    if (rc != MPIVF_OK) {
        ivf_spread_close(spread);
        return rc;
    }
    int64_t least = -spread->batch_bytes; /* ranks may have room for batches of different sizes */
    ivf_allmax_i64(ctx, &least, 1);
    spread->batch_bytes = -least;
    return MPIVF_OK;
}

void ivf_spread_close(ivf_spreading *spread)
{
    ivf_postings_free(&spread->postings);
    ivf_free(spread->own.lists);
    ivf_free(spread->offsets);
    ivf_mesh_close(&spread->mesh);
    *spread = (ivf_spreading){0};
}

/* The first query of a part. */
static int64_t first_of(int64_t nq, int part, int parts)
{
    return ivf_min_i64(nq, ivf_ceil_div(nq, IVF_SPREAD_STEP) * part / parts * IVF_SPREAD_STEP);
}

int ivf_spread_parts(const ivf_spreading *spread, int64_t nq)
{
    const int parts = spread->mesh.parts;
    return nq < (int64_t)IVF_SPREAD_STEP * parts ? 1 : parts;
}

ivf_spread_part ivf_spread_part_of(const ivf_ctx *ctx, const ivf_spreading *spread, int parts, int64_t nq)
{
    const ivf_mesh *mesh = &spread->mesh;
    if (parts == 1)
        return (ivf_spread_part){
            .column = ctx, .postings = mesh->parts > 1 ? &spread->own : &spread->postings, .n = nq};
    ivf_spread_part part = {.column = mesh->column, .postings = &spread->postings};
    part.first = first_of(nq, mesh->part, parts);
    part.n = first_of(nq, mesh->part + 1, parts) - part.first;
    return part;
}

void ivf_spread_gather(const ivf_ctx *ctx, const ivf_spreading *spread, int parts, int64_t nq, size_t bytes,
                       const void *mine, void *all)
{
    const ivf_mesh *mesh = &spread->mesh;
    if (parts == 1 || !ivf_ctx_is_root(mesh->column))
        return;
    for (int part = 0; part <= parts; part++)
        spread->offsets[part] = first_of(nq, part, parts) * ivf_to_i64(bytes);
    /* Those who lead the columns: the first row, or where each rank is a column, all. */
    ivf_gather_parts(ivf_ctx_size(ctx) == parts ? ctx : mesh->row, mine, all, spread->offsets);
}
