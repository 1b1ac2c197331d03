#include "build/plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/numbers.h"
#include "base/text.h"
#include "build/given.h"
#include "build/way.h"
#include "cluster/tree_grow.h"
#include "codec/opq.h"
#include "index/fragment.h"
#include "math/coarse.h"

static const int64_t SAMPLE_PER_LIST = 256; /* FAISS's max_points_per_centroid */
static const int64_t LEAST_PER_LIST = 39;   /* FAISS's min_points_per_centroid */
static const int32_t MOST_CHOSEN_LISTS = 1 << 20;
static const int64_t MOST_SAMPLED = INT32_MAX; /* k-means numbers its rows in 31 bits */
static const int32_t LEAST_FOR_TREE = 64;      /* lists: fewer have no more upper nodes than that to be found among */

int32_t ivf_plan_nlist(int64_t rows)
{
    double wanted = 4 * sqrt((double)rows);
    int32_t nlist = 1;
    while (nlist < MOST_CHOSEN_LISTS && wanted > nlist * M_SQRT2)
        nlist *= 2;
    while (nlist > 1 && rows / nlist < LEAST_PER_LIST)
        nlist /= 2;
    return nlist;
}

static int check_rotation(const ivf_build_config *config, const ivf_plan *plan)
{
    const bool trains = !ivf_given_has_model(config->given) && !ivf_given_has(config->given, IVF_GIVEN_ROTATION);
    if (plan->factory.opq_m == 0)
        return MPIVF_OK;
    if (plan->factory.codec.kind == IVF_CODEC_FLAT16)
        return ivf_fail(MPIVF_USAGE, "SQfp16 cannot hold every value of a rotated row; use Flat, SQ8 or PQ after OPQ%d",
                        plan->factory.opq_m);
    if (trains && (plan->d > IVF_OPQ_VALUES || plan->d_rotated > IVF_OPQ_VALUES))
        return ivf_fail(MPIVF_BAD_INPUT,
                        "OPQ%d: rotations that are trained take and yield at most %d values, not %d and %d",
                        plan->factory.opq_m, IVF_OPQ_VALUES, plan->d, plan->d_rotated);
    if (plan->d_rotated % plan->factory.opq_m != 0)
        return ivf_fail(MPIVF_BAD_INPUT, "OPQ%d cannot divide %d values; use a divisor of %d", plan->factory.opq_m,
                        plan->d_rotated, plan->d_rotated);
    return MPIVF_OK;
}

/* Rows that what is not given can be trained on. */
static int64_t wanted_sample(const ivf_build_config *config, const ivf_plan *plan)
{
    if (ivf_given_has_model(config->given))
        return 0;
    if (ivf_given_has(config->given, IVF_GIVEN_CENTROIDS))
        return ivf_max_i64(plan->codec_rows, ivf_way_rows(INT64_MAX, plan->factory.nlist, plan->d_rotated));
    return ivf_max_i64(SAMPLE_PER_LIST * plan->factory.nlist, plan->codec_rows);
}

float ivf_plan_value_limit(ivf_metric metric, const ivf_codec *codec, ivf_keeping kept)
{
    const float of_codec = metric == IVF_COSINE ? INFINITY : ivf_codec_value_limit(codec);
    return fminf(of_codec, ivf_kept_limit(kept));
}

/* Decides what depends on the codec; the codec itself is made only to ask it. */
static int plan_codec(const ivf_build_config *config, ivf_plan *plan)
{
    ivf_codec *codec = NULL;
    int rc = ivf_codec_new(&plan->factory.codec, plan->d_rotated, &codec);
    if (rc != MPIVF_OK)
        return rc;
    plan->code_size = ivf_codec_code_size(codec);
    plan->residual = ivf_given_has_model(config->given) ? config->given->residual : ivf_codec_is_residual(codec);
    plan->codec_rows = ivf_given_has(config->given, IVF_GIVEN_CODEBOOKS) ? 0 : ivf_codec_training_rows(codec);
    plan->value_limit = ivf_plan_value_limit(plan->metric, codec, plan->kept);
    int64_t wanted = wanted_sample(config, plan);
    if (config->sample_rows == 0)
        wanted = ivf_min_i64(wanted, MOST_SAMPLED);
    plan->sample_rows = ivf_min_i64(config->sample_rows > 0 ? config->sample_rows : wanted, plan->rows);
    ivf_codec_free(codec);
    return MPIVF_OK;
}

