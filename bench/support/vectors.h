/* Rows for benches: from a file of bytes (u32 n, u32 d, rows), or clusters of low intrinsic dimension. */
#ifndef BENCH_VECTORS_H
#define BENCH_VECTORS_H

#include <stdbool.h>

#include "measure.h"

typedef struct {
    int64_t n;
    int d;
    float *x; /* [n][d]; NULL: could not be had, which has been said */
} bench_vectors;

static inline bench_vectors bench_read_bytes(const char *path)
{
    bench_vectors v = {0};
    uint32_t shape[2] = {0, 0};
    FILE *file = fopen(path, "rb");
    bool good = file != NULL && fread(shape, sizeof *shape, 2, file) == 2 && shape[0] > 0 && shape[1] > 0;
    size_t values = good ? (size_t)shape[0] * shape[1] : 0;
    uint8_t *bytes = ivf_new(values, 1);
    v.x = ivf_new(values, sizeof *v.x);
    good = good && bytes != NULL && v.x != NULL && fread(bytes, 1, values, file) == values;
    for (size_t i = 0; good && i < values; i++)
        v.x[i] = bytes[i];
    if (file != NULL)
        (void)fclose(file);
    ivf_free(bytes);
    if (!good) {
        (void)fprintf(stderr, "%s: no file of n, d (u32) and n rows of d bytes\n", path);
        ivf_free(v.x);
        return (bench_vectors){0};
    }
    v.n = shape[0];
    v.d = (int)shape[1];
    return v;
}

/* Row i is near one of n / 128 centres, mostly in a few directions that all share. */
static inline bench_vectors bench_clusters(int64_t n, int d)
{
    enum { INNER = 32, ROWS_OF_CENTRE = 128 };
    bench_vectors v = {.n = n, .d = d};
    float *axes = bench_values((int64_t)INNER * d, 1);
    int64_t centres = n / ROWS_OF_CENTRE + 1;
    float *centre = bench_values(centres * INNER, 2);
    float *own = bench_values(n * INNER, 3);
    float *noise = bench_values(n * d, 4);
    v.x = noise;
    for (int64_t i = 0; i < n && axes != NULL && centre != NULL && own != NULL && v.x != NULL; i++) {
        const float *c = centre + (int64_t)ivf_rng_below(5, IVF_RNG_TEST, (uint64_t)i, (uint64_t)centres) * INNER;
        for (int j = 0; j < d; j++) {
            float sum = 0;
            for (int a = 0; a < INNER; a++)
                sum += (c[a] + 0.5F * own[i * INNER + a]) * axes[(int64_t)a * d + j];
            v.x[i * d + j] = sum + noise[i * d + j];
        }
    }
    ivf_free(axes);
    ivf_free(centre);
    ivf_free(own);
    return v;
}

#endif
