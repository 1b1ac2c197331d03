/* Ranking of centroids, for the searcher: once for each query, by one rank, on its threads.
 *
 * The queries are cut into blocks of a fixed size whatever the number of ranks, and a block is ranked whole: products
 * from a BLAS may depend on the shape of the call, and lists on the edge of nprobe must not depend on who ranked them.
 * Down a tree blocks are larger where there are many queries, so that several of a block meet at a node.
 *
 * Memory: 8 bytes for each query and probe, and a thread's scratch of math/panels.h. Collectives: three agreements, two
 * all-gathers. */
#include "search/probe.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"

enum { BLOCK_QUERIES = 32, MOST_QUERIES = 256, MOST_BLOCKS = 16 };

int ivf_probes_new(ivf_probes *probes, int64_t capacity, int nprobe)
{
    size_t count = 0;
    *probes = (ivf_probes){.nprobe = nprobe};
    if (__builtin_mul_overflow(ivf_to_size(capacity), (size_t)nprobe, &count))
        return ivf_fail(MPIVF_FAILED, "out of memory: %d probes of so many queries exceed the address space", nprobe);
    probes->list = ivf_new(count, sizeof *probes->list);
    probes->score = ivf_new(count, sizeof *probes->score);
    return probes->list == NULL || probes->score == NULL ? MPIVF_FAILED : MPIVF_OK;
}

void ivf_probes_free(ivf_probes *probes)
{
    ivf_free(probes->list);
    ivf_free(probes->score);
    *probes = (ivf_probes){0};
}

typedef struct {
    const ivf_probes *probes;
    const ivf_panels *centroids;
    const float *queries;
    int64_t nq;
    int d;
    int64_t block; /* queries */
    int64_t first_block;
    char *scratch; /* [workers][scratch_bytes], owned */
    size_t scratch_bytes;
} ranking;

static int rank_block(void *arg, int64_t task, int worker)
{
    const ranking *r = arg;
    const ivf_probes *probes = r->probes;
    int64_t first = (r->first_block + task) * r->block;
    int64_t n = ivf_min_i64(r->block, r->nq - first);
    int64_t at = first * probes->nprobe;
    const float *x = r->queries + first * r->d;
    char *scratch = r->scratch + (size_t)worker * r->scratch_bytes;
    if (probes->descent != NULL)
        ivf_descent_run(probes->descent, &probes->route, x, n, probes->list + at, probes->score + at, scratch);
    else
        ivf_panels_top(r->centroids, x, n, probes->nprobe, probes->list + at, probes->score + at, scratch);
    return MPIVF_OK;
}

/* Of a thread, for blocks of so many queries. */
static int64_t scratch_of(const ivf_panels *centroids, const ivf_descent *descent, const ivf_route *route,
                          int64_t block)
{
    const size_t bytes =
        descent == NULL ? ivf_panels_top_scratch(centroids) : ivf_descent_scratch(descent, route, block);
    return ivf_round_up(ivf_to_i64(bytes), 64);
}

int64_t ivf_probes_memory(const ivf_panels *centroids, const ivf_descent *descent, const ivf_route *route)
{
    return ivf_team_size() * scratch_of(centroids, route == NULL ? NULL : descent, route, MOST_QUERIES);
}

/* By the number of queries alone, which every rank knows. */
static int64_t choose_block(const ivf_probes *probes, int64_t nq)
{
    if (probes->descent == NULL)
        return BLOCK_QUERIES;
    return ivf_max_i64(BLOCK_QUERIES, ivf_min_i64(MOST_QUERIES, nq / MOST_BLOCKS));
}

/* Each rank's share of the blocks, as offsets[size + 1] in bytes of a list or score array. */
static void share_out(const ivf_ctx *ctx, const ranking *r, int64_t *offsets)
{
    int64_t size = ivf_ctx_size(ctx);
    int64_t blocks = ivf_ceil_div(r->nq, r->block);
    for (int64_t rank = 0; rank <= size; rank++)
        offsets[rank] =
            ivf_min_i64(r->nq, blocks * rank / size * r->block) * r->probes->nprobe * (int64_t)sizeof(int32_t);
}

/* Local. This rank's share, which its offsets name. */
static int rank_share(ranking *r, int64_t from, int64_t to)
{
    const ivf_probes *probes = r->probes;
    int64_t block_bytes = r->block * (int64_t)sizeof(int32_t) * probes->nprobe;
    r->first_block = ivf_ceil_div(from, block_bytes);
    r->scratch_bytes = ivf_to_size(scratch_of(r->centroids, probes->descent, &probes->route, r->block));
    r->scratch = ivf_new((size_t)ivf_team_size(), r->scratch_bytes);
    if (r->scratch == NULL)
        return MPIVF_FAILED;
    int rc = ivf_team_run(ivf_ceil_div(to - from, block_bytes), rank_block, r);
    ivf_free(r->scratch);
    return rc;
}

int ivf_probes_rank(const ivf_ctx *ctx, ivf_probes *probes, const ivf_panels *centroids, const float *queries,
                    int64_t nq, int d)
{
    _Static_assert(sizeof *probes->list == sizeof *probes->score, "one array of offsets serves both");
    ranking r = {.probes = probes, .centroids = centroids, .queries = queries, .nq = nq, .d = d};
    r.block = choose_block(probes, nq);
    int64_t *offsets = ivf_new((size_t)ivf_ctx_size(ctx) + 1, sizeof *offsets);
    int rc = offsets == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK) {
        share_out(ctx, &r, offsets);
        rc = rank_share(&r, offsets[ivf_ctx_rank(ctx)], offsets[ivf_ctx_rank(ctx) + 1]);
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_allgather_bytes(ctx, probes->list, offsets);
    if (rc == MPIVF_OK)
        rc = ivf_allgather_bytes(ctx, probes->score, offsets);
    ivf_free(offsets);
    return rc;
}
