/* Assignment of rows to their best centroid, against the machine's own matrix product on the same shape: what is lost
 * (or won) by searching for the best inside the product. One thread; both sides alternate. */
#include <stdio.h>
#include <stdlib.h>

#include "math/gemm.h"
#include "math/panels.h"
#include "math/simd.h"
#include "support/measure.h"
#include "support/options.h"

enum { PRODUCT_ROWS = 1024 };

typedef struct {
    int64_t n;
    int64_t nlist;
    int d;
    float *x;         /* [n][d] */
    float *centroids; /* [nlist][d] */
    float *product;   /* [PRODUCT_ROWS][nlist] */
    int32_t *best;    /* [n] */
    float *score;     /* [n] */
    ivf_panels *panels;
} problem;

static void run_product(void *arg)
{
    problem *p = arg;
    for (int64_t row = 0; row < p->n; row += PRODUCT_ROWS)
        ivf_gemm_nt(ivf_min_i64(PRODUCT_ROWS, p->n - row), p->nlist, p->d, p->x + row * p->d, p->centroids, p->product,
                    p->nlist);
}

static void run_assign(void *arg)
{
    problem *p = arg;
    ivf_panels_best(p->panels, p->x, p->n, p->best, p->score);
}

static void free_problem(problem *p)
{
    ivf_panels_free(p->panels);
    ivf_free(p->x);
    ivf_free(p->centroids);
    ivf_free(p->product);
    ivf_free(p->best);
    ivf_free(p->score);
}

static int make_problem(problem *p)
{
    p->x = bench_values(p->n * p->d, 1);
    p->centroids = bench_values(p->nlist * p->d, 2);
    p->product = ivf_new(ivf_to_size(PRODUCT_ROWS * p->nlist), sizeof *p->product);
    p->best = ivf_new(ivf_to_size(p->n), sizeof *p->best);
    p->score = ivf_new(ivf_to_size(p->n), sizeof *p->score);
    if (p->x == NULL || p->centroids == NULL || p->product == NULL || p->best == NULL || p->score == NULL)
        return EXIT_FAILURE;
    p->panels = ivf_panels_new(p->centroids, p->nlist, p->d, IVF_L2);
    return p->panels == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int measure(int d, int64_t nlist, int64_t n, int repetitions)
{
    problem p = {.n = n, .nlist = nlist, .d = d};
    int status = make_problem(&p);
    if (status == EXIT_SUCCESS) {
        static bench_work *const works[] = {run_product, run_assign};
        bench_time times[2] = {{0, 0}, {0, 0}};
        bench_alternate(works, 2, &p, repetitions, times);
        double work = 2e-9 * (double)n * (double)nlist * d;
        printf("%6d %7lld %8lld  %8.1f %7.1f  %8.1f %7.1f  %6.2f %6.2f\n", d, (long long)nlist, (long long)n,
               work / times[0].median, work / times[0].best, work / times[1].median, work / times[1].best,
               times[0].median / times[1].median, times[0].best / times[1].best);
    } else {
        (void)fputs("not enough memory for this shape\n", stderr);
    }
    free_problem(&p);
    return status;
}

int main(int argc, char **argv)
{
    int d = 0;
    int64_t nlist = 4096;
    int64_t n = 0;
    int repetitions = 9;
    const bench_option options[] = {
        {.name = "d", .count = &d, .low = 1, .high = 100000},
        {.name = "nlist", .number = &nlist, .low = 1, .high = 10000000},
        {.name = "n", .number = &n, .low = 1, .high = 100000000},
        {.name = "repetitions", .count = &repetitions, .low = 1, .high = BENCH_MAX_REPETITIONS},
        {.name = NULL}};
    bench_options(argc, argv, options);
    printf("one thread, %s; GFLOP/s by processor time, median and best of %d alternated repetitions\n",
           ivf_simd_name(ivf_simd_level()), repetitions);
    printf("     d   nlist        n     sgemm    best    assign    best   ratio   best\n");
    static const int usual[] = {128, 768};
    for (int i = 0; i < (d == 0 ? 2 : 1); i++) {
        int width = d == 0 ? usual[i] : d;
        int64_t rows = n > 0 ? n : ivf_max_i64(1024, 1000000000 / (nlist * width));
        int status = measure(width, nlist, rows, repetitions);
        if (status != EXIT_SUCCESS)
            return status;
    }
    return EXIT_SUCCESS;
}
