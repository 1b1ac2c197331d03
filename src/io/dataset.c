/* The dataset: a checked list of shards (io/shards), a few of whose files are open at a time (io/openfiles), and
 * reading across their borders. Memory: the list, and a scratch piece for each thread that reads. */
#include "io/dataset.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "base/text.h"
#include "io/h5lock.h"
#include "io/openfiles.h"
#include "io/shards.h"

enum {
    OPEN_MOST = 64,
    OPEN_MOST_HDF5 = 8, /* each keeps a cache of chunks */
};

struct ivf_dataset {
    ivf_shards shards;
    char *h5_path; /* owned; may be NULL */
    ivf_openfiles *files;
    atomic_int_fast64_t bytes_read;
};

static int open_most(const ivf_shards *shards)
{
    for (int i = 0; i < shards->count; i++)
        if (shards->layouts[i].offset < 0)
            return OPEN_MOST_HDF5;
    return OPEN_MOST;
}

static int complete(ivf_dataset *dataset, const char *h5_path)
{
    if (h5_path != NULL && (dataset->h5_path = ivf_text_copy(h5_path)) == NULL)
        return MPIVF_FAILED;
    dataset->files = ivf_openfiles_new(&dataset->shards, dataset->h5_path, open_most(&dataset->shards));
    return dataset->files == NULL ? MPIVF_FAILED : MPIVF_OK;
}

int ivf_dataset_open(const ivf_ctx *ctx, const ivf_dataset_spec *spec, ivf_dataset **dataset)
{
    ivf_dataset *made = ivf_new_zero(1, sizeof *made);
    *dataset = NULL;
    ivf_h5_start();
    int rc = ivf_agree(ctx, made == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || made == NULL) {
        ivf_free(made);
        return rc;
    }
    rc = ivf_shards_find(ctx, spec->inputs, spec->count, spec->h5_path, &made->shards);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, complete(made, spec->h5_path));
    if (rc == MPIVF_OK)
        *dataset = made;
    else
        ivf_dataset_close(made);
    return rc;
}

void ivf_dataset_close(ivf_dataset *dataset)
{
    if (dataset == NULL)
        return;
    ivf_openfiles_free(dataset->files);
    ivf_shards_free(&dataset->shards);
    ivf_free(dataset->h5_path);
    ivf_free(dataset);
}

int64_t ivf_dataset_rows(const ivf_dataset *dataset)
{
    return dataset->shards.first_rows[dataset->shards.count];
}

int ivf_dataset_d(const ivf_dataset *dataset)
{
    return dataset->shards.d;
}

ivf_element ivf_dataset_type(const ivf_dataset *dataset)
{
    return dataset->shards.type;
}

int ivf_dataset_shards(const ivf_dataset *dataset)
{
    return dataset->shards.count;
}

ivf_shard ivf_dataset_shard(const ivf_dataset *dataset, int shard)
{
    const ivf_layout *layout = &dataset->shards.layouts[shard];
    return (ivf_shard){.path = dataset->shards.paths[shard],
                       .format = ivf_source_format_name(layout->format),
                       .rows = layout->rows,
                       .first_row = dataset->shards.first_rows[shard],
                       .bytes = layout->bytes,
                       .mtime_ns = layout->mtime_ns};
}

