#include "build/needs.h"

#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/share.h"
#include "base/text.h"
#include "build/assign.h"
#include "build/encode.h"
#include "build/given.h"
#include "build/rotate.h"
#include "build/sample.h"
#include "build/train.h"
#include "build/way.h"
#include "cluster/tree_grow.h"
#include "codec/opq.h"
#include "index/fragment.h"
#include "io/ids.h"
#include "io/stamps.h"
#include "io/stream.h"
#include "math/panels.h"

/* Beside blocks that are counted, measured at 1 to 8 ranks and 1 to 4 threads: small blocks, stacks, and pages of the
 * program and its libraries that are touched for the first time; of a thread; between ranks of a node; once rows
 * are rotated; and where rows may be skipped, which are kept in datasets of their own. */
static const int64_t GROWTH[IVF_PREDICT_PHASES] = {1536 << 10, 4608 << 10, 5120 << 10,
                                                   3328 << 10, 2560 << 10, 2560 << 10};
static const int64_t THREAD_GROWTH = 512 << 10;
static const int64_t RANKS_GROWTH = 1 << 20;
static const int64_t RANK_GROWTH = 128 << 10;
static const int64_t ROTATION_GROWTH = 3 << 20;
static const int64_t SKIPPING_GROWTH = 512 << 10;

/* Of a file in the build's name, without its path: as JSON in memory, and as text. */
enum { FILE_TREE = 768, FILE_TEXT = 320 };

enum { LEAST_PIECE_BYTES = 256 << 10, LEAST_SUM_BYTES = 1 << 20, LEAST_BLOCK_ROWS = 256 };

/* What the figures of one build are made of. */
typedef struct {
    const ivf_needs_input *in;
    ivf_needs_pieces pieces;
    ivf_tree shape;   /* counts alone */
    int holders;      /* ranks that hold the sample */
    int64_t own;      /* rows of it on the first rank */
    int64_t sample;   /* bytes of these */
    int64_t model;    /* bytes */
    int64_t codec;    /* bytes of it that each rank holds for itself */
    int64_t tree;     /* bytes of the levels above the lists */
    int64_t way_rows; /* that ways are tried on */
    ivf_nearest_way way;
    int64_t trying; /* bytes of that */
} figures;

/* Of the largest tree that there may be. */
static ivf_tree_growth growth_of(const ivf_needs_input *in)
{
    ivf_tree_growth growth = {.levels = in->plan->levels, .metric = in->plan->metric, .seed = in->config->seed};
    memcpy(growth.nodes, in->config->level_nodes, sizeof growth.nodes);
    ivf_tree usual = {0};
    ivf_tree_shape(&growth, in->plan->factory.nlist, &usual);
    growth.broad = ivf_way_may_broaden(in->config, &usual);
    return growth;
}

/* Of the model that is given, or of what will be trained. */
static void find_shape(const ivf_needs_input *in, figures *f)
{
    const ivf_plan *plan = in->plan;
    const ivf_given *given = in->config->given;
    const ivf_tree_growth growth = growth_of(in);
    if (ivf_given_has_model(given)) {
        f->shape = given->shape;
        f->way = given->way;
        return;
    }
    ivf_tree_shape(&growth, plan->factory.nlist, &f->shape);
    f->way_rows = ivf_way_rows(plan->sample_rows, plan->factory.nlist, plan->d_rotated);
    f->trying = ivf_way_memory(in->config, &f->shape, f->way_rows, in->threads, &f->way);
}

