#include "build/predict.h"

#include <math.h>

#include "base/numbers.h"
#include "base/share.h"
#include "build/way.h"
#include "cluster/kmeans.h"
#include "index/fragment.h"

static const struct {
    ivf_predict_phase phase;
    const char *key;
    const char *name;
    const char *remedy;
} terms[IVF_TERMS] = {
    [IVF_TERM_OPEN] = {IVF_PREDICT_PLAN, "open", "opening the input", ""},
    [IVF_TERM_SAMPLE_READ] = {IVF_PREDICT_SAMPLE, "sample_read", "reading the sample", "a smaller --sample"},
    [IVF_TERM_SAMPLE_DEAL] = {IVF_PREDICT_SAMPLE, "sample_deal", "dealing the sample out", "a smaller --sample"},
    [IVF_TERM_KMEANS] = {IVF_PREDICT_TRAIN, "kmeans", "k-means, on rank 0 or in blocks too few for all ranks",
                         "--train-on all"},
    [IVF_TERM_REDUCE] = {IVF_PREDICT_TRAIN, "kmeans_reduce", "the sums of k-means between ranks",
                         "fewer --iterations or lists"},
    [IVF_TERM_WAY] = {IVF_PREDICT_TRAIN, "way", "trying ways of assigning, in blocks too few for all ranks", ""},
    [IVF_TERM_CODEC] = {IVF_PREDICT_TRAIN, "codec", "training the codec, by sub-quantizers at most",
                        "fewer --pq-iterations"},
    [IVF_TERM_CODEC_DEAL] = {IVF_PREDICT_TRAIN, "codec_deal", "dealing out the codec's rows", "a smaller --sample"},
    [IVF_TERM_MODEL] = {IVF_PREDICT_TRAIN, "model", "writing and broadcasting the model", "fewer lists"},
    [IVF_TERM_PACK] = {IVF_PREDICT_ASSIGN, "pack", "getting the centroids ready, which every rank does", "fewer lists"},
    [IVF_TERM_FRAGMENTS] = {IVF_PREDICT_ASSIGN, "fragments", "fragments, too few or too large for so many ranks",
                            "a smaller --fragment-rows"},
    [IVF_TERM_TICKETS] = {IVF_PREDICT_ASSIGN, "tickets", "drawing tickets from rank 0", "a larger --fragment-rows"},
    [IVF_TERM_GATHER] = {IVF_PREDICT_GATHER, "gather", "gathering the fragments' records", "a larger --fragment-rows"},
    [IVF_TERM_COMMIT] = {IVF_PREDICT_COMMIT, "commit", "writing the manifest", "a larger --fragment-rows"},
};

const char *ivf_predict_phase_name(ivf_predict_phase phase)
{
    static const char *const names[IVF_PREDICT_PHASES] = {"plan", "sample", "train", "assign", "gather", "commit"};
    return names[phase];
}

ivf_predict_phase ivf_term_phase(ivf_term term)
{
    return terms[term].phase;
}

const char *ivf_term_key(ivf_term term)
{
    return terms[term].key;
}

const char *ivf_term_name(ivf_term term)
{
    return terms[term].name;
}

const char *ivf_term_remedy(ivf_term term)
{
    return terms[term].remedy;
}

/* The network seen by one of N ranks. */
typedef struct {
    double ranks, steps, latency, bandwidth;
} links;

static links links_of(const ivf_network *network, int ranks)
{
    return (links){
        .ranks = ranks, .steps = ceil(log2(ranks)), .latency = network->latency, .bandwidth = network->bandwidth};
}

static double agree(const links *l)
{
    return l->steps * l->latency;
}

static double broadcast(const links *l, double bytes)
{
    return agree(l) + 2 * bytes * (l->ranks - 1) / l->ranks / l->bandwidth;
}

static double all_reduce(const links *l, double bytes)
{
    return agree(l) + broadcast(l, bytes);
}

