/* Finds the nearest rows of each query of a file in an index, from several threads at once.
 *
 *     cc -std=c11 search.c $(pkg-config --cflags --libs mpivf) -o search
 *     ./search photos.ivf queries.fbin 10 16
 *
 * prints one line for each query: its number, and the ids that it found, the nearest first. The queries are a .fbin
 * file: two 32-bit numbers, how many and of how many values, and then the values. */
#include <mpivf/search.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4 };

typedef struct {
    const mpivf_index *index; /* one handle serves all threads */
    mpivf_search_options options;
    int k;
    int64_t count;
    const float *queries; /* [count][dimension] */
    int64_t *ids;         /* [count][k] */
    float *distances;     /* [count][k] */
    int code;
    char message[256];
} job;

static void *run(void *arg)
{
    job *mine = arg;
    mine->code =
        mpivf_search(mine->index, mine->queries, mine->count, mine->k, &mine->options, mine->ids, mine->distances);
    if (mine->code != MPIVF_OK) /* the line belongs to this thread */
        snprintf(mine->message, sizeof mine->message, "%s", mpivf_last_error());
    return NULL;
}

/* Each thread searches for a part of the queries. */
static int search_all(job whole, int dimension)
{
    pthread_t threads[THREADS];
    job jobs[THREADS];
    int code = MPIVF_OK;
    for (int t = 0; t < THREADS; t++) {
        int64_t first = whole.count * t / THREADS;
        jobs[t] = whole;
        jobs[t].count = whole.count * (t + 1) / THREADS - first;
        jobs[t].queries += first * dimension;
        jobs[t].ids += first * whole.k;
        jobs[t].distances += first * whole.k;
        if (pthread_create(&threads[t], NULL, run, &jobs[t]) != 0)
            abort();
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        if (jobs[t].code != MPIVF_OK) {
            fprintf(stderr, "%s\n", jobs[t].message);
            code = jobs[t].code;
        }
    }
    return code;
}

static float *read_queries(const char *path, int dimension, int64_t *count)
{
    FILE *file = fopen(path, "rb");
    uint32_t head[2] = {0, 0};
    float *queries = NULL;
    if (file == NULL || fread(head, sizeof head, 1, file) != 1 || head[1] != (uint32_t)dimension) {
        fprintf(stderr, "%s holds no queries of %d values\n", path, dimension);
    } else {
        queries = malloc((size_t)head[0] * head[1] * sizeof *queries + 1);
        if (queries != NULL && fread(queries, sizeof *queries * head[1], head[0], file) != head[0]) {
            fprintf(stderr, "%s is cut off\n", path);
            free(queries);
            queries = NULL;
        }
    }
    if (file != NULL)
        fclose(file);
    *count = head[0];
    return queries;
}

static void print(const job *found)
{
    for (int64_t q = 0; q < found->count; q++) {
        printf("%" PRId64 ":", q);
        for (int i = 0; i < found->k && found->ids[q * found->k + i] >= 0; i++) /* -1: there are no more */
            printf(" %" PRId64, found->ids[q * found->k + i]);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    mpivf_index *index = NULL;
    if (argc != 5) {
        fprintf(stderr, "usage: search INDEX QUERIES.fbin K NPROBE\n");
        return MPIVF_USAGE;
    }
    int code = mpivf_open(argv[1], NULL, &index);
    if (code != MPIVF_OK) {
        fprintf(stderr, "%s (%s)\n", mpivf_last_error(), mpivf_code_name(code));
        return code;
    }
    job found = {
        .index = index, .k = atoi(argv[3]), .options = {.size = sizeof found.options, .nprobe = atoi(argv[4])}};
    float *queries = read_queries(argv[2], mpivf_dimension(index), &found.count);
    size_t neighbours = (size_t)found.count * (size_t)(found.k > 0 ? found.k : 1);
    found.queries = queries;
    found.ids = malloc(neighbours * sizeof *found.ids + 1);
    found.distances = malloc(neighbours * sizeof *found.distances + 1);
    code = MPIVF_FAILED;
    if (queries != NULL && found.ids != NULL && found.distances != NULL)
        code = search_all(found, mpivf_dimension(index));
    if (code == MPIVF_OK)
        print(&found);
    free(found.distances);
    free(found.ids);
    free(queries);
    mpivf_close(index);
    return code;
}
