/* The manifest as JSON (FORMAT.md): writing it, and reading it back with every structural rule checked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "index/json.h"
#include "index/manifest.h"
#include "index/tuning.h"
#include "mpivf/version.h"

static const char FORMAT[] = "mpivf manifest";
static const int64_t FORMAT_VERSION = 1;       /* of fragments by rows, which any program reads */
static const int64_t LISTS_FORMAT_VERSION = 2; /* of fragments by lists */

static const char *const layout_names[] = {[IVF_LAYOUT_ROWS] = "rows", [IVF_LAYOUT_LISTS] = "lists"};

static int64_t format_version_of(ivf_layout layout)
{
    return layout == IVF_LAYOUT_LISTS ? LISTS_FORMAT_VERSION : FORMAT_VERSION;
}

/* ---- to JSON ---- */

static json_t *skipped_json(const int64_t skipped[IVF_ROW_REASONS])
{
    json_t *object = json_object();
    for (int r = IVF_ROW_OK + 1; r < IVF_ROW_REASONS; r++)
        (void)json_object_set_new(object, ivf_row_reason_key((ivf_row_reason)r), json_integer(skipped[r]));
    return object;
}

static json_t *fragment_json(const ivf_manifest *m, const ivf_fragment_record *f)
{
    json_t *range = m->layout == IVF_LAYOUT_LISTS ? json_pack("{s:I, s:I}", "first_list", (json_int_t)f->first_list,
                                                              "lists", (json_int_t)f->lists)
                                                  : json_pack("{s:I}", "first_row", (json_int_t)f->first_row);
    json_t *rest =
        json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:o}", "id", f->id, "number", (json_int_t)f->number, "rows",
                  (json_int_t)f->rows, "postings", (json_int_t)f->postings, "skipped", skipped_json(f->skipped),
                  "digest_in", ivf_json_hash(f->digest_in), "digest_out", ivf_json_hash(f->digest_out), "bytes",
                  (json_int_t)f->bytes, "checksum", ivf_json_hash(f->checksum));
    if (range == NULL || rest == NULL || json_object_update(rest, range) != 0) {
        json_decref(rest);
        rest = NULL;
    }
    json_decref(range);
    return rest;
}

/* NULL where there is nothing to tell. */
static json_t *origin_json(const ivf_manifest_origin *o)
{
    return o->version == 0
               ? NULL
               : json_pack("{s:I, s:s, s:I, s:b}", "version", (json_int_t)o->version, "build_id", o->build_id,
                           "fragment_bytes", (json_int_t)o->fragment_bytes, "single_file", o->single_file);
}

static json_t *shard_json(const ivf_manifest_shard *s)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "path", s->path, "format", s->format, "rows",
                     (json_int_t)s->rows, "first_row", (json_int_t)s->first_row, "bytes", (json_int_t)s->bytes,
                     "mtime_ns", (json_int_t)s->mtime_ns, "checksum", ivf_json_hash(s->checksum));
}

static json_t *fragments_json(const ivf_manifest *m)
{
    json_t *array = json_array();
    for (int64_t i = 0; i < m->fragment_count; i++)
        (void)json_array_append_new(array, fragment_json(m, &m->fragments[i]));
    return array;
}

static json_t *shards_json(const ivf_manifest *m)
{
    json_t *array = json_array();
    for (int i = 0; i < m->shard_count; i++)
        (void)json_array_append_new(array, shard_json(&m->shards[i]));
    return array;
}

static json_t *list_sizes_json(const ivf_manifest *m)
{
    json_t *array = json_array();
    for (int32_t l = 0; l < m->factory.nlist; l++)
        (void)json_array_append_new(array, json_integer(m->list_sizes[l]));
    return array;
}

