/* Scans in plain C: the oracle of the SIMD variants, and what runs on CPUs that have none. */
#include <string.h>

#include "math/convert.h"
#include "math/scan_kernels.h"

enum { LANES = IVF_SCAN_BLOCK };

static void finish(const ivf_scan_job *job, int query, int64_t block, const float sum[LANES])
{
    for (int64_t v = 0; v < LANES; v++) {
        int64_t slot = block * LANES + v;
        float term = job->terms == NULL ? 0 : job->terms[slot];
        job->low[query][slot] = (job->base[query] + term) + job->scale[query] * sum[v];
    }
}

static void sum_rows(const float *rows, const float *query, int d, float sum[LANES])
{
    for (ptrdiff_t j = 0; j < d; j++)
        for (int v = 0; v < LANES; v++)
            sum[v] += rows[j * LANES + v] * query[j];
}

static void scan_rows(const ivf_scan_job *job, int d)
{
    for (int64_t block = 0; block < job->count; block++)
        for (int q = 0; q < job->nq; q++) {
            float sum[LANES] = {0};
            sum_rows((const float *)job->blocks + block * d * LANES, job->probe[q], d, sum);
            finish(job, q, block, sum);
        }
}

static void sum_halves(const uint16_t *halves, const float *query, int d, float sum[LANES])
{
    for (ptrdiff_t j = 0; j < d; j++) {
        float row[LANES];
        ivf_f16_to_f32(halves + j * LANES, LANES, row);
        for (int v = 0; v < LANES; v++)
            sum[v] += row[v] * query[j];
    }
}

static void scan_halves(const ivf_scan_job *job, int d)
{
    for (int64_t block = 0; block < job->count; block++)
        for (int q = 0; q < job->nq; q++) {
            float sum[LANES] = {0};
            sum_halves((const uint16_t *)job->blocks + block * d * LANES, job->probe[q], d, sum);
            finish(job, q, block, sum);
        }
}

/* Number j of posting v of a block. */
static int number_at(const uint8_t *block, int bits, int j, int v)
{
    enum { QUAD = 4 * LANES };
    ptrdiff_t quad = j / 4;
    const uint8_t *byte = block + (ptrdiff_t)v * 4 + j % 4;
    if (bits == 8)
        return byte[quad * QUAD];
    if (bits == 4)
        return byte[quad / 2 * QUAD] >> quad % 2 * 4 & 15;
    byte += (ptrdiff_t)(quad / 4) * 3 * QUAD;
    int low = byte[quad % 4 / 2 * QUAD] >> quad % 2 * 4 & 15;
    return low | (byte[(ptrdiff_t)2 * QUAD] >> quad % 4 * 2 & 3) << 4;
}

static void scan_numbers(const ivf_scan_job *job, int d, int bits)
{
    ptrdiff_t size = (ptrdiff_t)ivf_scan_numbers_size(d, bits);
    for (int64_t block = 0; block < job->count; block++)
        for (int q = 0; q < job->nq; q++) {
            const int8_t *weight = job->probe[q];
            float sum[LANES];
            for (int v = 0; v < LANES; v++) {
                int32_t total = 0;
                for (int j = 0; j < d; j++)
                    total += number_at((const uint8_t *)job->blocks + block * size, bits, j, v) * weight[j];
                sum[v] = (float)total;
            }
            finish(job, q, block, sum);
        }
}

static void scan_bytes(const ivf_scan_job *job, int m)
{
    for (int64_t block = 0; block < job->count; block++)
        for (int q = 0; q < job->nq; q++) {
            const uint8_t *bytes = (const uint8_t *)job->blocks + block * m * LANES;
            const uint8_t *table = job->probe[q];
            uint32_t total[LANES] = {0};
            float sum[LANES];
            for (ptrdiff_t j = 0; j < m; j++)
                for (int v = 0; v < LANES; v++)
                    total[v] += table[ivf_scan_bytes_at((size_t)j, bytes[j * LANES + v])];
            for (int v = 0; v < LANES; v++)
                sum[v] = (float)total[v];
            finish(job, q, block, sum);
        }
}

static uint32_t mean(uint32_t a, uint32_t b)
{
    return (a + b + 1) / 2;
}

/* Of two sub-vectors, the first of which is even. */
static uint32_t mean_of_two(const uint8_t *block, const uint8_t *table, int m, int sub, int64_t v)
{
    const ptrdiff_t byte = (ptrdiff_t)(sub / 4) * 64 + v / 16 * 32 + (ptrdiff_t)(sub % 4 / 2) * 16 + v % 16;
    if (sub >= m)
        return 0;
    return mean(table[ivf_scan_nibbles_at((size_t)sub, block[byte] & 15)],
                sub + 1 < m ? table[ivf_scan_nibbles_at((size_t)sub + 1, block[byte] >> 4)] : 0);
}

static void sum_nibbles(const uint8_t *block, const uint8_t *table, int m, float sum[LANES])
{
    for (int v = 0; v < LANES; v++) {
        uint32_t total = 0;
        for (int sub = 0; sub < m; sub += sub % 4 == 0 ? 2 : 14) {
            const uint32_t first = mean(mean_of_two(block, table, m, sub, v), mean_of_two(block, table, m, sub + 4, v));
            total +=
                mean(first, mean(mean_of_two(block, table, m, sub + 8, v), mean_of_two(block, table, m, sub + 12, v)));
        }
        sum[v] = (float)total;
    }
}

static void scan_nibbles(const ivf_scan_job *job, int m)
{
    const int64_t size = (int64_t)ivf_scan_nibbles_size(m);
    for (int64_t block = 0; block < job->count; block++)
        for (int q = 0; q < job->nq; q++) {
            float sum[LANES];
            sum_nibbles((const uint8_t *)job->blocks + block * size, job->probe[q], m, sum);
            finish(job, q, block, sum);
        }
}

static int64_t choose(const float *low, int64_t n, float most, int32_t *chosen)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        chosen[count] = (int32_t)i;
        count += !(low[i] > most);
    }
    return count;
}

const ivf_scan_kernels ivf_scan_reference = {
    .weight_max = IVF_SCAN_WEIGHT_MAX,
    .rows = scan_rows,
    .halves = scan_halves,
    .numbers = scan_numbers,
    .bytes = scan_bytes,
    .nibbles = scan_nibbles,
    .choose = choose,
};
