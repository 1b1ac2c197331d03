/* Tuning in the manifest. No collectives, no memory but the JSON's. */
#include "index/tuning.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

static const double USUAL_RECALL = 0.9;

/* The fastest first; of equal ones the one that finds more. */
static int by_speed(const void *a, const void *b)
{
    const ivf_tuning_setting *x = a;
    const ivf_tuning_setting *y = b;
    if (x->queries_per_second != y->queries_per_second)
        return x->queries_per_second > y->queries_per_second ? -1 : 1;
    return (x->recall < y->recall) - (x->recall > y->recall);
}

int ivf_tuning_front(ivf_tuning_setting *settings, int count)
{
    int kept = 0;
    qsort(settings, (size_t)count, sizeof *settings, by_speed);
    for (int i = 0; i < count; i++)
        if (kept == 0 || settings[i].recall > settings[kept - 1].recall)
            settings[kept++] = settings[i];
    return kept;
}

/* ---- to JSON ---- */

/* The upper levels' nodes, the top first; NULL where all lists are ranked. */
static json_t *nodes_json(const ivf_tuning_setting *s)
{
    json_t *nodes = s->nodes[1] > 0 ? json_array() : NULL;
    for (int l = IVF_LEVELS - 1; nodes != NULL && l > 0; l--)
        if (s->nodes[l] > 0)
            (void)json_array_append_new(nodes, json_integer(s->nodes[l]));
    return nodes;
}

static json_t *tuning_json(const ivf_tuning *t)
{
    char now[24];
    json_t *settings = json_array();
    for (int i = 0; i < t->count; i++) {
        const ivf_tuning_setting *s = &t->settings[i];
        (void)json_array_append_new(settings, json_pack("{s:i, s:o*, s:i, s:f, s:f}", "nprobe", s->nprobe, "nodes",
                                                        nodes_json(s), "rerank", s->rerank, "recall", s->recall,
                                                        "queries_per_second", s->queries_per_second));
    }
    ivf_clock_utc(now);
    return json_pack("{s:i, s:I, s:s, s:i, s:i, s:s, s:s, s:o}", "k", t->k, "queries", (json_int_t)t->queries,
                     "measured", now, "ranks", t->ranks, "threads", t->threads, "simd", t->simd, "host", t->host,
                     "settings", settings);
}

static int64_t depth_of(const json_t *entry)
{
    return json_integer_value(json_object_get(entry, "k"));
}

int ivf_tuning_put(ivf_manifest *manifest, const ivf_tuning *tuning)
{
    json_t *all = json_array();
    json_t *made = tuning_json(tuning);
    int failed = 0;
    size_t i = 0;
    json_t *entry = NULL;
    bool placed = false;
    json_array_foreach(manifest->tuning, i, entry)
    {
        if (!placed && depth_of(entry) >= tuning->k) {
            failed |= json_array_append(all, made);
            placed = true;
        }
        if (depth_of(entry) != tuning->k)
            failed |= json_array_append(all, entry);
    }
    if (!placed)
        failed |= json_array_append(all, made);
    json_decref(made);
    if (failed != 0 || !ivf_tuning_is_sound(all, manifest->factory.nlist)) {
        json_decref(all);
        return ivf_fail(MPIVF_FAILED, "out of memory for what was measured");
    }
    json_decref(manifest->tuning);
    manifest->tuning = all;
    return MPIVF_OK;
}

/* ---- from JSON ---- */

static bool is_within(const json_t *number, int64_t least, int64_t most)
{
    return json_is_integer(number) && json_integer_value(number) >= least && json_integer_value(number) <= most;
}

static bool is_real(const json_t *number, double most)
{
    return json_is_number(number) && json_number_value(number) >= 0 && json_number_value(number) <= most;
}

static bool is_setting(const json_t *setting, int32_t nlist)
{
    const json_t *nodes = json_object_get(setting, "nodes");
    size_t i = 0;
    const json_t *node = NULL;
    if (nodes != NULL && (!json_is_array(nodes) || json_array_size(nodes) < 1 || json_array_size(nodes) >= IVF_LEVELS))
        return false;
    json_array_foreach(nodes, i, node)
    {
        if (!is_within(node, 1, nlist))
            return false;
    }
    return is_within(json_object_get(setting, "nprobe"), 1, nlist) &&
           is_within(json_object_get(setting, "rerank"), 0, INT32_MAX) &&
           is_real(json_object_get(setting, "recall"), 1) &&
           is_real(json_object_get(setting, "queries_per_second"), 1e18);
}

