/* Scans in AVX2. Bytes: 16 lookups of the low nibble (vpshufb), of which the high nibble's bits choose one, two by two;
 * the rest as in scan_zmm.h. */
#include "math/scan_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 fvec;
typedef __m256i ivec;

enum { LANES = 8, QUERIES = 2, PIECES = 2, TABLES = 2, WEIGHT_MAX = IVF_SCAN_WEIGHT_MAX_PAIRS };
#define TILE_SIZES(F, ...) F(1, 2, __VA_ARGS__) F(2, 2, __VA_ARGS__)

static inline fvec fvec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline fvec fvec_load_half(const uint16_t *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)from));
}

static inline void fvec_store(float *to, fvec v)
{
    _mm256_storeu_ps(to, v);
}

static inline fvec fvec_zero(void)
{
    return _mm256_setzero_ps();
}

static inline fvec fvec_set1(float value)
{
    return _mm256_set1_ps(value);
}

static inline fvec fvec_add(fvec a, fvec b)
{
    return _mm256_add_ps(a, b);
}

static inline fvec fvec_fma(fvec a, fvec b, fvec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline fvec fvec_from(ivec v)
{
    return _mm256_cvtepi32_ps(v);
}

static inline ivec ivec_load(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline void ivec_store(void *to, ivec v)
{
    _mm256_storeu_si256((__m256i *)to, v);
}

static inline ivec ivec_gather(const uint32_t *words, const uint8_t *bytes)
{
    const __m128i numbers = _mm_loadl_epi64((const __m128i *)(const void *)bytes);
    return _mm256_i32gather_epi32((const int *)words, _mm256_cvtepu8_epi32(numbers), 4);
}

static inline ivec ivec_zero(void)
{
    return _mm256_setzero_si256();
}

static inline ivec ivec_set1(int32_t value)
{
    return _mm256_set1_epi32(value);
}

static inline ivec ivec_and(ivec a, ivec b)
{
    return _mm256_and_si256(a, b);
}

static inline ivec ivec_or(ivec a, ivec b)
{
    return _mm256_or_si256(a, b);
}

static inline ivec ivec_up(ivec v, const int bits)
{
    return _mm256_slli_epi32(v, bits);
}

static inline ivec ivec_down(ivec v, const int bits)
{
    return _mm256_srli_epi32(v, bits);
}

static inline ivec ivec_dot(ivec sum, ivec numbers, ivec weights)
{
    const ivec pairs = _mm256_maddubs_epi16(numbers, weights);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "math/scan_tiles.h"

/* 16 sums of 16 bits as bounds. */
INLINE void finish_words(const ivf_scan_job *job, int query, int64_t slot, __m256i words)
{
    finish(job, query, slot, fvec_from(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(words))));
    finish(job, query, slot + LANES, fvec_from(_mm256_cvtepu16_epi32(_mm256_extracti128_si256(words, 1))));
}

/* Sums of bytes: words of all, and of the odd ones alone. */
typedef struct {
    __m256i all;
    __m256i odd;
} byte_sums;

INLINE byte_sums no_sums(void)
{
    return (byte_sums){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

INLINE void add_bytes(byte_sums *sums, __m256i bytes)
{
    sums->all = _mm256_add_epi16(sums->all, bytes);
    sums->odd = _mm256_add_epi16(sums->odd, _mm256_srli_epi16(bytes, 8));
}

INLINE __m256i even_sums(const byte_sums *sums)
{
    return _mm256_sub_epi16(sums->all, _mm256_slli_epi16(sums->odd, 8));
}

/* Entries i and i + 128 for i in [16 row, 16 row + 16): one table for each. */
INLINE void split_row(const uint8_t *table, int row, __m256i *low, __m256i *high)
{
    const __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)(table + (ptrdiff_t)row * 32));
    const __m256i split =
        _mm256_shuffle_epi8(words, _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8,
                                                    10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    const __m256i apart = _mm256_permute4x64_epi64(split, 0xD8); /* even bytes of both lanes, odd bytes of both */
    *low = _mm256_permute4x64_epi64(apart, 0x44);
    *high = _mm256_permute4x64_epi64(apart, 0xEE);
}

INLINE __m256i look_up(const __m256i tables[16], __m256i bytes)
{
    const __m256i bit4 = _mm256_slli_epi16(bytes, 3); /* what blendv looks at is the highest bit of a byte */
    const __m256i bit5 = _mm256_slli_epi16(bytes, 2);
    const __m256i bit6 = _mm256_slli_epi16(bytes, 1);
    const __m256i nibble = _mm256_and_si256(bytes, _mm256_set1_epi8(0x0F));
    __m256i found[8];
#pragma GCC unroll 8
    for (int row = 0; row < 8; row++)
        found[row] = _mm256_blendv_epi8(_mm256_shuffle_epi8(tables[(ptrdiff_t)2 * row], nibble),
                                        _mm256_shuffle_epi8(tables[2 * row + 1], nibble), bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        found[i] = _mm256_blendv_epi8(found[(ptrdiff_t)2 * i], found[(ptrdiff_t)2 * i + 1], bit4);
    found[0] = _mm256_blendv_epi8(found[0], found[1], bit5);
    found[1] = _mm256_blendv_epi8(found[2], found[3], bit5);
    return _mm256_blendv_epi8(found[0], found[1], bit6);
}

INLINE void finish_bytes(const ivf_scan_job *job, int query, int64_t block, const byte_sums *sums)
{
    const __m256i even = even_sums(sums);
    const __m256i a = _mm256_unpacklo_epi16(even, sums->odd);
    const __m256i b = _mm256_unpackhi_epi16(even, sums->odd);
    finish_words(job, query, block * IVF_SCAN_BLOCK, _mm256_permute2x128_si256(a, b, 0x20));
    finish_words(job, query, block * IVF_SCAN_BLOCK + (ptrdiff_t)2 * LANES, _mm256_permute2x128_si256(a, b, 0x31));
}

/* Blocks `first` to `end` - 1, at most STRIP: a table is split once for all of them. */
enum { STRIP_OF_BYTES = 16 };

static void bytes_strip(const ivf_scan_job *job, int query, int m, int64_t first, int64_t end)
{
    const uint8_t *bytes = job->blocks;
    byte_sums sums[STRIP_OF_BYTES];
    memset(sums, 0, sizeof sums);
    for (ptrdiff_t sub = 0; sub < m; sub++) {
        __m256i tables[16];
#pragma GCC unroll 8
        for (int row = 0; row < 8; row++)
            split_row((const uint8_t *)job->probe[query] + (ptrdiff_t)sub * 256, row, &tables[(ptrdiff_t)2 * row],
                      &tables[(ptrdiff_t)2 * row + 1]);
        for (int64_t block = first; block < end; block++)
            add_bytes(&sums[block - first], look_up(tables, ivec_load(bytes + (block * m + sub) * IVF_SCAN_BLOCK)));
    }
    for (int64_t block = first; block < end; block++)
        finish_bytes(job, query, block, &sums[block - first]);
}

static void scan_bytes(const ivf_scan_job *job, int m)
{
    for (int query = 0; query < job->nq; query++)
        for (int64_t first = 0; first < job->count; first += STRIP_OF_BYTES)
            bytes_strip(job, query, m, first,
                        first + STRIP_OF_BYTES < job->count ? first + STRIP_OF_BYTES : job->count);
}

/* 16 postings: the lanes hold the sums of two kinds of sub-vectors. */
INLINE void finish_nibbles(const ivf_scan_job *job, int query, int64_t piece, const byte_sums *sums)
{
    const __m256i even = even_sums(sums);
    const __m128i evens = _mm_add_epi16(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
    const __m128i odds = _mm_add_epi16(_mm256_castsi256_si128(sums->odd), _mm256_extracti128_si256(sums->odd, 1));
    const __m128i first = _mm_unpacklo_epi16(evens, odds);
    const __m128i second = _mm_unpackhi_epi16(evens, odds);
    finish_words(job, query, piece * 2 * LANES, _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1));
}

INLINE ivec ivec_tables(const uint8_t *tables)
{
    return ivec_load(tables);
}

INLINE ivec ivec_pick(ivec table, ivec nibbles)
{
    return _mm256_shuffle_epi8(table, nibbles);
}

INLINE ivec ivec_mean(ivec a, ivec b)
{
    return _mm256_avg_epu8(a, b);
}

#include "math/scan_nibbles.h"

static int64_t choose(const float *low, int64_t n, float most, int32_t *chosen)
{
    const __m256 bound = _mm256_set1_ps(most);
    int64_t count = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        int within = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(low + i), bound, _CMP_NGT_UQ));
        for (; within != 0; within &= within - 1)
            chosen[count++] = (int32_t)i + __builtin_ctz((unsigned)within);
    }
    for (; i < n; i++)
        if (!(low[i] > most))
            chosen[count++] = (int32_t)i;
    return count;
}

const ivf_scan_kernels ivf_scan_avx2 = {
    .weight_max = WEIGHT_MAX,
    .rows = scan_rows,
    .halves = scan_halves,
    .numbers = scan_numbers,
    .bytes = scan_bytes,
    .nibbles = scan_nibbles,
    .widen = widen,
    .choose = choose,
};

#endif
