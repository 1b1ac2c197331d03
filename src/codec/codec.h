/* How a row is stored in a list: one interface, one file for each codec behind it (flat.c, sq.c, pq.c). */
#ifndef IVF_CODEC_CODEC_H
#define IVF_CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"
#include "base/keeper.h"
#include "base/metric.h"
#include "base/share.h"
#include "comm/context.h"

typedef enum {
    IVF_CODEC_FLAT,
    IVF_CODEC_FLAT16,
    IVF_CODEC_SQ,
    IVF_CODEC_PQ,
    IVF_CODEC_PQ_ROWS, /* PQ of the rows themselves rather than relative to their centroid */
} ivf_codec_kind;

typedef struct {
    ivf_codec_kind kind;
    int m;    /* PQ: sub-vectors */
    int bits; /* SQ: 8, 6 or 4; PQ: 4 to 8 per sub-vector */
} ivf_codec_spec;

/* Local. Whether codes are numbers of codewords. */
static inline bool ivf_codec_has_words(const ivf_codec_spec *spec)
{
    return spec->kind == IVF_CODEC_PQ || spec->kind == IVF_CODEC_PQ_ROWS;
}

typedef struct ivf_codec ivf_codec;

/* Local. An untrained codec for vectors of d values. MPIVF_BAD_INPUT when the shape does not fit (PQ: d not divisible
 * by m, naming the m that would). *codec is NULL on failure. */
int ivf_codec_new(const ivf_codec_spec *spec, int d, ivf_codec **codec);
void ivf_codec_free(ivf_codec *codec);

/* Local. The spec as FAISS's factory writes it: "Flat", "SQfp16", "SQ8", "PQ32", "PQ16x4", "PQ16x4fs". */
void ivf_codec_name(const ivf_codec_spec *spec, char text[32]);

/* Local. Whether rows are coded relative to their centroid; bytes of a code; largest |value| that can be coded; rows
 * that training can use. */
bool ivf_codec_is_residual(const ivf_codec *codec);
size_t ivf_codec_code_size(const ivf_codec *codec);
float ivf_codec_value_limit(const ivf_codec *codec);
int64_t ivf_codec_training_rows(const ivf_codec *codec);

/* Local. SQ and PQ code rows relative to their centroid, PQ_ROWS and full rows do not; for a codec that was made
 * elsewhere, otherwise. Before it is trained or used. */
void ivf_codec_set_residual(ivf_codec *codec, bool residual);
bool ivf_codec_is_usually_residual(const ivf_codec *codec);

typedef struct {
    uint64_t seed;
    int iterations;           /* of PQ's k-means, at most */
    bool exact;               /* PQ: every iteration compares all rows with all codewords in single precision */
    const ivf_keeper *keeper; /* of each codebook of PQ, by the rank that trains it; NULL: none, on all ranks alike */
} ivf_codec_training;

/* Local, uses the team. Trains on x[n][d] (residuals if the codec is residual), rows in random order, of which it takes
 * the first ivf_codec_training_rows at most; nothing to do for Flat. Bit-identical for any number of threads. */
int ivf_codec_train_local(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training);

/* Collective. The same, with the same bits, on rows dealt out to ranks 0 to share->size - 1 of the context: x holds
 * this rank's rows of the share, of which only its part of the first ivf_codec_training_rows places is looked at; the
 * ranks after those hold none (share->rank -1, the same total and size). Every rank gets the trained codec.
 *
 * Work: SQ, each holder its rows. PQ, the holders share the sub-vectors: sub-vector i is trained by rank i mod size, so
 * at most m ranks help.
 * With a keeper PQ trains only the codebooks that were not kept, and has the same bytes whatever ranks and threads
 * there were; rows and training must be the same. Memory, beyond the codec: PQ, for each holder its sub-vectors of all
 * rows (4 u d / size bytes for u rows), and twice 16 MiB (or 1024 rows). Communication of each rank, with p ranks in
 * the context, A = 8 bytes for an agreement (log p steps): size 1:  one broadcast of the arrays (PQ: 4 d 2^bits bytes,
 * SQ: 8 d) and 2 A SQ:      one all-reduce of 16 d bytes and 2 A PQ:      r rounds, r = ceil(ceil(u / 1024) / (size k))
 * with k = max(1, floor(4096 / d)), of one all-to-all of 8 bytes a pair, p - 1 messages and 3 A; in them a holder sends
 * 4 d bytes for each of its rows but for its own sub-vectors, together 4 d (u / size) (1 - 1 / size), and receives as
 * much; then one all-gather of 4 d 2^bits bytes; 5 A. With a keeper m bytes broadcast, and the codebooks that were
 * kept, which then need none of the above. */
int ivf_codec_train(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                    const ivf_codec_training *training);

/* Local. Bytes of a codec that is ready; of ivf_codec_train for the `total` rows that so many ranks hold, on the one
 * that needs most, beside rows and codec; and of ivf_codec_encode's scratch for n rows. Of a spec that fits d. */
int64_t ivf_codec_memory(const ivf_codec_spec *spec, int d);
int64_t ivf_codec_train_memory(const ivf_codec_spec *spec, int d, const ivf_codec_training *training, int64_t total,
                               int holders, int threads);
int64_t ivf_codec_scratch_memory(const ivf_codec_spec *spec, int d, int64_t n);

/* Local. The trained parameters as named arrays (views into the codec, contents writable so that a reader or a
 * broadcast can fill them); returns how many, at most IVF_CODEC_ARRAYS. Names and shapes are the format's: SQ "sq_min"
 * f32[d], "sq_span" f32[d]; PQ "codebooks" f32[m][2^bits][d/m]. */
enum { IVF_CODEC_ARRAYS = 4 };
int ivf_codec_arrays(ivf_codec *codec, ivf_array arrays[IVF_CODEC_ARRAYS]);

/* Local. After the arrays have been filled from elsewhere: derives what encoding and scanning need (training does
 * it itself). */
int ivf_codec_ready(ivf_codec *codec);

/* Local, one thread. x[n][d] to codes[n][code_size]. `scratch` holds ivf_codec_encode_scratch(codec, n) bytes. A row's
 * code does not depend on its neighbours, nor on the SIMD level but IVF_SIMD_BLAS. PQ compares in 16-bit integers,
 * however it was trained: codes differ from the nearest codewords only in near ties (codec/pq_encode.c). */
void ivf_codec_encode(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch);
size_t ivf_codec_encode_scratch(const ivf_codec *codec, int64_t n);

/* Local, one thread. codes[n][code_size] to x[n][d]. */
void ivf_codec_decode(const ivf_codec *codec, const uint8_t *codes, int64_t n, float *x);

/* Local, one thread. Prepares a table (ivf_codec_table_size bytes, 64-byte aligned) for query[d], which for L2 and a
 * residual codec is the query minus the list's centroid; then scans codes[n][code_size] into keys[n]: |query -
 * decoded|^2, or minus the inner product. The codes of full rows are aligned to their values (4 or 2 bytes). With a
 * residual codec and an inner product the caller adds minus <query, centroid>. */
size_t ivf_codec_table_size(const ivf_codec *codec);
void ivf_codec_prepare(const ivf_codec *codec, ivf_metric metric, const float *query, void *table);
void ivf_codec_scan(const ivf_codec *codec, ivf_metric metric, const void *table, const uint8_t *codes, int64_t n,
                    float *keys);

#endif
