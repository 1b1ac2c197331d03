/* Assignment of rows to their best centroid in 8 bits, against the f32 kernel on the same rows and against the peak of
 * the processor's integer products: speed, and the share of rows that get the same centroid. One thread; the sides
 * alternate. Rows: clusters of normal values, or a file of bytes (u8bin). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "math/coarse.h"
#include "math/panels.h"
#include "math/simd.h"
#include "support/measure.h"

typedef struct {
    int64_t n;
    int64_t nlist;
    int d;
    float *x;         /* [n][d] */
    float *centroids; /* [nlist][d] */
    int8_t *q;        /* [n][stride] */
    int32_t *best[2]; /* [n]: in f32, in 8 bits */
    float *score[2];  /* [n] */
    int64_t taken;    /* f32 scores in a pass of 8 bits */
    ivf_grid grid;
    ivf_panels *panels;
    ivf_coarse *coarse;
} problem;

#if defined(__x86_64__)
enum { PEAK_SUMS = 24, PEAK_STEPS = 1 << 18 };

/* Products of u8 and i8 that the processor can do if nothing else is to do; counts 2 for each, as a product and a sum.
 */
__attribute__((target("avx512f,avx512vnni"))) static void run_peak(void *arg)
{
    (void)arg;
    for (int step = 0; step < PEAK_STEPS; step++) {
        __asm__ volatile("vpdpbusd %%zmm31, %%zmm30, %%zmm0\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm1\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm2\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm3\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm4\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm5\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm6\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm7\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm8\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm9\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm10\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm11\n\t" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                               "xmm11");
    }
}
static const double peak_work = 2e-9 * PEAK_STEPS * 12 * 64;
#else
static void run_peak(void *arg)
{
    (void)arg;
}
static const double peak_work = 0;
#endif

static void run_f32(void *arg)
{
    problem *p = arg;
    ivf_panels_best(p->panels, p->x, p->n, p->best[0], p->score[0]);
}

static void run_scan(void *arg)
{
    problem *p = arg;
    ivf_coarse_rows rows = {.q = p->q, .list = NULL, .n = p->n};
    ivf_coarse_nearest(p->coarse, ivf_coarse_all(p->coarse), &rows, p->best[1]);
}

static void run_coarse(void *arg)
{
    problem *p = arg;
    (void)ivf_grid_round(&p->grid, p->x, p->n, p->q, NULL);
    p->taken = ivf_coarse_best(p->coarse, p->x, p->q, p->n, p->best[1], NULL);
}

static void run_pack(void *arg)
{
    problem *p = arg;
    ivf_coarse_pack(p->coarse, &p->grid, IVF_L2, p->centroids, p->nlist, NULL, 1);
}

static int measure(int d, int64_t nlist, int64_t n, int repetitions)
{
    problem p = {.n = n, .nlist = nlist, .d = d};
    p.x = bench_values(n * d, 1);
    p.centroids = bench_values(nlist * d, 2);
    p.q = ivf_new(ivf_to_size(n * ivf_grid_stride(d)), 1);
    for (int i = 0; i < 2; i++) {
        p.best[i] = ivf_new(ivf_to_size(n), 4);
        p.score[i] = ivf_new(ivf_to_size(n), 4);
    }
    if (ivf_grid_fit(&p.grid, p.x, n, d) != 0)
        return 1;
    p.panels = ivf_panels_new(p.centroids, nlist, d, IVF_L2);
    p.coarse = ivf_coarse_new(nlist, 1, d);
    run_pack(&p);
    (void)ivf_grid_round(&p.grid, p.x, p.n, p.q, NULL);
    static bench_work *const works[] = {run_peak, run_f32, run_scan, run_coarse, run_pack};
    bench_time t[5];
    bench_alternate(works, 5, &p, repetitions, t);
    double work = 2e-9 * (double)n * (double)nlist * d;
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++)
        same += p.best[0][i] == p.best[1][i];
    printf("best: scan %.3f of peak\n", work / t[2].best / (peak_work / t[0].best));
    printf("%5d %6lld %7lld peak %7.1f f32 %7.1f scan %7.1f (%.3f of peak) whole %7.1f  ratio %.2f agree %.4f taken "
           "%.3f pack %.4f\n",
           d, (long long)nlist, (long long)n, peak_work / t[0].median, work / t[1].median, work / t[2].median,
           work / t[2].median / (peak_work / t[0].median), work / t[3].median, t[1].median / t[3].median,
           (double)same / (double)n, (double)p.taken / (double)n, t[4].median);
    return 0;
}

int main(int argc, char **argv)
{
    int d = argc > 1 ? atoi(argv[1]) : 128;
    int64_t k = argc > 2 ? atoi(argv[2]) : 4096;
    int64_t n = argc > 3 ? atoi(argv[3]) : 2048;
    int r = argc > 4 ? atoi(argv[4]) : 9;
    return measure(d, k, n, r);
}
