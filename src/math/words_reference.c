/* Word kernels in plain C: by the definition, for CPUs without vectors and as the oracle of the tests. */
#include "math/words_plain.h"

/* Unsigned, because the scores of a row outside the grid may wrap around. */
static int32_t score(const ivf_words_book *book, const int16_t *q, int group, int lane)
{
    uint32_t sum = (uint32_t)book->bias[group * IVF_WORDS_LANES + lane];
    const int16_t *c = book->packed + (ptrdiff_t)2 * (group * book->pairs * IVF_WORDS_LANES + lane);
    for (int p = 0; p < book->pairs; p++, c += (ptrdiff_t)2 * IVF_WORDS_LANES, q += 2) {
        sum += (uint32_t)(c[0] * q[0]) + (uint32_t)(c[1] * q[1]);
    }
    int32_t result;
    memcpy(&result, &sum, sizeof result);
    return result;
}

static void find_best(const ivf_words_book *book, const int16_t *q, ptrdiff_t row_stride, int64_t n, uint8_t *best,
                      ptrdiff_t stride)
{
    for (int64_t row = 0; row < n; row++) {
        int32_t most = INT32_MIN;
        for (int lane = 0; lane < IVF_WORDS_LANES; lane++) {
            int32_t of_lane = INT32_MIN;
            for (int g = 0; g < book->groups; g++) {
                const int32_t now = score(book, q + row * row_stride, g, lane);
                of_lane = now > of_lane ? now : of_lane;
            }
            of_lane = (of_lane & ~0xF0) | (15 - lane) << 4;
            most = of_lane > most ? of_lane : most;
        }
        best[row * stride] = number_of(most, book->shift);
    }
}

const ivf_words_kernels ivf_words_reference = {.round = round_plain, .best = find_best, .add = add_rows};
