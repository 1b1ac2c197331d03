/* What the benches share: times in alternation, so that a load on the machine falls on both sides alike. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"

enum { BENCH_MAX_REPETITIONS = 101, BENCH_MAX_WORKS = 8 };

typedef void bench_work(void *arg);

/* Seconds of processor time. */
typedef struct {
    double median;
    double best;
} bench_time;

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline bench_time bench_summary(double *seconds, int repetitions)
{
    qsort(seconds, (size_t)repetitions, sizeof *seconds, bench_compare);
    return (bench_time){.median = seconds[repetitions / 2], .best = seconds[0]};
}

/* Each work in turn, `repetitions` times; one round before that is not counted. */
static inline void bench_alternate(bench_work *const *works, int count, void *arg, int repetitions, bench_time *times)
{
    double seconds[BENCH_MAX_WORKS][BENCH_MAX_REPETITIONS];
    for (int r = -1; r < repetitions; r++) {
        for (int w = 0; w < count; w++) {
            double start = ivf_clock_cpu();
            works[w](arg);
            if (r >= 0)
                seconds[w][r] = ivf_clock_cpu() - start;
        }
    }
    for (int w = 0; w < count; w++)
        times[w] = bench_summary(seconds[w], repetitions);
}

/* Normal values; NULL (and a message) when there is no memory for them. */
static inline float *bench_values(int64_t n, uint64_t seed)
{
    float *x = ivf_new(ivf_to_size(n), sizeof *x);
    for (int64_t i = 0; x != NULL && i < n; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

#endif
