/* Ranking of centroids, for the searcher: once for each query, by one rank, on its threads.
 *
 * The queries are cut into blocks of a fixed size whatever the number of ranks, and a block is ranked whole: products
 * from a BLAS may depend on the shape of the call, and lists on the edge of nprobe must not depend on who ranked them.
 *
 * Memory: 8 bytes for each query and probe, and a thread's scratch of math/panels.h. Collectives: three agreements, two
 * all-gathers. */
#include "search/probe.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"

enum { BLOCK_QUERIES = 32 };

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
    int64_t first_block;
    char *scratch; /* [workers][scratch_bytes], owned */
    size_t scratch_bytes;
} ranking;

static int rank_block(void *arg, int64_t task, int worker)
{
    const ranking *r = arg;
    int64_t first = (r->first_block + task) * BLOCK_QUERIES;
    int64_t at = first * r->probes->nprobe;
    ivf_panels_top(r->centroids, r->queries + first * r->d, ivf_min_i64(BLOCK_QUERIES, r->nq - first),
                   r->probes->nprobe, r->probes->list + at, r->probes->score + at,
                   r->scratch + (size_t)worker * r->scratch_bytes);
    return MPIVF_OK;
}

/* Each rank's share of the blocks, as offsets[size + 1] in bytes of a list or score array. */
static void share_out(const ivf_ctx *ctx, int64_t nq, int nprobe, int64_t *offsets)
{
    int64_t size = ivf_ctx_size(ctx);
    int64_t blocks = ivf_ceil_div(nq, BLOCK_QUERIES);
    for (int64_t r = 0; r <= size; r++)
        offsets[r] = ivf_min_i64(nq, blocks * r / size * BLOCK_QUERIES) * nprobe * (int64_t)sizeof(int32_t);
}

/* Local. This rank's share, which its offsets name. */
static int rank_share(ranking *r, int64_t from, int64_t to)
{
    int64_t block_bytes = BLOCK_QUERIES * (int64_t)sizeof(int32_t) * r->probes->nprobe;
    r->first_block = ivf_ceil_div(from, block_bytes);
    r->scratch_bytes = ivf_to_size(ivf_round_up((int64_t)ivf_panels_top_scratch(r->centroids), 64));
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
    int64_t *offsets = ivf_new((size_t)ivf_ctx_size(ctx) + 1, sizeof *offsets);
    int rc = offsets == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK) {
        share_out(ctx, nq, probes->nprobe, offsets);
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
