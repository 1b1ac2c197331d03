/* Scans of rows, halves and numbers, written once for any vector width: included by scan_avx2.c and scan_zmm.h, which
 * first define what a vector is:
 *
 *   fvec, ivec                        LANES floats; 4 * LANES bytes, of which 4 belong to a lane
 *   LANES, QUERIES                    of a vec; queries of the largest tile
 *   fvec_load fvec_store fvec_zero fvec_set1 fvec_add fvec_fma
 *   fvec_load_half                    LANES halves
 *   fvec_from                         of integers
 *   ivec_load ivec_zero ivec_set1     4 bytes for every lane
 *   ivec_store ivec_gather            of words, one for each of LANES bytes
 *   ivec_and ivec_or ivec_up ivec_down   shifts of 32-bit lanes
 *   ivec_dot                          adds, in each lane, the products of 4 numbers and 4 weights
 *
 * The sums of a tile, a few queries and one or more blocks, stay in registers for the whole of d: numbers are unpacked
 * once for all queries. Blocks come in strips that stay in the first-level cache while queries take turns. */
#ifndef IVF_MATH_SCAN_TILES_H
#define IVF_MATH_SCAN_TILES_H

#include <stdbool.h>
#include <string.h>

#include "math/scan_kernels.h"

#define INLINE static inline __attribute__((always_inline))

enum { VECS = IVF_SCAN_BLOCK / LANES, QUAD = 4 * IVF_SCAN_BLOCK, MOST_VECS = 8 };

/* Where a tile is. */
typedef struct {
    const ivf_scan_job *job;
    int query;
    int64_t block;
    int size; /* d, or groups of numbers */
} place;

INLINE void finish(const ivf_scan_job *job, int query, int64_t slot, fvec sum)
{
    fvec low = fvec_set1(job->base[query]);
    if (job->terms != NULL)
        low = fvec_add(low, fvec_load(job->terms + slot));
    fvec_store(job->low[query] + slot, fvec_fma(sum, fvec_set1(job->scale[query]), low));
}

/* rows or halves: `vecs` vectors for each of `queries`; `half`, too, is known when this is compiled. */
INLINE void rows_tile(const place *p, const int queries, const int blocks, const bool half)
{
    const ivf_scan_job *job = p->job;
    const ptrdiff_t element = half ? 2 : 4;
    const ptrdiff_t block_size = p->size * element * IVF_SCAN_BLOCK;
    const char *at = (const char *)job->blocks + p->block * block_size;
    const float *query[QUERIES];
    fvec sum[QUERIES][MOST_VECS];
#pragma GCC unroll 16
    for (int q = 0; q < queries; q++) {
        query[q] = job->probe[p->query + q];
#pragma GCC unroll 16
        for (int v = 0; v < (ptrdiff_t)blocks * VECS; v++)
            sum[q][v] = fvec_zero();
    }
    for (ptrdiff_t j = 0; j < p->size; j++, at += element * IVF_SCAN_BLOCK) {
        fvec column[MOST_VECS];
#pragma GCC unroll 16
        for (ptrdiff_t v = 0; v < (ptrdiff_t)blocks * VECS; v++) {
            const char *from = at + v / VECS * block_size + v % VECS * LANES * element;
            column[v] = half ? fvec_load_half((const uint16_t *)(const void *)from)
                             : fvec_load((const float *)(const void *)from);
        }
#pragma GCC unroll 16
        for (int q = 0; q < queries; q++) {
            fvec value = fvec_set1(query[q][j]);
#pragma GCC unroll 16
            for (int v = 0; v < (ptrdiff_t)blocks * VECS; v++)
                sum[q][v] = fvec_fma(column[v], value, sum[q][v]);
        }
    }
#pragma GCC unroll 16
    for (int q = 0; q < queries; q++) {
#pragma GCC unroll 16
        for (int v = 0; v < (ptrdiff_t)blocks * VECS; v++)
            finish(job, p->query + q, p->block * IVF_SCAN_BLOCK + (int64_t)v * LANES, sum[q][v]);
    }
}

/* Quad `quad` of the group of quads at `at`. */
INLINE ivec load_quad(const uint8_t *at, const int bits, const int quad)
{
    if (bits == 8)
        return ivec_load(at);
    ivec bytes = ivec_load(at + (ptrdiff_t)(quad / 2) * QUAD);
    ivec low = ivec_and(quad % 2 == 0 ? bytes : ivec_down(bytes, 4), ivec_set1(0x0F0F0F0F));
    if (bits == 4)
        return low;
    ivec high = ivec_load(at + (ptrdiff_t)2 * QUAD);
    high = quad < 2 ? ivec_up(high, 4 - 2 * quad) : ivec_down(high, 2 * quad - 4);
    return ivec_or(low, ivec_and(high, ivec_set1(0x30303030)));
}