json_t *ivf_manifest_to_json(const ivf_manifest *m)
{
    char factory[64];
    ivf_factory_text(&m->factory, factory);
    json_t *json = json_pack(
        "{s:s, s:I, s:s, s:I, s:s, s:{s:s, s:I, s:o}, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:O?, s:O?, s:s, s:o*, s:O*, s:s*}",
        "format", FORMAT, "format_version", (json_int_t)format_version_of(m->layout), "program_version",
        mpivf_version(), "version", (json_int_t)m->version, "build_id", m->build_id, "model", "id", m->model_id,
        "bytes", (json_int_t)m->model_bytes, "checksum", ivf_json_hash(m->model_checksum), "factory", factory, "metric",
        ivf_metric_name(m->metric), "d", m->d, "nlist", (int)m->factory.nlist, "code_size", (json_int_t)m->code_size,
        "rows", (json_int_t)m->rows, "postings", (json_int_t)m->postings, "skipped", skipped_json(m->skipped),
        "digest_in", ivf_json_hash(m->digest_in), "digest_out", ivf_json_hash(m->digest_out), "list_sizes",
        list_sizes_json(m), "fragments", fragments_json(m), "input", shards_json(m), "config", m->config, "build",
        m->build, "layout", layout_names[m->layout], "compacted", origin_json(&m->compacted), "tuning", m->tuning,
        "vectors", m->kept.d > 0 ? ivf_kept_name(m->kept) : NULL);
    if (json == NULL) {
        (void)ivf_fail(MPIVF_FAILED, "the manifest cannot be put into JSON: out of memory, or a path is not UTF-8");
        return NULL;
    }
    if (ivf_json_seal(json) != MPIVF_OK) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* ---- from JSON ---- */

static int broken(const char *path, const char *what)
{
    return ivf_fail(MPIVF_CORRUPT, "%s: %s", path, what);
}

static bool read_skipped(json_t *object, int64_t skipped[IVF_ROW_REASONS])
{
    skipped[IVF_ROW_OK] = 0;
    for (int r = IVF_ROW_OK + 1; r < IVF_ROW_REASONS; r++) {
        json_t *value = json_object_get(object, ivf_row_reason_key((ivf_row_reason)r));
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return false;
        skipped[r] = json_integer_value(value);
    }
    return true;
}

/* What a fragment covers: rows, or lists. */
static int read_range(json_t *json, const char *path, const ivf_manifest *m, ivf_fragment_record *f)
{
    json_int_t first = 0;
    json_int_t lists = 0;
    json_error_t error;
    if (m->layout == IVF_LAYOUT_ROWS) {
        if (json_unpack_ex(json, &error, 0, "{s:I}", "first_row", &first) != 0)
            return ivf_fail(MPIVF_CORRUPT, "%s: a fragment's record: %s", path, error.text);
        f->first_row = first;
        return MPIVF_OK;
    }
    if (json_unpack_ex(json, &error, 0, "{s:I, s:I}", "first_list", &first, "lists", &lists) != 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: a fragment's record: %s", path, error.text);
    if (first < 0 || lists < 1 || first > m->factory.nlist || lists > m->factory.nlist - first)
        return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s has lists that there are not", path, f->id);
    f->first_list = (int32_t)first;
    f->lists = (int32_t)lists;
    return MPIVF_OK;
}

static int read_fragment(json_t *json, const char *path, const ivf_manifest *m, ivf_fragment_record *f)
{
    const char *id = NULL;
    const char *in = NULL;
    const char *out = NULL;
    const char *checksum = NULL;
    json_t *skipped = NULL;
    json_int_t number = 0;
    json_int_t rows = 0;
    json_int_t postings = 0;
    json_int_t bytes = 0;
    json_error_t error;
    if (json_unpack_ex(json, &error, 0, "{s:s, s:I, s:I, s:I, s:o, s:s, s:s, s:I, s:s}", "id", &id, "number", &number,
                       "rows", &rows, "postings", &postings, "skipped", &skipped, "digest_in", &in, "digest_out", &out,
                       "bytes", &bytes, "checksum", &checksum) != 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: a fragment's record: %s", path, error.text);
    f->number = number;
    f->rows = rows;
    f->postings = postings;
    f->bytes = bytes;
    if (!ivf_json_copy_id(f->id, id) || !ivf_json_parse_hash(in, &f->digest_in) ||
        !ivf_json_parse_hash(out, &f->digest_out) || !ivf_json_parse_hash(checksum, &f->checksum) ||
        !read_skipped(skipped, f->skipped) || rows < 0 || postings < 0 || bytes < 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: the record of fragment \"%.40s\" holds a malformed value", path, id);
    return read_range(json, path, m, f);
}

static int read_fragments(json_t *array, const char *path, ivf_manifest *m)
{
    if (!json_is_array(array))
        return broken(path, "\"fragments\" is no array");
    m->fragment_count = (int64_t)json_array_size(array);
    m->fragments = ivf_new_zero(json_array_size(array), sizeof *m->fragments);
    int rc = m->fragments == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < m->fragment_count; i++)
        rc = read_fragment(json_array_get(array, (size_t)i), path, m, &m->fragments[i]);
    return rc;
}

static int read_shard(json_t *json, const char *path, ivf_manifest_shard *s)
{
    const char *shard_path = NULL;
    const char *format = NULL;
    json_int_t rows = 0;
    json_int_t first_row = 0;
    json_int_t bytes = 0;
    json_int_t mtime = 0;
    const char *checksum = NULL;
    json_error_t error;
    if (json_unpack_ex(json, &error, 0, "{s:s, s:s, s:I, s:I, s:I, s:I, s?s}", "path", &shard_path, "format", &format,
                       "rows", &rows, "first_row", &first_row, "bytes", &bytes, "mtime_ns", &mtime, "checksum",
                       &checksum) != 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: an input shard's record: %s", path, error.text);
    *s = (ivf_manifest_shard){.path = ivf_text_copy(shard_path),
                              .format = ivf_text_copy(format),
                              .rows = rows,
                              .first_row = first_row,
                              .bytes = bytes,
                              .mtime_ns = mtime};
    if (checksum != NULL && !ivf_json_parse_hash(checksum, &s->checksum))
        return ivf_fail(MPIVF_CORRUPT, "%s: the checksum of input shard %.200s is malformed", path, shard_path);
    return s->path == NULL || s->format == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static int read_shards(json_t *array, const char *path, ivf_manifest *m)
{
    if (!json_is_array(array) || json_array_size(array) > INT32_MAX)
        return broken(path, "\"input\" is no array");
    m->shard_count = (int)json_array_size(array);
    m->shards = ivf_new_zero(json_array_size(array), sizeof *m->shards);
    int rc = m->shards == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < m->shard_count; i++)
        rc = read_shard(json_array_get(array, (size_t)i), path, &m->shards[i]);
    return rc;
}

static int read_list_sizes(json_t *array, const char *path, ivf_manifest *m)
{
    if (!json_is_array(array) || json_array_size(array) != (size_t)m->factory.nlist)
        return broken(path, "\"list_sizes\" does not have one entry for each list");
    m->list_sizes = ivf_new_zero((size_t)m->factory.nlist, sizeof *m->list_sizes);
    if (m->list_sizes == NULL)
        return MPIVF_FAILED;
    for (int32_t l = 0; l < m->factory.nlist; l++) {
        m->list_sizes[l] = json_integer_value(json_array_get(array, (size_t)l));
        if (m->list_sizes[l] < 0)
            return broken(path, "\"list_sizes\" holds a negative number");
    }
    return MPIVF_OK;
}

static int read_identity(json_t *json, const char *path, ivf_manifest *m)
{
    const char *build_id = NULL;
    const char *model_id = NULL;
    const char *model_checksum = NULL;
    const char *factory = NULL;
    const char *metric = NULL;
    json_int_t version = 0;
    json_int_t model_bytes = 0;
    json_int_t code_size = 0;
    json_int_t d = 0;
    json_error_t error;
    if (json_unpack_ex(json, &error, 0, "{s:I, s:s, s:{s:s, s:I, s:s}, s:s, s:s, s:I, s:I}", "version", &version,
                       "build_id", &build_id, "model", "id", &model_id, "bytes", &model_bytes, "checksum",
                       &model_checksum, "factory", &factory, "metric", &metric, "d", &d, "code_size", &code_size) != 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: %s", path, error.text);
    m->version = version;
    m->model_bytes = model_bytes;
    if (!ivf_json_copy_id(m->build_id, build_id) || !ivf_json_copy_id(m->model_id, model_id) ||
        !ivf_json_parse_hash(model_checksum, &m->model_checksum) || !ivf_metric_parse(metric, &m->metric))
        return broken(path, "an id, a checksum or the metric is malformed");
    if (ivf_factory_parse(factory, &m->factory) != MPIVF_OK || m->factory.nlist < 1 || d < 1 || d > INT32_MAX ||
        code_size < 1 || code_size > INT32_MAX)
        return broken(path, "factory, d or code_size is out of range");
    m->d = (int)d;
    m->code_size = (size_t)code_size;
    return MPIVF_OK;
}

/* A manifest tells of vectors only where they are kept. */
static int read_kept(const json_t *json, const char *path, ivf_manifest *m)
{
    const json_t *vectors = json_object_get(json, "vectors");
    if (vectors == NULL)
        return MPIVF_OK;
    if (!json_is_string(vectors) || !ivf_kept_parse(json_string_value(vectors), m->d, &m->kept) || m->kept.d == 0)
        return broken(path, "\"vectors\" is neither f32 nor f16");
    return MPIVF_OK;
}

/* A manifest of an older program tells no layout: rows. */
static int read_layout(const json_t *json, const char *path, ivf_manifest *m)
{
    const json_t *layout = json_object_get(json, "layout");
    const json_t *origin = json_object_get(json, "compacted");
    const char *build_id = json_string_value(json_object_get(origin, "build_id"));
    const char *name = layout == NULL ? layout_names[IVF_LAYOUT_ROWS] : json_string_value(layout);
    const bool by_lists = name != NULL && strcmp(name, layout_names[IVF_LAYOUT_LISTS]) == 0;
    if (name == NULL || (!by_lists && strcmp(name, layout_names[IVF_LAYOUT_ROWS]) != 0))
        return broken(path, "\"layout\" is neither rows nor lists");
    m->layout = by_lists ? IVF_LAYOUT_LISTS : IVF_LAYOUT_ROWS;
    if (json_integer_value(json_object_get(json, "format_version")) != format_version_of(m->layout))
        return broken(path, "\"layout\" does not go with the format version");
    if (origin == NULL)
        return MPIVF_OK;
    m->compacted.version = json_integer_value(json_object_get(origin, "version"));
    m->compacted.fragment_bytes = json_integer_value(json_object_get(origin, "fragment_bytes"));
    m->compacted.single_file = json_is_true(json_object_get(origin, "single_file"));
    if (m->compacted.version < 1 || m->compacted.fragment_bytes < 1 || build_id == NULL ||
        !ivf_json_copy_id(m->compacted.build_id, build_id))
        return broken(path, "\"compacted\" is malformed");
    return MPIVF_OK;
}

static int read_totals(json_t *json, const char *path, ivf_manifest *m)
{
    const char *in = NULL;
    const char *out = NULL;
    json_t *skipped = NULL;
    json_int_t rows = 0;
    json_int_t postings = 0;
    json_error_t error;
    if (json_unpack_ex(json, &error, 0, "{s:I, s:I, s:o, s:s, s:s}", "rows", &rows, "postings", &postings, "skipped",
                       &skipped, "digest_in", &in, "digest_out", &out) != 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: %s", path, error.text);
    m->rows = rows;
    m->postings = postings;
    if (!read_skipped(skipped, m->skipped) || !ivf_json_parse_hash(in, &m->digest_in) ||
        !ivf_json_parse_hash(out, &m->digest_out))
        return broken(path, "a total is malformed");
    return MPIVF_OK;
}

static int check_envelope(const json_t *json, const char *path)
{
    const char *format = json_string_value(json_object_get(json, "format"));
    int64_t version = json_integer_value(json_object_get(json, "format_version"));
    if (format == NULL || strcmp(format, FORMAT) != 0)
        return broken(path, "not a manifest of mpivf");
    if (version < FORMAT_VERSION || version > LISTS_FORMAT_VERSION)
        return ivf_fail(MPIVF_CORRUPT, "%s: format version %lld, this program reads %lld to %lld", path,
                        (long long)version, (long long)FORMAT_VERSION, (long long)LISTS_FORMAT_VERSION);
    return ivf_json_check_seal(json, path);
}

int ivf_manifest_from_json(const json_t *json, const char *path, ivf_manifest **manifest)
{
    *manifest = NULL;
    int rc = check_envelope(json, path);
    if (rc != MPIVF_OK)
        return rc;
    ivf_manifest *m = ivf_new_zero(1, sizeof *m);
    if (m == NULL)
        return MPIVF_FAILED;
    rc = read_identity((json_t *)json, path, m);
    if (rc == MPIVF_OK)
        rc = read_kept(json, path, m);
    if (rc == MPIVF_OK)
        rc = read_layout(json, path, m);
    if (rc == MPIVF_OK)
        rc = read_totals((json_t *)json, path, m);
    if (rc == MPIVF_OK)
        rc = read_list_sizes(json_object_get(json, "list_sizes"), path, m);
    if (rc == MPIVF_OK)
        rc = read_fragments(json_object_get(json, "fragments"), path, m);
    if (rc == MPIVF_OK)
        rc = read_shards(json_object_get(json, "input"), path, m);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_check(m, path);
    if (rc == MPIVF_OK && !ivf_tuning_is_sound(json_object_get(json, "tuning"), m->factory.nlist))
        rc = broken(path, "\"tuning\" is malformed");
    if (rc != MPIVF_OK) {
        ivf_manifest_free(m);
        return rc;
    }
    m->config = json_incref(json_object_get(json, "config"));
    m->build = json_incref(json_object_get(json, "build"));
    m->tuning = json_incref(json_object_get(json, "tuning"));
    *manifest = m;
    return MPIVF_OK;
}
