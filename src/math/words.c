/* Grids and packing of math/words.h, for the product quantizer: see there. The kernels are chosen when a set of words
 * is made. */
#include "math/words.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "math/simd.h"
#include "math/words_kernels.h"

static const double LARGEST = INT16_MAX;
static const double LARGEST_SCORE = (double)INT32_MAX - 512; /* what rounding and numbers can add is left free */
static const double SPARE = 1.25;                            /* range of an encoder's grid, in that of its words */
static const double UNIT = 16;                               /* words are multiples of it */

static const ivf_words_kernels *kernels_now(void)
{
    static const ivf_words_kernels *const of_level[IVF_SIMD_COUNT] = {
        [IVF_SIMD_REFERENCE] = &ivf_words_reference,
        [IVF_SIMD_BLAS] = &ivf_words_reference,
#if defined(__x86_64__)
        [IVF_SIMD_AVX2] = &ivf_words_avx2,
        [IVF_SIMD_AVX512] = &ivf_words_avx512,
        [IVF_SIMD_VNNI] = &ivf_words_vnni,
#endif
    };
    return of_level[ivf_simd_level()];
}

static size_t width_of(const ivf_words *w)
{
    return 2 * (size_t)w->pairs;
}

static size_t book_values(const ivf_words *w)
{
    return (size_t)w->words * width_of(w);
}

ivf_words *ivf_words_new(int m, int dsub, int words)
{
    ivf_words *w = ivf_new_zero(1, sizeof *w);
    if (w == NULL)
        return NULL;
    *w = (ivf_words){.kernels = kernels_now(), .m = m, .dsub = dsub, .words = words, .pairs = (dsub + 1) / 2};
    w->limit = (float)LARGEST;
    const size_t values = (size_t)m * (size_t)dsub;
    w->centre = ivf_new_zero(values, sizeof *w->centre);
    w->scale = ivf_new_zero(values, sizeof *w->scale);
    w->packed = ivf_new_zero((size_t)m * book_values(w), sizeof *w->packed);
    w->bias = ivf_new_zero((size_t)m * (size_t)words, sizeof *w->bias);
    if (w->centre != NULL && w->scale != NULL && w->packed != NULL && w->bias != NULL)
        return w;
    ivf_words_free(w);
    return NULL;
}

void ivf_words_free(ivf_words *w)
{
    if (w == NULL)
        return;
    ivf_free(w->centre);
    ivf_free(w->scale);
    ivf_free(w->packed);
    ivf_free(w->bias);
    ivf_free(w);
}

size_t ivf_words_width(const ivf_words *w)
{
    return (size_t)w->m * width_of(w);
}

/* Packed places of a word. */
static size_t group_of(const ivf_words *w, int word)
{
    return (size_t)(word % (w->words / IVF_WORDS_LANES));
}

static size_t lane_of(const ivf_words *w, int word)
{
    return (size_t)(word / (w->words / IVF_WORDS_LANES));
}

static bool fits(const ivf_words *w, const double *near)
{
    for (size_t j = 0; j < width_of(w); j++)
        if (!(fabs(near[j]) <= (double)w->limit))
            return false;
    return true;
}

/* The score of a row x for the word c, held as c_q: <x, c_q> - <c, c_q> + |c|^2 / 2. */
static void pack_word(ivf_words *w, int sub, int word, const double *c)
{
    const size_t group = group_of(w, word);
    const size_t lane = lane_of(w, word);
    int16_t *packed = w->packed + (size_t)sub * book_values(w) + group * width_of(w) * IVF_WORDS_LANES + 2 * lane;
    double near[IVF_WORDS_VALUES];
    double bias = 0;
    for (size_t j = 0; j < width_of(w); j++) {
        near[j] = UNIT * nearbyint(c[j] / UNIT);
        bias += c[j] * (c[j] / 2 - near[j]);
    }
    const bool inside = fits(w, near);
    for (size_t j = 0; j < width_of(w); j++)
        packed[j / 2 * 2 * IVF_WORDS_LANES + j % 2] = (int16_t)(inside ? near[j] : 0);
    const int32_t whole = inside ? (int32_t)(UNIT * floor(bias / UNIT)) : INT32_MIN;
    w->bias[(size_t)sub * (size_t)w->words + group * IVF_WORDS_LANES + lane] =
        whole + IVF_WORDS_NUMBERS - 1 - (int32_t)group;
}

void ivf_words_set(ivf_words *w, int sub, const double *word)
{
    for (int i = 0; i < w->words; i++)
        pack_word(w, sub, i, word + (size_t)i * width_of(w));
}

static bool set_scale(ivf_words *w, int sub, double scale)
{
    const bool sound = isfinite((float)scale) && scale >= (double)FLT_MIN;
    for (int j = 0; j < w->dsub; j++)
        w->scale[sub * w->dsub + j] = sound ? (float)scale : 0;
    return sound;
}

float ivf_words_scale(const ivf_words *w, int sub)
{
    return w->scale[(size_t)sub * (size_t)w->dsub];
}

