/* Known neighbours for tuning without a file of them. Rows are drawn by a permutation of all row numbers, so that they
 * depend on the seed and the number of rows alone, and read in ascending order by rank 0. Memory: the queries on every
 * rank, and what exact search takes. Collectives: agreements, two broadcasts, those of exact search. */
#include "search/known.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "comm/transfer.h"
#include "math/rows.h"
#include "search/exact.h"

enum { DRAWS_FOR_EACH = 2 }; /* rows that are looked at for each one that is wanted, at most */

static int compare_rows(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Rank 0: reads rows[drawn], ascending, and keeps the first `wanted` that can be indexed. */
static int read_rows(ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, const int64_t *rows, int64_t drawn,
                     int64_t wanted, ivf_known *known)
{
    const int d = ivf_dataset_d(dataset);
    int rc = MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < drawn && known->nq < wanted; i++) {
        float *x = known->queries + known->nq * d;
        uint8_t reason = IVF_ROW_OK;
        rc = ivf_dataset_read(dataset, rows[i], 1, x);
        if (rc == MPIVF_OK)
            rc = ivf_ids_read(ids, rows[i], 1, &known->own[known->nq]);
        if (rc == MPIVF_OK && ivf_rows_check(x, 1, d, metric, INFINITY, &reason) == 0)
            known->nq++;
    }
    if (rc == MPIVF_OK && known->nq == 0)
        rc = ivf_fail(MPIVF_BAD_INPUT, "none of the rows that were drawn as queries can be indexed");
    return rc;
}

/* Rank 0. */
static int draw(ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, int64_t wanted, uint64_t seed, ivf_known *known)
{
    const uint64_t all = (uint64_t)ivf_dataset_rows(dataset);
    const int64_t drawn = ivf_min_i64(wanted * DRAWS_FOR_EACH, (int64_t)all);
    const ivf_permutation permutation = ivf_permutation_make(all, seed, IVF_RNG_TUNE);
    int64_t *rows = ivf_new(ivf_to_size(drawn), sizeof *rows);
    if (rows == NULL)
        return MPIVF_FAILED;
    for (int64_t i = 0; i < drawn; i++)
        rows[i] = (int64_t)ivf_permutation_at(&permutation, (uint64_t)i);
    /* Half of them in the order of the file, then the other half, should some not do. */
    const int64_t half = ivf_min_i64(wanted, drawn);
    qsort(rows, ivf_to_size(half), sizeof *rows, compare_rows);
    qsort(rows + half, ivf_to_size(drawn - half), sizeof *rows, compare_rows);
    int rc = read_rows(dataset, ids, metric, rows, drawn, wanted, known);
    ivf_free(rows);
    return rc;
}

int ivf_known_draw(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, int64_t rows,
                   uint64_t seed, ivf_known *known)
{
    const int64_t wanted = ivf_min_i64(rows, ivf_dataset_rows(dataset));
    const size_t row_bytes = (size_t)ivf_dataset_d(dataset) * sizeof *known->queries;
    *known = (ivf_known){.queries = ivf_new(ivf_to_size(wanted), row_bytes)};
    int rc = known->queries == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx)) {
        known->own = ivf_new(ivf_to_size(wanted), sizeof *known->own);
        rc = known->own == NULL ? MPIVF_FAILED : draw(dataset, ids, metric, wanted, seed, known);
    }
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &known->nq, sizeof known->nq);
    ivf_bcast(ctx, known->queries, ivf_to_size(known->nq) * row_bytes);
    return MPIVF_OK;
}

void ivf_known_leave_out(const uint64_t *own, ivf_neighbor *found, int64_t nq, int k)
{
    for (int64_t q = 0; q < nq; q++) {
        ivf_neighbor *row = found + q * (k + 1);
        int at = 0;
        while (at < k && row[at].id != own[q])
            at++;
        memmove(row + at, row + at + 1, (size_t)(k - at) * sizeof *row);
    }
}

/* Rank 0: the first k of found[nq][width]. */
static int take_truth(const ivf_neighbor *found, int width, int k, ivf_known *known)
{
    ivf_groundtruth *truth = &known->truth;
    *truth = (ivf_groundtruth){.queries = known->nq, .k = k};
    truth->ids = ivf_new(ivf_to_size(known->nq) * (size_t)k, sizeof *truth->ids);
    if (truth->ids == NULL)
        return MPIVF_FAILED;
    for (int64_t q = 0; q < known->nq; q++)
        for (int i = 0; i < k; i++) {
            uint64_t id = found[q * width + i].id;
            truth->ids[q * k + i] = id == UINT64_MAX ? -1 : (int64_t)id;
        }
    return MPIVF_OK;
}

int ivf_known_find(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, int k, ivf_known *known)
{
    int64_t leaves_out = known->own != NULL;
    ivf_bcast(ctx, &leaves_out, sizeof leaves_out);
    const int width = leaves_out ? k + 1 : k;
    ivf_neighbor *found = NULL;
    int64_t skipped = 0;
    int rc = MPIVF_OK;
    if (ivf_ctx_is_root(ctx)) {
        found = ivf_new(ivf_to_size(known->nq) * (size_t)width, sizeof *found);
        rc = found == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_exact(ctx, dataset, ids, metric, known->queries, known->nq, width, found, &skipped);
    if (rc == MPIVF_OK && found != NULL) {
        if (known->own != NULL)
            ivf_known_leave_out(known->own, found, known->nq, k);
        rc = take_truth(found, width, k, known);
    }
    ivf_free(found);
    return ivf_agree(ctx, rc);
}

int64_t ivf_known_memory(int64_t rows, int d, bool drawn, int k)
{
    const int64_t of_query = d * (int64_t)sizeof(float) + (drawn ? (int64_t)sizeof(uint64_t) : 0);
    return rows * (of_query + k * (int64_t)sizeof(int64_t));
}

int64_t ivf_known_finding_memory(int ranks, const ivf_dataset *dataset, ivf_metric metric, int64_t rows, bool drawn,
                                 int k)
{
    const int width = drawn ? k + 1 : k;
    const int64_t drawing = drawn ? rows * DRAWS_FOR_EACH * (int64_t)sizeof(int64_t) : 0;
    const int64_t found = rows * width * (int64_t)sizeof(ivf_neighbor);
    return ivf_max_i64(drawing, found + ivf_exact_memory(ranks, dataset, metric, rows, width));
}

void ivf_known_free(ivf_known *known)
{
    ivf_groundtruth_free(&known->truth);
    ivf_free(known->own);
    ivf_free(known->queries);
    *known = (ivf_known){0};
}
