/* Rows by place, from whoever holds them to rank 0. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cluster/internal.h"

/* A row travels as its index among those asked for, followed by its values. */
typedef struct {
    uint32_t index;
    float values[];
} record;

static size_t record_bytes(const ivf_kmeans_work *w)
{
    return sizeof(record) + w->d * sizeof(float);
}

enum { MOST_BYTES = 32 << 20 };

int64_t ivf_kmeans_fetch_most(const ivf_kmeans_work *w)
{
    return ivf_max_i64(1, MOST_BYTES / ivf_to_i64(record_bytes(w)));
}

/* This rank's, into `mine`; how many bytes. */
static size_t collect(const ivf_kmeans_work *w, const int64_t *places, int64_t count, char *mine)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        if (ivf_share_owner(&w->share, places[i]) != w->share.rank)
            continue;
        record *to = (record *)(void *)(mine + bytes);
        to->index = (uint32_t)i;
        memcpy(to->values, w->x + (size_t)ivf_share_row(&w->share, places[i]) * w->d, w->d * sizeof(float));
        bytes += record_bytes(w);
    }
    return bytes;
}

static void spread_out(const ivf_kmeans_work *w, const char *records, int64_t count, float *rows)
{
    for (int64_t i = 0; i < count; i++) {
        const record *from = (const record *)(const void *)(records + (size_t)i * record_bytes(w));
        memcpy(rows + from->index * w->d, from->values, w->d * sizeof(float));
    }
}

int ivf_kmeans_fetch(const ivf_ctx *ctx, const ivf_kmeans_work *w, const int64_t *places, int64_t count, float *rows)
{
    ivf_gathered gathered = {0};
    char *mine = ivf_new((size_t)count, record_bytes(w));
    int rc = ivf_kmeans_agree(ctx, mine == NULL ? MPIVF_FAILED : MPIVF_OK);
    size_t bytes = rc == MPIVF_OK && mine != NULL ? collect(w, places, count, mine) : 0;
    if (rc == MPIVF_OK && mine != NULL && ctx == NULL)
        spread_out(w, mine, count, rows);
    if (rc == MPIVF_OK && ctx != NULL)
        rc = ivf_gather_bytes(ctx, mine, bytes, &gathered);
    if (gathered.data != NULL)
        spread_out(w, (const char *)gathered.data, count, rows);
    ivf_gathered_free(&gathered);
    ivf_free(mine);
    return rc;
}

int64_t ivf_kmeans_fetch_memory(const ivf_kmeans_extent *e, int64_t count)
{
    const int64_t record_size = 4 + 4 * e->d;
    const int64_t bytes = ivf_min_i64(count, ivf_max_i64(1, MOST_BYTES / record_size)) * record_size;
    return e->ranks > 1 ? bytes / e->ranks + bytes : bytes;
}