INLINE void numbers_tile(const place *p, const int queries, const int blocks, const int bits)
{
    const int quads = bits == 8 ? 1 : bits == 4 ? 2 : 4;
    const ptrdiff_t group_size = bits == 6 ? 3 * QUAD : QUAD;
    const ivf_scan_job *job = p->job;
    const ptrdiff_t block_size = p->size * group_size;
    const uint8_t *at = (const uint8_t *)job->blocks + p->block * block_size;
    const int8_t *weight[QUERIES];
    ivec sum[QUERIES][MOST_VECS];
#pragma GCC unroll 16
    for (int q = 0; q < queries; q++) {
        weight[q] = job->probe[p->query + q];
#pragma GCC unroll 16
        for (int v = 0; v < (ptrdiff_t)blocks * VECS; v++)
            sum[q][v] = ivec_zero();
    }
    for (ptrdiff_t group = 0; group < p->size; group++, at += group_size) {
#pragma GCC unroll 4
        for (int quad = 0; quad < quads; quad++) {
            ivec column[MOST_VECS];
#pragma GCC unroll 16
            for (ptrdiff_t v = 0; v < (ptrdiff_t)blocks * VECS; v++)
                column[v] = load_quad(at + v / VECS * block_size + v % VECS * LANES * 4, bits, quad);
#pragma GCC unroll 16
            for (int q = 0; q < queries; q++) {
                int32_t four = 0;
                memcpy(&four, weight[q] + (group * quads + quad) * 4, sizeof four);
                const ivec value = ivec_set1(four);
#pragma GCC unroll 16
                for (int v = 0; v < (ptrdiff_t)blocks * VECS; v++)
                    sum[q][v] = ivec_dot(sum[q][v], column[v], value);
            }
        }
    }
#pragma GCC unroll 16
    for (int q = 0; q < queries; q++) {
#pragma GCC unroll 16
        for (int v = 0; v < (ptrdiff_t)blocks * VECS; v++)
            finish(job, p->query + q, p->block * IVF_SCAN_BLOCK + (int64_t)v * LANES, fvec_from(sum[q][v]));
    }
}

/* A tile function for each number of queries, of several blocks and of one. */
typedef void tile_fn(const place *p);
typedef struct {
    int blocks;
    tile_fn *several;
    tile_fn *one;
} tile_size;

#define DEFINE_TILE(name, tile, queries, blocks, what)                                                                 \
    static void name##_##queries##_##blocks(const place *p)                                                            \
    {                                                                                                                  \
        tile(p, queries, blocks, what);                                                                                \
    }
#define DEFINE_TILES(name, tile, what)                                                                                 \
    TILE_SIZES(DEFINE_TILE_PAIR, name, tile, what)                                                                     \
    static const tile_size name##_tiles[QUERIES] = {TILE_SIZES(LIST_TILE, name, tile, what)};
#define DEFINE_TILE_PAIR(queries, blocks, name, tile, what)                                                            \
    DEFINE_TILE(name, tile, queries, 1, what) DEFINE_TILE(name, tile, queries, blocks, what)
#define LIST_TILE(queries, blocks, name, tile, what) {blocks, name##_##queries##_##blocks, name##_##queries##_1},

DEFINE_TILES(rows, rows_tile, false)
DEFINE_TILES(halves, rows_tile, true)
DEFINE_TILES(numbers8, numbers_tile, 8)
DEFINE_TILES(numbers6, numbers_tile, 6)
DEFINE_TILES(numbers4, numbers_tile, 4)

/* Strips of blocks, and for each the queries in tiles; STRIP is a multiple of every tile's blocks. */
static void run_tiles(const ivf_scan_job *job, const tile_size sizes[QUERIES], int size)
{
    enum { STRIP = 4 };
    place p = {.job = job, .size = size};
    for (int64_t first = 0; first < job->count; first += STRIP) {
        int64_t end = first + STRIP < job->count ? first + STRIP : job->count;
        for (p.query = 0; p.query < job->nq; p.query += QUERIES) {
            int queries = job->nq - p.query < QUERIES ? job->nq - p.query : QUERIES;
            const tile_size *tile = &sizes[queries - 1];
            for (p.block = first; p.block + tile->blocks <= end; p.block += tile->blocks)
                tile->several(&p);
            for (; p.block < end; p.block++)
                tile->one(&p);
        }
    }
}

/* A quad's words stay in the first-level cache for all blocks. */
static void widen(const uint8_t *bytes, int64_t count, int m, int quads, const uint32_t *words, uint8_t *numbers)
{
    enum { WORDS = 256 };
    for (ptrdiff_t quad = 0; quad < (ptrdiff_t)m * quads; quad++, words += WORDS)
        for (int64_t block = 0; block < count; block++) {
            const uint8_t *from = bytes + (block * m + quad / quads) * IVF_SCAN_BLOCK;
            uint8_t *to = numbers + (block * m * quads + quad) * QUAD;
            for (ptrdiff_t v = 0; v < IVF_SCAN_BLOCK; v += LANES)
                ivec_store(to + v * 4, ivec_gather(words, from + v));
        }
}

static void scan_rows(const ivf_scan_job *job, int d)
{
    run_tiles(job, rows_tiles, d);
}

static void scan_halves(const ivf_scan_job *job, int d)
{
    run_tiles(job, halves_tiles, d);
}

static void scan_numbers(const ivf_scan_job *job, int d, int bits)
{
    const int values = bits == 8 ? 4 : bits == 4 ? 8 : 16;
    run_tiles(job, bits == 8 ? numbers8_tiles : bits == 4 ? numbers4_tiles : numbers6_tiles, (d - 1) / values + 1);
}

#endif
