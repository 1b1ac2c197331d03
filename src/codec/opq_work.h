/* What the parts of OPQ's training share. Private to codec/. */
#ifndef IVF_CODEC_OPQ_WORK_H
#define IVF_CODEC_OPQ_WORK_H

#include <string.h>

#include "base/array.h"
#include "codec/codec.h"
#include "codec/opq.h"

enum { IVF_OPQ_WORDS = 256, IVF_OPQ_BLOCK = IVF_SHARE_BLOCK };

typedef enum {
    IVF_OPQ_PRINCIPAL, /* passes of k-means with the principal components */
    IVF_OPQ_PLAIN,     /* with the rows as they are */
    IVF_OPQ_PART,      /* iterations on a part of the rows */
    IVF_OPQ_ALL,       /* on all */
    IVF_OPQ_DONE
} ivf_opq_stage;

/* Where the training stands: with the parameters and the report it decides what comes next. */
typedef struct {
    ivf_opq_stage stage;
    int passes;    /* of the stage that are done */
    bool settled;  /* the stage gains nothing any more */
    double before; /* error of its last pass */
    double plain;  /* of the last pass with the rows as they are */
} ivf_opq_progress;

typedef struct {
    const ivf_ctx *ctx;
    const ivf_opq_params *params;
    const float *x;  /* this rank's rows */
    ivf_share share; /* of the rows that are used */
    float *rotation; /* [d_out][d] */
    size_t d;
    size_t d_out;
    size_t m;
    size_t dsub;

    ivf_codec *codec; /* the product quantizer of rotated rows */
    float *books;     /* [m][IVF_OPQ_WORDS][dsub]: the codec's, borrowed */
    float *other;     /* meanwhile: [d][d], [m][IVF_OPQ_WORDS][dsub]: of the start that comes second, else NULL */
    uint8_t *codes;   /* [this rank's rows][m] */
    int64_t rows;     /* of this rank, that a pass takes: the first ones */

    /* Units for each 1.0 of 64-bit sums that cannot overflow: of values, and of their products. */
    double value_unit;
    double product_unit;

    int workers;
    size_t scratch_bytes;
    float *rotated;   /* [workers][IVF_OPQ_BLOCK][max(d, d_out)] */
    float *product;   /* [workers][d][max(d, d_out)] */
    uint8_t *scratch; /* [workers][scratch_bytes] */
    int64_t *sums;    /* [workers][sums_length], all that a pass adds up: its parts are below */
    size_t sums_length;
    ivf_opq_progress at;
} ivf_opq_work;

/* Local. A value in units, rounded. Adding 1.5 * 2^52 to a double below 2^51 leaves its nearest integer in the low
 * bits, in every vector unit. */
static inline int64_t ivf_opq_fixed(double value, double unit)
{
    const double magic = 0x1.8p52;
    const double shifted = value * unit + magic;
    int64_t bits;
    int64_t zero;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&zero, &magic, sizeof zero);
    return bits - zero;
}

/* Collective. The first worker's sums, over all rows of the first `prefix` places on all ranks: of products x x^T and
 * of x, [d][d] then [d]. */
int ivf_opq_sum_squares(ivf_opq_work *w, int64_t prefix);

/* Collective. Rotates and codes: of rotated values by codeword, [m][IVF_OPQ_WORDS][dsub], then rows by codeword,
 * [m][IVF_OPQ_WORDS], then squared norms. */
int ivf_opq_sum_cells(ivf_opq_work *w, int64_t prefix);

/* Collective. Of products of rows with their decoded codes, [d][d_out]. */
int ivf_opq_sum_decoded(ivf_opq_work *w, int64_t prefix);

/* Local. The rotation from the sums of squares of `rows` rows; destroys them. */
int ivf_opq_start(ivf_opq_work *w, int64_t rows);

/* Local. Room for the start that comes second. */
int ivf_opq_make_other(ivf_opq_work *w);

/* Local. Rank 0 keeps where the training stands, if it is worth it and nothing has failed; else returns `code`. */
int ivf_opq_keep(ivf_opq_work *w, const ivf_opq_report *report, int code);

/* Collective. Takes up what was kept. False: nothing was, or nothing that fits. */
int ivf_opq_recall(ivf_opq_work *w, ivf_opq_report *report, bool *recalled);

#endif
