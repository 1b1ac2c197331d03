/* What training and coding of product quantizers cost and how well they do, on one thread: beside k-means in single
 * precision, and beside the exactly nearest codewords. With OPQ before the lists, the rotation too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/team.h"
#include "codec/factory.h"
#include "codec/opq.h"
#include "math/panels.h"
#include "support/options.h"
#include "support/vectors.h"

typedef struct {
    const ivf_ctx *ctx;
    ivf_factory factory;
    bench_vectors rows;
    int d;    /* of rotated rows */
    float *z; /* [n][d]: rotated, or the rows */
    float *decoded;
    float *rotation;
    uint8_t *codes;
    void *scratch;
    ivf_codec *trained[2]; /* in integers, exactly */
    ivf_opq_report report;
    int iterations;
    int opq_iterations;
    int rc;
} problem;

static void train_as(problem *p, int exact)
{
    const ivf_codec_training training = {.seed = 1, .iterations = p->iterations, .exact = exact != 0};
    if (p->rc == MPIVF_OK)
        p->rc = ivf_codec_train_local(p->trained[exact], p->z, p->rows.n, &training);
}

static void run_train(void *arg)
{
    train_as(arg, 0);
}

static void run_exact(void *arg)
{
    train_as(arg, 1);
}

static void run_encode(void *arg)
{
    problem *p = arg;
    if (p->rc == MPIVF_OK)
        ivf_codec_encode(p->trained[0], p->z, p->rows.n, p->codes, p->scratch);
}

/* Mean squared error of a row's code. */
static double error_of(const problem *p, const ivf_codec *codec)
{
    double error = 0;
    ivf_codec_encode(codec, p->z, p->rows.n, p->codes, p->scratch);
    ivf_codec_decode(codec, p->codes, p->rows.n, p->decoded);
    for (int64_t i = 0; i < p->rows.n * p->d; i++)
        error += ((double)p->z[i] - (double)p->decoded[i]) * ((double)p->z[i] - (double)p->decoded[i]);
    return error / (double)p->rows.n;
}

/* The same of the nearest codewords. */
static double nearest_error(const problem *p, ivf_codec *codec)
{
    ivf_array array[IVF_CODEC_ARRAYS];
    (void)ivf_codec_arrays(codec, array);
    const int words = (int)array[0].dims[1];
    const int dsub = (int)array[0].dims[2];
    double error = 0;
    for (int sub = 0; sub < p->factory.codec.m; sub++) {
        const float *book = (const float *)array[0].data + (ptrdiff_t)sub * words * dsub;
        ivf_panels *panels = ivf_panels_new(book, words, dsub, IVF_L2);
        for (int64_t row = 0; row < p->rows.n && panels != NULL; row++) {
            const float *x = p->z + row * p->d + (ptrdiff_t)sub * dsub;
            int32_t best = 0;
            float score = 0;
            ivf_panels_best(panels, x, 1, &best, &score);
            for (int j = 0; j < dsub; j++) {
                const double from = (double)x[j] - (double)book[(ptrdiff_t)best * dsub + j];
                error += from * from;
            }
        }
        ivf_panels_free(panels);
    }
    return error / (double)p->rows.n;
}

static int rotate(problem *p)
{
    const ivf_opq_params params = {
        .m = p->factory.opq_m, .d = p->rows.d, .d_out = p->d, .iterations = p->opq_iterations, .seed = 1};
    const ivf_share share = {.total = p->rows.n, .rank = 0, .size = 1};
    double started = ivf_clock_cpu();
    int rc = ivf_opq_train(p->ctx, &params, p->rows.x, &share, p->rotation, &p->report);
    double seconds = ivf_clock_cpu() - started;
    ivf_panels *panels = rc == MPIVF_OK ? ivf_panels_new(p->rotation, p->d, p->rows.d, IVF_IP) : NULL;
    if (panels == NULL)
        return MPIVF_FAILED;
    ivf_panels_scores(panels, p->rows.x, p->rows.n, p->z);
    ivf_panels_free(panels);
    printf("rotation: %.3f s, %d iterations, squared error %.6g -> %.6g\n", seconds, p->report.iterations,
           p->report.start, p->report.error);
    return MPIVF_OK;
}

