/* math/words: every kernel against the definition and against each other, at all sizes; grids and their limits. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "math/simd.h"
#include "math/words_kernels.h"

static const struct {
    ivf_simd level;
    const ivf_words_kernels *table;
} kernels[] = {
    {IVF_SIMD_REFERENCE, &ivf_words_reference},
#if defined(__x86_64__)
    {IVF_SIMD_AVX2, &ivf_words_avx2},
    {IVF_SIMD_AVX512, &ivf_words_avx512},
    {IVF_SIMD_VNNI, &ivf_words_vnni},
#endif
};
enum { KERNELS = sizeof kernels / sizeof kernels[0], N = 61 };

static float *normals(int64_t n, uint64_t seed, float scale)
{
    float *x = ivf_new((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

static ivf_words *words_of_book(int m, int dsub, int words, const float *book)
{
    ivf_words *w = ivf_words_new(m, dsub, words);
    for (int sub = 0; sub < m; sub++)
        ck_assert(ivf_words_set_book(w, sub, book + (ptrdiff_t)sub * words * dsub));
    return w;
}

/* All numbers, [N][m], and the rounded rows of one kernel. Blocks are exactly as large as they must be. */
static uint8_t *all_best(ivf_words *w, const ivf_words_kernels *by, const float *x, int16_t *q, uint8_t *outside)
{
    uint8_t *best = malloc((size_t)N * (size_t)w->m);
    w->kernels = by;
    (void)ivf_words_round(w, x, N, q, outside);
    for (int sub = 0; sub < w->m; sub++)
        ivf_words_best(w, sub, q, N, best + sub, w->m);
    return best;
}

static double squared(const float *x, const float *y, int d)
{
    double sum = 0;
    for (int j = 0; j < d; j++)
        sum += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    return sum;
}

static void check_near(const ivf_words *w, const float *book, const float *x, const uint8_t *best)
{
    double error = 0;
    double least = 0;
    for (int64_t row = 0; row < N; row++) {
        for (int sub = 0; sub < w->m; sub++) {
            const float *slice = x + (row * w->m + sub) * w->dsub;
            const float *words = book + (ptrdiff_t)sub * w->words * w->dsub;
            double nearest = INFINITY;
            for (int i = 0; i < w->words; i++)
                nearest = fmin(nearest, squared(slice, words + (ptrdiff_t)i * w->dsub, w->dsub));
            error += squared(slice, words + (ptrdiff_t)best[row * w->m + sub] * w->dsub, w->dsub);
            least += nearest;
        }
    }
    /* One value in 256 words: the grid is not much finer than the words are. */
    ck_assert_double_le(error, least * (w->dsub == 1 ? 1.003 : 1.001));
}

static const int shapes[][3] = {{1, 1, 16},  {3, 1, 256}, {5, 2, 32},  {2, 3, 64},   {7, 4, 256}, {2, 5, 128},
                                {3, 8, 256}, {1, 7, 16},  {2, 16, 64}, {1, 63, 128}, {2, 64, 256}};

START_TEST(kernels_find_near_words_and_agree)
{
    const int m = shapes[_i][0];
    const int dsub = shapes[_i][1];
    const int words = shapes[_i][2];
    float *book = normals((int64_t)m * words * dsub, 1, 1);
    float *x = normals((int64_t)N * m * dsub, 2, 0.8F);
    ivf_words *w = words_of_book(m, dsub, words, book);
    const size_t width = (size_t)N * ivf_words_width(w);
    int16_t *first_q = malloc(width * sizeof *first_q);
    int16_t *q = malloc(width * sizeof *q);
    uint8_t first_outside[N];
    uint8_t outside[N];
    uint8_t *first = all_best(w, kernels[0].table, x, first_q, first_outside);
    for (int64_t i = 0; i < N * m * dsub; i++) {
        const float limit = 1.2F * 32767 / ivf_words_scale(w, (int)(i / dsub % m));
        x[i] = fmaxf(-limit, fminf(limit, x[i]));
    }
    for (int k = 0; k < KERNELS; k++) {
        if (!ivf_simd_available(kernels[k].level))
            continue;
        free(first);
        first = all_best(w, kernels[0].table, x, first_q, first_outside);
        uint8_t *best = all_best(w, kernels[k].table, x, q, outside);
        ck_assert_mem_eq(q, first_q, width * sizeof *q);
        ck_assert_mem_eq(outside, first_outside, N);
        ck_assert_mem_eq(best, first, (size_t)N * (size_t)m);
        free(best);
    }
    for (int64_t row = 0; row < N; row++)
        for (int j = 0; j < m * dsub; j++)
            if (first_outside[row])
                x[row * m * dsub + j] = book[j / dsub * words * dsub + j % dsub];
    free(first);
    first = all_best(w, kernels[0].table, x, first_q, first_outside);
    check_near(w, book, x, first);
    free(first);
    free(first_q);
    free(q);
    ivf_words_free(w);
    ivf_free(x);
    ivf_free(book);
}
END_TEST

