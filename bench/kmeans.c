/* k-means: seconds and objective of each way to train, on the rows of a file. */
#include <getopt.h>
#include <string.h>

#include "base/error.h"
#include "base/team.h"
#include "cluster/kmeans.h"
#include "support/measure.h"

typedef struct {
    const char *rows; /* .fbin, or .u8bin */
    int64_t n;
    int64_t k;
    int64_t iterations;
    int64_t threads;
    const char *mode;
    bool spherical;
} options;

static float *read_rows(const options *o, int *d, int64_t *n)
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
    *d = (int)head[1];
    bool bytes = strstr(o->rows, ".u8bin") != NULL;
    size_t values = (size_t)*n * head[1];
    float *x = ivf_new(values, sizeof *x);
    if (x == NULL || (!bytes && fread(x, sizeof *x, values, file) != values))
        exit(1);
    for (size_t i = 0; bytes && i < values; i++)
        x[i] = (float)getc(file);
    (void)fclose(file);
    return x;
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
    float *x = read_rows(&o, &d, &n);
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
    ivf_free(centroids);
    ivf_free(x);
    return 0;
}