static void start(const ivf_needs_input *in, figures *f)
{
    const ivf_plan *plan = in->plan;
    *f = (figures){.in = in, .shape = {.d = plan->d_rotated}};
    const int64_t row = 4 * (int64_t)plan->d_rotated;
    f->holders = ivf_sample_is_shared(in->config, plan) ? in->ranks : 1;
    const ivf_share share = {.total = plan->sample_rows, .rank = 0, .size = f->holders};
    f->own = ivf_share_count(&share);
    f->sample = f->own * plan->d * 4;
    find_shape(in, f);
    for (int l = 1; l < plan->levels; l++)
        f->tree += f->shape.count[l] * (row + 4);
    f->codec = row + ivf_codec_memory(&plan->factory.codec, plan->d_rotated);
    f->model = plan->factory.nlist * row + f->codec;
    if (plan->factory.opq_m > 0)
        f->model += row * plan->d;
    f->pieces = (ivf_needs_pieces){.piece_bytes = IVF_SAMPLE_PIECE, .depth = IVF_ASSIGN_DEPTH};
    f->pieces.block_rows = ivf_assign_block_rows(plan, &f->way, in->threads);
    f->pieces.cache_bytes = in->caches.usual;
}

/* What does not depend on the plan. */
static int64_t fixed(const figures *f, ivf_predict_phase phase)
{
    const ivf_needs_input *in = f->in;
    int64_t bytes = in->base + GROWTH[phase];
    if (phase > IVF_PREDICT_PLAN)
        bytes += (int64_t)in->threads * THREAD_GROWTH;
    bytes += in->ids_caches + in->files * (int64_t)sizeof(ivf_stamp);
    if (in->ranks > 1)
        bytes += RANKS_GROWTH + (int64_t)in->node_ranks * RANK_GROWTH;
    if (phase >= IVF_PREDICT_TRAIN && in->plan->factory.opq_m > 0)
        bytes += ROTATION_GROWTH;
    if (phase == IVF_PREDICT_ASSIGN && in->config->skip_bad_rows)
        bytes += SKIPPING_GROWTH;
    return bytes;
}

static void take_more(ivf_need *need, const char *step, int64_t bytes)
{
    if (bytes > need->bytes)
        *need = (ivf_need){bytes, step};
}

/* A rank's part of the model, and of `derived` bytes, when they lie once in a node. */
static int64_t shared_model(const figures *f, int64_t derived)
{
    return f->codec + ivf_ceil_div(f->model - f->codec + f->tree + derived, f->in->node_ranks);
}

/* The build's name is made of its input's files, as JSON: once for this build, once for one that was left unfinished,
 * and its text. */
static int64_t naming_bytes(const ivf_needs_input *in)
{
    return in->files * (2 * FILE_TREE + FILE_TEXT) + 4 * in->path_bytes;
}

static ivf_need plan_need(const figures *f)
{
    const int64_t ids = f->in->config->ids != NULL ? ivf_ids_memory(f->in->plan->rows, f->in->ranks) : 0;
    const int64_t naming = naming_bytes(f->in);
    return (ivf_need){fixed(f, IVF_PREDICT_PLAN) + ivf_max_i64(ids, naming),
                      ids > naming ? "checking the ids" : "opening the input"};
}

static ivf_need sample_need(const figures *f)
{
    const ivf_needs_input *in = f->in;
    if (in->plan->sample_rows == 0)
        return (ivf_need){0, "nothing"};
    const bool spans = in->plan->sample_rows > in->few && in->plan->sample_rows < in->plan->rows;
    const int64_t reading = in->threads * (spans ? in->picking : in->reading);
    const int64_t pieces = ivf_sample_memory(in->config, in->plan, in->ranks, f->pieces.piece_bytes, reading);
    return (ivf_need){fixed(f, IVF_PREDICT_SAMPLE) + f->sample + pieces + f->pieces.cache_bytes, "drawing rows"};
}