static int check_tree(const ivf_build_config *config, const ivf_plan *plan)
{
    bool in_8_bits = config->assign == IVF_NEAREST_ROUNDED || config->assign == IVF_NEAREST_TREE;
    if (in_8_bits && plan->d_rotated > IVF_COARSE_MAX_D)
        return ivf_fail(MPIVF_USAGE,
                        "--assign %s: rows of %d values cannot be compared in 8 bits, %d at most; use exact",
                        ivf_nearest_name(config->assign), plan->d_rotated, IVF_COARSE_MAX_D);
    const bool grows = !ivf_given_has_model(config->given) && !ivf_given_has(config->given, IVF_GIVEN_TOP);
    if (grows && plan->levels > 1 && plan->factory.nlist < LEAST_FOR_TREE)
        return ivf_fail(MPIVF_USAGE, "--levels %d: %d lists are too few for a tree; use at least %d, or --levels 1",
                        plan->levels, plan->factory.nlist, LEAST_FOR_TREE);
    if (config->assign == IVF_NEAREST_TREE && plan->levels == 1)
        return ivf_fail(MPIVF_USAGE,
                        "--assign tree needs a tree, but the %d lists have 1 level; use --levels 2, or --assign auto",
                        plan->factory.nlist);
    for (int l = 1; l < plan->levels; l++)
        if (config->level_nodes[l] >
            (l == 1 || config->level_nodes[l - 1] == 0 ? plan->factory.nlist : config->level_nodes[l - 1]))
            return ivf_fail(MPIVF_USAGE, "--level-nodes: %d nodes are more than there are below them",
                            config->level_nodes[l]);
    if (config->assign_numbers > 0 && config->assign_numbers != plan->levels - 1)
        return ivf_fail(
            MPIVF_USAGE,
            "--assign-probes: %d numbers, but the tree has %d level%s above its lists; give one for each, or "
            "use --levels %d",
            config->assign_numbers, plan->levels - 1, plan->levels == 2 ? "" : "s", config->assign_numbers + 1);
    return MPIVF_OK;
}

static int check_sizes(const ivf_build_config *config, const ivf_plan *plan)
{
    const bool trains_lists = !ivf_given_has_model(config->given) && !ivf_given_has(config->given, IVF_GIVEN_CENTROIDS);
    if (trains_lists && plan->rows < plan->factory.nlist)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "the input has %" PRId64 " rows, fewer than the %d lists of IVF%d; use at most IVF%" PRId64
                        ", or IVF alone to have nlist chosen",
                        plan->rows, plan->factory.nlist, plan->factory.nlist, plan->rows);
    if (trains_lists && plan->sample_rows < plan->factory.nlist)
        return ivf_fail(MPIVF_USAGE,
                        "a sample of %" PRId64 " rows cannot train %d lists; use --sample %" PRId64 " or more",
                        config->sample_rows, plan->factory.nlist, (int64_t)plan->factory.nlist);
    if (plan->sample_rows > MOST_SAMPLED)
        return ivf_fail(MPIVF_USAGE, "a sample of %" PRId64 " rows is too large; use --sample %" PRId64 " or less",
                        plan->sample_rows, MOST_SAMPLED);
    if (plan->fragments > IVF_PLAN_MOST_FRAGMENTS)
        return ivf_fail(MPIVF_USAGE,
                        "fragments of %" PRId64 " rows would be %" PRId64 ", at most %" PRId64
                        " are possible; use --fragment-rows %" PRId64 " or more",
                        plan->fragment_rows, plan->fragments, (int64_t)IVF_PLAN_MOST_FRAGMENTS,
                        ivf_ceil_div(plan->rows, IVF_PLAN_MOST_FRAGMENTS));
    return MPIVF_OK;
}

