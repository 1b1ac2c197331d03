/* Vectors of 16 integers of 32 bits, for coarse_blocks.h. */
#ifndef IVF_MATH_COARSE_WIDE_H
#define IVF_MATH_COARSE_WIDE_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static inline vec vec_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

static inline void vec_store(int32_t *to, vec v)
{
    _mm512_storeu_si512(to, v);
}

static inline vec vec_set1(int32_t value)
{
    return _mm512_set1_epi32(value);
}

static inline vec vec_set1_from(const uint8_t *from)
{
    int32_t value = 0;
    memcpy(&value, from, sizeof value);
    return _mm512_set1_epi32(value);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_epi32(a, b);
}

static inline mask vec_greater(vec a, vec b)
{
    return _mm512_cmpgt_epi32_mask(a, b);
}

static inline vec vec_select(mask chosen, vec a, vec b)
{
    return _mm512_mask_mov_epi32(b, chosen, a);
}

#endif
