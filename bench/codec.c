/* What each codec costs, on one thread: coding rows, making the table of a query, scanning codes. Scans run over more
 * codes than the caches hold (cold) and again and again over a few lists (warm), between which real searches lie. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/team.h"
#include "codec/factory.h"
#include "support/measure.h"
#include "support/options.h"

enum { TRAIN_ROWS = 4096, ENCODE_ROWS = 16384, COLD_BYTES = 256 << 20, WARM_BYTES = 256 << 10, TABLES = 256 };

typedef struct {
    ivf_codec *codec;
    float *x; /* [ENCODE_ROWS][d] */
    uint8_t *codes;
    float *keys;
    void *scratch;
    void *table;
    int64_t cold; /* codes */
    int64_t warm; /* codes; scanned as often as makes `cold` of them */
} problem;

static void run_encode(void *arg)
{
    problem *p = arg;
    ivf_codec_encode(p->codec, p->x, ENCODE_ROWS, p->codes, p->scratch);
}

static void run_tables(void *arg)
{
    problem *p = arg;
    for (int i = 0; i < TABLES; i++)
        ivf_codec_prepare(p->codec, IVF_L2, p->x, p->table);
}

static void run_cold(void *arg)
{
    problem *p = arg;
    ivf_codec_scan(p->codec, IVF_L2, p->table, p->codes, p->cold, p->keys);
}

static void run_warm(void *arg)
{
    problem *p = arg;
    for (int64_t done = 0; done < p->cold; done += p->warm)
        ivf_codec_scan(p->codec, IVF_L2, p->table, p->codes, p->warm, p->keys);
}

static void free_problem(problem *p)
{
    ivf_codec_free(p->codec);
    ivf_free(p->x);
    ivf_free(p->codes);
    ivf_free(p->keys);
    ivf_free(p->scratch);
    ivf_free(p->table);
}

static int make_problem(problem *p, const char *text, int d)
{
    ivf_factory factory;
    if (ivf_factory_parse(text, &factory) != MPIVF_OK || ivf_codec_new(&factory.codec, d, &p->codec) != MPIVF_OK)
        return EXIT_FAILURE;
    int64_t size = ivf_to_i64(ivf_codec_code_size(p->codec));
    p->warm = ivf_max_i64(1, WARM_BYTES / size);
    p->cold = ivf_round_up(ivf_max_i64(ENCODE_ROWS, COLD_BYTES / size), p->warm);
    p->x = bench_values((int64_t)ENCODE_ROWS * d, 1);
    p->codes = ivf_new(ivf_to_size(p->cold), ivf_to_size(size));
    p->keys = ivf_new(ivf_to_size(p->cold), sizeof *p->keys);
    p->scratch = ivf_new(ivf_codec_encode_scratch(p->codec, ENCODE_ROWS), 1);
    p->table = ivf_new(ivf_codec_table_size(p->codec), 1);
    if (p->x == NULL || p->codes == NULL || p->keys == NULL || p->scratch == NULL || p->table == NULL)
        return EXIT_FAILURE;
    ivf_codec_training training = {.seed = 1, .iterations = 4};
    if (ivf_codec_train_local(p->codec, p->x, TRAIN_ROWS, &training) != MPIVF_OK)
        return EXIT_FAILURE;
    for (int64_t at = 0; at < p->cold; at += ENCODE_ROWS)
        ivf_codec_encode(p->codec, p->x, ivf_min_i64(ENCODE_ROWS, p->cold - at), p->codes + at * size, p->scratch);
    return EXIT_SUCCESS;
}

static int measure(const char *text, int d, int repetitions)
{
    static bench_work *const works[] = {run_encode, run_tables, run_cold, run_warm};
    bench_time times[4] = {{0}};
    problem p = {0};
    int status = make_problem(&p, text, d);
    if (status == EXIT_SUCCESS) {
        bench_alternate(works, 4, &p, repetitions, times);
        printf("%-12s %6d %10.1f %10.2f %10.1f %10.1f %10.1f\n", text, d, 1e-3 * ENCODE_ROWS / times[0].median,
               1e6 * times[1].median / TABLES, 1e-6 * (double)p.cold / times[2].median,
               1e-9 * (double)p.cold * (double)ivf_codec_code_size(p.codec) / times[2].median,
               1e-6 * (double)p.cold / times[3].median);
    } else {
        (void)fprintf(stderr, "%s\n", ivf_error_last()->text);
    }
    free_problem(&p);
    return status;
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"IVF,Flat", "IVF,SQfp16", "IVF,SQ8",    "IVF,SQ6",
                                        "IVF,SQ4",  "IVF,PQ32",   "IVF,PQ64x4", "IVF,PQ32x6"};
    const char *index = NULL;
    int d = 128;
    int repetitions = 5;
    const bench_option options[] = {
        {.name = "d", .count = &d, .low = 1, .high = 100000},
        {.name = "index", .text = &index},
        {.name = "repetitions", .count = &repetitions, .low = 1, .high = BENCH_MAX_REPETITIONS},
        {.name = NULL}};
    bench_options(argc, argv, options);
    ivf_team_resize(1);
    printf("one thread; median of %d repetitions\n", repetitions);
    printf("codec             d  k rows/s    us/table  M codes/s       GB/s  M codes/s\n");
    printf("                      encoded                   cold       cold       warm\n");
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && status == EXIT_SUCCESS; i++)
        if (index == NULL || i == 0)
            status = measure(index == NULL ? usual[i] : index, d, repetitions);
    return status;
}