static bool is_entry(const json_t *entry, int32_t nlist)
{
    const json_t *settings = json_object_get(entry, "settings");
    double recall = -1;
    size_t i = 0;
    const json_t *setting = NULL;
    if (!is_within(json_object_get(entry, "k"), 1, INT32_MAX) || !json_is_array(settings) ||
        json_array_size(settings) == 0)
        return false;
    json_array_foreach(settings, i, setting)
    {
        if (!is_setting(setting, nlist) || json_number_value(json_object_get(setting, "recall")) <= recall)
            return false;
        recall = json_number_value(json_object_get(setting, "recall"));
    }
    return true;
}

bool ivf_tuning_is_sound(const json_t *tuning, int32_t nlist)
{
    int64_t k = 0;
    size_t i = 0;
    const json_t *entry = NULL;
    if (tuning != NULL && !json_is_array(tuning))
        return false;
    json_array_foreach(tuning, i, entry)
    {
        if (!is_entry(entry, nlist) || depth_of(entry) <= k)
            return false;
        k = depth_of(entry);
    }
    return true;
}

static void read_setting(const json_t *json, ivf_tuning_setting *setting)
{
    const json_t *nodes = json_object_get(json, "nodes");
    const size_t levels = json_array_size(nodes);
    *setting = (ivf_tuning_setting){
        .nprobe = (int)json_integer_value(json_object_get(json, "nprobe")),
        .rerank = (int)json_integer_value(json_object_get(json, "rerank")),
        .recall = json_number_value(json_object_get(json, "recall")),
        .queries_per_second = json_number_value(json_object_get(json, "queries_per_second")),
    };
    for (size_t i = 0; i < levels; i++)
        setting->nodes[levels - i] = (int32_t)json_integer_value(json_array_get(nodes, i));
}

/* The first of a front that reaches the recall; else the last, which is the best, and false. */
static bool find_setting(const json_t *entry, double recall, ivf_tuning_setting *setting)
{
    size_t i = 0;
    const json_t *json = NULL;
    json_array_foreach(json_object_get(entry, "settings"), i, json)
    {
        read_setting(json, setting);
        if (setting->recall >= recall)
            return true;
    }
    return false;
}

int ivf_tuning_pick(const ivf_manifest *manifest, int k, double recall, ivf_tuning_setting *setting)
{
    size_t i = 0;
    const json_t *entry = NULL;
    const json_t *found = NULL;
    json_array_foreach(manifest->tuning, i, entry)
    {
        if (depth_of(entry) == k)
            found = entry;
    }
    if (json_array_size(manifest->tuning) == 0)
        return ivf_fail(MPIVF_USAGE,
                        "recall %g: version %" PRId64 " of the index is not tuned; run mpivf tune with --k %d, or say "
                        "how many lists to scan",
                        recall, manifest->version, k);
    if (found == NULL)
        return ivf_fail(MPIVF_USAGE,
                        "recall %g: version %" PRId64 " of the index is tuned, but not for %d neighbours; run mpivf "
                        "tune with --k %d, or say how many lists to scan",
                        recall, manifest->version, k, k);
    if (find_setting(found, recall, setting))
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE,
                    "recall %g of %d neighbours: no setting that mpivf tune tried reached it; the best one, %d lists, "
                    "had %.4f",
                    recall, k, setting->nprobe, setting->recall);
}

bool ivf_tuning_usual(const ivf_manifest *manifest, ivf_tuning_setting *setting)
{
    ivf_tuning_setting tried;
    bool is_there = false;
    size_t i = 0;
    const json_t *json = NULL;
    json_array_foreach(json_object_get(json_array_get(manifest->tuning, 0), "settings"), i, json)
    {
        read_setting(json, &tried);
        if (tried.rerank > 0)
            continue;
        *setting = tried;
        is_there = true;
        if (tried.recall >= USUAL_RECALL)
            break;
    }
    return is_there;
}
