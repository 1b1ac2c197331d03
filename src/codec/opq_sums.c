/* The passes over rows of OPQ's training. Rows are taken in blocks of places, each block's products by one BLAS call;
 * blocks are added up in 64-bit fixed point, so that neither ranks nor threads matter. */
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "codec/opq_work.h"
#include "comm/transfer.h"
#include "math/gemm.h"

typedef void add_block(ivf_opq_work *w, size_t worker, int64_t first, int64_t n);

typedef struct {
    ivf_opq_work *work;
    add_block *add;
} pass;

static int pass_task(void *arg, int64_t block, int worker)
{
    const pass *p = arg;
    const int64_t first = block * IVF_OPQ_BLOCK;
    p->add(p->work, (size_t)worker, first, ivf_min_i64(IVF_OPQ_BLOCK, p->work->rows - first));
    return MPIVF_OK;
}

static int run_pass(ivf_opq_work *w, int64_t prefix, size_t length, add_block *add)
{
    pass p = {w, add};
    w->rows = ivf_share_prefix(&w->share, prefix);
    for (size_t worker = 0; worker < (size_t)w->workers; worker++)
        memset(w->sums + worker * w->sums_length, 0, length * sizeof *w->sums);
    int rc = ivf_agree(w->ctx, ivf_team_run_stoppable(ivf_ceil_div(w->rows, IVF_OPQ_BLOCK), pass_task, &p));
    if (rc != MPIVF_OK)
        return rc;
    for (size_t worker = 1; worker < (size_t)w->workers; worker++)
        for (size_t i = 0; i < length; i++)
            w->sums[i] += w->sums[worker * w->sums_length + i];
    ivf_allsum_i64(w->ctx, w->sums, (int64_t)length);
    return MPIVF_OK;
}

static const float *rows_at(const ivf_opq_work *w, int64_t first)
{
    return w->x + (size_t)first * w->d;
}

static float *rotated_of(const ivf_opq_work *w, size_t worker)
{
    return w->rotated + worker * IVF_OPQ_BLOCK * (w->d > w->d_out ? w->d : w->d_out);
}

/* a[n][d]^T . b[n][width] onto sums[d][width]. */
static void add_product(const ivf_opq_work *w, size_t worker, const float *a, const float *b, size_t width, int64_t n,
                        int64_t *sums)
{
    float *product = w->product + worker * w->d * (w->d > w->d_out ? w->d : w->d_out);
    ivf_gemm_tn((int64_t)w->d, (int64_t)width, n, a, b, product);
    for (size_t i = 0; i < w->d * width; i++)
        sums[i] += ivf_opq_fixed((double)product[i], w->product_unit);
}

static void add_squares(ivf_opq_work *w, size_t worker, int64_t first, int64_t n)
{
    const float *x = rows_at(w, first);
    int64_t *sums = w->sums + worker * w->sums_length;
    add_product(w, worker, x, x, w->d, n, sums);
    sums += w->d * w->d;
    for (int64_t row = 0; row < n; row++, x += w->d)
        for (size_t j = 0; j < w->d; j++)
            sums[j] += ivf_opq_fixed((double)x[j], w->value_unit);
}

int ivf_opq_sum_squares(ivf_opq_work *w, int64_t prefix)
{
    return run_pass(w, prefix, w->d * (w->d + 1), add_squares);
}

/* One sub-vector at a time, whose sums stay in the first-level cache. */
static void add_cells(ivf_opq_work *w, size_t worker, int64_t first, int64_t n)
{
    float *z = rotated_of(w, worker);
    uint8_t *codes = w->codes + (size_t)first * w->m;
    int64_t *sums = w->sums + worker * w->sums_length;
    int64_t *counts = sums + w->d_out * IVF_OPQ_WORDS;
    ivf_gemm_nt(n, (int64_t)w->d_out, (int64_t)w->d, rows_at(w, first), w->rotation, z, (int64_t)w->d_out);
    ivf_codec_encode(w->codec, z, n, codes, w->scratch + worker * w->scratch_bytes);
    double squares = 0; /* after the counts of the last sub-vector */
    for (size_t sub = 0; sub < w->m; sub++, counts += IVF_OPQ_WORDS) {
        for (size_t row = 0; row < (size_t)n; row++) {
            const size_t word = codes[row * w->m + sub];
            const float *from = z + row * w->d_out + sub * w->dsub;
            int64_t *to = sums + (sub * IVF_OPQ_WORDS + word) * w->dsub;
            counts[word]++;
            for (size_t j = 0; j < w->dsub; j++) {
                to[j] += ivf_opq_fixed((double)from[j], w->value_unit);
                squares += (double)from[j] * (double)from[j];
            }
        }
    }
    counts[0] += ivf_opq_fixed(squares, w->product_unit);
}

int ivf_opq_sum_cells(ivf_opq_work *w, int64_t prefix)
{
    return run_pass(w, prefix, (w->d_out + w->m) * IVF_OPQ_WORDS + 1, add_cells);
}

static void add_decoded(ivf_opq_work *w, size_t worker, int64_t first, int64_t n)
{
    float *y = rotated_of(w, worker);
    ivf_codec_decode(w->codec, w->codes + (size_t)first * w->m, n, y);
    add_product(w, worker, rows_at(w, first), y, w->d_out, n, w->sums + worker * w->sums_length);
}

int ivf_opq_sum_decoded(ivf_opq_work *w, int64_t prefix)
{
    return run_pass(w, prefix, w->d * w->d_out, add_decoded);
}
