/* mpivf plan: what a build of the same options would do (build/plan.h), and how long it would take (build/predict.h).
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "build/predict.h"
#include "build/probe.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "index/building.h"

enum { MOST_RANKS = 4096 }; /* up to which the end of scaling is looked for */

static ivf_known_rates known_rates(const ivf_options *options)
{
    return (ivf_known_rates){.train_rows = (double)ivf_options_integer(options, IVF_OPTION_TRAIN_RATE),
                             .codec_rows = (double)ivf_options_integer(options, IVF_OPTION_CODEC_RATE),
                             .assign_rows = (double)ivf_options_integer(options, IVF_OPTION_ASSIGN_RATE),
                             .read_bytes = 1e6 * (double)ivf_options_integer(options, IVF_OPTION_READ_RATE),
                             .write_bytes = 1e6 * (double)ivf_options_integer(options, IVF_OPTION_WRITE_RATE)};
}

static ivf_network network_of(const ivf_options *options)
{
    return (ivf_network){.latency = 1e-6 * ivf_options_real(options, IVF_OPTION_LATENCY),
                         .bandwidth = 1e9 / 8 * ivf_options_real(options, IVF_OPTION_BANDWIDTH),
                         .read_limit = 1e6 * (double)ivf_options_integer(options, IVF_OPTION_READ_LIMIT),
                         .write_limit = 1e6 * (double)ivf_options_integer(options, IVF_OPTION_WRITE_LIMIT)};
}

static json_t *plan_to_json(const ivf_options *options, const ivf_probe *probe)
{
    char factory[64];
    const ivf_plan *plan = &probe->plan;
    ivf_factory_text(&plan->factory, factory);
    return json_pack("{s:s, s:I, s:s, s:s, s:i, s:I, s:i, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:s}", "index",
                     ivf_options_text(options, IVF_OPTION_INDEX), "version", (json_int_t)plan->version, "factory",
                     factory, "metric", ivf_metric_name(plan->metric), "shards", probe->shards, "rows",
                     (json_int_t)plan->rows, "d", plan->d, "type", ivf_element_name(probe->element), "nlist",
                     (int)plan->factory.nlist, "levels", plan->levels, "sample_rows", (json_int_t)plan->sample_rows,
                     "fragments", (json_int_t)plan->fragments, "fragment_rows", (json_int_t)plan->fragment_rows,
                     "code_bytes", (json_int_t)plan->code_size, "vectors", ivf_kept_name(plan->kept));
}

