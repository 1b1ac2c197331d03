/* Scans: the public functions over the kernels of the level in use, and how postings lie in blocks. */
#include "math/scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/scan_kernels.h"
#include "math/simd.h"

enum { LANES = IVF_SCAN_BLOCK, QUAD = 4 * LANES, NIBBLE_ROW = 64 };

static const ivf_scan_kernels *kernels_now(void)
{
    static const ivf_scan_kernels *const of_level[IVF_SIMD_COUNT] = {
        [IVF_SIMD_REFERENCE] = &ivf_scan_reference,
        [IVF_SIMD_BLAS] = &ivf_scan_reference,
#if defined(__x86_64__)
        [IVF_SIMD_AVX2] = &ivf_scan_avx2,
        [IVF_SIMD_AVX512] = &ivf_scan_avx512,
        [IVF_SIMD_VNNI] = &ivf_scan_vnni,
#endif
    };
    return of_level[ivf_simd_level()];
}

void ivf_scan_rows(const ivf_scan_job *job, int d)
{
    kernels_now()->rows(job, d);
}

void ivf_scan_halves(const ivf_scan_job *job, int d)
{
    kernels_now()->halves(job, d);
}

void ivf_scan_numbers(const ivf_scan_job *job, int d, int bits)
{
    kernels_now()->numbers(job, d, bits);
}

void ivf_scan_bytes(const ivf_scan_job *job, int m)
{
    kernels_now()->bytes(job, m);
}

void ivf_scan_nibbles(const ivf_scan_job *job, int m)
{
    kernels_now()->nibbles(job, m);
}

void ivf_scan_widen(const uint8_t *bytes, int64_t count, int m, int quads, const uint32_t *words, uint8_t *numbers)
{
    kernels_now()->widen(bytes, count, m, quads, words, numbers);
}

bool ivf_scan_widens(void)
{
    return kernels_now()->widen != NULL;
}

int ivf_scan_weight_max(void)
{
    return kernels_now()->weight_max;
}

/* Quads to a group, and bytes of it. */
static size_t quads_of(int bits)
{
    return bits == 8 ? 1 : bits == 4 ? 2 : 4;
}

static size_t group_size(int bits)
{
    return bits == 6 ? 3 * (size_t)QUAD : QUAD;
}

size_t ivf_scan_numbers_size(int d, int bits)
{
    size_t values = 4 * quads_of(bits);
    return ((size_t)d + values - 1) / values * group_size(bits);
}

/* Where number j of a slot is: its byte, or that of its low nibble, whose shift is *shift; 6 bits: *high is the byte of
 * its high bits. */
static ptrdiff_t place_of(int bits, int j, int64_t lane, int *shift, ptrdiff_t *high)
{
    ptrdiff_t quad = j / 4;
    ptrdiff_t at = lane * 4 + j % 4;
    *high = at + (ptrdiff_t)(quad / 4) * 3 * QUAD + (ptrdiff_t)2 * QUAD;
    *shift = bits == 8 ? 0 : (int)(quad % 2) * 4;
    if (bits == 8)
        return at + quad * QUAD;
    return at + (bits == 4 ? (ptrdiff_t)(quad / 2) * QUAD
                           : (ptrdiff_t)(quad / 4) * 3 * QUAD + (ptrdiff_t)(quad % 4 / 2) * QUAD);
}

void ivf_scan_numbers_put(const uint8_t *numbers, int d, int bits, int64_t slot, uint8_t *blocks)
{
    uint8_t *block = blocks + (size_t)(slot / LANES) * ivf_scan_numbers_size(d, bits);
    int j = 0;
    for (; bits == 8 && j + 4 <= d; j += 4) /* the usual case, and the one where it counts */
        memcpy(block + (ptrdiff_t)(j / 4) * QUAD + (ptrdiff_t)(slot % LANES) * 4, numbers + j, 4);
    for (; j < d; j++) {
        int shift = 0;
        ptrdiff_t high = 0;
        ptrdiff_t at = place_of(bits, j, slot % LANES, &shift, &high);
        int low = bits == 6 ? numbers[j] & 15 : numbers[j];
        block[at] = (uint8_t)(block[at] | low << shift);
        if (bits == 6)
            block[high] = (uint8_t)(block[high] | numbers[j] >> 4 << j / 4 % 4 * 2);
    }
}

