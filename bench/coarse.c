/* Assignment of rows to their best centroid in 8 bits, against the f32 kernel on the same rows and against the peak of
 * the processor's integer products: speed, and the share of rows that get the same centroid. Rows are clusters, or a
 * file of bytes; the centroids are trained on them. One thread; the sides alternate. */
#include <string.h>

#include "base/team.h"
#include "cluster/kmeans.h"
#include "math/coarse.h"
#include "math/panels.h"
#include "math/simd.h"
#include "support/options.h"
#include "support/vectors.h"

typedef struct {
    int64_t n;
    int64_t nlist;
    int d;
    const float *x;   /* [n][d] */
    float *centroids; /* [nlist][d] */
    int8_t *q;        /* [n][stride] */
    int32_t *best[2]; /* [n]: in f32, in 8 bits */
    float *score;     /* [n] */
    int64_t taken;    /* f32 scores in a pass of 8 bits */
    ivf_grid grid;
    ivf_panels *panels;
    ivf_coarse *coarse;
} problem;

enum { PEAK_STEPS = 1 << 18, PEAK_SUMS = 12, PEAK_PRODUCTS = 64, OPS = 2 };

/* Integer products that the processor does if nothing else is to do, as many sums at once as hide their latency. */
#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) static void run_peak(void *arg)
{
    (void)arg;
    for (int step = 0; step < PEAK_STEPS; step++) {
        __asm__ volatile("vpdpbusd %%zmm31, %%zmm30, %%zmm0\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm1\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm2\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm3\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm4\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm5\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm6\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm7\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm8\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm9\n\t"
                         "vpdpbusd %%zmm31, %%zmm30, %%zmm10\n\tvpdpbusd %%zmm31, %%zmm30, %%zmm11\n\t"
                         :
                         :
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                           "xmm11");
    }
}
#else
static void run_peak(void *arg)
{
    (void)arg;
}
#endif

static void run_f32(void *arg)
{
    problem *p = arg;
    ivf_panels_best(p->panels, p->x, p->n, p->best[0], p->score);
}

static void run_scan(void *arg)
{
    problem *p = arg;
    ivf_coarse_rows rows = {.q = p->q, .list = NULL, .n = p->n};
    ivf_coarse_nearest(p->coarse, ivf_coarse_all(p->coarse), &rows, p->best[1]);
}

static void run_whole(void *arg)
{
    problem *p = arg;
    (void)ivf_grid_round(&p->grid, p->x, p->n, p->q, NULL);
    p->taken = ivf_coarse_best(p->coarse, p->x, p->q, p->n, p->best[1], NULL);
}

static void run_idle(void *arg)
{
    (void)arg;
}

static void run_pack(void *arg)
{
    problem *p = arg;
    ivf_coarse_pack(p->coarse, &p->grid, IVF_L2, p->centroids, p->nlist, NULL, 1);
}

