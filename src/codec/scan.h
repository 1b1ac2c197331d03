/* Codes in blocks, scanned for several queries at once: lower bounds of keys by the kernels of math/scan.h, and the
 * keys of the few that matter, with the bits of ivf_codec_scan.
 *
 * A code stands for a row r, relative to the origin of the space or, for a residual codec, to its list's centroid c.
 * For L2 and any point o, with p = q - c,
 *
 *   |p - r|^2 = |p|^2 + (|r|^2 + 2 <c - o, r>) - 2 <q - o, r>,
 *
 * where the middle part belongs to the code alone and is computed once; and only <q - o, r>, which does not depend on
 * the list, wants a table. o is whatever makes q - o small: the mean of the centroids. For inner products <q, r> is all
 * that is wanted. A probe is the query in the form in which the kernels take its products. */
#ifndef IVF_CODEC_SCAN_H
#define IVF_CODEC_SCAN_H

#include "codec/codec.h"
#include "math/scan.h"

/* What a query's probe says about its bounds. With `sum` of a kernel, a multiple of <q - o, r> (-2 for L2, -1 for inner
 * products) is at least
 *
 *   constant + scale * sum - slope * spread
 *
 * but for the rounding of floats, which is relative to `size`, |q - o| |r| and the codec's extent. */
typedef struct {
    float scale;
    float constant;
    float slope; /* for each unit of a code's spread */
    float size;
    float norm; /* |q - o| */
} ivf_probe;

enum { IVF_PROBE_HEAD = 64 }; /* bytes from a probe to what the kernels take */

/* Local. Bytes of a block of IVF_SCAN_BLOCK codes; puts codes[n][code_size] into slots first to first + n - 1, which
 * were zero; reads the code of a slot. Blocks are aligned to 64 bytes. */
size_t ivf_codec_block_size(const ivf_codec *codec);
void ivf_codec_blocks_put(const ivf_codec *codec, const uint8_t *codes, int64_t n, int64_t first, uint8_t *blocks);
void ivf_codec_blocks_get(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code);

/* Local. The spread of a code; what its value is made of, at most (a norm): 0 where it is stored as it is. */
float ivf_codec_spread(const ivf_codec *codec, const uint8_t *code);
float ivf_codec_extent(const ivf_codec *codec);

/* Local, one thread. Makes the probe (a multiple of 64 bytes, aligned to 64) of query[d], for L2 q - o. table: scratch
 * of ivf_codec_table_size bytes. A query whose products overflow gets a constant of -INFINITY. */
size_t ivf_codec_probe_size(const ivf_codec *codec);
void ivf_codec_probe(const ivf_codec *codec, ivf_metric metric, const float *query, void *probe, void *table);

/* Local, one thread. Bounds of a job whose probes lie behind IVF_PROBE_HEAD bytes of head. */
void ivf_codec_bounds(const ivf_codec *codec, const ivf_scan_job *job);

/* Blocks of some codecs may be widened: to numbers of 8 bits, one for each value, whose products cost less than lookups
 * do, once several queries share them. Their bounds are those of ivf_codec_wide_probe's head.
 *
 * Local, one thread. Bytes of a wide block, 0 where there are none; makes `count` of them; the part of a probe that is
 * for them; and bounds of a job, whose probes lie behind IVF_PROBE_HEAD bytes of that. */
size_t ivf_codec_wide_size(const ivf_codec *codec);
void ivf_codec_widen(const ivf_codec *codec, const uint8_t *blocks, int64_t count, uint8_t *wide);
const void *ivf_codec_wide_probe(const ivf_codec *codec, const void *probe);
void ivf_codec_wide_bounds(const ivf_codec *codec, const ivf_scan_job *job);

/* Local, one thread. As ivf_codec_prepare and ivf_codec_scan, to the bit, where n may be small: *prepared says whether
 * `table` holds this query's already, and is set when it was made. */
void ivf_codec_keys(const ivf_codec *codec, ivf_metric metric, const float *query, const uint8_t *codes, int64_t n,
                    float *keys, void *table, bool *prepared);

#endif
