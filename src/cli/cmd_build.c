/* mpivf build and mpivf train: the options become a build's configuration (build/build.h), its outcome a line or a JSON
 * object. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/numbers.h"
#include "build/build.h"
#include "build/given.h"
#include "cli/cmd.h"
#include "cli/load.h"
#include "cli/output.h"

static ivf_train_on read_train_on(const ivf_options *options)
{
    const char *text = ivf_options_text(options, IVF_OPTION_TRAIN_ON);
    if (strcmp(text, "auto") == 0)
        return IVF_TRAIN_ON_AUTO;
    return strcmp(text, "all") == 0 ? IVF_TRAIN_ON_ALL : IVF_TRAIN_ON_ROOT;
}

/* How rows find their lists. Probes stand in the order of a descent, from the top. */
static int read_assign(const ivf_options *options, ivf_build_config *config)
{
    const char *text = ivf_options_text(options, IVF_OPTION_ASSIGN);
    const ivf_option_value *probes = ivf_options_value(options, IVF_OPTION_ASSIGN_PROBES);
    config->levels = ivf_to_int(ivf_options_integer(options, IVF_OPTION_LEVELS));
    config->assign = IVF_NEAREST_EXACT;
    while (config->assign < IVF_NEAREST_KINDS && strcmp(text, ivf_nearest_name(config->assign)) != 0)
        config->assign++;
    if (!ivf_options_differs(options, IVF_OPTION_ASSIGN_PROBES))
        return MPIVF_OK;
    if (config->assign != IVF_NEAREST_TREE)
        return ivf_fail(MPIVF_USAGE, "--assign-probes has no effect with --assign %s; use --assign tree", text);
    if (probes->count >= IVF_LEVELS)
        return ivf_fail(MPIVF_USAGE, "--assign-probes: %d numbers; a tree has at most %d levels above its lists",
                        probes->count, IVF_LEVELS - 1);
    config->assign_numbers = probes->count;
    for (int i = 0; i < probes->count; i++)
        config->assign_probes[probes->count - i] = ivf_to_i32(probes->integers[i]);
    return MPIVF_OK;
}

/* Nodes stand from the top level down, and settle how many levels there are. */
static int read_level_nodes(const ivf_options *options, ivf_build_config *config)
{
    const ivf_option_value *nodes = ivf_options_value(options, IVF_OPTION_LEVEL_NODES);
    if (!ivf_options_differs(options, IVF_OPTION_LEVEL_NODES))
        return MPIVF_OK;
    if (nodes->count >= IVF_LEVELS)
        return ivf_fail(MPIVF_USAGE, "--level-nodes: %d numbers; a tree has at most %d levels above its lists",
                        nodes->count, IVF_LEVELS - 1);
    if (config->levels != 0 && config->levels != nodes->count + 1)
        return ivf_fail(MPIVF_USAGE, "--level-nodes: %d numbers make %d levels, not the %d of --levels", nodes->count,
                        nodes->count + 1, config->levels);
    config->levels = nodes->count + 1;
    for (int i = 0; i < nodes->count; i++)
        config->level_nodes[nodes->count - i] = ivf_to_i32(nodes->integers[i]);
    return MPIVF_OK;
}

