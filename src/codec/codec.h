/* How a row is stored in a list: one interface, one file for each codec behind it (flat.c, sq.c, pq.c). */
#ifndef IVF_CODEC_CODEC_H
#define IVF_CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"
#include "base/metric.h"

typedef enum { IVF_CODEC_FLAT, IVF_CODEC_FLAT16, IVF_CODEC_SQ, IVF_CODEC_PQ } ivf_codec_kind;

typedef struct {
    ivf_codec_kind kind;
    int m;    /* PQ: sub-vectors */
    int bits; /* SQ: 8, 6 or 4; PQ: 4 to 8 per sub-vector */
} ivf_codec_spec;

typedef struct ivf_codec ivf_codec;

/* Local. An untrained codec for vectors of d values. MPIVF_BAD_INPUT when the shape does not fit (PQ: d not divisible
 * by m, naming the m that would). *codec is NULL on failure. */
int ivf_codec_new(const ivf_codec_spec *spec, int d, ivf_codec **codec);
void ivf_codec_free(ivf_codec *codec);

/* Local. The spec as FAISS's factory writes it: "Flat", "SQfp16", "SQ8", "PQ32", "PQ16x4". */
void ivf_codec_name(const ivf_codec_spec *spec, char text[32]);

/* Local. Whether rows are coded relative to their centroid; bytes of a code; largest |value| that can be coded; rows
 * that training can use. */
bool ivf_codec_is_residual(const ivf_codec *codec);
size_t ivf_codec_code_size(const ivf_codec *codec);
float ivf_codec_value_limit(const ivf_codec *codec);
int64_t ivf_codec_training_rows(const ivf_codec *codec);

typedef struct {
    uint64_t seed;
    int iterations; /* of PQ's k-means */
} ivf_codec_training;

/* Local, uses the team. Trains on x[n][d] (residuals if the codec is residual); nothing to do for Flat. Bit-identical
 * for any number of threads. */
int ivf_codec_train(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training);

/* Local. The trained parameters as named arrays (views into the codec, contents writable so that a reader or a
 * broadcast can fill them); returns how many, at most IVF_CODEC_ARRAYS. Names and shapes are the format's: SQ "sq_min"
 * f32[d], "sq_span" f32[d]; PQ "codebooks" f32[m][2^bits][d/m]. */
enum { IVF_CODEC_ARRAYS = 4 };
int ivf_codec_arrays(ivf_codec *codec, ivf_array arrays[IVF_CODEC_ARRAYS]);

/* Local. After the arrays have been filled from elsewhere: derives what encoding and scanning need (ivf_codec_train
 * does it itself). */
int ivf_codec_ready(ivf_codec *codec);

/* Local, one thread. x[n][d] to codes[n][code_size]. `scratch` holds ivf_codec_encode_scratch(codec, n) bytes. A row's
 * code does not depend on its neighbours. */
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