/* Rows have values up to the limit, and so norms up to limit * sqrt(dsub); words have the norm r at most. A score is
 * then at most limit * sqrt(dsub) * r + r^2 / 2. */
static double largest_norm(const ivf_words *w)
{
    const double row = LARGEST * sqrt((double)w->dsub);
    return sqrt(row * row + 2 * LARGEST_SCORE) - row;
}

/* Midpoints of the words' values; the largest distance of a value and of a word from them. */
static void measure_book(ivf_words *w, int sub, const float *book, double *value, double *norm)
{
    float *centre = w->centre + (size_t)sub * (size_t)w->dsub;
    for (int j = 0; j < w->dsub; j++) {
        double low = (double)book[j];
        double high = (double)book[j];
        for (int i = 1; i < w->words; i++) {
            low = fmin(low, (double)book[i * w->dsub + j]);
            high = fmax(high, (double)book[i * w->dsub + j]);
        }
        centre[j] = (float)(low / 2 + high / 2);
    }
    *value = 0;
    *norm = 0;
    for (int i = 0; i < w->words; i++) {
        double squares = 0;
        for (int j = 0; j < w->dsub; j++) {
            const double from = (double)book[i * w->dsub + j] - (double)centre[j];
            *value = fabs(from) <= *value ? *value : fabs(from);
            squares += from * from;
        }
        *norm = sqrt(squares) <= *norm ? *norm : sqrt(squares);
    }
}

bool ivf_words_set_book(ivf_words *w, int sub, const float *book)
{
    double word[IVF_WORDS_VALUES] = {0};
    double value = 0;
    double norm = 0;
    for (int i = 0; i < w->words * w->dsub; i++)
        if (!isfinite(book[i]))
            return false;
    measure_book(w, sub, book, &value, &norm);
    const double scale = value == 0 ? 1 : fmin(LARGEST / (SPARE * value), (largest_norm(w) - UNIT * w->dsub) / norm);
    if (!set_scale(w, sub, scale))
        return false;
    const float *centre = w->centre + (size_t)sub * (size_t)w->dsub;
    for (int i = 0; i < w->words; i++) {
        for (int j = 0; j < w->dsub; j++)
            word[j] = ((double)book[i * w->dsub + j] - (double)centre[j]) * (double)ivf_words_scale(w, sub);
        pack_word(w, sub, i, word);
    }
    return true;
}

bool ivf_words_set_grid(ivf_words *w, int sub, const float *centre, float range)
{
    memcpy(w->centre + (size_t)sub * (size_t)w->dsub, centre, (size_t)w->dsub * sizeof *centre);
    /* Norms of both up to limit * sqrt(dsub): 1.5 limit^2 dsub at most. */
    w->limit = (float)floor(fmin(LARGEST, sqrt(LARGEST_SCORE / 1.5 / w->dsub) - UNIT));
    return set_scale(w, sub, range > 0 ? (double)w->limit / (double)range : INFINITY);
}

/* Sub-spaces of an odd number of values are followed by a zero. */
static bool round_row(const ivf_words *w, const float *x, int16_t *q)
{
    if (w->dsub % 2 == 0)
        return w->kernels->round(x, w->centre, w->scale, w->limit, w->m * w->dsub, q);
    bool outside = false;
    for (int sub = 0; sub < w->m; sub++, q += width_of(w)) {
        const ptrdiff_t at = (ptrdiff_t)sub * w->dsub;
        outside |= w->kernels->round(x + at, w->centre + at, w->scale + at, w->limit, w->dsub, q);
        q[w->dsub] = 0;
    }
    return outside;
}

int64_t ivf_words_round(const ivf_words *w, const float *x, int64_t n, int16_t *q, uint8_t *outside)
{
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        outside[row] = round_row(w, x, q);
        count += outside[row];
        x += (ptrdiff_t)w->m * w->dsub;
        q += ivf_words_width(w);
    }
    return count;
}

bool ivf_words_outside(const ivf_words *w, int sub, const int16_t *q)
{
    for (int j = 0; j < w->dsub; j++)
        if (q[(size_t)sub * width_of(w) + (size_t)j] == INT16_MIN)
            return true;
    return false;
}

void ivf_words_best(const ivf_words *w, int sub, const int16_t *q, int64_t n, uint8_t *best, ptrdiff_t stride)
{
    ivf_words_book book = {
        .packed = w->packed + (size_t)sub * book_values(w),
        .bias = w->bias + (size_t)sub * (size_t)w->words,
        .pairs = w->pairs,
        .groups = w->words / IVF_WORDS_LANES,
    };
    while (1 << book.shift < book.groups)
        book.shift++;
    w->kernels->best(&book, q + (size_t)sub * width_of(w), (ptrdiff_t)ivf_words_width(w), n, best, stride);
}

void ivf_words_add(const ivf_words *w, const int16_t *q, const uint8_t *best, int64_t n, int64_t *sums, int64_t *counts)
{
    w->kernels->add(q, best, n, (int)width_of(w), sums, counts);
}
