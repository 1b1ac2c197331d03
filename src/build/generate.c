/* Synthetic vectors (the model stands in generate.h). Every number comes from a counter-based generator, so that any
 * rank and thread makes any row alone; roots are exact, so that the cluster of a row never hangs on a library's last
 * bit. Collectives: opening and closing of the files, the ticket counter and the progress. */
#include "build/generate.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "io/writer.h"

enum { BASES = 16, TASK_ROWS = 64, BLOCK_BYTES = 4 << 20 };

enum {
    STREAM_CENTRE = IVF_RNG_GENERATE,
    STREAM_SPREAD,
    STREAM_BASIS,
    STREAM_BASIS_OF,
    STREAM_ROWS,                      /* and the two after it */
    STREAM_QUERIES = STREAM_ROWS + 3, /* and the two after it */
};

/* Of the streams of a file's rows. */
enum { OF_CLUSTER, OF_DIRECTION, OF_NOISE };

typedef struct {
    const ivf_generate_config *config;
    double *cumulative; /* [clusters]: sum of the weights up to and with each */
    float *centres;     /* [clusters][d] */
    float *bases;       /* [BASES][intrinsic][d], scaled by sqrt((1 - noise) / intrinsic) */
    float noise;        /* sqrt(noise) */
} generator;

/* A block of one file, filled by the team. */
typedef struct {
    const generator *g;
    uint32_t stream;
    int64_t first;
    int64_t n;
    float *x; /* [n][d] */
} block;

static int fill_centre(void *arg, int64_t task, int worker)
{
    (void)worker;
    const generator *g = arg;
    uint64_t d = (uint64_t)g->config->d;
    for (uint64_t j = 0; j < d; j++) {
        uint64_t at = (uint64_t)task * d + j;
        g->centres[at] = (float)ivf_rng_normal(g->config->seed, STREAM_CENTRE, at);
    }
    return MPIVF_OK;
}

static int fill_direction(void *arg, int64_t task, int worker)
{
    (void)worker;
    const generator *g = arg;
    uint64_t d = (uint64_t)g->config->d;
    double scale = sqrt((1 - g->config->noise) / g->config->intrinsic);
    for (uint64_t j = 0; j < d; j++) {
        uint64_t at = (uint64_t)task * d + j;
        g->bases[at] = (float)(scale * ivf_rng_normal(g->config->seed, STREAM_BASIS, at));
    }
    return MPIVF_OK;
}

static void generator_free(generator *g)
{
    ivf_free(g->cumulative);
    ivf_free(g->centres);
    ivf_free(g->bases);
}

static int generator_make(generator *g)
{
    const ivf_generate_config *config = g->config;
    size_t d = (size_t)config->d;
    size_t clusters = (size_t)config->clusters;
    size_t directions = (size_t)BASES * (size_t)config->intrinsic;
    g->noise = (float)sqrt(config->noise);
    g->cumulative = ivf_new(clusters, sizeof *g->cumulative);
    g->centres = ivf_new(clusters * d, sizeof *g->centres);
    g->bases = ivf_new(directions * d, sizeof *g->bases);
    if (g->cumulative == NULL || g->centres == NULL || g->bases == NULL)
        return MPIVF_FAILED;
    double sum = 0;
    for (size_t j = 0; j < clusters; j++) {
        sum += 1 / sqrt((double)(j + 1));
        g->cumulative[j] = sum;
    }
    int rc = ivf_team_run(config->clusters, fill_centre, g);
    return rc == MPIVF_OK ? ivf_team_run((int64_t)directions, fill_direction, g) : rc;
}