static int make(problem *p)
{
    const size_t n = ivf_to_size(p->rows.n);
    p->d = ivf_factory_rotated(&p->factory, p->rows.d);
    p->z = ivf_new(n * (size_t)p->d, sizeof *p->z);
    p->decoded = ivf_new(n * (size_t)p->d, sizeof *p->decoded);
    p->rotation = ivf_new((size_t)p->d * (size_t)p->rows.d, sizeof *p->rotation);
    for (int i = 0; i < 2; i++)
        if (ivf_codec_new(&p->factory.codec, p->d, &p->trained[i]) != MPIVF_OK)
            return MPIVF_FAILED;
    if (p->z == NULL || p->decoded == NULL || p->rotation == NULL)
        return MPIVF_FAILED;
    if (p->factory.opq_m > 0 && rotate(p) != MPIVF_OK)
        return MPIVF_FAILED;
    if (p->factory.opq_m == 0)
        memcpy(p->z, p->rows.x, n * (size_t)p->d * sizeof *p->z);
    run_train(p);
    p->codes = ivf_new(n, ivf_codec_code_size(p->trained[0]));
    p->scratch = ivf_new(ivf_codec_encode_scratch(p->trained[0], p->rows.n), 1);
    return p->rc == MPIVF_OK && p->codes != NULL && p->scratch != NULL ? MPIVF_OK : MPIVF_FAILED;
}

static void drop(problem *p)
{
    ivf_codec_free(p->trained[0]);
    ivf_codec_free(p->trained[1]);
    ivf_free(p->z);
    ivf_free(p->decoded);
    ivf_free(p->rotation);
    ivf_free(p->codes);
    ivf_free(p->scratch);
    ivf_free(p->rows.x);
}

static int measure(problem *p, int repetitions)
{
    static bench_work *const works[] = {run_train, run_exact, run_encode};
    bench_time times[3] = {{0}};
    int rc = make(p);
    if (rc == MPIVF_OK) {
        bench_alternate(works, 3, p, repetitions, times);
        rc = p->rc;
    }
    if (rc == MPIVF_OK) {
        char text[64];
        const double error = error_of(p, p->trained[0]);
        ivf_factory_text(&p->factory, text);
        printf("%s, %lld rows of %d, %d iterations\n", text, (long long)p->rows.n, p->rows.d, p->iterations);
        printf("training    %8.3f s   in single precision %8.3f s   ratio %.2f\n", times[0].median, times[1].median,
               times[1].median / times[0].median);
        printf("  its squared error %.6g, %+.4f %% beside that of single precision\n", error,
               100 * (error / error_of(p, p->trained[1]) - 1));
        printf("coding      %8.3f s for 2^20 rows, %.1f ns for a sub-vector\n",
               times[2].median / (double)p->rows.n * (1 << 20),
               1e9 * times[2].median / (double)p->rows.n / p->factory.codec.m);
        printf("  its squared error %+.5f %% beside that of the nearest words\n",
               100 * (error / nearest_error(p, p->trained[0]) - 1));
    } else {
        (void)fprintf(stderr, "%s\n", ivf_error_last()->text);
    }
    return rc == MPIVF_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *index = "IVF,PQ32";
    const char *base = NULL;
    int d = 128;
    int64_t n = 65536;
    int repetitions = 3;
    problem p = {.iterations = 25, .opq_iterations = 12};
    const bench_option options[] = {
        {.name = "d", .count = &d, .low = 1, .high = 100000},
        {.name = "rows", .number = &n, .low = 1, .high = 1 << 24},
        {.name = "base", .text = &base},
        {.name = "index", .text = &index},
        {.name = "iterations", .count = &p.iterations, .low = 1, .high = 1000},
        {.name = "opq-iterations", .count = &p.opq_iterations, .low = 0, .high = IVF_OPQ_ITERATIONS},
        {.name = "repetitions", .count = &repetitions, .low = 1, .high = BENCH_MAX_REPETITIONS},
        {.name = NULL}};
    bench_options(argc, argv, options);
    ivf_team_resize(1);
    if (ivf_factory_parse(index, &p.factory) != MPIVF_OK || p.factory.codec.kind != IVF_CODEC_PQ) {
        (void)fprintf(stderr, "--index %s: a product quantizer is wanted, such as IVF,PQ32 or OPQ32,IVF,PQ32\n", index);
        return 2;
    }
    ivf_ctx *ctx = ivf_ctx_open_self();
    if (ctx == NULL)
        return EXIT_FAILURE;
    p.ctx = ctx;
    p.rows = base == NULL ? bench_clusters(n, d) : bench_read_bytes(base);
    int status = p.rows.x == NULL ? EXIT_FAILURE : measure(&p, repetitions);
    drop(&p);
    ivf_ctx_close(ctx);
    return status;
}
