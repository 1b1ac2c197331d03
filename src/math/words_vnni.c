/* Word kernels in AVX-512 with VNNI: products of pairs are added in one instruction, which takes its row from memory.
 * Written as assembly, because gcc 12 copies the sum before and after the intrinsic. */
#include "math/words_kernels.h"

#if defined(__x86_64__)

#include "math/words_zmm.h"

static inline vec vec_dot(vec sum, vec c, const int32_t *x)
{
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(c), "m"(*x));
    return sum;
}

#include "math/words_tile.h"

const ivf_words_kernels ivf_words_vnni = {.round = round_values, .best = find_best, .add = add_rows};

#endif