/* Each of N ranks sends its N-th of `bytes`, a part to every other. */
static double deal(const links *l, double bytes)
{
    return (l->ranks - 1) * l->latency + bytes / l->ranks * (l->ranks - 1) / l->ranks / l->bandwidth;
}

/* The share of the work that the busiest of N ranks has, when it comes in so many pieces. */
static double busiest(double pieces, double ranks)
{
    return pieces > 0 ? ceil(pieces / ranks) / pieces : 0;
}

static double sample_share(const ivf_prediction_input *in, int ranks)
{
    double blocks = (double)ivf_ceil_div(in->plan->sample_rows, IVF_SHARE_BLOCK);
    return in->train_on_all ? busiest(blocks, ranks) : 1;
}

static void predict_sample(const ivf_prediction_input *in, const links *l, double *t)
{
    const ivf_plan *plan = in->plan;
    double rows = (double)plan->sample_rows;
    double row_bytes = 8 + 4.0 * plan->d;
    double per_row = in->rates.sample_row;
    if (in->network.read_limit > 0)
        per_row = fmax(per_row, l->ranks * plan->d * (double)in->element / in->network.read_limit);
    t[IVF_TERM_SAMPLE_READ] = rows / l->ranks * per_row;
    double received = in->train_on_all
                          ? deal(l, rows * row_bytes)
                          : (l->ranks - 1) * l->latency + rows * row_bytes * (1 - 1 / l->ranks) / l->bandwidth;
    t[IVF_TERM_SAMPLE_DEAL] = received + 8 * agree(l);
}

static void predict_train(const ivf_prediction_input *in, const links *l, double *t)
{
    const ivf_plan *plan = in->plan;
    double k = plan->factory.nlist;
    double d = plan->d_rotated;
    bool shared = in->train_on_all && l->ranks > 1;
    t[IVF_TERM_KMEANS] = in->rates.kmeans * sample_share(in, (int)l->ranks);
    if (shared) /* cluster/kmeans.h */
        t[IVF_TERM_REDUCE] = broadcast(l, 4 * d * k) + (l->ranks - 1) * l->latency +
                             fmax(k, 256) * 4 * (d + 1) / l->bandwidth +
                             in->iterations * (all_reduce(l, 8 * k * (d + 3)) + agree(l));
    double tried = (double)ivf_way_rows(plan->sample_rows, plan->factory.nlist, plan->d_rotated);
    t[IVF_TERM_WAY] = tried * k * in->rates.compare;
    if (shared) {
        double blocks = ceil(tried / IVF_SHARE_BLOCK);
        t[IVF_TERM_WAY] *= busiest(blocks, l->ranks);
        t[IVF_TERM_WAY] +=
            (l->ranks - 1) * l->latency + tried * 4 * d / l->bandwidth + 6 * agree(l) + all_reduce(l, 24 * blocks);
    }
    t[IVF_TERM_CODEC] = in->rates.codec;
    if (shared && in->codec_units == 0) { /* by rows; codec/codec.h */
        t[IVF_TERM_CODEC] *= sample_share(in, (int)l->ranks);
        t[IVF_TERM_CODEC_DEAL] = all_reduce(l, (double)in->codec_bytes) + 2 * agree(l);
    } else if (shared) { /* by sub-quantizers */
        double rounds = ceil((double)in->codec_units / in->threads);
        t[IVF_TERM_CODEC] *= ceil(rounds / l->ranks) / rounds;
        t[IVF_TERM_CODEC_DEAL] =
            deal(l, 4 * d * (double)in->codec_rows) + broadcast(l, (double)in->codec_bytes) + 8 * agree(l);
    }
    double model = 4 * k * d + (double)in->codec_bytes;
    t[IVF_TERM_MODEL] = in->rates.file + model * in->rates.write_byte + broadcast(l, model) + 4 * agree(l);
}

/* Reading, computing and writing of a rank's fragments run side by side; the first is read and computed before there is
 * something to write, and the last one's writing has nothing beside it. */