/* The residuals of the codec's rows, while their lists are found and while it trains on them. */
static int64_t codec_bytes(const figures *f)
{
    const ivf_needs_input *in = f->in;
    const ivf_plan *plan = in->plan;
    const ivf_codec_spec *codec = &plan->factory.codec;
    const ivf_codec_training training = {
        .seed = in->config->seed, .iterations = in->config->pq_iterations, .exact = in->config->train_exact};
    const int64_t total = ivf_min_i64(plan->codec_rows, plan->sample_rows);
    const int64_t training_bytes =
        ivf_codec_train_memory(codec, plan->d_rotated, &training, total, f->holders, in->threads);
    if (!plan->residual || total == 0)
        return training_bytes;
    const ivf_share share = {.total = total, .rank = 0, .size = f->holders};
    const int64_t finding =
        ivf_nearest_memory(&f->shape, &f->way) + in->threads * ivf_nearest_scratch_memory(&f->shape, &f->way);
    return ivf_share_count(&share) * plan->d_rotated * 4 + ivf_max_i64(finding, training_bytes);
}

static ivf_need train_need(const figures *f)
{
    const ivf_needs_input *in = f->in;
    const ivf_plan *plan = in->plan;
    const int64_t model = fixed(f, IVF_PREDICT_TRAIN) + f->model;
    const int64_t held = model + ivf_rotate_sample_memory(plan, f->own);
    const ivf_tree_growth growth = growth_of(in);
    ivf_kmeans_params params = ivf_train_params(in->config, plan);
    ivf_need need = {0};
    params.sum_bytes = f->pieces.sum_bytes;
    if (ivf_given_has_model(in->config->given))
        return (ivf_need){model + f->tree + f->model + f->tree, "the model"};
    if (plan->factory.opq_m > 0)
        take_more(&need, "the rotation",
                  model + f->sample + ivf_rotate_memory(in->config, plan, f->holders, in->threads));
    if (!ivf_given_has(in->config->given, IVF_GIVEN_CENTROIDS))
        take_more(&need, "k-means", held + ivf_kmeans_memory(&params, plan->sample_rows, f->holders, in->threads));
    take_more(&need, "the tree",
              held + ivf_tree_grow_memory(&growth, plan->factory.nlist, plan->d_rotated, in->ranks, in->threads));
    take_more(&need, "trying ways of assigning", held + f->tree + f->trying);
    if (!ivf_given_has(in->config->given, IVF_GIVEN_CODEBOOKS))
        take_more(&need, "the codec", held + f->tree + codec_bytes(f));
    take_more(&need, "the model", model + f->tree + f->model + f->tree);
    return need;
}

/* Fragments are as many as ranks wait for at the end; the model and what is derived of it lies once in a node. */
static ivf_need assign_need(const figures *f)
{
    const ivf_needs_input *in = f->in;
    const ivf_plan *plan = in->plan;
    if (in->config->train_only)
        return (ivf_need){0, "nothing"};
    const int64_t rows = ivf_min_i64(plan->fragment_rows, plan->rows);
    const int64_t common = shared_model(f, ivf_encoder_shared_memory(plan, &f->shape, &f->way));
    const int64_t encoding = ivf_encoder_memory(plan, &f->shape, &f->way, in->threads);
    return (ivf_need){fixed(f, IVF_PREDICT_ASSIGN) + common + encoding + ivf_assign_memory(in->config, plan, rows) +
                          in->reading + f->pieces.cache_bytes +
                          ivf_stream_memory(f->pieces.block_rows, f->pieces.depth, plan->d),
                      "fragments"};
}

/* What an earlier run has left: model and records. */
static int64_t resume_bytes(const figures *f)
{
    const int64_t records = f->in->plan->fragments * (int64_t)sizeof(ivf_fragment_record);
    return fixed(f, IVF_PREDICT_PLAN) + 2 * (f->model + f->tree) + 3 * records +
           8 * (int64_t)f->in->plan->factory.nlist;
}

