/* Rows transposed into tiles, for the kernels of AVX2 and AVX-512: with few packed vectors to compare with, copying one
 * float at a time would take as long as the products. */
#include "math/panels_pack.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

enum { HIGH = 8, WIDE = 4 }; /* a step of the copy: 8 rows by 4 columns */

/* Row r in the lower lane, row r + 4 in the upper one. */
static inline __m256 load_pair(const float *const row[HIGH], int r, int64_t column)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row[r] + column)),
                                _mm_loadu_ps(row[r + HIGH / 2] + column), 1);
}

/* Columns column .. column + 3 of 8 rows. */
static inline void transpose(const float *const row[HIGH], int64_t column, ptrdiff_t tile_rows, float *to)
{
    __m256 a = load_pair(row, 0, column);
    __m256 b = load_pair(row, 1, column);
    __m256 c = load_pair(row, 2, column);
    __m256 d = load_pair(row, 3, column);
    __m256 ab_low = _mm256_unpacklo_ps(a, b);
    __m256 ab_high = _mm256_unpackhi_ps(a, b);
    __m256 cd_low = _mm256_unpacklo_ps(c, d);
    __m256 cd_high = _mm256_unpackhi_ps(c, d);
    _mm256_storeu_ps(to, _mm256_shuffle_ps(ab_low, cd_low, 0x44));
    _mm256_storeu_ps(to + tile_rows, _mm256_shuffle_ps(ab_low, cd_low, 0xee));
    _mm256_storeu_ps(to + 2 * tile_rows, _mm256_shuffle_ps(ab_high, cd_high, 0x44));
    _mm256_storeu_ps(to + 3 * tile_rows, _mm256_shuffle_ps(ab_high, cd_high, 0xee));
}

/* All columns of 8 rows. */
static void pack_high(const float *const row[HIGH], ptrdiff_t tile_rows, int size, float *to)
{
    int column = 0;
    for (; column + WIDE <= size; column += WIDE)
        transpose(row, column, tile_rows, to + column * tile_rows);
    for (; column < size; column++) {
        for (int r = 0; r < HIGH; r++)
            to[column * tile_rows + r] = row[r][column];
    }
}

void ivf_panels_pack_avx2(const float *x, int rows, int64_t d, int tile_rows, int size, float *to)
{
    if (tile_rows == 1) {
        memcpy(to, x, (size_t)size * sizeof *to);
        return;
    }
    /* What 8 rows reach beyond the tile is overwritten: by the next column, or by the lower rows, which come last. */
    for (int first = (tile_rows - 1) / HIGH * HIGH; first >= 0; first -= HIGH) {
        const float *row[HIGH];
        for (int r = 0; r < HIGH; r++)
            row[r] = x + (first + r < rows ? first + r : rows - 1) * d;
        pack_high(row, tile_rows, size, to + first);
    }
}

#endif