static double fragments_take(const ivf_prediction_input *in, const links *l)
{
    const ivf_plan *plan = in->plan;
    double count = (double)plan->fragments;
    double rows = (double)plan->rows / count;
    double bytes = rows * (double)(plan->code_size + ivf_kept_bytes(plan->kept) + sizeof(uint64_t)) +
                   8.0 * (plan->factory.nlist + 1);
    double at_once = fmin(l->ranks, count);
    double read_row = in->rates.read_row;
    double write_byte = in->rates.write_byte;
    if (in->network.read_limit > 0)
        read_row = fmax(read_row, at_once * plan->d * (double)in->element / in->network.read_limit);
    if (in->network.write_limit > 0)
        write_byte = fmax(write_byte, at_once / in->network.write_limit);
    double make = rows * fmax(in->rates.assign_row, read_row);
    double write = in->rates.write_fragment + bytes * write_byte;
    return make + (ceil(count / l->ranks) - 1) * fmax(make, write) + write;
}

static void predict_assign(const ivf_prediction_input *in, const links *l, double *t)
{
    t[IVF_TERM_PACK] = in->rates.pack;
    t[IVF_TERM_FRAGMENTS] = fragments_take(in, l);
    double own = ceil((double)in->plan->fragments / l->ranks);
    if (l->ranks > 1) /* its own, there and back; and all are refused at the end, one after the other */
        t[IVF_TERM_TICKETS] = (own * 2 + l->ranks) * l->latency + 8 * agree(l);
}

static void predict_end(const ivf_prediction_input *in, const links *l, double *t)
{
    const double manifest_record = 1e-5; /* seconds to format, sort and check a fragment in the manifest */
    double fragments = (double)in->plan->fragments;
    double records = fragments * sizeof(ivf_fragment_record) * (1 - 1 / l->ranks);
    if (l->ranks > 1)
        t[IVF_TERM_GATHER] = (l->ranks - 1) * l->latency + records / l->bandwidth +
                             all_reduce(l, 8.0 * in->plan->factory.nlist) + 8 * agree(l);
    t[IVF_TERM_COMMIT] = in->rates.file + fragments * manifest_record + agree(l);
}

void ivf_predict(const ivf_prediction_input *input, int ranks, ivf_prediction *prediction)
{
    links l = links_of(&input->network, ranks);
    *prediction = (ivf_prediction){.ranks = ranks};
    double *t = prediction->terms;
    t[IVF_TERM_OPEN] = input->rates.open + 4 * agree(&l);
    predict_sample(input, &l, t);
    predict_train(input, &l, t);
    predict_assign(input, &l, t);
    predict_end(input, &l, t);
    for (int term = 0; term < IVF_TERMS; term++) {
        prediction->phases[terms[term].phase] += t[term];
        prediction->seconds += t[term];
    }
}

/* The term whose double number of ranks falls furthest behind half its time. */
static ivf_term obstacle(const ivf_prediction *now, const ivf_prediction *twice)
{
    ivf_term worst = IVF_TERM_OPEN;
    double most = -1;
    for (int term = 0; term < IVF_TERMS; term++) {
        double lost = twice->terms[term] - now->terms[term] / 2;
        if (lost > most) {
            most = lost;
            worst = (ivf_term)term;
        }
    }
    return worst;
}

void ivf_predict_limit(const ivf_prediction_input *input, int most, ivf_scaling_limit *limit)
{
    ivf_prediction now;
    ivf_prediction twice;
    *limit = (ivf_scaling_limit){0};
    ivf_predict(input, 1, &now);
    for (int ranks = 1; ranks <= most / 2; ranks *= 2) {
        ivf_predict(input, 2 * ranks, &twice);
        if (twice.seconds > 0.9 * now.seconds) {
            *limit = (ivf_scaling_limit){.ranks = ranks, .seconds = now.seconds, .term = obstacle(&now, &twice)};
            return;
        }
        now = twice;
    }
}
