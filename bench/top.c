/* Ranking of centroids for queries: the p best of nlist, against the scores alone. One thread; both sides alternate. */
#include <stdio.h>
#include <stdlib.h>

#include "math/panels.h"
#include "math/simd.h"
#include "support/measure.h"
#include "support/options.h"

typedef struct {
    int64_t n;
    int64_t nlist;
    int d;
    int p;
    float *x;         /* [n][d] */
    float *centroids; /* [nlist][d] */
    float *scores;    /* [n][nlist] */
    int32_t *best;    /* [n][nlist] */
    float *score;     /* [n][nlist] */
    void *scratch;
    ivf_panels *panels;
} problem;

static void run_scores(void *arg)
{
    problem *p = arg;
    ivf_panels_scores(p->panels, p->x, p->n, p->scores);
}

static void run_top(void *arg)
{
    problem *p = arg;
    ivf_panels_top(p->panels, p->x, p->n, p->p, p->best, p->score, p->scratch);
}

static void free_problem(problem *p)
{
    ivf_panels_free(p->panels);
    ivf_free(p->x);
    ivf_free(p->centroids);
    ivf_free(p->scores);
    ivf_free(p->best);
    ivf_free(p->score);
    ivf_free(p->scratch);
}

static int make_problem(problem *p)
{
    p->x = bench_values(p->n * p->d, 1);
    p->centroids = bench_values(p->nlist * p->d, 2);
    p->scores = ivf_new(ivf_to_size(p->n * p->nlist), sizeof *p->scores);
    p->best = ivf_new(ivf_to_size(p->n * p->nlist), sizeof *p->best);
    p->score = ivf_new(ivf_to_size(p->n * p->nlist), sizeof *p->score);
    if (p->x == NULL || p->centroids == NULL || p->scores == NULL || p->best == NULL || p->score == NULL)
        return EXIT_FAILURE;
    p->panels = ivf_panels_new(p->centroids, p->nlist, p->d, IVF_L2);
    if (p->panels == NULL)
        return EXIT_FAILURE;
    p->scratch = ivf_new(ivf_panels_top_scratch(p->panels), 1);
    return p->scratch == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void measure(problem *p, int repetitions)
{
    static bench_work *const works[] = {run_scores, run_top};
    for (p->p = 1; p->p <= p->nlist; p->p = p->p < 64 || p->p == p->nlist ? p->p * 8 : ivf_to_int(p->nlist)) {
        bench_time times[2] = {{0, 0}, {0, 0}};
        bench_alternate(works, 2, p, repetitions, times);
        double each = 1e6 / (double)p->n;
        printf("%6d %8lld %7lld %7d  %9.2f %9.2f  %9.2f %9.2f\n", p->d, (long long)p->nlist, (long long)p->n, p->p,
               times[0].median * each, times[0].best * each, times[1].median * each, times[1].best * each);
    }
}

int main(int argc, char **argv)
{
    problem p = {.n = 112, .nlist = 4096, .d = 128};
    int repetitions = 15;
    const bench_option options[] = {
        {.name = "d", .count = &p.d, .low = 1, .high = 100000},
        {.name = "nlist", .number = &p.nlist, .low = 1, .high = 10000000},
        {.name = "n", .number = &p.n, .low = 1, .high = 100000},
        {.name = "repetitions", .count = &repetitions, .low = 1, .high = BENCH_MAX_REPETITIONS},
        {.name = NULL}};
    bench_options(argc, argv, options);
    int status = make_problem(&p);
    if (status == EXIT_SUCCESS) {
        printf("one thread, %s; microseconds of processor time for a query, median and best of %d alternated "
               "repetitions\n",
               ivf_simd_name(ivf_simd_level()), repetitions);
        printf("     d    nlist queries       p     scores      best        top      best\n");
        measure(&p, repetitions);
    } else {
        (void)fputs("not enough memory for this shape\n", stderr);
    }
    free_problem(&p);
    return status;
}