/* Values at which rounding, comparing and vectors differ most: ties, zeros, denormals, infinities, NaN. */
START_TEST(kernels_round_alike)
{
    enum { D = 46 };
    static const float values[] = {0,        -0.0F,    0.5F,     -0.5F,     1.5F,    2.5F,      -2.5F,
                                   32766.5F, 32767,    32767.5F, 32768,     -32767,  -32767.5F, -32768,
                                   1e30F,    -1e30F,   INFINITY, -INFINITY, NAN,     FLT_MIN,   1e-42F,
                                   -1e-42F,  39999.9F, 40000.1F, -40000.F,  8388608, 3e9F};
    const int count = (int)(sizeof values / sizeof values[0]);
    float x[N * D];
    ivf_words *w = ivf_words_new(D / 2, 2, 16);
    for (int j = 0; j < D; j++)
        w->scale[j] = 1;
    for (int i = 0; i < N * D; i++)
        x[i] = values[(i * 7 + i / D) % count];
    for (int j = 0; j < D; j++)
        x[j] = 32767;
    for (int k = 0; k < KERNELS; k++) {
        int16_t q[N * D];
        uint8_t outside[N];
        if (!ivf_simd_available(kernels[k].level))
            continue;
        w->kernels = kernels[k].table;
        const int64_t beyond = ivf_words_round(w, x, N, q, outside);
        int64_t expected = 0;
        for (int row = 0; row < N; row++) {
            bool far = false;
            for (int j = 0; j < D; j++) {
                const double near = nearbyint((double)x[row * D + j]);
                const bool fits = fabs(near) <= 32767;
                ck_assert_int_eq(q[row * D + j], fits ? (int16_t)near : INT16_MIN);
                far = far || !fits;
            }
            ck_assert_int_eq(outside[row], far);
            expected += far;
        }
        ck_assert_int_eq(beyond, expected);
        ck_assert(!outside[0] && expected > N / 2);
        ck_assert(ivf_words_outside(w, 0, q + D) == (q[D] == INT16_MIN || q[D + 1] == INT16_MIN));
    }
    ivf_words_free(w);
}
END_TEST

/* Words that are equal: the lowest number, wherever they lie. */
START_TEST(equal_words_give_the_lowest_number)
{
    enum { DSUB = 3, WORDS = 128 };
    float *book = normals(WORDS * DSUB, 3, 1);
    float x[N * DSUB];
    for (int i = 0; i < WORDS; i++)
        memcpy(book + (ptrdiff_t)i * DSUB, book + (ptrdiff_t)(i % 5) * DSUB, DSUB * sizeof *book);
    for (int row = 0; row < N; row++)
        memcpy(x + (ptrdiff_t)row * DSUB, book + (ptrdiff_t)(row % 5) * DSUB, DSUB * sizeof *x);
    ivf_words *w = words_of_book(1, DSUB, WORDS, book);
    for (int k = 0; k < KERNELS; k++) {
        int16_t q[N * (DSUB + 1)];
        uint8_t outside[N];
        if (!ivf_simd_available(kernels[k].level))
            continue;
        uint8_t *best = all_best(w, kernels[k].table, x, q, outside);
        for (int row = 0; row < N; row++)
            ck_assert_int_eq(best[row], row % 5);
        free(best);
    }
    ivf_words_free(w);
    ivf_free(book);
}
END_TEST

START_TEST(books_without_a_grid_are_refused)
{
    enum { DSUB = 2, WORDS = 16 };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    ivf_words *w = ivf_words_new(1, DSUB, WORDS);
    float book[WORDS * DSUB] = {0};
    ck_assert(ivf_words_set_book(w, 0, book));
    for (int i = 0; i < 3; i++) {
        book[3] = bad[i];
        ck_assert(!ivf_words_set_book(w, 0, book));
    }
    book[3] = 1e-42F;
    ck_assert(!ivf_words_set_book(w, 0, book));
    book[3] = FLT_MAX;
    book[2] = -FLT_MAX;
    ck_assert(!ivf_words_set_book(w, 0, book) || isfinite(ivf_words_scale(w, 0)));
    ck_assert(!ivf_words_set_grid(w, 0, book, 0));
    ivf_words_free(w);
}
END_TEST

