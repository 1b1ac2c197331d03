#include "build/compact_sums.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "io/publish.h"
#include "math/blocksum.h"

/* Blocks whose sums are computed, and which are put, while they are in the cache; and those read at once. */
enum { SLICE = 512, PIECE = 64, BLOCK = IVF_BLOCKSUM_BLOCK };

struct ivf_compact_sums {
    const ivf_outfile *file;
    ivf_outfile *beside; /* [blocks] of ivf_blocksum */
    ivf_blocksum blocks[SLICE];
    char data[PIECE * BLOCK];
};

int64_t ivf_compact_sums_memory(void)
{
    return (int64_t)sizeof(ivf_compact_sums);
}

int ivf_compact_sums_open(const ivf_ctx *ctx, const char *path, const ivf_outfile *file, int64_t bytes,
                          ivf_compact_sums **sums)
{
    char beside[IVF_PATH_BYTES + 8];
    ivf_compact_sums *made = ivf_new(1, sizeof *made);
    *sums = NULL;
    (void)snprintf(beside, sizeof beside, "%s.sums", path);
    int rc = ivf_agree(ctx, made == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && made != NULL) {
        made->file = file;
        rc = ivf_outfile_open(ctx, beside, bytes / BLOCK * (int64_t)sizeof(ivf_blocksum), &made->beside);
    }
    if (rc == MPIVF_OK)
        *sums = made;
    else
        ivf_free(made);
    return rc;
}

void ivf_compact_sums_close(const ivf_ctx *ctx, ivf_compact_sums *sums)
{
    if (sums == NULL)
        return;
    ivf_outfile_drop(ctx, sums->beside);
    ivf_free(sums);
}

/* ---- while the file is written ---- */

static int put_blocks(const ivf_compact_sums *s, int64_t block, int64_t n)
{
    return ivf_outfile_put(s->beside, s->blocks, ivf_to_size(n) * sizeof *s->blocks,
                           block * (int64_t)sizeof *s->blocks);
}

int ivf_compact_sums_put(ivf_compact_sums *sums, const void *data, int64_t bytes, int64_t at)
{
    const char *from = data;
    const int64_t end = at + bytes;
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && at < end) {
        const int64_t next = ivf_min_i64(end, (at / BLOCK + SLICE) * BLOCK);
        const int64_t block = ivf_ceil_div(at, BLOCK);
        const int64_t n = next / BLOCK - block;
        if (n > 0) {
            ivf_blocksum_make(from + (block * BLOCK - at), n, sums->blocks);
            rc = put_blocks(sums, block, n);
        }
        if (rc == MPIVF_OK)
            rc = ivf_outfile_put(sums->file, from, ivf_to_size(next - at), at);
        from += next - at;
        at = next;
    }
    return rc;
}

int ivf_compact_sums_mend(ivf_compact_sums *sums, ivf_compact_range range, int64_t border)
{
    const int64_t block = border / BLOCK;
    if (border % BLOCK == 0 || (block + 1) * BLOCK > range.at + range.bytes)
        return MPIVF_OK;
    int rc = ivf_outfile_get(sums->file, sums->data, BLOCK, block * BLOCK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_blocksum_make(sums->data, 1, sums->blocks);
    return put_blocks(sums, block, 1);
}

/* ---- when it is there ---- */

/* Blocks whose sums there are. */
static int add_known(ivf_compact_sums *s, ivf_blocksum *state, int64_t block, int64_t end)
{
    const int64_t size = sizeof *s->blocks;
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && block < end) {
        const int64_t n = ivf_min_i64(SLICE, end - block);
        rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = ivf_outfile_get(s->beside, s->blocks, ivf_to_size(n * size), block * size);
        if (rc == MPIVF_OK)
            ivf_blocksum_add(state, s->blocks, n);
        block += n;
    }
    return rc;
}

static int add_others(ivf_compact_sums *s, ivf_blocksum *state, int64_t block, int64_t end)
{
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && block < end) {
        const int64_t n = ivf_min_i64(PIECE, end - block);
        rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = ivf_outfile_get(s->file, s->data, ivf_to_size(n * BLOCK), block * BLOCK);
        if (rc == MPIVF_OK) {
            ivf_blocksum_make(s->data, n, s->blocks);
            ivf_blocksum_add(state, s->blocks, n);
        }
        block += n;
    }
    return rc;
}

/* What is behind the last block. */
static int finish(ivf_compact_sums *s, const ivf_blocksum *state, ivf_compact_range range, uint64_t *checksum)
{
    const int64_t tail = ivf_blocksum_tail(range.bytes);
    const int rc = ivf_outfile_get(s->file, s->data, ivf_to_size(range.bytes - tail), range.at + tail);
    if (rc == MPIVF_OK)
        *checksum = ivf_blocksum_end(state, range.bytes, s->data);
    return rc;
}

int ivf_compact_sums_range(ivf_compact_sums *sums, ivf_compact_range range, uint64_t *checksum)
{
    ivf_blocksum state;
    const int64_t block = range.at / BLOCK;
    ivf_blocksum_begin(&state);
    const int rc = add_known(sums, &state, block, block + ivf_blocksum_count(range.bytes));
    return rc == MPIVF_OK ? finish(sums, &state, range, checksum) : rc;
}

/* The first with a whole block that begins at this block or behind it; NULL: none does. */
static const ivf_compact_range *find_next(const ivf_compact_range *ranges, int count, int64_t block)
{
    const ivf_compact_range *next = NULL;
    for (int i = 0; i < count; i++)
        if (ranges[i].bytes >= BLOCK && ranges[i].at >= block * BLOCK && (next == NULL || ranges[i].at < next->at))
            next = &ranges[i];
    return next;
}

int ivf_compact_sums_whole(ivf_compact_sums *sums, const ivf_compact_range *ranges, int count, int64_t *bytes,
                           uint64_t *checksum)
{
    ivf_blocksum state;
    int64_t done = 0;
    int rc = ivf_outfile_size(sums->file, bytes);
    const int64_t blocks = rc == MPIVF_OK ? ivf_blocksum_count(*bytes) : 0;
    ivf_blocksum_begin(&state);
    while (rc == MPIVF_OK && done < blocks) {
        const ivf_compact_range *next = find_next(ranges, count, done);
        const int64_t first = next == NULL ? blocks : ivf_min_i64(blocks, next->at / BLOCK);
        const int64_t end = next == NULL ? blocks : ivf_min_i64(blocks, (next->at + next->bytes) / BLOCK);
        rc = add_others(sums, &state, done, first);
        if (rc == MPIVF_OK)
            rc = add_known(sums, &state, first, end);
        done = end;
    }
    return rc == MPIVF_OK ? finish(sums, &state, (ivf_compact_range){0, *bytes}, checksum) : rc;
}
