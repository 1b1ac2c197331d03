/* k-means: seconds and objective of each way to train, on the rows of a file. */
#include <getopt.h>
#include <string.h>

#include "base/error.h"
#include "base/team.h"
#include "cluster/kmeans.h"
#include "math/distance.h"
#include "math/panels.h"
#include "support/measure.h"
#include "support/options.h"

enum { TRIED = 4096 }; /* rows that centroids are tried on */

typedef struct {
    const char *rows; /* .fbin, or .u8bin */
    int64_t n;
    int64_t k;
    int64_t iterations;
    int64_t threads;
    const char *mode;
    bool spherical;
} options;

/* The first rows, and after them those that centroids are tried on. */
static float *read_rows(const options *o, int *d, int64_t *n, int64_t *tried)
{
    if (o->rows == NULL) {
        (void)fprintf(stderr, "usage: bench_kmeans -r FILE [-n rows] [-k lists] [-i iterations] [-t threads] [-s] "
                              "[-m exact|fast|flat|deep]\n");
        exit(2);
    }
    FILE *file = fopen(o->rows, "rb");
    uint32_t head[2] = {0};
    if (file == NULL) {
        perror(o->rows);
        exit(1);
    }
    if (fread(head, sizeof *head, 2, file) != 2)
        exit(1);
    *n = ivf_min_i64(o->n, head[0]);
    *tried = ivf_min_i64(TRIED, head[0] - *n);
    *d = (int)head[1];
    bool bytes = strstr(o->rows, ".u8bin") != NULL;
    size_t values = (size_t)(*n + *tried) * head[1];
    float *x = ivf_new(values, sizeof *x);
    if (x == NULL || (!bytes && fread(x, sizeof *x, values, file) != values))
        exit(1);
    for (size_t i = 0; bytes && i < values; i++)
        x[i] = (float)getc(file);
    (void)fclose(file);
    return x;
}

/* Mean squared distance (or minus the score) of rows that were not trained on, if there are any, to the nearest. */
static double loss_of(const ivf_kmeans_params *params, const float *centroids, const float *x, int64_t n)
{
    int32_t best[TRIED];
    float score[TRIED];
    double loss = 0;
    ivf_panels *panels = ivf_panels_new(centroids, params->k, params->d, params->metric);
    if (panels == NULL)
        exit(1);
    ivf_panels_best(panels, x, n, best, score);
    ivf_panels_free(panels);
    for (int64_t i = 0; i < n; i++) {
        const float *c = centroids + (int64_t)best[i] * params->d;
        loss += params->metric == IVF_L2 ? (double)ivf_l2_sqr(x + i * params->d, c, params->d) : -(double)score[i];
    }
    return loss / (double)n;
}

int main(int argc, char **argv)
{
    options o = {.n = INT32_MAX, .k = 1024, .iterations = 10, .threads = 1, .mode = "fast"};
    int c;
    while ((c = getopt(argc, argv, "r:n:k:i:t:m:s")) != -1) {
        if (c == 'r')
            o.rows = optarg;
        else if (c == 'n')
            o.n = bench_number("n", optarg, 1, INT32_MAX);
        else if (c == 'k')
            o.k = bench_number("k", optarg, 1, INT32_MAX);
        else if (c == 'i')
            o.iterations = bench_number("i", optarg, 1, 1000);
        else if (c == 't')
            o.threads = bench_number("t", optarg, 1, 64);
        else if (c == 'm')
            o.mode = optarg;
        else if (c == 's')
            o.spherical = true;
    }
    int d;
    int64_t n;
    int64_t tried;
    float *x = read_rows(&o, &d, &n, &tried);
    ivf_team_resize((int)o.threads);
    ivf_kmeans_params params = {.k = (int32_t)o.k,
                                .d = d,
                                .metric = o.spherical ? IVF_IP : IVF_L2,
                                .mode = strcmp(o.mode, "exact") == 0 ? IVF_KMEANS_EXACT : IVF_KMEANS_FAST,
                                .shape = strcmp(o.mode, "flat") == 0   ? IVF_KMEANS_FLAT
                                         : strcmp(o.mode, "deep") == 0 ? IVF_KMEANS_HIERARCHICAL
                                                                       : IVF_KMEANS_BY_SIZE,
                                .iterations = (int)o.iterations,
                                .seed = 42,
                                .stream = IVF_RNG_KMEANS};
    static ivf_kmeans_report report;
    float *centroids = ivf_new((size_t)params.k * (size_t)d, sizeof *centroids);
    double cpu = ivf_clock_cpu();
    double wall = ivf_clock();
    if (ivf_kmeans(&params, x, n, centroids, &report) != MPIVF_OK) {
        (void)fprintf(stderr, "%s\n", ivf_error_last()->text);
        return 1;
    }
    wall = ivf_clock() - wall;
    cpu = ivf_clock_cpu() - cpu;
    for (int i = 0; i < report.iterations; i++)
        printf("%c %.5f\n", report.steps[i], report.objective[i] / (double)n);
    printf("%lld x %d, k %lld, %s: %.3f s wall, %.3f s cpu, %s, last objective %.6g, imbalance %.3f, repairs %lld\n",
           (long long)n, d, (long long)o.k, o.mode, wall, cpu, report.stopped,
           report.objective[report.iterations - 1] / (double)n, report.imbalance, (long long)report.repairs);
    if (tried > 0)
        printf("other rows: objective %.6g\n", loss_of(&params, centroids, x + n * d, tried));
    ivf_free(centroids);
    ivf_free(x);
    return 0;
}