void ivf_scan_numbers_get(const uint8_t *blocks, int d, int bits, int64_t slot, uint8_t *numbers)
{
    const uint8_t *block = blocks + (size_t)(slot / LANES) * ivf_scan_numbers_size(d, bits);
    int j = 0;
    for (; bits == 8 && j + 4 <= d; j += 4)
        memcpy(numbers + j, block + (ptrdiff_t)(j / 4) * QUAD + (ptrdiff_t)(slot % LANES) * 4, 4);
    for (; j < d; j++) {
        int shift = 0;
        ptrdiff_t high = 0;
        ptrdiff_t at = place_of(bits, j, slot % LANES, &shift, &high);
        int value = block[at] >> shift;
        if (bits < 8)
            value &= 15;
        if (bits == 6)
            value |= (block[high] >> j / 4 % 4 * 2 & 3) << 4;
        numbers[j] = (uint8_t)value;
    }
}

size_t ivf_scan_nibbles_size(int m)
{
    return ((size_t)m + 3) / 4 * NIBBLE_ROW;
}

int ivf_scan_nibble_max(int m)
{
    enum { SUB_VECTORS = 4 * IVF_SCAN_NIBBLE_ROWS }; /* of two means */
    const int64_t means = 2 * (((int64_t)m + SUB_VECTORS - 1) / SUB_VECTORS);
    return IVF_SCAN_SUM_MAX / means < UINT8_MAX ? (int)(IVF_SCAN_SUM_MAX / means) : UINT8_MAX;
}

/* The first two nibbles of a slot. */
static size_t first_nibbles(int m, int64_t slot)
{
    const int64_t lane = slot % LANES;
    return (size_t)(slot / LANES) * ivf_scan_nibbles_size(m) + (size_t)(lane / 16 * 32 + lane % 16);
}

/* From them to pair `pair`. */
static ptrdiff_t to_pair(ptrdiff_t pair)
{
    return pair / 2 * NIBBLE_ROW + pair % 2 * 16;
}

void ivf_scan_nibbles_put(const uint8_t *packed, int m, int64_t slot, uint8_t *blocks)
{
    uint8_t *block = blocks + first_nibbles(m, slot);
    for (ptrdiff_t pair = 0; pair < (m + 1) / 2; pair++)
        block[to_pair(pair)] = packed[pair];
}

void ivf_scan_nibbles_get(const uint8_t *blocks, int m, int64_t slot, uint8_t *packed)
{
    const uint8_t *block = blocks + first_nibbles(m, slot);
    for (ptrdiff_t pair = 0; pair < (m + 1) / 2; pair++)
        packed[pair] = block[to_pair(pair)];
}

int64_t ivf_scan_choose(const float *low, int64_t n, float most, int32_t *chosen)
{
    return kernels_now()->choose(low, n, most, chosen);
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The smallest of each of `groups` groups, values g, g + groups, ...; NaN counts as infinite. */
static void smallest_of_groups(const float *low, int64_t n, int groups, float *smallest)
{
    for (int g = 0; g < groups; g++)
        smallest[g] = INFINITY;
    for (int64_t first = 0; groups > 0 && first < n; first += groups) {
        int count = n - first < groups ? (int)(n - first) : groups;
        for (int g = 0; g < count; g++)
            smallest[g] = low[first + g] < smallest[g] ? low[first + g] : smallest[g];
    }
}

float ivf_scan_kth(const float *low, int64_t n, int k)
{
    enum { MOST = 1024, STEP = 16, FEW = 64 };
    float smallest[2 * MOST + STEP];
    if (k < 1 || k > MOST || n < (int64_t)4 * k)
        return INFINITY;
    const int groups = (2 * k + STEP - 1) / STEP * STEP;
    smallest_of_groups(low, n, groups, smallest);
    if (groups > FEW) {
        qsort(smallest, (size_t)groups, sizeof *smallest, ascending);
        return smallest[k - 1];
    }
    for (int i = 1; i < groups; i++) {
        float value = smallest[i];
        int hole = i;
        for (; hole > 0 && smallest[hole - 1] > value; hole--)
            smallest[hole] = smallest[hole - 1];
        smallest[hole] = value;
    }
    return smallest[k - 1];
}
