#include "build/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "base/team.h"
#include "build/prepare.h"
#include "build/sample.h"
#include "build/state.h"
#include "build/way.h"
#include "cluster/tree_grow.h"
#include "codec/codec.h"
#include "io/folder.h"
#include "io/writer.h"
#include "math/panels.h"

enum {
    MOST_ROWS = 1 << 16,
    LEAST_ROWS = 1 << 10,
    ROWS_A_LIST = 32,
    PIECES = 16,    /* places of the input that rows are taken from */
    FRAGMENTS = 8,  /* of the larger build; the smaller one has one */
    CODEC_PART = 4, /* the codec trains on one in so many rows */
};

static const double MULTIPLICATIONS = 1.5e10; /* of the larger build's k-means, at most, so that it takes some tenths of
                                                 a second where every row meets every list */

/* What the small builds are made of. */
typedef struct {
    const ivf_ctx *self;
    const ivf_build_config *config;
    ivf_build_state *build; /* dataset and plan of the build that is asked about */
    char folder[IVF_PATH_BYTES];
    char rows_path[IVF_PATH_BYTES + 16];
    int64_t rows;
    double read_row;
    double compare;
    double train_row; /* with a single list */
} probe_state;

/* A folder of our own on the filesystem where the index would be: in the nearest folder above it that exists. */
static int make_folder(const char *index, char folder[IVF_PATH_BYTES])
{
    char above[IVF_PATH_BYTES];
    (void)snprintf(above, sizeof above, "%s", index);
    size_t length = strlen(above);
    do {
        while (length > 0 && above[length - 1] == '/')
            length--;
        while (length > 0 && above[length - 1] != '/')
            length--;
        above[length] = '\0';
    } while (length > 0 && access(above, F_OK) != 0);
    if (snprintf(folder, IVF_PATH_BYTES, "%s.mpivf-plan-XXXXXX", above) >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%s: the path is too long", index);
    if (mkdtemp(folder) == NULL)
        return ivf_fail_errno(errno, "%s: no folder can be made there to measure with", length > 0 ? above : ".");
    return MPIVF_OK;
}

/* As many rows as the time allows. */
static int64_t choose_rows(const ivf_plan *plan, int iterations)
{
    double work = (double)plan->d * iterations / ROWS_A_LIST;
    int64_t rows = (int64_t)sqrt(MULTIPLICATIONS / work);
    return ivf_min_i64(plan->rows, ivf_min_i64(ivf_max_i64(rows, LEAST_ROWS), MOST_ROWS));
}

/* Times n rows against themselves as if they were lists. */
static int time_comparison(const float *x, int64_t n, int d, double *compare)
{
    ivf_panels *panels = ivf_panels_new(x, n, d, IVF_L2);
    int32_t *best = ivf_new(ivf_to_size(n), sizeof *best);
    float *score = ivf_new(ivf_to_size(n), sizeof *score);
    int rc = panels == NULL || best == NULL || score == NULL ? MPIVF_FAILED : MPIVF_OK;
    double started = ivf_clock();
    if (rc == MPIVF_OK)
        ivf_panels_best(panels, x, n, best, score);
    *compare = (ivf_clock() - started) / (double)n / (double)n / ivf_team_size();
    ivf_free(score);
    ivf_free(best);
    ivf_panels_free(panels);
    return rc;
}

/* Rows from evenly spread places of the input into a file, timing how they are read. */
static int copy_rows(probe_state *s)
{
    const ivf_plan *plan = &s->build->plan;
    int64_t piece = ivf_ceil_div(s->rows, PIECES);
    float *x = ivf_new(ivf_to_size(piece), (size_t)plan->d * sizeof *x);
    ivf_writer *writer = NULL;
    (void)snprintf(s->rows_path, sizeof s->rows_path, "%s/rows.fbin", s->folder);
    int rc = x == NULL ? MPIVF_FAILED : ivf_writer_open(s->self, s->rows_path, IVF_F32, s->rows, plan->d, &writer);
    double reading = 0;
    for (int64_t first = 0; rc == MPIVF_OK && first < s->rows; first += piece) {
        int64_t n = ivf_min_i64(piece, s->rows - first);
        int64_t from = (int64_t)((double)first / (double)s->rows * (double)plan->rows);
        double started = ivf_clock();
        rc = ivf_dataset_read(s->build->dataset, ivf_min_i64(from, plan->rows - n), n, x);
        reading += ivf_clock() - started;
        if (rc == MPIVF_OK && first == 0)
            rc = time_comparison(x, n, plan->d, &s->compare);
        if (rc == MPIVF_OK)
            rc = ivf_writer_put(writer, first, n, x);
    }
    if (writer != NULL)
        rc = ivf_writer_close(s->self, writer, rc);
    s->read_row = reading / (double)s->rows;
    ivf_free(x);
    return rc;
}

/* A build of those rows; its index is removed. */
static int build_small(const probe_state *s, const ivf_factory *factory, int64_t sample, int64_t fragments,
                       ivf_build_result *result)
{
    char index[IVF_PATH_BYTES + 16];
    const char *input = s->rows_path;
    ivf_build_config config = *s->config;
    (void)snprintf(index, sizeof index, "%s/index", s->folder);
    config.index = index;
    config.input = (ivf_dataset_spec){.inputs = &input, .count = 1};
    config.ids = NULL;
    config.factory = *factory;
    config.levels = 1;
    memset(config.assign_probes, 0, sizeof config.assign_probes);
    if (config.assign == IVF_NEAREST_TREE)
        config.assign = IVF_NEAREST_KINDS;
    config.sample_rows = sample;
    config.fragment_rows = ivf_ceil_div(s->rows, fragments);
    config.skip_bad_rows = true;
    config.replace = false;
    config.memory = 0;
    int rc = ivf_build(s->self, &config, result);
    ivf_stop_allow();
    (void)ivf_folder_remove(index);
    return rc;
}

static const ivf_phase_summary *phase_of(const ivf_build_result *result, const char *name)
{
    for (int p = 0; p < result->phase_count; p++)
        if (strcmp(result->phases[p].name, name) == 0)
            return &result->phases[p];
    return NULL;
}

static double seconds_of(const ivf_build_result *result, const char *name)
{
    const ivf_phase_summary *phase = phase_of(result, name);
    return phase != NULL ? phase->seconds.max : 0;
}

static double part_of(const ivf_build_result *result, ivf_part part)
{
    const ivf_phase_summary *phase = phase_of(result, "assign");
    return phase != NULL ? phase->parts[part].max : 0;
}

/* The value at x of the line through two points, neither falling nor below zero at 0. */
static double extrapolate(double x1, double y1, double x2, double y2, double x)
{
    double slope = x2 > x1 ? fmax(0, (y2 - y1) / (x2 - x1)) : 0;
    slope = fmin(slope, y2 / x2);
    return y2 + slope * (x - x2);
}

/* Lists that would cost as much without a tree: trees find a row's list at a cost that grows with the root of their
 * number, from the number on at which they begin. */
static double without_tree(const ivf_plan *plan)
{
    double lists = plan->factory.nlist;
    double begin = 1;
    while (ivf_tree_levels((int32_t)begin) == 1)
        begin *= 2;
    return plan->levels > 1 && lists > begin ? sqrt(lists * begin) : lists;
}

/* Seconds that a small build trained its lists, without the model's file and the trying of ways. */
static double trained(const probe_state *s, const ivf_build_result *result, double file)
{
    double tried = (double)ivf_way_rows(s->rows, result->nlist, s->build->plan.d);
    return fmax(0, seconds_of(result, "train") - file - tried * result->nlist * s->compare);
}

/* What two builds with stored rows say: of few lists in one fragment, and of more lists in several. */
static void judge_lists(probe_state *s, const ivf_build_result *few, const ivf_build_result *more, ivf_rates *r)
{
    const ivf_plan *plan = &s->build->plan;
    double rows = (double)s->rows;
    double k = without_tree(plan);
    double file = fmin(seconds_of(few, "commit"), seconds_of(more, "commit"));
    double wrote[2] = {part_of(few, IVF_PART_WRITING), part_of(more, IVF_PART_WRITING)};
    double training[2] = {trained(s, few, file), trained(s, more, file)};
    r->file = file;
    r->compare = s->compare;
    r->open = seconds_of(more, "plan");
    r->sample_row = seconds_of(more, "sample") / rows;
    r->kmeans =
        extrapolate(few->nlist, training[0] / rows, more->nlist, training[1] / rows, k) * (double)plan->sample_rows;
    s->train_row = extrapolate(few->nlist, training[0] / rows, more->nlist, training[1] / rows, 1);
    r->assign_row = extrapolate(few->nlist, part_of(few, IVF_PART_COMPUTING) / rows, more->nlist,
                                part_of(more, IVF_PART_COMPUTING) / rows, k);
    r->write_fragment = fmax(0, (wrote[1] - wrote[0]) / fmax(1, (double)(more->fragments - few->fragments)));
    r->write_byte = fmax(0, wrote[0] - r->write_fragment) / (double)few->bytes;
    const ivf_phase_summary *assign = phase_of(more, "assign");
    double worked = part_of(more, IVF_PART_COMPUTING) + part_of(more, IVF_PART_WAITING_INPUT) +
                    part_of(more, IVF_PART_WAITING_OUTPUT) + part_of(more, IVF_PART_WAITING_RANKS);
    r->pack = assign != NULL ? fmax(0, assign->seconds.max - worked) / more->nlist * plan->factory.nlist : 0;
}

static int probe_lists(probe_state *s, ivf_probe *probe)
{
    int64_t more = ivf_min_i64(s->build->plan.factory.nlist, ivf_max_i64(1, s->rows / ROWS_A_LIST));
    int64_t fragments = ivf_min_i64(FRAGMENTS, s->rows);
    ivf_build_result small;
    ivf_build_result large;
    ivf_factory factory = {.nlist = (int32_t)ivf_max_i64(1, more / 4), .codec = {.kind = IVF_CODEC_FLAT}};
    int rc = build_small(s, &factory, s->rows, 1, &small);
    factory.nlist = (int32_t)more;
    if (rc == MPIVF_OK)
        rc = build_small(s, &factory, s->rows, fragments, &large);
    if (rc == MPIVF_OK)
        judge_lists(s, &small, &large, &probe->input.rates);
    probe->probed_lists = (int32_t)more;
    return rc;
}

/* What the codec adds: a build with one list. */
static int probe_codec(const probe_state *s, ivf_probe *probe)
{
    ivf_factory factory = s->build->plan.factory;
    ivf_prediction_input *in = &probe->input;
    ivf_build_result result;
    int64_t least = ivf_codec_has_words(&factory.codec) ? 256 : 1;
    int64_t sample = ivf_min_i64(s->rows, ivf_max_i64(least, s->rows / CODEC_PART));
    factory.nlist = 1;
    int rc = build_small(s, &factory, sample, 1, &result);
    if (rc != MPIVF_OK)
        return rc;
    double took = trained(s, &result, in->rates.file) / (double)sample;
    in->rates.codec = fmax(0, took - s->train_row) * (double)in->codec_rows;
    in->rates.assign_row += part_of(&result, IVF_PART_COMPUTING) / (double)s->rows;
    return MPIVF_OK;
}

/* What the codec says of itself. */
static int describe_codec(const ivf_plan *plan, ivf_prediction_input *in)
{
    ivf_codec *codec = NULL;
    ivf_array arrays[IVF_CODEC_ARRAYS];
    int rc = ivf_codec_new(&plan->factory.codec, plan->d_rotated, &codec);
    if (rc != MPIVF_OK)
        return rc;
    int count = ivf_codec_arrays(codec, arrays);
    for (int i = 0; i < count; i++)
        in->codec_bytes += ivf_array_bytes(&arrays[i]);
    in->codec_rows = ivf_min_i64(ivf_codec_training_rows(codec), plan->sample_rows);
    in->codec_units = ivf_codec_has_words(&plan->factory.codec) ? plan->factory.codec.m : 0;
    ivf_codec_free(codec);
    return MPIVF_OK;
}

/* The user's own figures go before those that were measured. */
static void take_known(const ivf_known_rates *known, ivf_prediction_input *in)
{
    const ivf_plan *plan = in->plan;
    ivf_rates *r = &in->rates;
    if (known->train_rows > 0)
        r->kmeans = (double)plan->sample_rows / known->train_rows;
    if (known->codec_rows > 0)
        r->codec = (double)in->codec_rows / known->codec_rows;
    if (known->assign_rows > 0)
        r->assign_row = 1 / known->assign_rows;
    if (known->read_bytes > 0) {
        double row = plan->d * (double)in->element / known->read_bytes;
        r->sample_row = fmax(r->sample_row - r->read_row, 0) + row;
        r->read_row = row;
    }
    if (known->write_bytes > 0)
        r->write_byte = 1 / known->write_bytes;
}

/* Rank 0. The small builds say nothing but warnings. */
static int measure(probe_state *s, ivf_probe *probe)
{
    ivf_log_level before = ivf_log_enabled(IVF_LOG_DEBUG)  ? IVF_LOG_DEBUG
                           : ivf_log_enabled(IVF_LOG_INFO) ? IVF_LOG_INFO
                                                           : IVF_LOG_WARN;
    s->rows = choose_rows(&s->build->plan, s->config->iterations);
    probe->probed_rows = s->rows;
    int rc = make_folder(s->config->index, s->folder);
    if (rc != MPIVF_OK)
        return rc;
    ivf_log_set(true, IVF_LOG_WARN);
    rc = copy_rows(s);
    if (rc == MPIVF_OK)
        rc = probe_lists(s, probe);
    if (rc == MPIVF_OK)
        rc = describe_codec(&s->build->plan, &probe->input);
    if (rc == MPIVF_OK && s->build->plan.factory.codec.kind != IVF_CODEC_FLAT)
        rc = probe_codec(s, probe);
    ivf_log_set(true, before);
    probe->input.rates.read_row = s->read_row;
    (void)ivf_folder_remove(s->folder);
    return rc;
}

static int probe_on_root(const ivf_build_config *config, ivf_build_state *build, const ivf_known_rates *known,
                         ivf_probe *probe)
{
    double started = ivf_clock();
    probe->input = (ivf_prediction_input){.plan = &probe->plan,
                                          .element = ivf_element_size(probe->element),
                                          .train_on_all = ivf_sample_is_shared(config, &probe->plan),
                                          .iterations = config->iterations,
                                          .threads = ivf_team_size()};
    probe_state s = {.self = ivf_ctx_open_self(), .config = config, .build = build};
    if (s.self == NULL)
        return MPIVF_FAILED;
    int rc = measure(&s, probe);
    ivf_ctx_close((ivf_ctx *)s.self);
    if (rc == MPIVF_OK)
        take_known(known, &probe->input);
    probe->seconds = ivf_clock() - started;
    return rc;
}

int ivf_probe_build(const ivf_ctx *ctx, const ivf_build_config *config, const ivf_known_rates *known, ivf_probe *probe)
{
    ivf_build_state build = {.config = config, .started = ivf_clock()};
    *probe = (ivf_probe){0};
    int rc = ivf_prepare_plan(ctx, &build);
    if (rc == MPIVF_OK) {
        probe->plan = build.plan;
        probe->needs = build.needs_input;
        probe->needs.plan = &probe->plan;
        probe->shards = ivf_dataset_shards(build.dataset);
        probe->element = ivf_dataset_type(build.dataset);
    }
    if (rc == MPIVF_OK && known != NULL)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? probe_on_root(config, &build, known, probe) : MPIVF_OK);
    ivf_prepare_end(ctx, &build);
    return rc;
}
