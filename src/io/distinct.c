#include "io/distinct.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/exchange.h"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS };

/* One pass of a radix sort; false, and nothing done, when all ids have the same digit. */
static bool sort_by_digit(const uint64_t *from, uint64_t *to, int64_t n, int shift)
{
    int64_t at[DIGITS] = {0};
    for (int64_t i = 0; i < n; i++)
        at[from[i] >> shift & (DIGITS - 1)]++;
    if (n == 0 || at[from[0] >> shift & (DIGITS - 1)] == n)
        return false;
    for (int64_t digit = 0, sum = 0; digit < DIGITS; digit++) {
        int64_t count = at[digit];
        at[digit] = sum;
        sum += count;
    }
    for (int64_t i = 0; i < n; i++)
        to[at[from[i] >> shift & (DIGITS - 1)]++] = from[i];
    return true;
}

static int sort_ids(uint64_t *ids, int64_t n)
{
    uint64_t *spare = ivf_new((size_t)n, sizeof *spare);
    uint64_t *from = ids;
    uint64_t *to = spare;
    if (spare == NULL)
        return MPIVF_FAILED;
    for (int shift = 0; shift < 64; shift += DIGIT_BITS) {
        if (!sort_by_digit(from, to, n, shift))
            continue;
        uint64_t *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != ids)
        memcpy(ids, from, (size_t)n * sizeof *ids);
    ivf_free(spare);
    return MPIVF_OK;
}

/* Keeps one of each among sorted ids, and returns how many that are. *twice becomes the first that there were more of,
 * if it is smaller. */
static int64_t squeeze(uint64_t *ids, int64_t n, uint64_t *twice)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        if (kept == 0 || ids[i] != ids[kept - 1])
            ids[kept++] = ids[i];
        else if (ids[i] < *twice)
            *twice = ids[i];
    }
    return kept;
}

static int class_of(uint64_t id, int classes)
{
    return (int)(ivf_hash64(&id, sizeof id) % (uint64_t)classes);
}

/* Class after class into `out`; offsets[classes + 1] in bytes. */
static void classify(const uint64_t *ids, int64_t n, int classes, uint64_t *out, int64_t *offsets)
{
    memset(offsets, 0, ((size_t)classes + 1) * sizeof *offsets);
    for (int64_t i = 0; i < n; i++)
        offsets[class_of(ids[i], classes) + 1]++;
    for (int c = 0; c < classes; c++)
        offsets[c + 1] += offsets[c];
    for (int64_t i = 0; i < n; i++)
        out[offsets[class_of(ids[i], classes)]++] = ids[i];
    /* Each offset has moved on to the next class's. */
    for (int c = classes; c > 0; c--)
        offsets[c] = offsets[c - 1] * (int64_t)sizeof *out;
    offsets[0] = 0;
}

/* Squeezed ids by class, in a new block that takes the place of *ids. */
static int sort_into_classes(const ivf_ctx *ctx, uint64_t **ids, int64_t n, int64_t **offsets, uint64_t *twice)
{
    int rc = sort_ids(*ids, n);
    if (rc != MPIVF_OK)
        return rc;
    n = squeeze(*ids, n, twice);
    uint64_t *classified = ivf_new((size_t)n, sizeof *classified);
    *offsets = ivf_new((size_t)ivf_ctx_size(ctx) + 1, sizeof **offsets);
    if (classified != NULL && *offsets != NULL) {
        classify(*ids, n, ivf_ctx_size(ctx), classified, *offsets);
        ivf_free(*ids);
        *ids = classified;
        return MPIVF_OK;
    }
    ivf_free(classified);
    return MPIVF_FAILED;
}

/* The smallest over the ranks. Flipping the top bit keeps the order of unsigned numbers in signed ones. */
static void share_smallest(const ivf_ctx *ctx, uint64_t *id)
{
    int64_t largest = (int64_t)(~*id ^ (uint64_t)1 << 63);
    ivf_allmax_i64(ctx, &largest, 1);
    *id = ~((uint64_t)largest ^ (uint64_t)1 << 63);
}

int ivf_distinct_check(const ivf_ctx *ctx, uint64_t *ids, int64_t n, uint64_t *twice)
{
    int64_t *offsets = NULL;
    ivf_gathered mine = {0};
    *twice = UINT64_MAX;
    int rc = ivf_agree(ctx, sort_into_classes(ctx, &ids, n, &offsets, twice));
    if (rc == MPIVF_OK)
        rc = ivf_exchange(ctx, ids, offsets, &mine);
    ivf_free(ids);
    ivf_free(offsets);
    if (rc != MPIVF_OK)
        return rc;
    uint64_t *of_class = (uint64_t *)(void *)mine.data;
    const int64_t count = mine.offsets[ivf_ctx_size(ctx)] / (int64_t)sizeof *of_class;
    rc = sort_ids(of_class, count);
    if (rc == MPIVF_OK)
        (void)squeeze(of_class, count, twice);
    ivf_gathered_free(&mine);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        share_smallest(ctx, twice);
    return rc;
}