/* The first cluster whose cumulative weight exceeds the share `u` of all. */
static uint64_t pick_cluster(const generator *g, double u)
{
    int32_t low = 0;
    int32_t high = g->config->clusters - 1;
    double wanted = u * g->cumulative[high];
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (g->cumulative[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return (uint64_t)low;
}

/* Four 16-bit uniform numbers, centred and scaled to variance 1: costs one draw where a normal costs a logarithm more.
 */
static float bell(uint64_t bits)
{
    int sum = (int)(bits & 0xFFFF) + (int)(bits >> 16 & 0xFFFF) + (int)(bits >> 32 & 0xFFFF) + (int)(bits >> 48);
    const float scale = 2.6429e-5F; /* sqrt(3) / 65536 */
    return (float)(sum - 2 * 0xFFFF) * scale;
}

static void make_row(const generator *g, uint32_t stream, uint64_t row, float *x)
{
    uint64_t seed = g->config->seed;
    int d = g->config->d;
    uint64_t intrinsic = (uint64_t)g->config->intrinsic;
    uint64_t cluster = pick_cluster(g, ivf_rng_uniform(seed, stream + OF_CLUSTER, row));
    float spread = (float)(0.5 + ivf_rng_uniform(seed, STREAM_SPREAD, cluster));
    uint64_t basis = ivf_rng_below(seed, STREAM_BASIS_OF, cluster, BASES);
    memcpy(x, g->centres + cluster * (uint64_t)d, (size_t)d * sizeof *x);
    for (uint64_t i = 0; i < intrinsic; i++) {
        const float *direction = g->bases + (basis * intrinsic + i) * (uint64_t)d;
        float z = spread * (float)ivf_rng_normal(seed, stream + OF_DIRECTION, row * intrinsic + i);
        for (int j = 0; j < d; j++)
            x[j] += z * direction[j];
    }
    float noise = spread * g->noise;
    for (int j = 0; noise > 0 && j < d; j++)
        x[j] += noise * bell(ivf_rng_bits(seed, stream + OF_NOISE, row * (uint64_t)d + (uint64_t)j));
}

static void to_bytes(float *x, int d)
{
    for (int j = 0; j < d; j++)
        x[j] = fminf(fmaxf(rintf(128 + 30 * x[j]), 0), 255);
}

static int fill_rows(void *arg, int64_t task, int worker)
{
    (void)worker;
    const block *b = arg;
    int64_t end = ivf_min_i64(b->n, (task + 1) * TASK_ROWS);
    for (int64_t i = task * TASK_ROWS; i < end; i++) {
        float *x = b->x + i * b->g->config->d;
        make_row(b->g, b->stream, (uint64_t)(b->first + i), x);
        if (b->g->config->as_bytes)
            to_bytes(x, b->g->config->d);
    }
    return MPIVF_OK;
}

/* Blocks of this rank, until none is left or one fails. */
static int write_blocks(block *b, int64_t rows, int64_t block_rows, ivf_tickets *tickets, ivf_progress *progress,
                        ivf_writer *writer)
{
    int rc = MPIVF_OK;
    for (int64_t t = ivf_tickets_draw(tickets); t >= 0 && rc == MPIVF_OK; t = ivf_tickets_draw(tickets)) {
        b->first = t * block_rows;
        b->n = ivf_min_i64(block_rows, rows - b->first);
        rc = ivf_team_run(ivf_ceil_div(b->n, TASK_ROWS), fill_rows, b);
        if (rc == MPIVF_OK)
            rc = ivf_writer_put(writer, b->first, b->n, b->x);
        ivf_progress_add(progress, b->n);
    }
    if (rc != MPIVF_OK)
        ivf_tickets_withdraw(tickets);
    return rc;
}

static int fill_file(const ivf_ctx *ctx, const generator *g, uint32_t stream, int64_t rows, ivf_writer *writer)
{
    int64_t row_bytes = (int64_t)sizeof(float) * g->config->d;
    int64_t block_rows = ivf_min_i64(ivf_max_i64(BLOCK_BYTES / row_bytes, 1), rows);
    block b = {.g = g, .stream = stream, .x = ivf_new((size_t)block_rows, (size_t)row_bytes)};
    int rc = ivf_agree(ctx, b.x == NULL ? MPIVF_FAILED : MPIVF_OK);
    ivf_tickets *tickets = rc == MPIVF_OK ? ivf_tickets_open(ctx, ivf_ceil_div(rows, block_rows)) : NULL;
    ivf_progress *progress = tickets != NULL ? ivf_progress_open(ctx, "generate", "rows", rows) : NULL;
    if (progress != NULL) {
        rc = write_blocks(&b, rows, block_rows, tickets, progress, writer);
        ivf_progress_close(ctx, progress);
    } else {
        rc = MPIVF_FAILED;
    }
    if (tickets != NULL)
        ivf_tickets_close(ctx, tickets);
    ivf_free(b.x);
    return rc;
}

static int make_file(const ivf_ctx *ctx, const generator *g, const char *path, uint32_t stream, int64_t rows)
{
    const ivf_generate_config *config = g->config;
    ivf_writer *writer = NULL;
    int rc = ivf_writer_open(ctx, path, config->as_bytes ? IVF_U8 : IVF_F32, rows, config->d, &writer);
    if (rc != MPIVF_OK)
        return rc;
    rc = fill_file(ctx, g, stream, rows, writer);
    return ivf_writer_close(ctx, writer, rc);
}

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path);
    size_t wanted = strlen(ending);
    return length > wanted && strcasecmp(path + length - wanted, ending) == 0;
}

static int check_file(const char *path, bool as_bytes)
{
    if (ends_with(path, ".i8bin"))
        return ivf_fail(MPIVF_USAGE, "%s: signed bytes cannot hold the generated values; use .u8bin", path);
    if (!as_bytes && (ends_with(path, ".u8bin") || ends_with(path, ".bvecs")))
        return ivf_fail(MPIVF_USAGE, "%s: bytes cannot hold real values; use --type u8, or .fbin", path);
    return MPIVF_OK;
}

static int check(const ivf_generate_config *config)
{
    if (config->intrinsic > config->d)
        return ivf_fail(MPIVF_USAGE, "--intrinsic %d exceeds --dim %d", config->intrinsic, config->d);
    int rc = check_file(config->output, config->as_bytes);
    if (rc == MPIVF_OK && config->queries_output != NULL)
        rc = check_file(config->queries_output, config->as_bytes);
    return rc;
}

int ivf_generate(const ivf_ctx *ctx, const ivf_generate_config *config)
{
    generator g = {.config = config};
    int rc = check(config);
    if (rc == MPIVF_OK)
        rc = generator_make(&g);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = make_file(ctx, &g, config->output, STREAM_ROWS, config->rows);
    if (rc == MPIVF_OK && config->queries_output != NULL)
        rc = make_file(ctx, &g, config->queries_output, STREAM_QUERIES, config->queries);
    generator_free(&g);
    return rc;
}
