/* Keys of one query against stored rows, f32 and f16, in the second-level cache and in memory. One thread. */
#include <stdio.h>
#include <stdlib.h>

#include "math/convert.h"
#include "math/distance.h"
#include "math/simd.h"
#include "support/measure.h"
#include "support/options.h"

typedef struct {
    int64_t n;
    int64_t rounds; /* of all rows in one measurement */
    int d;
    float *query;
    float *rows;    /* [n][d] */
    uint16_t *half; /* [n][d] */
    float *keys;    /* [n] */
} problem;

static void run_l2_f32(void *arg)
{
    problem *p = arg;
    for (int64_t r = 0; r < p->rounds; r++)
        ivf_keys_f32(IVF_L2, p->query, p->rows, p->n, p->d, p->keys);
}

static void run_ip_f32(void *arg)
{
    problem *p = arg;
    for (int64_t r = 0; r < p->rounds; r++)
        ivf_keys_f32(IVF_IP, p->query, p->rows, p->n, p->d, p->keys);
}

static void run_l2_f16(void *arg)
{
    problem *p = arg;
    for (int64_t r = 0; r < p->rounds; r++)
        ivf_keys_f16(IVF_L2, p->query, p->half, p->n, p->d, p->keys);
}

static void run_ip_f16(void *arg)
{
    problem *p = arg;
    for (int64_t r = 0; r < p->rounds; r++)
        ivf_keys_f16(IVF_IP, p->query, p->half, p->n, p->d, p->keys);
}

static void free_problem(problem *p)
{
    ivf_free(p->query);
    ivf_free(p->rows);
    ivf_free(p->half);
    ivf_free(p->keys);
}

static int make_problem(problem *p)
{
    p->query = bench_values(p->d, 1);
    p->rows = bench_values(p->n * p->d, 2);
    p->half = ivf_new(ivf_to_size(p->n * p->d), sizeof *p->half);
    p->keys = ivf_new(ivf_to_size(p->n), sizeof *p->keys);
    if (p->query == NULL || p->rows == NULL || p->half == NULL || p->keys == NULL)
        return EXIT_FAILURE;
    ivf_f32_to_f16(p->rows, p->n * p->d, p->half);
    return EXIT_SUCCESS;
}

static int measure(int d, int64_t n, int repetitions)
{
    static const struct {
        const char *name;
        size_t element;
    } kinds[] = {{"l2 f32", sizeof(float)},
                 {"ip f32", sizeof(float)},
                 {"l2 f16", sizeof(uint16_t)},
                 {"ip f16", sizeof(uint16_t)}};
    static bench_work *const works[] = {run_l2_f32, run_ip_f32, run_l2_f16, run_ip_f16};
    enum { KINDS = sizeof works / sizeof works[0] };
    problem p = {.n = n, .d = d, .rounds = ivf_max_i64(1, 64000000 / (n * d))};
    int status = make_problem(&p);
    if (status == EXIT_SUCCESS) {
        bench_time times[KINDS];
        bench_alternate(works, KINDS, &p, repetitions, times);
        for (int i = 0; i < KINDS; i++) {
            double rows = (double)n * (double)p.rounds;
            double bytes = rows * d * (double)kinds[i].element;
            printf("%6d %9lld  %s  %9.2f %8.2f  %8.2f %8.2f\n", d, (long long)n, kinds[i].name,
                   1e-6 * rows / times[i].median, 1e-6 * rows / times[i].best, 1e-9 * bytes / times[i].median,
                   1e-9 * bytes / times[i].best);
        }
    } else {
        (void)fputs("not enough memory for this shape\n", stderr);
    }
    free_problem(&p);
    return status;
}

int main(int argc, char **argv)
{
    int d = 0;
    int64_t n = 0;
    int repetitions = 9;
    const bench_option options[] = {
        {.name = "d", .count = &d, .low = 1, .high = 100000},
        {.name = "n", .number = &n, .low = 1, .high = 100000000},
        {.name = "repetitions", .count = &repetitions, .low = 1, .high = BENCH_MAX_REPETITIONS},
        {.name = NULL}};
    bench_options(argc, argv, options);
    printf("one thread, %s; processor time, median and best of %d alternated repetitions\n",
           ivf_simd_name(ivf_simd_level()), repetitions);
    printf("     d         n  key     Mrow/s     best      GB/s     best\n");
    static const int usual[] = {128, 768};
    for (int i = 0; i < (d == 0 ? 2 : 1); i++) {
        int width = d == 0 ? usual[i] : d;
        const int64_t sizes[] = {ivf_max_i64(1, 100000 / width), 64000000 / width};
        for (int s = 0; s < (n == 0 ? 2 : 1); s++) {
            int status = measure(width, n == 0 ? sizes[s] : n, repetitions);
            if (status != EXIT_SUCCESS)
                return status;
        }
    }
    return EXIT_SUCCESS;
}
