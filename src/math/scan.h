/* Scans of a list: a lower bound of the key of every posting for a few queries at once, several times faster than the
 * keys themselves. Whoever wants the nearest computes the keys of those few whose bound is low enough, so that results
 * do not depend on how the bounds came about, and bounds need not be the same at every SIMD level.
 *
 * Postings lie in blocks of IVF_SCAN_BLOCK, which take the lanes of vectors; slots left over are zero. For query q and
 * the posting in slot v
 *
 *   low[q][v] = base[q] + terms[v] + scale[q] * sum,
 *
 * where the sum depends on how postings are stored:
 *
 *   rows, halves   [d][32] f32 or IEEE half:          sum over j of row[j] * query[j]
 *   numbers        of 8, 6 or 4 bits:                 sum over j of number[j] * weight[j], weights of 8 bits
 *   bytes          [m][32]:                           sum over j of table[j][byte[j]], entries of 8 bits
 *   nibbles        [m / 4 rounded up][64 bytes]:      sum of means, each over 8 j, of table[j][nibble[j]]
 *
 * Sources: register tiles as in math/panels.h; tables in registers: Andre, Kermarrec, Le Scouarnec, "Quicker ADC"
 * (TPAMI 2019), and FAISS's fast scan. */
#ifndef IVF_MATH_SCAN_H
#define IVF_MATH_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IVF_SCAN_BLOCK = 32,
    IVF_SCAN_GROUP = 16, /* values that a weight vector is padded to */
    IVF_SCAN_NUMBER_MAX = 255,
    IVF_SCAN_SUM_MAX = 65535, /* of entries of a table: what 16 bits hold */
    IVF_SCAN_NIBBLE_ROWS = 4, /* of 4 sub-vectors, whose means are taken together */
    IVF_SCAN_MEAN_OF = 8,
};

/* What is scanned, for whom, and where the bounds go. */
typedef struct {
    const void *blocks;
    int64_t count;            /* of blocks */
    const float *terms;       /* [count * IVF_SCAN_BLOCK]; NULL: all 0 */
    int nq;                   /* >= 1 */
    const void *const *probe; /* [nq]: query, weights or table */
    const float *base;        /* [nq] */
    const float *scale;       /* [nq] */
    float *const *low;        /* [nq][count * IVF_SCAN_BLOCK] */
} ivf_scan_job;

/* Local, one thread. Probes are float[d]. */
void ivf_scan_rows(const ivf_scan_job *job, int d);
void ivf_scan_halves(const ivf_scan_job *job, int d);

/* Local, one thread. Probes are int8_t[d rounded up to IVF_SCAN_GROUP], zero from d, within ivf_scan_weight_max().
 * `bits` is 8, 6 or 4. A quad is four neighbouring numbers of each of 32 postings, [32][4 bytes]. 8 bits: quads. 4
 * bits: two quads in a quad of bytes, the first in the low nibbles. 6 bits: groups of 4 quads: their low nibbles as for
 * 4 bits, then a quad of bytes whose bits 0-1, 2-3, 4-5, 6-7 are the high bits of the four. */
void ivf_scan_numbers(const ivf_scan_job *job, int d, int bits);
int ivf_scan_weight_max(void);

/* Local. Bytes of a block of d numbers. */
size_t ivf_scan_numbers_size(int d, int bits);

/* Local. Puts numbers[n][d] into slots first to first + n - 1 of blocks that were zero; reads those of one slot. */
void ivf_scan_numbers_put(const uint8_t *numbers, int d, int bits, int64_t slot, uint8_t *blocks);
void ivf_scan_numbers_get(const uint8_t *blocks, int d, int bits, int64_t slot, uint8_t *numbers);

/* Local, one thread. Probes are uint8_t[m][256] as ivf_scan_bytes_table lays them out; sums of the largest entries of
 * each table are at most IVF_SCAN_SUM_MAX. */
void ivf_scan_bytes(const ivf_scan_job *job, int m);

/* Local, one thread. Makes blocks of numbers of 8 bits of `count` blocks of bytes: each byte of sub-vector j stands for
 * `quads` times four numbers, words[j][quads][256]. Only where the level in use makes it pay, as ivf_scan_widens says.
 */
void ivf_scan_widen(const uint8_t *bytes, int64_t count, int m, int quads, const uint32_t *words, uint8_t *numbers);
bool ivf_scan_widens(void);

/* Local. Where entry `number` of table `sub` stands. */
static inline size_t ivf_scan_bytes_at(size_t sub, size_t number)
{
    enum { HALF = 128 };
    return sub * 2 * HALF + number % HALF * 2 + number / HALF;
}

/* Local, one thread. Probes are uint8_t[m / 4 rounded up][64], as ivf_scan_nibbles_at says, zero from m; 8 times the
 * sum is at least that of the entries, and above it by at most 12 for every 8 sub-vectors. Sub-vectors 4 i and 4 i + 1
 * of rows 4 j to 4 j + 3 (i is the row) make a mean, 4 i + 2 and 4 i + 3 another: that of the two of each row, of rows
 * 4 j and 4 j + 1, 4 j + 2 and 4 j + 3, and then of these, each rounded up; rows that there are not are zero. Sums must
 * not exceed IVF_SCAN_SUM_MAX. */
void ivf_scan_nibbles(const ivf_scan_job *job, int m);

/* Local. The largest entry with which they do not. */
int ivf_scan_nibble_max(int m);

/* Local. Where entry `number` of table `sub` stands: tables 4 i, 4 i + 2, 4 i + 1, 4 i + 3 of 16 entries follow each
 * other. */
static inline size_t ivf_scan_nibbles_at(size_t sub, size_t number)
{
    enum { ENTRIES = 16 };
    size_t place = sub % 4 == 1 ? 2 : sub % 4 == 2 ? 1 : sub % 4;
    return (sub / 4 * 4 + place) * ENTRIES + number;
}

/* Local. Bytes of a block of m nibbles; puts the nibbles of one posting into a slot; reads them. They come two to a
 * byte, the first in the low one, and so they lie in a block: postings 0-15 take bytes 0-15 of each 64 for sub-vectors
 * 4 i and 4 i + 1, bytes 16-31 for 4 i + 2 and 4 i + 3; postings 16-31 bytes 32-63 in the same way. */
size_t ivf_scan_nibbles_size(int m);
void ivf_scan_nibbles_put(const uint8_t *packed, int m, int64_t slot, uint8_t *blocks);
void ivf_scan_nibbles_get(const uint8_t *blocks, int m, int64_t slot, uint8_t *packed);

/* Local. Numbers of the bounds low[n] that are not above `most` (NaN among them), ascending, to chosen[n]; returns how
 * many. */
int64_t ivf_scan_choose(const float *low, int64_t n, float most, int32_t *chosen);

/* Local. A value that at least k of low[n] do not exceed, near the k-th smallest; INFINITY where n is too small to tell
 * (less than 4 k) or k is beyond 1024. One pass and a sort of about 2 k values. */
float ivf_scan_kth(const float *low, int64_t n, int k);

#endif
