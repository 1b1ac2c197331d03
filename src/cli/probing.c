#include "cli/probing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/numbers.h"
#include "base/text.h"
#include "cli/output.h"
#include "index/tuning.h"

static int refuse_count(const char *given, int count, int levels)
{
    if (levels == 1)
        return ivf_fail(MPIVF_USAGE,
                        "--nprobe %.64s: %d numbers, but the lists of this index have no tree to descend; give one, "
                        "the number of lists",
                        given, count);
    return ivf_fail(MPIVF_USAGE,
                    "--nprobe %.64s: %d numbers, but the tree of this index has %d levels; give one for each, the top "
                    "level first, or the number of lists alone",
                    given, count, levels);
}

static int32_t clamp(int64_t wanted, int32_t count, const char *what)
{
    if (wanted <= count)
        return ivf_to_i32(wanted);
    ivf_info("--nprobe %" PRId64 " is more than the %d %s there are: all are %s", wanted, count, what,
             what[0] == 'l' ? "scanned" : "descended into");
    return count;
}

static int set(const char *given, const int64_t *numbers, int count, const ivf_model *model, ivf_search_params *params)
{
    const int levels = model->tree.levels;
    if (count > 1 && count != levels)
        return refuse_count(given, count, levels);
    params->nprobe = clamp(numbers[count - 1], model->nlist, "lists");
    for (int l = 1; l < IVF_LEVELS; l++)
        params->nodes[l] = l < count ? clamp(numbers[count - 1 - l], model->tree.count[l], "nodes of a level") : 0;
    return MPIVF_OK;
}

int ivf_probing_set_entry(const char *entry, const ivf_model *model, ivf_search_params *params)
{
    int64_t numbers[IVF_ENTRY_LEVELS];
    int count = ivf_options_levels(entry, numbers);
    return set(entry, numbers, count, model, params);
}

int ivf_probing_set(const ivf_option_value *value, const ivf_model *model, ivf_search_params *params)
{
    ivf_text given = {0};
    for (int i = 0; i < value->count; i++)
        ivf_text_add(&given, "%s%s", i > 0 ? "," : "", value->texts[i]);
    int rc = given.failed ? ivf_fail(MPIVF_FAILED, "out of memory for an option")
                          : set(given.text, value->integers, value->count, model, params);
    ivf_text_free(&given);
    return rc;
}

void ivf_probing_widen(const int64_t *numbers, int count, ivf_search_params *params)
{
    params->nprobe = (int)ivf_max_i64(params->nprobe, ivf_min_i64(numbers[count - 1], INT32_MAX));
    for (int l = 1; l < count && l < IVF_LEVELS; l++)
        params->nodes[l] = (int32_t)ivf_max_i64(params->nodes[l], ivf_min_i64(numbers[count - 1 - l], INT32_MAX));
}

bool ivf_probing_is_tuned(const ivf_options *options)
{
    return ivf_options_value(options, IVF_OPTION_RECALL)->source != IVF_SOURCE_NONE;
}

static int refuse_beside_recall(const ivf_options *options, ivf_option_id id)
{
    if (ivf_options_value(options, id)->source == IVF_SOURCE_DEFAULT)
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "--recall chooses what --%s says; leave one out", ivf_option_get(id)->name);
}

int ivf_probing_tune(const ivf_ctx *ctx, const ivf_options *options, ivf_search_params *params)
{
    ivf_manifest *manifest = NULL;
    ivf_tuning_setting tuned;
    int rc = refuse_beside_recall(options, IVF_OPTION_NPROBE);
    if (rc == MPIVF_OK)
        rc = refuse_beside_recall(options, IVF_OPTION_RERANK);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_open(ctx, ivf_options_text(options, IVF_OPTION_INDEX), &manifest);
    if (rc == MPIVF_OK)
        rc = ivf_tuning_pick(manifest, params->k, ivf_options_real(options, IVF_OPTION_RECALL), &tuned);
    if (rc == MPIVF_OK) {
        params->nprobe = tuned.nprobe;
        params->rerank = tuned.rerank;
        memcpy(params->nodes, tuned.nodes, sizeof params->nodes);
    }
    ivf_manifest_free(manifest);
    return rc;
}

void ivf_probing_text(const ivf_search_params *params, char *text)
{
    text[0] = '\0';
    for (int l = IVF_LEVELS - 1; l > 0; l--)
        if (params->nodes[l] > 0)
            (void)snprintf(text + strlen(text), IVF_PROBING_TEXT - strlen(text), "%d/", params->nodes[l]);
    (void)snprintf(text + strlen(text), IVF_PROBING_TEXT - strlen(text), "%d", params->nprobe);
}

json_t *ivf_probing_nodes_json(const ivf_search_params *params)
{
    if (params->nodes[1] == 0)
        return json_null();
    json_t *list = json_array();
    for (int l = IVF_LEVELS - 1; l > 0; l--)
        if (params->nodes[l] > 0)
            ivf_output_append(&list, json_integer(params->nodes[l]));
    return list;
}

ivf_spread_kind ivf_probing_spread(const ivf_options *options)
{
    const char *text = ivf_options_text(options, IVF_OPTION_SPREAD);
    if (strcmp(text, "lists") == 0)
        return IVF_SPREAD_LISTS;
    return strcmp(text, "queries") == 0 ? IVF_SPREAD_QUERIES : IVF_SPREAD_AUTO;
}

int ivf_probing_refine(const ivf_options *options, ivf_search_params *params)
{
    params->limited = ivf_options_value(options, IVF_OPTION_MAX_DISTANCE)->source != IVF_SOURCE_NONE;
    params->max_distance = ivf_options_real(options, IVF_OPTION_MAX_DISTANCE);
    params->rerank = ivf_to_int(ivf_options_integer(options, IVF_OPTION_RERANK));
    if (params->rerank == 0 || params->rerank >= params->k)
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "--rerank %d is less than --k %d: no %d neighbours can come of %d candidates",
                    params->rerank, params->k, params->k, params->rerank);
}