static int make_problem(problem *p, const bench_vectors *v)
{
    const ivf_kmeans_params params = {.k = (int32_t)p->nlist, .d = p->d, .metric = IVF_L2, .iterations = 3, .seed = 1};
    ivf_kmeans_report report;
    p->centroids = ivf_new(ivf_to_size(p->nlist * p->d), sizeof *p->centroids);
    p->q = ivf_new(ivf_to_size(p->n * ivf_grid_stride(p->d)), 1);
    p->best[0] = ivf_new(ivf_to_size(p->n), sizeof *p->best[0]);
    p->best[1] = ivf_new(ivf_to_size(p->n), sizeof *p->best[1]);
    p->score = ivf_new(ivf_to_size(p->n), sizeof *p->score);
    p->coarse = ivf_coarse_new(p->nlist, 1, p->d);
    if (p->centroids == NULL || p->q == NULL || p->best[0] == NULL || p->best[1] == NULL || p->score == NULL ||
        p->coarse == NULL || ivf_grid_fit(&p->grid, v->x, ivf_min_i64(v->n, 8192), p->d) != 0)
        return EXIT_FAILURE;
    if (ivf_kmeans(&params, v->x, ivf_min_i64(v->n, 32 * p->nlist), p->centroids, &report) != 0)
        return EXIT_FAILURE;
    p->panels = ivf_panels_new(p->centroids, p->nlist, p->d, IVF_L2);
    run_pack(p);
    (void)ivf_grid_round(&p->grid, p->x, p->n, p->q, NULL);
    return p->panels == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Rows that get the same centroid in f32 and in 8 bits, by integers alone and checked. */
static void show_agreement(problem *p)
{
    int64_t same[2] = {0, 0};
    run_scan(p);
    for (int64_t i = 0; i < p->n; i++)
        same[0] += p->best[0][i] == p->best[1][i];
    run_whole(p);
    for (int64_t i = 0; i < p->n; i++)
        same[1] += p->best[0][i] == p->best[1][i];
    double rows = (double)p->n;
    printf("same centroid as in f32: %.4f of rows, %.4f by integers alone; %.3f scores in f32 for each row\n",
           (double)same[1] / rows, (double)same[0] / rows, (double)p->taken / rows);
}

static void measure(problem *p, int repetitions)
{
    enum { PEAK, F32, SCAN, WHOLE, PACK, WORKS };
    bool vnni = ivf_simd_available(IVF_SIMD_VNNI);
    bench_work *const works[WORKS] = {vnni ? run_peak : run_idle, run_f32, run_scan, run_whole, run_pack};
    static const char *const names[WORKS] = {"peak of 8 bits", "f32", "8 bits, integers alone",
                                             "8 bits, rounded, checked", "packing"};
    bench_time t[WORKS];
    bench_alternate(works, WORKS, p, repetitions, t);
    double work = 1e-9 * OPS * (double)p->n * (double)p->nlist * p->d;
    double peak = 1e-9 * OPS * PEAK_STEPS * PEAK_SUMS * PEAK_PRODUCTS / t[PEAK].best;
    printf("                             GOP/s    best  of peak  times f32\n");
    if (vnni)
        printf("%-26s %7.1f %7.1f\n", names[PEAK], peak * t[PEAK].best / t[PEAK].median, peak);
    for (int w = F32; w <= WHOLE; w++)
        printf("%-26s %7.1f %7.1f  %7.3f    %7.2f\n", names[w], work / t[w].median, work / t[w].best,
               vnni ? work / t[w].best / peak : 0, t[F32].best / t[w].best);
    printf("%-26s %.2f ms\n", names[PACK], 1e3 * t[PACK].best);
    show_agreement(p);
}

static int run(const char *input, problem *p, int repetitions)
{
    bench_vectors v = input != NULL ? bench_read_bytes(input) : bench_clusters(32 * p->nlist + p->n, p->d);
    if (v.x == NULL || v.n < p->nlist + p->n) {
        (void)fputs("too few rows for so many centroids\n", stderr);
        return EXIT_FAILURE;
    }
    p->d = v.d;
    p->x = v.x + (v.n - p->n) * v.d;
    if (make_problem(p, &v) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    printf("one thread, %s; %lld rows, %lld centroids, d = %d; by processor time, median and best of %d\n",
           ivf_simd_name(ivf_simd_level()), (long long)p->n, (long long)p->nlist, p->d, repetitions);
    measure(p, repetitions);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *input = NULL;
    problem p = {.n = 2048, .nlist = 1024, .d = 128};
    int repetitions = 9;
    const bench_option options[] = {
        {.name = "input", .text = &input},
        {.name = "d", .count = &p.d, .low = 1, .high = IVF_COARSE_MAX_D},
        {.name = "nlist", .number = &p.nlist, .low = 1, .high = 1000000},
        {.name = "n", .number = &p.n, .low = 1, .high = 100000000},
        {.name = "repetitions", .count = &repetitions, .low = 1, .high = BENCH_MAX_REPETITIONS},
        {.name = NULL}};
    bench_options(argc, argv, options);
    ivf_team_resize(1);
    return run(input, &p, repetitions);
}
