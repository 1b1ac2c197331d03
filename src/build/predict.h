/* How long a build's phases take on N ranks: arithmetic over the plan, what one rank was measured to need, and the
 * network. Nothing here measures or communicates.
 *
 * The network is latency and bandwidth of a rank's link (the alpha-beta model; Thakur, Rabenseifner and Gropp,
 * "Optimization of collective communication operations in MPICH", 2005): with L = ceil(log2 N) and
 * large(b) = 2 b (N - 1) / N / bandwidth
 *
 *     agreement or barrier  L latency
 *     broadcast of b bytes  L latency + large(b)
 *     all-reduce            2 L latency + large(b)
 *
 * Work is dealt out in pieces, so that N ranks never take less than ceil(pieces / N) of them: blocks of the sample
 * (base/share.h), sub-quantizers of PQ, fragments. All ranks are taken to be as fast as the one that was measured. */
#ifndef IVF_BUILD_PREDICT_H
#define IVF_BUILD_PREDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "build/plan.h"

/* Seconds that one rank needs with its threads. */
typedef struct {
    double open;           /* to open the input and claim the index */
    double sample_row;     /* for each sampled row: drawn, read, put in its place */
    double kmeans;         /* for all iterations over the whole sample */
    double codec;          /* to train the codec */
    double compare;        /* to compare a row with a list in single precision, as ways of assigning are tried */
    double file;           /* to make a small file durable */
    double pack;           /* before it can assign: the centroids made ready; each rank does it */
    double assign_row;     /* to assign and encode a row */
    double read_row;       /* to read a row from the input */
    double write_fragment; /* to make a fragment durable, whatever its size */
    double write_byte;     /* and for each of its bytes */
} ivf_rates;

typedef struct {
    double latency;    /* seconds of a message between two ranks */
    double bandwidth;  /* bytes a second of a rank's link */
    double read_limit; /* bytes a second that all ranks together can read and write; 0: none but theirs */
    double write_limit;
} ivf_network;

/* What the seconds go into, in the order of the phases. */
typedef enum {
    IVF_TERM_OPEN,
    IVF_TERM_SAMPLE_READ,
    IVF_TERM_SAMPLE_DEAL,
    IVF_TERM_KMEANS,
    IVF_TERM_REDUCE,
    IVF_TERM_WAY,
    IVF_TERM_CODEC,
    IVF_TERM_CODEC_DEAL,
    IVF_TERM_MODEL,
    IVF_TERM_PACK,
    IVF_TERM_FRAGMENTS,
    IVF_TERM_TICKETS,
    IVF_TERM_GATHER,
    IVF_TERM_COMMIT,
    IVF_TERMS
} ivf_term;

typedef enum {
    IVF_PREDICT_PLAN,
    IVF_PREDICT_SAMPLE,
    IVF_PREDICT_TRAIN,
    IVF_PREDICT_ASSIGN,
    IVF_PREDICT_GATHER,
    IVF_PREDICT_COMMIT,
    IVF_PREDICT_PHASES
} ivf_predict_phase;

/* What a prediction is made from. */
typedef struct {
    const ivf_plan *plan;
    size_t element;     /* bytes of an input value */
    bool train_on_all;  /* else rank 0 trains alone */
    int iterations;     /* of k-means */
    int64_t codec_rows; /* that the codec trains on */
    int codec_units;    /* sub-quantizers, which ranks share when it trains; 0: they share its rows */
    size_t codec_bytes; /* of its trained parameters */
    int threads;        /* of a rank */
    ivf_rates rates;
    ivf_network network;
} ivf_prediction_input;

typedef struct {
    int ranks;
    double terms[IVF_TERMS];
    double phases[IVF_PREDICT_PHASES];
    double seconds;
} ivf_prediction;

/* Where more ranks cease to help. */
typedef struct {
    int ranks;      /* the smallest power of two whose double takes less than a tenth off; 0: none up to `most` */
    double seconds; /* with that many */
    ivf_term term;  /* that stands in the way */
} ivf_scaling_limit;

/* Local. Of `ranks` >= 1. */
void ivf_predict(const ivf_prediction_input *input, int ranks, ivf_prediction *prediction);

/* Local. Looks at powers of two up to `most`. */
void ivf_predict_limit(const ivf_prediction_input *input, int most, ivf_scaling_limit *limit);

/* Local. "plan", "sample", ...; a term as a word for programs ("kmeans"), in a few words for people, and what raises
 * the limit that it sets, or "". */
const char *ivf_predict_phase_name(ivf_predict_phase phase);
ivf_predict_phase ivf_term_phase(ivf_term term);
const char *ivf_term_key(ivf_term term);
const char *ivf_term_name(ivf_term term);
const char *ivf_term_remedy(ivf_term term);

#endif
