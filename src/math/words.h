/* Codebooks of a product quantizer in 16-bit integers: m sub-spaces of dsub values, each with 16 to 256 codewords, for
 * finding the best word of many rows.
 *
 * Each sub-space has a grid: a value becomes q = round((x - centre) * scale). Words are kept as multiples of 16, so
 * that the score q . c + bias, in 32 bits, leaves its low bits to the word's number, and one maximum keeps both. A
 * word's rounding error e is made up for in its bias, by <c, e>; what is left, <q - c, e>, is small for the rows near
 * it. Measured: the squared error of codes grows by less than 0.01 % over that of the nearest words. Integers: the bits
 * are the same for every SIMD level, and a row's do not depend on the rows around it. */
#ifndef IVF_MATH_WORDS_H
#define IVF_MATH_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IVF_WORDS_VALUES = 64 }; /* the most of a sub-space */

typedef struct ivf_words ivf_words;

/* Local. m >= 1 sub-spaces of 1 to IVF_WORDS_VALUES values, a power of two from 16 to 256 words each; m * words * (dsub
 * rounded up to 2) * 2 bytes. NULL with a failure recorded. */
ivf_words *ivf_words_new(int m, int dsub, int words);
void ivf_words_free(ivf_words *w);

/* Local. 16-bit values of a rounded row: m * (dsub rounded up to 2). */
size_t ivf_words_width(const ivf_words *w);

/* Local. The grid of a sub-space that fits its words book[words][dsub], with a quarter more, and the words themselves.
 * False when there is none (values that are not finite, or too close together for f32): the sub-space must not be used.
 */
bool ivf_words_set_book(ivf_words *w, int sub, const float *book);

/* Local. The grid of a sub-space for rows and words alike: centre[dsub], and the largest distance from it that a value
 * of either can have. False as above. */
bool ivf_words_set_grid(ivf_words *w, int sub, const float *centre, float range);

/* Local. Units of the grid for each 1.0. */
float ivf_words_scale(const ivf_words *w, int sub);

/* Local. Words of a sub-space in units of its grid, word[words][dsub rounded up to 2]; those beyond its range are never
 * found. */
void ivf_words_set(ivf_words *w, int sub, const double *word);

/* Local, one thread. x[n][m * dsub] to q[n][width]. outside[i]: row i has a value beyond the grid, which becomes
 * INT16_MIN; the best word of that sub-space is then meaningless. Returns how many rows have. */
int64_t ivf_words_round(const ivf_words *w, const float *x, int64_t n, int16_t *q, uint8_t *outside);

/* Local. Whether a rounded row is outside the grid of one sub-space. */
bool ivf_words_outside(const ivf_words *w, int sub, const int16_t *q);

/* Local, one thread. The best word (of equal scores, the lowest number) of each row q[n][width] into best[i * stride].
 */
void ivf_words_best(const ivf_words *w, int sub, const int16_t *q, int64_t n, uint8_t *best, ptrdiff_t stride);

/* Local, one thread; m = 1. Adds each row q[n][width] to sums[best[i]][width], and 1 to counts[best[i]]. */
void ivf_words_add(const ivf_words *w, const int16_t *q, const uint8_t *best, int64_t n, int64_t *sums,
                   int64_t *counts);

#endif