/* Borrows from the options. */
static int read_config(const ivf_options *options, ivf_build_config *config)
{
    const char *kept = ivf_options_text(options, IVF_OPTION_KEEP_VECTORS); /* train has none to keep */
    *config = (ivf_build_config){
        .index = ivf_options_text(options, IVF_OPTION_INDEX),
        .ids = ivf_options_text(options, IVF_OPTION_IDS),
        .ids_h5 = ivf_options_text(options, IVF_OPTION_IDS_DATASET),
        .seed = (uint64_t)ivf_options_integer(options, IVF_OPTION_SEED),
        .train_on = read_train_on(options),
        .train_exact = strcmp(ivf_options_text(options, IVF_OPTION_TRAIN_MODE), "exact") == 0,
        .sample_rows = ivf_options_integer(options, IVF_OPTION_SAMPLE),
        .fragment_rows = ivf_options_integer(options, IVF_OPTION_FRAGMENT_ROWS),
        .iterations = ivf_to_int(ivf_options_integer(options, IVF_OPTION_ITERATIONS)),
        .pq_iterations = ivf_to_int(ivf_options_integer(options, IVF_OPTION_PQ_ITERATIONS)),
        .tolerance = ivf_options_real(options, IVF_OPTION_TOLERANCE),
        .checkpoint_interval = ivf_options_real(options, IVF_OPTION_CHECKPOINT_INTERVAL),
        .keeps_vectors = kept != NULL && strcmp(kept, "none") != 0,
        .keep_type = kept != NULL && strcmp(kept, "f16") == 0 ? IVF_F16 : IVF_F32,
        .skip_bad_rows = strcmp(ivf_options_text(options, IVF_OPTION_ON_BAD_ROW), "skip") == 0,
        .replace = ivf_options_flag(options, IVF_OPTION_REPLACE),
        .restart = ivf_options_flag(options, IVF_OPTION_RESTART),
        .memory = ivf_options_integer(options, IVF_OPTION_MEMORY),
    };
    (void)ivf_metric_parse(ivf_options_text(options, IVF_OPTION_METRIC), &config->metric);
    int rc = ivf_load_input(options, &config->input);
    if (rc == MPIVF_OK)
        rc = read_assign(options, config);
    if (rc == MPIVF_OK)
        rc = read_level_nodes(options, config);
    if (rc == MPIVF_OK)
        rc = ivf_load_check_ids(options);
    if (rc == MPIVF_OK)
        rc = ivf_factory_parse(ivf_options_text(options, IVF_OPTION_FACTORY), &config->factory);
    if (rc != MPIVF_OK)
        return rc;
    if (!ivf_codec_has_words(&config->factory.codec) && ivf_options_differs(options, IVF_OPTION_PQ_ITERATIONS))
        return ivf_fail(MPIVF_USAGE, "--pq-iterations has no effect: --factory %s has no PQ",
                        ivf_options_text(options, IVF_OPTION_FACTORY));
    return MPIVF_OK;
}

/* ---- what is given ---- */

/* What determines a model, of which nothing is left to say when there is one. */
static const ivf_option_id trained[] = {
    IVF_OPTION_CENTROIDS,  IVF_OPTION_CODEBOOKS,     IVF_OPTION_ROTATION,
    IVF_OPTION_SEED,       IVF_OPTION_SAMPLE,        IVF_OPTION_TRAIN_ON,
    IVF_OPTION_TRAIN_MODE, IVF_OPTION_ITERATIONS,    IVF_OPTION_PQ_ITERATIONS,
    IVF_OPTION_TOLERANCE,  IVF_OPTION_LEVELS,        IVF_OPTION_LEVEL_NODES,
    IVF_OPTION_ASSIGN,     IVF_OPTION_ASSIGN_PROBES, IVF_OPTION_CHECKPOINT_INTERVAL,
};
enum { TRAINED = sizeof trained / sizeof trained[0] };

static int refuse_beside(const ivf_options *options, ivf_option_id given, const ivf_option_id *ids, int count)
{
    for (int i = 0; ivf_options_text(options, given) != NULL && i < count; i++)
        if (ivf_options_differs(options, ids[i]))
            return ivf_fail(MPIVF_USAGE, "--%s has no effect with --%s", ivf_option_get(ids[i])->name,
                            ivf_option_get(given)->name);
    return MPIVF_OK;
}

/* Whether somebody gave it, be it the default. */
static bool is_typed(const ivf_options *options, ivf_option_id id)
{
    return ivf_options_value(options, id)->source > IVF_SOURCE_DEFAULT;
}

