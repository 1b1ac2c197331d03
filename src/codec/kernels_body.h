/* The kernels themselves, included by one file for each SIMD level, whose compiler flags make the difference. Vectors
 * are the compiler's generic ones (vector_size), so that the order of operations is the same at every level: element i
 * of a row goes to lane i % 16, lanes are added as l and l + 8, l + 4, l + 2, l + 1 in turn. */
#ifndef IVF_CODEC_KERNELS_BODY_H
#define IVF_CODEC_KERNELS_BODY_H

#include <stdbool.h>
#include <string.h>

#include "codec/bits.h"
#include "codec/kernels.h"

enum { ENTRY_LANES = 4 };

typedef float float_lanes __attribute__((vector_size(IVF_CODEC_LANES * sizeof(float))));

static inline float sum_lanes(const float_lanes *lanes)
{
    float sum[IVF_CODEC_LANES];
    memcpy(sum, lanes, sizeof sum);
    for (int j = 0; j < 8; j++)
        sum[j] += sum[j + 8];
    for (int j = 0; j < 4; j++)
        sum[j] += sum[j + 4];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static inline void load_floats(const float *from, float_lanes *to)
{
    memcpy(to, from, sizeof *to);
}

/* The next values of a row, at most a chunk, one byte each: in place where they are bytes already. Moves *codes on. */
static inline __attribute__((always_inline)) const uint8_t *next_chunk(const uint8_t **codes, int left, int bits,
                                                                       uint8_t values[IVF_BITS_CHUNK])
{
    const uint8_t *packed = *codes;
    const int count = left < IVF_BITS_CHUNK ? left : IVF_BITS_CHUNK;
    *codes += ivf_bits_size(count, bits);
    if (bits == 8 && count == IVF_BITS_CHUNK)
        return packed;
    ivf_bits_unpack_as(packed, count, bits, values);
    return values;
}

/* The same as floats: a whole chunk in one plain loop, which is what gcc turns into vector conversions. */
static inline __attribute__((always_inline)) void next_floats(const uint8_t **codes, int left, int bits,
                                                              float floats[IVF_BITS_CHUNK])
{
    uint8_t buffer[IVF_BITS_CHUNK];
    const uint8_t *values = next_chunk(codes, left, bits, buffer);
    for (int i = 0; i < IVF_BITS_CHUNK; i++)
        floats[i] = (float)values[i];
}

static inline __attribute__((always_inline)) void sum_squares_of(const float *offset, const float *slope, int d,
                                                                 int bits, const uint8_t *codes, int64_t n, float *sums)
{
    for (int64_t row = 0; row < n; row++) {
        float_lanes total = {0};
        for (int at = 0; at < d; at += IVF_BITS_CHUNK) {
            float values[IVF_BITS_CHUNK];
            next_floats(&codes, d - at, bits, values);
            for (int i = 0; i < IVF_BITS_CHUNK; i += IVF_CODEC_LANES) {
                float_lanes from;
                float_lanes step;
                float_lanes value;
                load_floats(offset + at + i, &from);
                load_floats(slope + at + i, &step);
                load_floats(values + i, &value);
                float_lanes difference = from - step * value;
                total += difference * difference;
            }
        }
        sums[row] = sum_lanes(&total);
    }
}

static inline __attribute__((always_inline)) void sum_products_of(const float *slope, int d, int bits,
                                                                  const uint8_t *codes, int64_t n, float *sums)
{
    for (int64_t row = 0; row < n; row++) {
        float_lanes total = {0};
        for (int at = 0; at < d; at += IVF_BITS_CHUNK) {
            float values[IVF_BITS_CHUNK];
            next_floats(&codes, d - at, bits, values);
            for (int i = 0; i < IVF_BITS_CHUNK; i += IVF_CODEC_LANES) {
                float_lanes step;
                float_lanes value;
                load_floats(slope + at + i, &step);
                load_floats(values + i, &value);
                total += step * value;
            }
        }
        sums[row] = sum_lanes(&total);
    }
}

/* Each width is compiled by itself: its shifts, masks and sizes are constants then. */
static void sum_squares(const float *offset, const float *slope, int d, int bits, const uint8_t *codes, int64_t n,
                        float *sums)
{
    if (bits == 8)
        sum_squares_of(offset, slope, d, 8, codes, n, sums);
    else if (bits == 6)
        sum_squares_of(offset, slope, d, 6, codes, n, sums);
    else
        sum_squares_of(offset, slope, d, 4, codes, n, sums);
}

static void sum_products(const float *slope, int d, int bits, const uint8_t *codes, int64_t n, float *sums)
{
    if (bits == 8)
        sum_products_of(slope, d, 8, codes, n, sums);
    else if (bits == 6)
        sum_products_of(slope, d, 6, codes, n, sums);
    else
        sum_products_of(slope, d, 4, codes, n, sums);
}

static void squares(const float *query, const float *book, int dsub, int words, float *entries)
{
    for (int w = 0; w < words; w += IVF_CODEC_LANES) {
        float_lanes total = {0};
        for (int j = 0; j < dsub; j++) {
            float_lanes word;
            load_floats(book + (size_t)j * (size_t)words + w, &word);
            float_lanes difference = query[j] - word;
            total += difference * difference;
        }
        memcpy(entries + w, &total, sizeof total);
    }
}

static void products(const float *query, const float *book, int dsub, int words, float *entries)
{
    for (int w = 0; w < words; w += IVF_CODEC_LANES) {
        float_lanes total = {0};
        for (int j = 0; j < dsub; j++) {
            float_lanes word;
            load_floats(book + (size_t)j * (size_t)words + w, &word);
            total -= query[j] * word;
        }
        memcpy(entries + w, &total, sizeof total);
    }
}

/* Of one length of sub-vectors, which is known when this is compiled where it is a usual one. */
static inline __attribute__((always_inline)) void entries_of(bool squared, const float *query, const float *books,
                                                             size_t dsub, size_t words, const uint8_t *numbers,
                                                             int count, float *entries)
{
    for (int i = 0; i < count; i++, query += dsub, books += words * dsub) {
        const float *word = books + numbers[i] * dsub;
        float total = 0;
        for (size_t j = 0; j < dsub; j++) {
            float difference = query[j] - word[j];
            total = squared ? total + difference * difference : total - query[j] * word[j];
        }
        entries[i] = total;
    }
}

static inline __attribute__((always_inline)) void choose_length(bool squared, const float *query, const float *books,
                                                                int dsub, int words, const uint8_t *numbers, int count,
                                                                float *entries)
{
    if (dsub == 8)
        entries_of(squared, query, books, 8, (size_t)words, numbers, count, entries);
    else if (dsub == 4)
        entries_of(squared, query, books, 4, (size_t)words, numbers, count, entries);
    else if (dsub == 2)
        entries_of(squared, query, books, 2, (size_t)words, numbers, count, entries);
    else
        entries_of(squared, query, books, (size_t)dsub, (size_t)words, numbers, count, entries);
}

static void squares_of(const float *query, const float *books, int dsub, int words, const uint8_t *numbers, int count,
                       float *entries)
{
    choose_length(true, query, books, dsub, words, numbers, count, entries);
}

static void products_of(const float *query, const float *books, int dsub, int words, const uint8_t *numbers, int count,
                        float *entries)
{
    choose_length(false, query, books, dsub, words, numbers, count, entries);
}

/* Adds the entries of the eight numbers in a word: number i to sum i % ENTRY_LANES. */
static inline __attribute__((always_inline)) void add_entries(float sum[ENTRY_LANES], const float *table, int bits,
                                                              uint64_t word)
{
    for (int i = 0; i < IVF_BITS_GROUP; i++, word >>= bits)
        sum[i % ENTRY_LANES] += table[((size_t)i << bits) + (word & (((uint64_t)1 << bits) - 1))];
}

static inline __attribute__((always_inline)) void sum_entries_of(const float *table, int m, int bits,
                                                                 const uint8_t *codes, int64_t n, float *sums)
{
    const int groups = m / IVF_BITS_GROUP;
    const size_t left = ivf_bits_size(m % IVF_BITS_GROUP, bits);
    for (int64_t row = 0; row < n; row++) {
        float sum[ENTRY_LANES] = {0};
        const float *entries = table;
        for (int group = 0; group < groups; group++, codes += bits, entries += IVF_BITS_GROUP << bits)
            add_entries(sum, entries, bits, ivf_bits_load(codes, (size_t)bits));
        if (left > 0) {
            uint64_t word = 0;
            memcpy(&word, codes, left);
            codes += left;
            add_entries(sum, entries, bits, word);
        }
        sums[row] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
}

static void sum_entries(const float *table, int m, int bits, const uint8_t *codes, int64_t n, float *sums)
{
    if (bits == 8)
        sum_entries_of(table, m, 8, codes, n, sums);
    else if (bits == 7)
        sum_entries_of(table, m, 7, codes, n, sums);
    else if (bits == 6)
        sum_entries_of(table, m, 6, codes, n, sums);
    else if (bits == 5)
        sum_entries_of(table, m, 5, codes, n, sums);
    else
        sum_entries_of(table, m, 4, codes, n, sums);
}

static void range(const float *entries, int words, float *low, float *high)
{
    float least[IVF_CODEC_LANES];
    float most[IVF_CODEC_LANES];
    memcpy(least, entries, sizeof least);
    memcpy(most, entries, sizeof most);
    for (int w = IVF_CODEC_LANES; w < words; w += IVF_CODEC_LANES) {
        for (int i = 0; i < IVF_CODEC_LANES; i++) {
            least[i] = entries[w + i] < least[i] ? entries[w + i] : least[i];
            most[i] = entries[w + i] > most[i] ? entries[w + i] : most[i];
        }
    }
    for (int half = IVF_CODEC_LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            least[i] = least[i + half] < least[i] ? least[i + half] : least[i];
            most[i] = most[i + half] > most[i] ? most[i + half] : most[i];
        }
    }
    *low = least[0];
    *high = most[0];
}

static void steps(const float *entries, int words, float low, float inverse, float largest, uint8_t *to)
{
    for (int w = 0; w < words; w++) {
        float step = (entries[w] - low) * inverse;
        to[w] = (uint8_t)(int32_t)(step < largest ? step : largest);
    }
}

static void interleave(const uint8_t from[256], uint8_t *words)
{
    enum { HALF = 128 };
    for (int i = 0; i < HALF; i++) {
        words[(ptrdiff_t)2 * i] = from[i];
        words[2 * i + 1] = from[i + HALF];
    }
}

#define IVF_CODEC_KERNELS                                                                                              \
    {                                                                                                                  \
        .sum_squares = sum_squares, .sum_products = sum_products, .squares = squares, .products = products,            \
        .squares_of = squares_of, .products_of = products_of, .sum_entries = sum_entries, .range = range,              \
        .steps = steps, .interleave = interleave                                                                       \
    }

#endif
