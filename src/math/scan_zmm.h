/* Scans in AVX-512, all but the product of bytes: included by scan_avx512.c and scan_vnni.c, which define ivec_dot and
 * WEIGHT_MAX.
 *
 * Bytes: a table of 256 entries is 128 words, in four registers, of entries i and i + 128; vpermi2w looks up 64 words
 * for 32 bytes at a time, twice, bit 6 chooses between the two and bit 7 the byte of the word. Nibbles: a table is a
 * lane of a register (vpshufb). Sums of entries are kept in 16 bits, those of even and of odd postings apart; the high
 * bytes that the even ones take along are subtracted in the end. */
#ifndef IVF_MATH_SCAN_ZMM_H
#define IVF_MATH_SCAN_ZMM_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 fvec;
typedef __m512i ivec;

enum { LANES = 16, QUERIES = 4, PIECES = 1, TABLES = 8 };
/* Queries and blocks of a tile: 16 sums or so. */
#define TILE_SIZES(F, ...) F(1, 4, __VA_ARGS__) F(2, 4, __VA_ARGS__) F(3, 2, __VA_ARGS__) F(4, 2, __VA_ARGS__)

static inline fvec fvec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline fvec fvec_load_half(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

static inline void fvec_store(float *to, fvec v)
{
    _mm512_storeu_ps(to, v);
}

static inline fvec fvec_zero(void)
{
    return _mm512_setzero_ps();
}

static inline fvec fvec_set1(float value)
{
    return _mm512_set1_ps(value);
}

static inline fvec fvec_add(fvec a, fvec b)
{
    return _mm512_add_ps(a, b);
}

static inline fvec fvec_fma(fvec a, fvec b, fvec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline fvec fvec_from(ivec v)
{
    return _mm512_cvtepi32_ps(v);
}

static inline ivec ivec_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

static inline void ivec_store(void *to, ivec v)
{
    _mm512_storeu_si512(to, v);
}

static inline ivec ivec_gather(const uint32_t *words, const uint8_t *bytes)
{
    const __m128i numbers = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    return _mm512_i32gather_epi32(_mm512_cvtepu8_epi32(numbers), words, 4);
}

static inline ivec ivec_zero(void)
{
    return _mm512_setzero_si512();
}

static inline ivec ivec_set1(int32_t value)
{
    return _mm512_set1_epi32(value);
}

static inline ivec ivec_and(ivec a, ivec b)
{
    return _mm512_and_si512(a, b);
}

static inline ivec ivec_or(ivec a, ivec b)
{
    return _mm512_or_si512(a, b);
}

static inline ivec ivec_up(ivec v, const int bits)
{
    return _mm512_slli_epi32(v, (unsigned)bits);
}

static inline ivec ivec_down(ivec v, const int bits)
{
    return _mm512_srli_epi32(v, (unsigned)bits);
}

static ivec ivec_dot(ivec sum, ivec numbers, ivec weights);

#include "math/scan_tiles.h"

/* 32 sums of 16 bits as bounds of a block. */
INLINE void finish_words(const ivf_scan_job *job, int query, int64_t block, __m256i first, __m256i second)
{
    int64_t slot = block * IVF_SCAN_BLOCK;
    finish(job, query, slot, fvec_from(_mm512_cvtepu16_epi32(first)));
    finish(job, query, slot + LANES, fvec_from(_mm512_cvtepu16_epi32(second)));
}

/* Both of two blocks' bytes of one sub-vector, looked up; bytes in place. */
INLINE __m512i look_up(const uint8_t *table, __m512i bytes)
{
    const __m512i t0 = _mm512_loadu_si512(table);
    const __m512i t1 = _mm512_loadu_si512(table + 64);
    const __m512i t2 = _mm512_loadu_si512(table + 128);
    const __m512i t3 = _mm512_loadu_si512(table + 192);
    const __m512i odd_bytes = _mm512_srli_epi16(bytes, 8);
    const __mmask32 even_high = _mm512_test_epi16_mask(bytes, _mm512_set1_epi16(0x0040));
    const __mmask32 odd_high = _mm512_test_epi16_mask(bytes, _mm512_set1_epi16(0x4000));
    const __m512i even = _mm512_mask_blend_epi16(even_high, _mm512_permutex2var_epi16(t0, bytes, t1),
                                                 _mm512_permutex2var_epi16(t2, bytes, t3));
    const __m512i odd = _mm512_mask_blend_epi16(odd_high, _mm512_permutex2var_epi16(t0, odd_bytes, t1),
                                                _mm512_permutex2var_epi16(t2, odd_bytes, t3));
    enum { CHOOSE_BITS = 0xCA }; /* a ? b : c */
    const __m512i low_byte = _mm512_set1_epi16(0x00FF);
    const __m512i low = _mm512_ternarylogic_epi64(low_byte, even, _mm512_slli_epi16(odd, 8), CHOOSE_BITS);
    const __m512i high = _mm512_ternarylogic_epi64(low_byte, _mm512_srli_epi16(even, 8), odd, CHOOSE_BITS);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
}

/* Sums of bytes: words of all, and of the odd ones alone. */
typedef struct {
    __m512i all;
    __m512i odd;
} byte_sums;

INLINE byte_sums no_sums(void)
{
    return (byte_sums){_mm512_setzero_si512(), _mm512_setzero_si512()};
}

INLINE void add_bytes(byte_sums *sums, __m512i bytes)
{
    sums->all = _mm512_add_epi16(sums->all, bytes);
    sums->odd = _mm512_add_epi16(sums->odd, _mm512_srli_epi16(bytes, 8));
}

INLINE __m512i even_sums(const byte_sums *sums)
{
    return _mm512_sub_epi16(sums->all, _mm512_slli_epi16(sums->odd, 8));
}

/* Two neighbouring blocks, or one twice. */
INLINE void bytes_pair(const ivf_scan_job *job, int query, int m, int64_t block, int64_t other)
{
    const uint8_t *first = (const uint8_t *)job->blocks + block * m * IVF_SCAN_BLOCK;
    const uint8_t *second = (const uint8_t *)job->blocks + other * m * IVF_SCAN_BLOCK;
    const uint8_t *table = job->probe[query];
    byte_sums sums = no_sums();
    for (ptrdiff_t sub = 0; sub < m; sub++) {
        __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(first + sub * IVF_SCAN_BLOCK));
        __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(second + sub * IVF_SCAN_BLOCK));
        add_bytes(&sums, look_up(table + sub * 256, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)));
    }
    const __m512i even = even_sums(&sums);
    /* Of each lane of 16 postings: the first eight, the last eight. */
    const __m512i a = _mm512_unpacklo_epi16(even, sums.odd);
    const __m512i b = _mm512_unpackhi_epi16(even, sums.odd);
    const __m256i p0 = _mm256_inserti128_si256(_mm512_castsi512_si256(a), _mm512_castsi512_si128(b), 1);
    const __m256i p1 = _mm256_permute2x128_si256(_mm512_castsi512_si256(a), _mm512_castsi512_si256(b), 0x31);
    const __m256i a_high = _mm512_extracti64x4_epi64(a, 1);
    const __m256i b_high = _mm512_extracti64x4_epi64(b, 1);
    finish_words(job, query, block, p0, p1);
    if (other != block)
        finish_words(job, query, other, _mm256_permute2x128_si256(a_high, b_high, 0x20),
                     _mm256_permute2x128_si256(a_high, b_high, 0x31));
}