/* The largest scores that a grid allows do not overflow: rows and words at its corners. */
START_TEST(corners_do_not_overflow)
{
    static const int sizes[] = {1, 2, 4, 8, 16, 64};
    const int dsub = sizes[_i];
    double *word = ivf_new_zero(16 * IVF_WORDS_VALUES, sizeof *word);
    float x[N * IVF_WORDS_VALUES];
    float centre[IVF_WORDS_VALUES] = {0};
    ivf_words *w = ivf_words_new(1, dsub, 16);
    ck_assert(ivf_words_set_grid(w, 0, centre, 1));
    const size_t width = ivf_words_width(w);
    const double corner = 16 * floor((double)w->limit / 16);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < dsub; j++)
            word[(size_t)i * width + (size_t)j] = (i >> (j % 4) & 1) != 0 ? corner : -corner;
    for (int row = 0; row < N; row++)
        for (int j = 0; j < dsub; j++)
            x[row * dsub + j] = ((row % 16) >> (j % 4) & 1) != 0 ? 1 : -1;
    ivf_words_set(w, 0, word);
    for (int k = 0; k < KERNELS; k++) {
        int16_t q[N * IVF_WORDS_VALUES];
        uint8_t outside[N];
        if (!ivf_simd_available(kernels[k].level))
            continue;
        uint8_t *best = all_best(w, kernels[k].table, x, q, outside);
        const int distinct = dsub < 4 ? 1 << dsub : 16;
        for (int row = 0; row < N; row++) {
            ck_assert_int_eq(outside[row], 0);
            ck_assert_int_eq(best[row], row % distinct);
        }
        free(best);
    }
    ivf_words_free(w);
    ivf_free(word);
}
END_TEST

START_TEST(words_beyond_the_grid_are_never_found)
{
    float centre[2] = {0};
    double word[32] = {0};
    float x[2] = {1, 1};
    int16_t q[2];
    uint8_t outside;
    ivf_words *w = ivf_words_new(1, 2, 16);
    ck_assert(ivf_words_set_grid(w, 0, centre, 1));
    for (int i = 0; i < 16; i++)
        word[2 * i] = i == 9 ? -1000 : 1e9;
    ivf_words_set(w, 0, word);
    for (int k = 0; k < KERNELS; k++) {
        uint8_t best = 77;
        if (!ivf_simd_available(kernels[k].level))
            continue;
        w->kernels = kernels[k].table;
        ck_assert_int_eq(ivf_words_round(w, x, 1, q, &outside), 0);
        ivf_words_best(w, 0, q, 1, &best, 1);
        ck_assert_int_eq(best, 9);
    }
    ivf_words_free(w);
}
END_TEST

/* A level that has kernels of its own must get them. */
START_TEST(every_level_has_its_kernels)
{
    for (int k = 0; k < KERNELS; k++) {
        if (!ivf_simd_available(kernels[k].level))
            continue;
        ivf_simd_choose(kernels[k].level);
        ivf_words *w = ivf_words_new(1, 4, 16);
        ck_assert_ptr_eq(w->kernels, kernels[k].table);
        ivf_words_free(w);
    }
}
END_TEST

START_TEST(sums_are_those_of_the_rows)
{
    static const int sizes[] = {1, 2, 3, 4, 7, 8, 33};
    const int dsub = sizes[_i];
    ivf_words *w = ivf_words_new(1, dsub, 16);
    const int width = (int)ivf_words_width(w);
    int16_t *q = malloc((size_t)(N * width) * sizeof *q);
    uint8_t best[N];
    for (int i = 0; i < N * width; i++)
        q[i] = (int16_t)ivf_rng_bits(4, IVF_RNG_TEST, (uint64_t)i);
    for (int i = 0; i < N; i++)
        best[i] = (uint8_t)(i * 5 % 13);
    for (int k = 0; k < KERNELS; k++) {
        int64_t sums[16 * 34] = {0};
        int64_t counts[16] = {0};
        int64_t expected[16 * 34] = {0};
        if (!ivf_simd_available(kernels[k].level))
            continue;
        w->kernels = kernels[k].table;
        ivf_words_add(w, q, best, N, sums, counts);
        ivf_words_add(w, q, best, 0, sums, counts);
        for (int i = 0; i < N; i++) {
            counts[best[i]]--;
            for (int j = 0; j < width; j++)
                expected[best[i] * width + j] += q[i * width + j];
        }
        ck_assert_mem_eq(sums, expected, (size_t)(16 * width) * sizeof *sums);
        for (int i = 0; i < 16; i++)
            ck_assert_int_eq(counts[i], 0);
    }
    free(q);
    ivf_words_free(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("words");
    TCase *tests = tcase_create("words");
    tcase_add_loop_test(tests, kernels_find_near_words_and_agree, 0, (int)(sizeof shapes / sizeof shapes[0]));
    tcase_add_test(tests, kernels_round_alike);
    tcase_add_test(tests, equal_words_give_the_lowest_number);
    tcase_add_test(tests, books_without_a_grid_are_refused);
    tcase_add_loop_test(tests, corners_do_not_overflow, 0, 6);
    tcase_add_test(tests, words_beyond_the_grid_are_never_found);
    tcase_add_test(tests, every_level_has_its_kernels);
    tcase_add_loop_test(tests, sums_are_those_of_the_rows, 0, 7);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