/* The last shard that begins at or before the row: of several that begin there, all but the last are empty. */
int ivf_dataset_shard_of(const ivf_dataset *dataset, int64_t row)
{
    int low = 0;
    int high = dataset->shards.count;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (dataset->shards.first_rows[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t ivf_dataset_bytes_read(const ivf_dataset *dataset)
{
    return atomic_load(&dataset->bytes_read);
}

static void count_rows(ivf_dataset *dataset, int shard, int64_t rows)
{
    atomic_fetch_add(&dataset->bytes_read, rows * (int64_t)ivf_layout_stride(&dataset->shards.layouts[shard]));
}

static int refuse_rows(const ivf_dataset *dataset, int64_t first, int64_t n)
{
    return ivf_fail(MPIVF_FAILED, "%" PRId64 " rows from %" PRId64 " were asked of an input of %" PRId64, n, first,
                    ivf_dataset_rows(dataset));
}

static int read_from_shard(ivf_dataset *dataset, int shard, int64_t first, int64_t n, float *x)
{
    ivf_source *source = NULL;
    int rc = ivf_openfiles_take(dataset->files, shard, &source);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_source_read(source, first - dataset->shards.first_rows[shard], n, x);
    ivf_openfiles_give(dataset->files, source);
    count_rows(dataset, shard, n);
    return rc;
}

int ivf_dataset_read(ivf_dataset *dataset, int64_t first, int64_t n, float *x)
{
    const int64_t rows = ivf_dataset_rows(dataset);
    if (first < 0 || n < 0 || first > rows || n > rows - first)
        return refuse_rows(dataset, first, n);
    int rc = MPIVF_OK;
    for (int64_t done = 0; rc == MPIVF_OK && done < n;) {
        int shard = ivf_dataset_shard_of(dataset, first + done);
        int64_t now = ivf_min_i64(n - done, dataset->shards.first_rows[shard + 1] - (first + done));
        rc = read_from_shard(dataset, shard, first + done, now, x + done * dataset->shards.d);
        done += now;
    }
    return rc;
}

/* Scattered rows, cut into spans that are each read at once. */
typedef struct {
    ivf_dataset *dataset;
    const int64_t *rows;
    int64_t n;
    int64_t *starts; /* [spans + 1], indexes into rows; owned */
    int64_t spans;
    int64_t gap; /* bytes */
    float *x;
} scatter;

/* Where the span that begins at rows[i] ends: at a shard's end, a wide gap, or the limit of a piece. */
static int64_t span_end(const scatter *s, int64_t i)
{
    const ivf_shards *shards = &s->dataset->shards;
    const int shard = ivf_dataset_shard_of(s->dataset, s->rows[i]);
    const int64_t stride = (int64_t)ivf_layout_stride(&shards->layouts[shard]);
    const int64_t last = ivf_min_i64(shards->first_rows[shard + 1] - 1, s->rows[i] + IVF_SPAN_BYTES / stride - 1);
    int64_t end = i + 1;
    while (end < s->n && s->rows[end] <= last && s->rows[end] - s->rows[end - 1] - 1 <= s->gap / stride)
        end++;
    return end;
}

static int plan_spans(scatter *s)
{
    for (int64_t i = 0; i < s->n; i = span_end(s, i))
        s->spans++;
    s->starts = ivf_new((size_t)s->spans + 1, sizeof *s->starts);
    if (s->starts == NULL)
        return MPIVF_FAILED;
    int64_t at = 0;
    for (int64_t span = 0; span < s->spans; span++, at = span_end(s, at))
        s->starts[span] = at;
    s->starts[s->spans] = s->n;
    return MPIVF_OK;
}

static int read_span(void *arg, int64_t task, int worker)
{
    const scatter *s = arg;
    const int64_t from = s->starts[task];
    const int64_t to = s->starts[task + 1];
    const int shard = ivf_dataset_shard_of(s->dataset, s->rows[from]);
    ivf_source *source = NULL;
    (void)worker;
    int rc = ivf_openfiles_take(s->dataset->files, shard, &source);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_source_read_span(source, s->rows + from, to - from, s->dataset->shards.first_rows[shard],
                              s->x + from * s->dataset->shards.d);
    ivf_openfiles_give(s->dataset->files, source);
    count_rows(s->dataset, shard, s->rows[to - 1] - s->rows[from] + 1);
    return rc;
}

int ivf_dataset_read_rows(ivf_dataset *dataset, const int64_t *rows, int64_t n, int64_t gap, float *x)
{
    for (int64_t i = 0; i < n; i++) {
        if (rows[i] < 0 || rows[i] >= ivf_dataset_rows(dataset))
            return refuse_rows(dataset, rows[i], 1);
        if (i > 0 && rows[i] <= rows[i - 1])
            return ivf_fail(MPIVF_FAILED, "rows to be read must ascend: %" PRId64 " follows %" PRId64, rows[i],
                            rows[i - 1]);
    }
    scatter s = {.dataset = dataset, .rows = rows, .n = n, .gap = gap};
    s.x = x;
    int rc = plan_spans(&s);
    if (rc == MPIVF_OK)
        rc = ivf_team_run_stoppable(s.spans, read_span, &s);
    ivf_free(s.starts);
    return rc;
}

int64_t ivf_dataset_read_memory(const ivf_dataset *dataset)
{
    int64_t most = 0;
    for (int i = 0; i < dataset->shards.count; i++)
        most = ivf_max_i64(most, ivf_source_memory(&dataset->shards.layouts[i]));
    return most;
}

/* Of the shards in chunks: the most bytes that pass through, that one row of chunks takes, and that an open file keeps.
 */
typedef struct {
    int64_t passing, chunks, kept;
    int count;
} chunk_figures;

static chunk_figures look_at_chunks(const ivf_dataset *dataset)
{
    chunk_figures f = {0};
    for (int i = 0; i < dataset->shards.count; i++) {
        const ivf_layout *layout = &dataset->shards.layouts[i];
        f.passing = ivf_max_i64(f.passing, ivf_source_passing(layout));
        f.chunks = ivf_max_i64(f.chunks, layout->chunks);
        f.kept = ivf_max_i64(f.kept, ivf_source_kept(layout));
        f.count += layout->chunks > 0;
    }
    return f;
}

ivf_dataset_caches ivf_dataset_caches_of(const ivf_dataset *dataset)
{
    const chunk_figures f = look_at_chunks(dataset);
    return (ivf_dataset_caches){.own = f.passing - 2 * f.chunks,
                                .least = f.passing + f.chunks,
                                .usual = f.passing + ivf_min_i64(f.count, OPEN_MOST_HDF5) * f.kept};
}

/* Fewer files before fewer chunks of each: a rank mostly reads on in one file, and the piece that crosses from one row
 * of chunks into the next wants both. */
void ivf_dataset_limit_caches(ivf_dataset *dataset, int64_t bytes)
{
    const chunk_figures f = look_at_chunks(dataset);
    int most = open_most(&dataset->shards);
    if (f.kept == 0)
        return;
    most = (int)ivf_max_i64(1, ivf_min_i64(most, (bytes - f.passing) / f.kept));
    const bool scarce = bytes - f.passing < f.kept;
    for (int i = 0; scarce && i < dataset->shards.count; i++)
        dataset->shards.layouts[i].held = 1;
    ivf_openfiles_limit(dataset->files, most);
}

void ivf_dataset_rest(ivf_dataset *dataset)
{
    ivf_openfiles_rest(dataset->files);
}

int64_t ivf_dataset_rows_memory(const ivf_dataset *dataset)
{
    return ivf_max_i64(ivf_dataset_read_memory(dataset), IVF_SPAN_BYTES);
}

int64_t ivf_dataset_few(const ivf_dataset *dataset)
{
    int64_t stride = INT64_MAX;
    for (int i = 0; i < dataset->shards.count; i++)
        if (dataset->shards.layouts[i].rows > 0)
            stride = ivf_min_i64(stride, (int64_t)ivf_layout_stride(&dataset->shards.layouts[i]));
    return ivf_dataset_rows(dataset) / (16 * (IVF_DATASET_GAP / stride + 1) + 1);
}