static int read_given(const ivf_options *options, ivf_given_files *files)
{
    static const ivf_option_id lists[] = {IVF_OPTION_ITERATIONS, IVF_OPTION_TOLERANCE};
    static const ivf_option_id words[] = {IVF_OPTION_PQ_ITERATIONS};
    static const ivf_option_id nodes[] = {IVF_OPTION_LEVEL_NODES};
    *files = (ivf_given_files){.model = ivf_options_text(options, IVF_OPTION_MODEL),
                               .parts = {[IVF_GIVEN_CENTROIDS] = ivf_options_text(options, IVF_OPTION_CENTROIDS),
                                         [IVF_GIVEN_TOP] = ivf_options_text(options, IVF_OPTION_CENTROIDS_TOP),
                                         [IVF_GIVEN_CODEBOOKS] = ivf_options_text(options, IVF_OPTION_CODEBOOKS),
                                         [IVF_GIVEN_ROTATION] = ivf_options_text(options, IVF_OPTION_ROTATION)},
                               .any_factory = !is_typed(options, IVF_OPTION_FACTORY),
                               .any_metric = !is_typed(options, IVF_OPTION_METRIC)};
    int rc = refuse_beside(options, IVF_OPTION_MODEL, trained, TRAINED);
    if (rc == MPIVF_OK)
        rc = refuse_beside(options, IVF_OPTION_CENTROIDS, lists, 2);
    if (rc == MPIVF_OK)
        rc = refuse_beside(options, IVF_OPTION_CENTROIDS_TOP, nodes, 1);
    return rc == MPIVF_OK ? refuse_beside(options, IVF_OPTION_CODEBOOKS, words, 1) : rc;
}

/* The options as they were given, but with a model its factory and metric in place of everything that makes one. */
static json_t *config_to_json(const ivf_options *options, const ivf_build_config *config)
{
    json_t *json = ivf_options_to_json(options);
    char factory[64];
    if (json == NULL || !ivf_given_has_model(config->given))
        return json;
    for (int i = 0; i < TRAINED; i++)
        (void)json_object_del(json, ivf_option_get(trained[i])->name);
    ivf_factory_text(&config->factory, factory);
    if (json_object_set_new(json, "factory", json_string(factory)) == 0 &&
        json_object_set_new(json, "metric", json_string(ivf_metric_name(config->metric))) == 0)
        return json;
    json_decref(json);
    (void)ivf_fail(MPIVF_FAILED, "out of memory for the configuration");
    return NULL;
}

int ivf_cmd_build_open(const ivf_ctx *ctx, const ivf_options *options, ivf_cmd_build_settings *settings)
{
    ivf_given_files files;
    *settings = (ivf_cmd_build_settings){0};
    int rc = read_config(options, &settings->config);
    if (rc == MPIVF_OK)
        rc = read_given(options, &files);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_given_open(ctx, &files, &settings->config, &settings->given);
    if (rc != MPIVF_OK)
        return rc;
    settings->json = config_to_json(options, &settings->config);
    settings->config.config = settings->json;
    return ivf_agree(ctx, settings->json == NULL ? MPIVF_FAILED : MPIVF_OK);
}

void ivf_cmd_build_close(ivf_cmd_build_settings *settings)
{
    json_decref(settings->json);
    ivf_given_free(settings->given);
}

/* ---- results ---- */

static json_t *spread_to_json(const ivf_spread *s)
{
    return json_pack("{s:f, s:f, s:f}", "min", s->min, "mean", s->mean, "max", s->max);
}

/* What the phase tells of its seconds; null where it tells nothing. */
static json_t *parts_to_json(const ivf_phase_summary *s)
{
    json_t *parts = s->has_parts ? json_object() : json_null();
    for (int part = 0; s->has_parts && part < IVF_PARTS; part++) {
        if (json_object_set_new(parts, ivf_part_name((ivf_part)part), spread_to_json(&s->parts[part])) != 0) {
            json_decref(parts);
            return NULL;
        }
    }
    return parts;
}