/* Records of all fragments, on their way and in the manifest with its text; list sizes. */
static ivf_need end_need(const figures *f, bool commits)
{
    enum {
        RECORD_TEXT = 1536, /* of a fragment in the manifest, as JSON in memory and as text */
        SHARD_TEXT = 2048,  /* of a file of the input, without its path */
    };
    const ivf_plan *plan = f->in->plan;
    const int64_t records = plan->fragments * (int64_t)sizeof(ivf_fragment_record);
    const int64_t lists = 8 * (int64_t)plan->factory.nlist;
    const int64_t files = f->in->config->train_only ? 0 : f->in->files * SHARD_TEXT + 5 * f->in->path_bytes;
    return (ivf_need){fixed(f, commits ? IVF_PREDICT_COMMIT : IVF_PREDICT_GATHER) + shared_model(f, 0) + 3 * records +
                          lists + (commits ? plan->fragments * RECORD_TEXT + 8 * lists + files : 0),
                      commits ? "the manifest" : "fragments' records"};
}

/* How many bytes a piece must lose for a need to keep the limit. */
static int64_t excess(const figures *f, ivf_need need)
{
    int64_t limit = f->in->config->memory;
    return limit > 0 ? ivf_max_i64(0, need.bytes - limit) : 0;
}

static void fit_pieces(figures *f)
{
    const int64_t row = 4 * (int64_t)f->in->plan->d;
    const int64_t beyond = ivf_max_i64(excess(f, sample_need(f)), excess(f, assign_need(f)));
    f->pieces.cache_bytes = ivf_max_i64(f->in->caches.least, f->pieces.cache_bytes - beyond);
    f->pieces.piece_bytes = ivf_max_i64(LEAST_PIECE_BYTES, f->pieces.piece_bytes - excess(f, sample_need(f)));
    f->pieces.sum_bytes = IVF_TRAIN_SUM_BYTES;
    if (excess(f, train_need(f)) > 0)
        f->pieces.sum_bytes = LEAST_SUM_BYTES;
    if (excess(f, assign_need(f)) > 0)
        f->pieces.depth = 2;
    int64_t lost = ivf_ceil_div(excess(f, assign_need(f)), row * f->pieces.depth);
    int64_t least = ivf_min_i64(f->pieces.block_rows, LEAST_BLOCK_ROWS);
    f->pieces.block_rows = ivf_max_i64(least, f->pieces.block_rows - lost);
}

void ivf_needs_find(const ivf_needs_input *in, ivf_needs *needs)
{
    figures f;
    start(in, &f);
    fit_pieces(&f);
    *needs = (ivf_needs){.pieces = f.pieces, .resume = resume_bytes(&f)};
    needs->phases[IVF_PREDICT_PLAN] = plan_need(&f);
    needs->phases[IVF_PREDICT_SAMPLE] = sample_need(&f);
    needs->phases[IVF_PREDICT_TRAIN] = train_need(&f);
    needs->phases[IVF_PREDICT_ASSIGN] = assign_need(&f);
    needs->phases[IVF_PREDICT_GATHER] = end_need(&f, false);
    needs->phases[IVF_PREDICT_COMMIT] = end_need(&f, true);
}

int64_t ivf_needs_of(const ivf_needs *needs, const char *name)
{
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        if (strcmp(ivf_predict_phase_name((ivf_predict_phase)phase), name) == 0)
            return needs->phases[phase].bytes;
    return needs->resume;
}

int64_t ivf_needs_most(const ivf_needs *needs)
{
    int64_t most = 0;
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        most = ivf_max_i64(most, needs->phases[phase].bytes);
    return most;
}

void ivf_needs_print(const ivf_needs_input *in, const ivf_needs *needs)
{
    ivf_text line = {0};
    char bytes[24];
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        if (needs->phases[phase].bytes > 0) /* else it is left out */
            ivf_text_add(&line, "%s %s %s", phase > 0 ? "," : "", ivf_predict_phase_name((ivf_predict_phase)phase),
                         ivf_text_bytes((double)needs->phases[phase].bytes, bytes));
    if (in->config->memory > 0)
        ivf_text_add(&line, "; the limit is %s", ivf_text_bytes((double)in->config->memory, bytes));
    if (!line.failed)
        ivf_info("memory of a rank, at most:%s", line.text);
    ivf_text_free(&line);
}
