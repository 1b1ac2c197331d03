#include "build/identity.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "build/given.h"
#include "cluster/nearest.h"
#include "index/json.h"
#include "mpivf/version.h"

enum { MOST_DIFFERENCES = 3 };

int ivf_identity_stamp(const ivf_ctx *ctx, ivf_build_state *build)
{
    const int shards = ivf_dataset_shards(build->dataset);
    build->stamps = ivf_new_zero((size_t)shards + 1, sizeof *build->stamps);
    int rc = ivf_agree(ctx, build->stamps == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || build->stamps == NULL)
        return rc;
    for (int i = 0; i < shards; i++) {
        ivf_shard shard = ivf_dataset_shard(build->dataset, i);
        build->stamps[i] = (ivf_stamp){.path = shard.path, .bytes = shard.bytes, .mtime_ns = shard.mtime_ns};
    }
    build->stamp_count = shards + ivf_ids_stamp(build->ids, &build->stamps[shards]);
    return ivf_stamps_take(ctx, build->stamps, build->stamp_count);
}

/* ---- to JSON ---- */

static json_t *describe_file(const ivf_stamp *stamp)
{
    return json_pack("{s:s, s:I, s:I, s:o}", "path", stamp->path, "bytes", (json_int_t)stamp->bytes, "mtime_ns",
                     (json_int_t)stamp->mtime_ns, "checksum", ivf_json_hash(stamp->checksum));
}

static json_t *describe_files(const ivf_build_state *build)
{
    json_t *files = json_array();
    for (int64_t i = 0; i < build->stamp_count; i++)
        (void)json_array_append_new(files, describe_file(&build->stamps[i]));
    return files;
}

/* What most builds do not have: so that their identity stays what it was. */
static int describe_rest(const ivf_build_config *config, json_t *json)
{
    int wrong = 0;
    if (config->train_only)
        wrong = json_object_set_new(json, "command", json_string("train"));
    if (config->level_nodes[1] > 0 || config->level_nodes[2] > 0)
        wrong |= json_object_set_new(json, "level-nodes",
                                     json_pack("[i, i]", (int)config->level_nodes[2], (int)config->level_nodes[1]));
    if (wrong != 0)
        return ivf_fail(MPIVF_FAILED, "out of memory for the build's name");
    return ivf_given_describe(config->given, json);
}

/* The keys are the options' names. */
json_t *ivf_identity_describe(const ivf_build_state *build)
{
    const ivf_build_config *config = build->config;
    const ivf_plan *plan = &build->plan;
    char factory[64];
    ivf_factory_text(&plan->factory, factory);
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:f, s:i, s:s, s:s, s:[i, i], s:s, s:s?, s:s?, s:s?, s:o}", "program",
        mpivf_version(), "factory", factory, "metric", ivf_metric_name(plan->metric), "seed", (json_int_t)config->seed,
        "sample", (json_int_t)plan->sample_rows, "fragment-rows", (json_int_t)plan->fragment_rows, "iterations",
        config->iterations, "pq-iterations", config->pq_iterations, "tolerance", config->tolerance, "levels",
        plan->levels, "train-mode", config->train_exact ? "exact" : "fast", "assign",
        config->assign == IVF_NEAREST_KINDS ? "auto" : ivf_nearest_name(config->assign), "assign-probes",
        (int)config->assign_probes[2], (int)config->assign_probes[1], "keep-vectors", ivf_kept_name(plan->kept),
        "dataset", config->input.h5_path, "ids", ivf_ids_path(build->ids), "ids-dataset", config->ids_h5, "input",
        describe_files(build));
    if (json == NULL)
        (void)ivf_fail(MPIVF_FAILED,
                       "the build's settings cannot be put into JSON: out of memory, or a path is not UTF-8");
    if (json == NULL || describe_rest(config, json) == MPIVF_OK)
        return json;
    json_decref(json);
    return NULL;
}

int ivf_identity_name(const json_t *identity, int generation, char id[IVF_ID_BYTES])
{
    char *text = json_dumps(identity, JSON_COMPACT | JSON_SORT_KEYS);
    ivf_hasher *hasher = text == NULL ? NULL : ivf_hasher_new();
    if (hasher == NULL) {
        free(text);
        return ivf_fail(MPIVF_FAILED, "out of memory for the build's name");
    }
    ivf_hasher_add(hasher, text, strlen(text));
    if (generation > 0)
        ivf_hasher_add(hasher, &generation, sizeof generation);
    ivf_hash_text(ivf_hasher_end(hasher), id);
    ivf_hasher_free(hasher);
    free(text);
    return MPIVF_OK;
}

/* ---- differences ---- */

/* Text that gets the first few differences, and the number of all. */
typedef struct {
    ivf_text *text;
    int count;
} differences;

/* Whether there is room for one more, which is begun. */
static bool begin(differences *d)
{
    if (d->count++ >= MOST_DIFFERENCES)
        return false;
    ivf_text_add(d->text, "%s", d->count > 1 ? "; " : "");
    return true;
}

static void add_value(ivf_text *text, const json_t *value)
{
    if (json_is_string(value)) {
        ivf_text_add(text, "%s", json_string_value(value));
        return;
    }
    char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    ivf_text_add(text, "%s", dumped == NULL || json_is_null(value) ? "none" : dumped);
    free(dumped);
}

static void compare_option(differences *d, const char *name, const json_t *before, const json_t *now)
{
    if (json_equal(before, now) || !begin(d))
        return;
    ivf_text_add(d->text, "%s: ", name);
    add_value(d->text, before);
    ivf_text_add(d->text, " before, ");
    add_value(d->text, now);
    ivf_text_add(d->text, " now");
}

static void compare_file(differences *d, const json_t *before, const json_t *now)
{
    const char *path = json_string_value(json_object_get(now, "path"));
    const char *old = json_string_value(json_object_get(before, "path"));
    const json_int_t bytes = json_integer_value(json_object_get(before, "bytes"));
    const json_int_t bytes_now = json_integer_value(json_object_get(now, "bytes"));
    if (json_equal(before, now) || !begin(d))
        return;
    if (path == NULL || old == NULL || strcmp(path, old) != 0)
        ivf_text_add(d->text, "input: %s before, %s now", old != NULL ? old : "another file", path);
    else if (bytes != bytes_now)
        ivf_text_add(d->text, "input %s: %" PRId64 " bytes before, %" PRId64 " now", path, (int64_t)bytes,
                     (int64_t)bytes_now);
    else if (!json_equal(json_object_get(before, "checksum"), json_object_get(now, "checksum")))
        ivf_text_add(d->text, "input %s: other contents than before", path);
    else
        ivf_text_add(d->text, "input %s: written since, or a copy (its time of change is another)", path);
}

static void compare_files(differences *d, const json_t *before, const json_t *now)
{
    const size_t count = json_array_size(now);
    if (json_array_size(before) != count && begin(d))
        ivf_text_add(d->text, "number of input files: %zu before, %zu now", json_array_size(before), count);
    for (size_t i = 0; i < count && i < json_array_size(before); i++)
        compare_file(d, json_array_get(before, i), json_array_get(now, i));
}

void ivf_identity_compare(const json_t *before, const json_t *now, ivf_text *text)
{
    differences d = {.text = text};
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)now, name, value)
    {
        if (strcmp(name, "input") != 0)
            compare_option(&d, name, json_object_get(before, name), value);
    }
    compare_files(&d, json_object_get(before, "input"), json_object_get(now, "input"));
    if (d.count > MOST_DIFFERENCES)
        ivf_text_add(text, "; and %d more", d.count - MOST_DIFFERENCES);
}
