/* The best words of a tile of rows, written once for the vector units: included after the definition of
 *
 *   vec                                     32-bit integers
 *   LANES, VECTORS                          of a vec; vecs of IVF_WORDS_LANES
 *   ROWS                                    of a tile
 *   vec_load vec_max vec_lowest
 *   vec_dot(sum, c, x)                      sum + products of the pairs c with the pair x, for every lane
 *   vec_join(key, lane)                     key with its bits 4 to 7 replaced by those of lane
 *   store_largest(best[ROWS], keys[ROWS])   the largest lane of each row
 *
 * A tile keeps the scores of its rows against one group of 16 words, and the best so far, in registers. Words are
 * loaded once for all rows; rows are broadcast from a copy [pairs][ROWS], so that their addresses are constants. */
#ifndef IVF_MATH_WORDS_TILE_H
#define IVF_MATH_WORDS_TILE_H

#include <stdalign.h>

#include "math/words_plain.h"

#define INLINE static inline __attribute__((always_inline))

typedef int32_t __attribute__((may_alias)) pair;

/* 15 - lane, where the joined scores have it. */
static const int32_t lane_bits[IVF_WORDS_LANES] = {0xF0, 0xE0, 0xD0, 0xC0, 0xB0, 0xA0, 0x90, 0x80,
                                                   0x70, 0x60, 0x50, 0x40, 0x30, 0x20, 0x10, 0x00};

/* The lanes of vector v of every group. */
INLINE void scan_groups(const ivf_words_book *book, const int pairs, const int32_t *x, const int v, vec best[ROWS])
{
    const int16_t *packed = book->packed + (ptrdiff_t)v * 2 * LANES;
    const int32_t *bias = book->bias + (ptrdiff_t)v * LANES;
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
        best[r] = vec_lowest();
    for (int g = 0; g < book->groups; g++, bias += IVF_WORDS_LANES) {
        vec sum[ROWS];
        const vec first = vec_load(bias);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            sum[r] = first;
#pragma GCC unroll 4
        for (int p = 0; p < pairs; p++, packed += (ptrdiff_t)2 * IVF_WORDS_LANES) {
            const vec c = vec_load((const int32_t *)(const void *)packed);
#pragma GCC unroll 16
            for (int r = 0; r < ROWS; r++)
                sum[r] = vec_dot(sum[r], c, x + (ptrdiff_t)p * ROWS + r);
        }
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            best[r] = vec_max(best[r], sum[r]);
    }
    const vec lanes = vec_load(lane_bits + (ptrdiff_t)v * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
        best[r] = vec_join(best[r], lanes);
}

INLINE void find_tile(const ivf_words_book *book, const int pairs, const int32_t *x, int32_t keys[ROWS])
{
    vec best[ROWS];
    scan_groups(book, pairs, x, 0, best);
#pragma GCC unroll 2
    for (int v = 1; v < VECTORS; v++) {
        vec other[ROWS];
        scan_groups(book, pairs, x, v, other);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            best[r] = vec_max(best[r], other[r]);
    }
    store_largest(best, keys);
}

INLINE void find_rows(const ivf_words_book *book, const int pairs, const int16_t *q, ptrdiff_t row_stride, int64_t n,
                      uint8_t *best, ptrdiff_t stride)
{
    alignas(64) int32_t keys[ROWS];
    alignas(64) int32_t x[IVF_WORDS_VALUES / 2 * ROWS] = {0};
    for (int64_t row = 0; row < n; row += ROWS) {
        const int rows = n - row < ROWS ? (int)(n - row) : (int)ROWS;
        for (int r = 0; r < rows; r++)
            for (int p = 0; p < pairs; p++)
                x[p * ROWS + r] = ((const pair *)(const void *)(q + (row + r) * row_stride))[p];
        find_tile(book, pairs, x, keys);
        for (int r = 0; r < rows; r++)
            best[(row + r) * stride] = number_of(keys[r], book->shift);
    }
}

/* The usual numbers of pairs are compiled by themselves. */
static void find_best(const ivf_words_book *book, const int16_t *q, ptrdiff_t row_stride, int64_t n, uint8_t *best,
                      ptrdiff_t stride)
{
    if (book->pairs == 1)
        find_rows(book, 1, q, row_stride, n, best, stride);
    else if (book->pairs == 2)
        find_rows(book, 2, q, row_stride, n, best, stride);
    else if (book->pairs == 4)
        find_rows(book, 4, q, row_stride, n, best, stride);
    else
        find_rows(book, book->pairs, q, row_stride, n, best, stride);
}

#endif