/* {key: seconds}; NULL when memory runs out. */
static json_t *seconds_to_json(const double *seconds, int count, const char *(*name)(int))
{
    json_t *json = json_object();
    for (int i = 0; i < count; i++) {
        if (json_object_set_new(json, name(i), json_real(seconds[i])) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static const char *phase_key(int phase)
{
    return ivf_predict_phase_name((ivf_predict_phase)phase);
}

static const char *term_key(int term)
{
    return ivf_term_key((ivf_term)term);
}

/* Of the rank that needs most, were there so many ranks, each on a node of its own. */
static int64_t memory_of(const ivf_probe *probe, int ranks)
{
    ivf_needs needs;
    ivf_needs_input in = probe->needs;
    in.ranks = ranks;
    in.node_ranks = 1;
    ivf_needs_find(&in, &needs);
    return ivf_needs_most(&needs);
}

/* {phase: bytes}, and what stands behind them. */
static json_t *memory_to_json(const ivf_probe *probe)
{
    ivf_needs needs;
    json_t *phases = json_object();
    ivf_needs_find(&probe->needs, &needs);
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++) {
        json_t *need =
            json_pack("{s:I, s:s}", "bytes", (json_int_t)needs.phases[phase].bytes, "step", needs.phases[phase].step);
        if (json_object_set_new(phases, phase_key(phase), need) != 0) {
            json_decref(phases);
            return NULL;
        }
    }
    return json_pack("{s:i, s:i, s:I, s:I, s:o}", "ranks", probe->needs.ranks, "threads", probe->needs.threads, "base",
                     (json_int_t)probe->needs.base, "limit", (json_int_t)probe->needs.config->memory, "phases", phases);
}

static json_t *prediction_to_json(const ivf_probe *probe, const ivf_prediction *p)
{
    return json_pack("{s:i, s:f, s:I, s:o, s:o}", "ranks", p->ranks, "seconds", p->seconds, "memory",
                     (json_int_t)memory_of(probe, p->ranks), "phases",
                     seconds_to_json(p->phases, IVF_PREDICT_PHASES, phase_key), "terms",
                     seconds_to_json(p->terms, IVF_TERMS, term_key));
}

static json_t *rates_to_json(const ivf_probe *probe)
{
    const ivf_rates *r = &probe->input.rates;
    return json_pack("{s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "probed_rows",
                     (json_int_t)probe->probed_rows, "probed_lists", (int)probe->probed_lists, "probe_seconds",
                     probe->seconds, "open", r->open, "sample_row", r->sample_row, "kmeans", r->kmeans, "codec",
                     r->codec, "compare", r->compare, "file", r->file, "pack", r->pack, "assign_row", r->assign_row,
                     "read_row", r->read_row, "write_fragment", r->write_fragment, "write_byte", r->write_byte);
}

static json_t *limit_to_json(const ivf_scaling_limit *limit)
{
    if (limit->ranks == 0)
        return json_null();
    return json_pack("{s:i, s:f, s:s, s:s, s:s, s:s}", "ranks", limit->ranks, "seconds", limit->seconds, "phase",
                     ivf_predict_phase_name(ivf_term_phase(limit->term)), "term", ivf_term_key(limit->term), "reason",
                     ivf_term_name(limit->term), "remedy", ivf_term_remedy(limit->term));
}

static int print_json(const ivf_options *options, const ivf_probe *probe, const ivf_scaling_limit *limit)
{
    const ivf_option_value *ranks = ivf_options_value(options, IVF_OPTION_RANKS);
    json_t *json = plan_to_json(options, probe);
    if (json != NULL && json_object_set_new(json, "memory", memory_to_json(probe)) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_t *list = json_array();
    if (ranks->count == 0) {
        json_decref(list);
        return ivf_output_json(json);
    }
    for (int i = 0; i < ranks->count; i++) {
        ivf_prediction prediction;
        ivf_predict(&probe->input, ivf_to_int(ranks->integers[i]), &prediction);
        ivf_output_append(&list, prediction_to_json(probe, &prediction));
    }
    json_t *more =
        json_pack("{s:o, s:o, s:o}", "rates", rates_to_json(probe), "predictions", list, "limit", limit_to_json(limit));
    if (more == NULL || json_object_update(json, more) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(more);
    return ivf_output_json(json);
}

static void add_plan(ivf_text *out, const ivf_probe *probe)
{
    const ivf_plan *plan = &probe->plan;
    char factory[64];
    char bytes[24];
    ivf_factory_text(&plan->factory, factory);
    ivf_text_add(out, "input         %d shard%s, %" PRId64 " rows of %d x %s\n", probe->shards,
                 probe->shards == 1 ? "" : "s", plan->rows, plan->d, ivf_element_name(probe->element));
    ivf_text_add(out, "index         version %" PRId64 ", %s, metric %s, %d lists in %d level%s\n", plan->version,
                 factory, ivf_metric_name(plan->metric), plan->factory.nlist, plan->levels,
                 plan->levels == 1 ? "" : "s");
    ivf_text_add(out, "sample        %" PRId64 " rows, %s\n", plan->sample_rows,
                 ivf_text_bytes((double)plan->sample_rows * plan->d * 4, bytes));
    ivf_text_add(out, "fragments     %" PRId64 " of %" PRId64 " rows\n", plan->fragments, plan->fragment_rows);
    const size_t kept = ivf_kept_bytes(plan->kept);
    ivf_text_add(out, "vector        %zu bytes of code, %zu kept of the vector, about %s in all\n", plan->code_size,
                 kept, ivf_text_bytes((double)plan->rows * (double)(plan->code_size + kept + 8), bytes));
}

static void add_memory(ivf_text *out, const ivf_probe *probe)
{
    ivf_needs needs;
    char bytes[24];
    ivf_needs_find(&probe->needs, &needs);
    ivf_text_add(out, "memory        of each of %d rank%s with %d thread%s, at most\n", probe->needs.ranks,
                 probe->needs.ranks == 1 ? "" : "s", probe->needs.threads, probe->needs.threads == 1 ? "" : "s");
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        ivf_text_add(out, "  %-12s%10s for %s\n", phase_key(phase),
                     ivf_text_bytes((double)needs.phases[phase].bytes, bytes), needs.phases[phase].step);
}

static void add_prediction(ivf_text *out, const ivf_probe *probe, const ivf_prediction *p, double alone)
{
    char memory[24];
    ivf_text_add(out, "%8d", p->ranks);
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        ivf_text_add(out, " %9.3f", p->phases[phase]);
    ivf_text_add(out, " %9.3f %7.1f %10s\n", p->seconds, alone / p->seconds,
                 ivf_text_bytes((double)memory_of(probe, p->ranks), memory));
}

static void add_predictions(ivf_text *out, const ivf_options *options, const ivf_probe *probe)
{
    const ivf_option_value *ranks = ivf_options_value(options, IVF_OPTION_RANKS);
    ivf_prediction p;
    ivf_predict(&probe->input, 1, &p);
    double alone = p.seconds;
    ivf_text_add(out, "\nseconds of ranks with %d thread%s, from builds of %" PRId64 " rows in up to %d lists here\n",
                 probe->input.threads, probe->input.threads == 1 ? "" : "s", probe->probed_rows, probe->probed_lists);
    ivf_text_add(out, "%8s", "ranks");
    for (int phase = 0; phase < IVF_PREDICT_PHASES; phase++)
        ivf_text_add(out, " %9s", ivf_predict_phase_name((ivf_predict_phase)phase));
    ivf_text_add(out, " %9s %7s %10s\n", "all", "speedup", "memory");
    for (int i = 0; i < ranks->count; i++) {
        ivf_predict(&probe->input, ivf_to_int(ranks->integers[i]), &p);
        add_prediction(out, probe, &p, alone);
    }
}

static void add_limit(ivf_text *out, const ivf_scaling_limit *limit)
{
    if (limit->ranks == 0) {
        ivf_text_add(out, "\nscales to %d ranks\n", MOST_RANKS);
        return;
    }
    const char *remedy = ivf_term_remedy(limit->term);
    ivf_text_add(out,
                 "\nscales to %d rank%s: twice as many take less than a tenth off the %.3f s; in the way is %s (%s)",
                 limit->ranks, limit->ranks == 1 ? "" : "s", limit->seconds, ivf_term_name(limit->term),
                 ivf_predict_phase_name(ivf_term_phase(limit->term)));
    ivf_text_add(out, "%s%s\n", *remedy != '\0' ? "; what helps: " : "", remedy);
}

static int print_result(const ivf_options *options, ivf_probe *probe)
{
    bool predicted = ivf_options_value(options, IVF_OPTION_RANKS)->count > 0;
    ivf_scaling_limit limit = {0};
    probe->input.network = network_of(options);
    if (predicted)
        ivf_predict_limit(&probe->input, MOST_RANKS, &limit);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return print_json(options, probe, &limit);
    ivf_text out = {0};
    add_plan(&out, probe);
    add_memory(&out, probe);
    if (predicted) {
        add_predictions(&out, options, probe);
        add_limit(&out, &limit);
    }
    return ivf_output_text(&out);
}

/* What build would find there. */
static int tell_of_unfinished(const ivf_options *options)
{
    const char *index = ivf_options_text(options, IVF_OPTION_INDEX);
    ivf_building_list list;
    int rc = ivf_building_find(index, &list);
    if (rc == MPIVF_OK && list.count > 0)
        ivf_info("%s holds unfinished builds (%" PRId64 "): %s", index, list.count,
                 ivf_options_flag(options, IVF_OPTION_RESTART)
                     ? "build --restart throws away those that nobody runs"
                     : "build continues the one of the same options and input, and refuses others without --restart");
    ivf_free(list.ids);
    return rc;
}

/* The small builds train all that there is. */
static int refuse_prediction(const ivf_cmd_build_settings *settings)
{
    return settings->given == NULL
               ? MPIVF_OK
               : ivf_fail(MPIVF_USAGE, "--ranks: predictions are of builds that train their model; leave out what is "
                                       "given of it, or --ranks");
}

int ivf_cmd_plan(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_cmd_build_settings settings;
    ivf_probe probe;
    ivf_known_rates known = known_rates(options);
    bool predicted = ivf_options_value(options, IVF_OPTION_RANKS)->count > 0;
    int rc = ivf_cmd_build_open(ctx, options, &settings);
    if (rc == MPIVF_OK && predicted)
        rc = refuse_prediction(&settings);
    if (rc == MPIVF_OK)
        rc = ivf_probe_build(ctx, &settings.config, predicted ? &known : NULL, &probe);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? tell_of_unfinished(options) : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print_result(options, &probe) : MPIVF_OK);
    ivf_cmd_build_close(&settings);
    return rc;
}