static json_t *phases_to_json(const ivf_build_result *result)
{
    json_t *list = json_array();
    for (int p = 0; p < result->phase_count; p++) {
        const ivf_phase_summary *s = &result->phases[p];
        json_t *entry =
            json_pack("{s:s, s:o, s:o, s:o, s:I, s:o}", "name", s->name, "seconds", spread_to_json(&s->seconds),
                      "bytes", spread_to_json(&s->bytes), "memory", spread_to_json(&s->memory), "memory_planned",
                      (json_int_t)result->planned[p], "parts", parts_to_json(s));
        ivf_output_append(&list, entry);
    }
    return list;
}

static int print_result(const ivf_ctx *ctx, const ivf_options *options, const ivf_build_result *r)
{
    const char *index = ivf_options_text(options, IVF_OPTION_INDEX);
    ivf_account_print(r->phases, r->phase_count);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:f, s:i, s:o}", "index", index, "version",
            (json_int_t)r->version, "rows", (json_int_t)r->rows, "postings", (json_int_t)r->postings, "skipped",
            (json_int_t)r->skipped, "nlist", (int)r->nlist, "fragments", (json_int_t)r->fragments, "bytes",
            (json_int_t)r->bytes, "seconds", r->seconds, "ranks", ivf_ctx_size(ctx), "phases", phases_to_json(r)));
    ivf_text out = {0};
    char bytes[24];
    char seconds[24];
    ivf_text_add(
        &out, "%s: version %" PRId64 ", %" PRId64 " of %" PRId64 " rows in %d lists, %" PRId64 " fragments, %s, %s\n",
        index, r->version, r->postings, r->rows, r->nlist, r->fragments, ivf_text_bytes((double)r->bytes, bytes),
        ivf_text_duration(r->seconds, seconds));
    return ivf_output_text(&out);
}

static int print_model(const ivf_ctx *ctx, const ivf_options *options, const ivf_build_result *r)
{
    const char *index = ivf_options_text(options, IVF_OPTION_INDEX);
    ivf_account_print(r->phases, r->phase_count);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack("{s:s, s:I, s:s, s:i, s:i, s:I, s:f, s:i, s:o}", "index", index, "version",
                                         (json_int_t)r->version, "model", r->model_id, "nlist", (int)r->nlist, "levels",
                                         r->levels, "bytes", (json_int_t)r->bytes, "seconds", r->seconds, "ranks",
                                         ivf_ctx_size(ctx), "phases", phases_to_json(r)));
    ivf_text out = {0};
    char bytes[24];
    char seconds[24];
    ivf_text_add(&out, "%s: version %" PRId64 ", a model of %d lists without rows, %s, %s\n", index, r->version,
                 r->nlist, ivf_text_bytes((double)r->bytes, bytes), ivf_text_duration(r->seconds, seconds));
    return ivf_output_text(&out);
}

typedef int print_function(const ivf_ctx *ctx, const ivf_options *options, const ivf_build_result *result);

static int build(const ivf_ctx *ctx, const ivf_options *options, bool train_only, print_function *print)
{
    ivf_cmd_build_settings settings;
    ivf_build_result result;
    int rc = ivf_cmd_build_open(ctx, options, &settings);
    settings.config.train_only = train_only;
    if (rc == MPIVF_OK)
        rc = ivf_build(ctx, &settings.config, &result);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print(ctx, options, &result) : MPIVF_OK);
    ivf_cmd_build_close(&settings);
    return rc;
}

int ivf_cmd_build(const ivf_ctx *ctx, const ivf_options *options)
{
    return build(ctx, options, false, print_result);
}

int ivf_cmd_train(const ivf_ctx *ctx, const ivf_options *options)
{
    return build(ctx, options, true, print_model);
}
