/* What is done once for each row, in loops that compilers vectorise: included by coarse_reference.c and coarse_avx2.c,
 * which compile it for their instructions. */
#ifndef IVF_MATH_COARSE_ROW_H
#define IVF_MATH_COARSE_ROW_H

#include <stdint.h>

static int64_t square_distance(const int8_t *restrict q, const int8_t *restrict mean, int quads)
{
    enum { PART = 16384 }; /* so many squares below 2^16 stay within 2^31 */
    int64_t squares = 0;
    for (int from = 0; from < 4 * quads; from += PART) {
        int end = 4 * quads - from < PART ? 4 * quads : from + PART;
        int32_t part = 0;
        for (int i = from; i < end; i++)
            part += (q[i] - mean[i]) * (q[i] - mean[i]);
        squares += part;
    }
    return squares;
}

#endif
