/* Searches of an index in memory: queries/s and recall of each number of lists, in each order in which queries and
 * lists can meet. One rank; opening the index is timed, too. */
#include <getopt.h>
#include <string.h>

#include "base/error.h"
#include "base/team.h"
#include "io/groundtruth.h"
#include "search/recall.h"
#include "search/searcher.h"
#include "support/measure.h"
#include "support/options.h"

typedef struct {
    const char *index;
    const char *queries; /* .fbin */
    const char *truth;   /* .ibin; NULL: no recall */
    int64_t k;
    int64_t repetitions;
    int64_t most; /* queries */
} options;

static const char *const order_names[] = {"auto", "by list", "by query"};

static float *read_queries(const options *o, int64_t *n, int *d)
{
    FILE *file = fopen(o->queries, "rb");
    uint32_t head[2] = {0};
    if (file == NULL || fread(head, sizeof *head, 2, file) != 2) {
        perror(o->queries);
        exit(1);
    }
    *n = ivf_min_i64(o->most, head[0]);
    *d = (int)head[1];
    size_t values = (size_t)*n * head[1];
    float *x = ivf_new(values, sizeof *x);
    if (x == NULL || fread(x, sizeof *x, values, file) != values)
        exit(1);
    (void)fclose(file);
    return x;
}

static void fail(void)
{
    (void)fprintf(stderr, "%s\n", ivf_error_last()->text);
    exit(1);
}

/* One line: all orders. */
static void measure(const options *o, const ivf_ctx *ctx, ivf_searcher *searcher, const float *queries, int64_t n,
                    int nprobe, const ivf_groundtruth *truth)
{
    ivf_neighbor *found = ivf_new((size_t)n * (size_t)o->k, sizeof *found);
    if (found == NULL)
        fail();
    printf("%6d", nprobe);
    for (int order = IVF_SCAN_AUTO; order <= IVF_SCAN_BY_QUERY; order++) {
        double seconds[BENCH_MAX_REPETITIONS];
        ivf_search_params params = {.k = (int)o->k, .nprobe = nprobe, .order = (ivf_scan_order)order};
        ivf_search_stats stats = {0};
        for (int64_t r = -1; r < o->repetitions; r++) {
            if (ivf_search(ctx, searcher, queries, n, &params, found, &stats) != MPIVF_OK)
                fail();
            if (r >= 0)
                seconds[r] = stats.seconds;
        }
        bench_time time = bench_summary(seconds, (int)o->repetitions);
        if (order == IVF_SCAN_AUTO)
            printf(" %11.1f", (double)stats.postings_scanned / (double)n);
        printf(" %10.0f", (double)n / time.median);
    }
    if (truth != NULL)
        printf(" %9.4f", ivf_recall_at(truth, found, n, (int)o->k, (int)ivf_min_i64(o->k, truth->k)).by_id);
    printf("\n");
    (void)fflush(stdout);
    ivf_free(found);
}

static void run(const options *o, const ivf_ctx *ctx, char **nprobes, int count)
{
    ivf_searcher *searcher = NULL;
    ivf_groundtruth truth = {0};
    int64_t n = 0;
    int d = 0;
    float *queries = read_queries(o, &n, &d);
    double started = ivf_clock();
    if (ivf_searcher_open(ctx, o->index, NULL, &searcher) != MPIVF_OK)
        fail();
    printf("%s: opened in %.2f s, %.1f MiB; %lld queries, %d threads\n", ivf_searcher_manifest(searcher)->build_id,
           ivf_clock() - started, (double)ivf_memory_now() / (1 << 20), (long long)n, ivf_team_size());
    if (o->truth != NULL && (ivf_groundtruth_read(o->truth, &truth) != MPIVF_OK || truth.queries < n))
        fail();
    printf("nprobe  rows/query");
    for (int order = IVF_SCAN_AUTO; order <= IVF_SCAN_BY_QUERY; order++)
        printf(" %10s", order_names[order]);
    printf("%s\n", o->truth == NULL ? "" : "    recall");
    for (int i = 0; i < count; i++)
        measure(o, ctx, searcher, queries, n, (int)bench_number("nprobe", nprobes[i], 1, INT32_MAX),
                o->truth == NULL ? NULL : &truth);
    ivf_groundtruth_free(&truth);
    ivf_searcher_close(searcher);
    ivf_free(queries);
}

int main(int argc, char **argv)
{
    options o = {.k = 10, .repetitions = 5, .most = INT32_MAX};
    int64_t threads = 0;
    int c;
    while ((c = getopt(argc, argv, "q:g:k:r:t:n:")) != -1) {
        if (c == 'q')
            o.queries = optarg;
        else if (c == 'g')
            o.truth = optarg;
        else if (c == 'k')
            o.k = bench_number("k", optarg, 1, INT32_MAX);
        else if (c == 'r')
            o.repetitions = bench_number("r", optarg, 1, BENCH_MAX_REPETITIONS);
        else if (c == 't')
            threads = bench_number("t", optarg, 1, 1024);
        else if (c == 'n')
            o.most = bench_number("n", optarg, 1, INT32_MAX);
        else
            return 2;
    }
    if (o.queries == NULL || optind + 2 > argc) {
        (void)fprintf(stderr, "usage: bench_search -q QUERIES.fbin [-g TRUTH.ibin] [-k neighbours] [-r repetitions] "
                              "[-t threads] [-n queries] INDEX NPROBE...\n");
        return 2;
    }
    o.index = argv[optind];
    ivf_ctx *ctx = ivf_ctx_open_self();
    if (ctx == NULL)
        fail();
    ivf_team_resize((int)threads);
    run(&o, ctx, argv + optind + 1, argc - optind - 1);
    ivf_ctx_close(ctx);
    return 0;
}