static void scan_bytes(const ivf_scan_job *job, int m)
{
    for (int query = 0; query < job->nq; query++)
        for (int64_t block = 0; block < job->count; block += 2)
            bytes_pair(job, query, m, block, block + 1 < job->count ? block + 1 : block);
}

INLINE void finish_nibbles(const ivf_scan_job *job, int query, int64_t block, const byte_sums *sums)
{
    enum { SWAP_LANES = 0xB1 }; /* 1 0 3 2 */
    __m512i even = even_sums(sums);
    __m512i odd = sums->odd;
    even = _mm512_add_epi16(even, _mm512_shuffle_i64x2(even, even, SWAP_LANES));
    odd = _mm512_add_epi16(odd, _mm512_shuffle_i64x2(odd, odd, SWAP_LANES));
    const __m512i a = _mm512_unpacklo_epi16(even, odd);
    const __m512i b = _mm512_unpackhi_epi16(even, odd);
    finish_words(job, query, block, _mm256_inserti128_si256(_mm512_castsi512_si256(a), _mm512_castsi512_si128(b), 1),
                 _mm256_inserti128_si256(_mm512_extracti64x4_epi64(a, 1),
                                         _mm256_castsi256_si128(_mm512_extracti64x4_epi64(b, 1)), 1));
}

INLINE ivec ivec_tables(const uint8_t *tables)
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)tables));
}

INLINE ivec ivec_pick(ivec table, ivec nibbles)
{
    return _mm512_shuffle_epi8(table, nibbles);
}

INLINE ivec ivec_mean(ivec a, ivec b)
{
    return _mm512_avg_epu8(a, b);
}

#include "math/scan_nibbles.h"

static int64_t choose(const float *low, int64_t n, float most, int32_t *chosen)
{
    const __m512 bound = _mm512_set1_ps(most);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i += LANES) {
        const __mmask16 here = (__mmask16)(n - i < LANES ? (1U << (n - i)) - 1 : 0xFFFF);
        uint32_t within = _mm512_mask_cmp_ps_mask(here, _mm512_maskz_loadu_ps(here, low + i), bound, _CMP_NGT_UQ);
        for (; within != 0; within &= within - 1)
            chosen[count++] = (int32_t)i + __builtin_ctz(within);
    }
    return count;
}

#define IVF_SCAN_KERNELS                                                                                               \
    {                                                                                                                  \
        .weight_max = WEIGHT_MAX, .rows = scan_rows, .halves = scan_halves, .numbers = scan_numbers,                   \
        .bytes = scan_bytes, .nibbles = scan_nibbles, .widen = widen, .choose = choose                                 \
    }

#endif