int ivf_plan_make(const ivf_build_config *config, const ivf_dataset *dataset, int64_t version, ivf_plan *plan)
{
    *plan = (ivf_plan){.version = version,
                       .factory = config->factory,
                       .metric = config->metric,
                       .d = ivf_dataset_d(dataset),
                       .rows = ivf_dataset_rows(dataset)};
    if (ivf_fault("plan"))
        return MPIVF_FAILED;
    if (config->keeps_vectors)
        plan->kept = (ivf_keeping){.d = plan->d, .type = config->keep_type};
    plan->d_rotated = ivf_factory_rotated(&plan->factory, plan->d);
    if (plan->factory.nlist == 0)
        plan->factory.nlist = ivf_plan_nlist(plan->rows);
    plan->levels = config->levels > 0 ? config->levels : ivf_tree_levels(plan->factory.nlist);
    int rc = check_rotation(config, plan);
    if (rc == MPIVF_OK)
        rc = plan_codec(config, plan);
    if (rc != MPIVF_OK)
        return rc;
    plan->fragment_rows =
        config->fragment_rows > 0
            ? config->fragment_rows
            : ivf_fragment_usual_rows(plan->rows, plan->factory.nlist, plan->code_size + ivf_kept_bytes(plan->kept));
    plan->fragments = config->train_only ? 0 : ivf_ceil_div(plan->rows, plan->fragment_rows);
    rc = check_sizes(config, plan);
    if (rc == MPIVF_OK)
        rc = check_tree(config, plan);
    return rc == MPIVF_OK ? ivf_given_check(config->given, plan) : rc;
}

int64_t ivf_plan_fragment_first(const ivf_plan *plan, int64_t number)
{
    return number * plan->fragment_rows;
}

int64_t ivf_plan_fragment_count(const ivf_plan *plan, int64_t number)
{
    return ivf_min_i64(plan->fragment_rows, plan->rows - ivf_plan_fragment_first(plan, number));
}

void ivf_plan_fragment_id(const ivf_plan *plan, int64_t number, char id[IVF_ID_BYTES])
{
    (void)snprintf(id, IVF_ID_BYTES, "%.20s-%06" PRId64, plan->build_id, number);
}

void ivf_plan_print(const ivf_plan *plan, const ivf_dataset *dataset)
{
    char factory[64];
    char bytes[24];
    ivf_factory_text(&plan->factory, factory);
    ivf_info("input: %d shard%s, %" PRId64 " rows of %d x %s", ivf_dataset_shards(dataset),
             ivf_dataset_shards(dataset) == 1 ? "" : "s", plan->rows, plan->d,
             ivf_element_name(ivf_dataset_type(dataset)));
    if (plan->fragments == 0) {
        ivf_info("plan: %s, metric %s, %d level%s of centroids, sample of %" PRId64 " rows; no row is stored", factory,
                 ivf_metric_name(plan->metric), plan->levels, plan->levels == 1 ? "" : "s", plan->sample_rows);
        return;
    }
    ivf_info("plan: %s, metric %s, %d level%s of centroids, sample of %" PRId64 " rows, %" PRId64
             " fragments of %" PRId64 " rows, %zu bytes a code, vectors kept: %s, about %s on disk",
             factory, ivf_metric_name(plan->metric), plan->levels, plan->levels == 1 ? "" : "s", plan->sample_rows,
             plan->fragments, plan->fragment_rows, plan->code_size, ivf_kept_name(plan->kept),
             ivf_text_bytes((double)plan->rows * (double)(plan->code_size + ivf_kept_bytes(plan->kept) + 8), bytes));
}
