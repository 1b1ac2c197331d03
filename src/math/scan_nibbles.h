/* Scans of nibbles, written once for any vector width: included by scan_avx2.c and scan_zmm.h, which first define,
 * beside what scan_tiles.h wants,
 *
 *   PIECES, TABLES                  vectors to a row of 64 bytes; queries of the largest tile
 *   ivec_tables                     loads the 32 bytes of two tables, once for each 16 postings that a vector holds
 *   ivec_pick ivec_mean             table lookups of nibbles; means of unsigned bytes, rounded up
 *   byte_sums, no_sums, add_bytes   sums of bytes in 16 bits
 *   finish_nibbles                  sums as bounds of a piece of a block
 *
 * Bytes are summed as means of eight, which stay bytes: seven instructions in place of the 24 that would widen and add
 * them. Codes are taken apart once for all queries of a tile. */
#ifndef IVF_MATH_SCAN_NIBBLES_H
#define IVF_MATH_SCAN_NIBBLES_H

#include "math/scan_kernels.h"

enum { ROW = 64, ROWS = IVF_SCAN_NIBBLE_ROWS };

/* The mean of what four rows hold for a query; rows from `rows` on count as zero. */
INLINE ivec mean_of_rows(const uint8_t *tables, const ivec *low, const ivec *high, const int rows)
{
    ivec mean[ROWS];
#pragma GCC unroll 4
    for (ptrdiff_t row = 0; row < ROWS; row++)
        mean[row] = row >= rows ? ivec_zero()
                                : ivec_mean(ivec_pick(ivec_tables(tables + row * ROW), low[row]),
                                            ivec_pick(ivec_tables(tables + row * ROW + ROW / 2), high[row]));
    const ivec second = rows <= 2 ? ivec_zero() : ivec_mean(mean[2], mean[3]);
    return ivec_mean(ivec_mean(mean[0], mean[1]), second);
}

/* At most four rows, from byte `at` of a block on, for some queries. */
INLINE void add_rows(byte_sums *sums, const uint8_t *codes, const uint8_t *const *tables, ptrdiff_t at, const int rows,
                     const int queries)
{
    ivec low[ROWS];
    ivec high[ROWS];
#pragma GCC unroll 4
    for (ptrdiff_t row = 0; row < rows; row++) {
        const ivec bytes = ivec_load(codes + at + row * ROW);
        low[row] = ivec_and(bytes, ivec_set1(0x0F0F0F0F));
        high[row] = ivec_and(ivec_down(bytes, 4), ivec_set1(0x0F0F0F0F));
    }
#pragma GCC unroll 16
    for (int q = 0; q < queries; q++)
        add_bytes(&sums[q], mean_of_rows(tables[q] + at, low, high, rows));
}

INLINE void nibbles_tile(const ivf_scan_job *job, int query, const int queries, ptrdiff_t size, int64_t piece)
{
    const uint8_t *codes = (const uint8_t *)job->blocks + piece / PIECES * size + piece % PIECES * (ROW / PIECES);
    const uint8_t *tables[TABLES];
    byte_sums sums[TABLES];
    const ptrdiff_t row = ROW;
    ptrdiff_t at = 0;
#pragma GCC unroll 16
    for (int q = 0; q < queries; q++) {
        tables[q] = job->probe[query + q];
        sums[q] = no_sums();
    }
    for (; at + ROWS * row <= size; at += ROWS * row)
        add_rows(sums, codes, tables, at, ROWS, queries);
    if (size - at == 3 * row)
        add_rows(sums, codes, tables, at, 3, queries);
    else if (size - at == 2 * row)
        add_rows(sums, codes, tables, at, 2, queries);
    else if (size - at == row)
        add_rows(sums, codes, tables, at, 1, queries);
#pragma GCC unroll 16
    for (int q = 0; q < queries; q++)
        finish_nibbles(job, query + q, piece, &sums[q]);
}

static void scan_nibbles(const ivf_scan_job *job, int m)
{
    const ptrdiff_t size = (ptrdiff_t)ivf_scan_nibbles_size(m);
    for (int64_t piece = 0; piece < job->count * PIECES; piece++) {
        int query = 0;
        for (; query + TABLES <= job->nq; query += TABLES)
            nibbles_tile(job, query, TABLES, size, piece);
        for (; TABLES > 4 && query + 4 <= job->nq; query += 4)
            nibbles_tile(job, query, 4, size, piece);
        for (; query + 2 <= job->nq; query += 2)
            nibbles_tile(job, query, 2, size, piece);
        if (query < job->nq)
            nibbles_tile(job, query, 1, size, piece);
    }
}

#endif
