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
#include "mpivf/version.h"

static const char FORMAT[] = "mpivf manifest";
static const int64_t FORMAT_VERSION = 1;

/* ---- to JSON ---- */

static json_t *skipped_json(const int64_t skipped[IVF_ROW_REASONS])
{
    json_t *object = json_object();
    for (int r = IVF_ROW_OK + 1; r < IVF_ROW_REASONS; r++)
        (void)json_object_set_new(object, ivf_row_reason_key((ivf_row_reason)r), json_integer(skipped[r]));
    return object;
}

static json_t *fragment_json(const ivf_fragment_record *f)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:o}", "id", f->id, "number", (json_int_t)f->number,
                     "first_row", (json_int_t)f->first_row, "rows", (json_int_t)f->rows, "postings",
                     (json_int_t)f->postings, "skipped", skipped_json(f->skipped), "digest_in",
                     ivf_json_hash(f->digest_in), "digest_out", ivf_json_hash(f->digest_out), "bytes",
                     (json_int_t)f->bytes, "checksum", ivf_json_hash(f->checksum));
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
        (void)json_array_append_new(array, fragment_json(&m->fragments[i]));
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
        "s:O?, s:O?}",
        "format", FORMAT, "format_version", (json_int_t)FORMAT_VERSION, "program_version", mpivf_version(), "version",
        (json_int_t)m->version, "build_id", m->build_id, "model", "id", m->model_id, "bytes",
        (json_int_t)m->model_bytes, "checksum", ivf_json_hash(m->model_checksum), "factory", factory, "metric",
        ivf_metric_name(m->metric), "d", m->d, "nlist", (int)m->factory.nlist, "code_size", (json_int_t)m->code_size,
        "rows", (json_int_t)m->rows, "postings", (json_int_t)m->postings, "skipped", skipped_json(m->skipped),
        "digest_in", ivf_json_hash(m->digest_in), "digest_out", ivf_json_hash(m->digest_out), "list_sizes",
        list_sizes_json(m), "fragments", fragments_json(m), "input", shards_json(m), "config", m->config, "build",
        m->build);
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

static int read_fragment(json_t *json, const char *path, ivf_fragment_record *f)
{
    const char *id = NULL;
    const char *in = NULL;
    const char *out = NULL;
    const char *checksum = NULL;
    json_t *skipped = NULL;
    json_int_t number = 0;
    json_int_t first_row = 0;
    json_int_t rows = 0;
    json_int_t postings = 0;
    json_int_t bytes = 0;
    json_error_t error;
    if (json_unpack_ex(json, &error, 0, "{s:s, s:I, s:I, s:I, s:I, s:o, s:s, s:s, s:I, s:s}", "id", &id, "number",
                       &number, "first_row", &first_row, "rows", &rows, "postings", &postings, "skipped", &skipped,
                       "digest_in", &in, "digest_out", &out, "bytes", &bytes, "checksum", &checksum) != 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: a fragment's record: %s", path, error.text);
    f->number = number;
    f->first_row = first_row;
    f->rows = rows;
    f->postings = postings;
    f->bytes = bytes;
    if (!ivf_json_copy_id(f->id, id) || !ivf_json_parse_hash(in, &f->digest_in) ||
        !ivf_json_parse_hash(out, &f->digest_out) || !ivf_json_parse_hash(checksum, &f->checksum) ||
        !read_skipped(skipped, f->skipped) || rows < 0 || postings < 0 || bytes < 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: the record of fragment \"%.40s\" holds a malformed value", path, id);
    return MPIVF_OK;
}

static int read_fragments(json_t *array, const char *path, ivf_manifest *m)
{
    if (!json_is_array(array))
        return broken(path, "\"fragments\" is no array");
    m->fragment_count = (int64_t)json_array_size(array);
    m->fragments = ivf_new_zero(json_array_size(array), sizeof *m->fragments);
    int rc = m->fragments == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < m->fragment_count; i++)
        rc = read_fragment(json_array_get(array, (size_t)i), path, &m->fragments[i]);
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
        code_size < 1)
        return broken(path, "factory, d or code_size is out of range");
    m->d = (int)d;
    m->code_size = (size_t)code_size;
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

/* Sums are taken modulo 2^64: a hostile manifest may hold any numbers. */
static int64_t sum_skipped(const int64_t skipped[IVF_ROW_REASONS])
{
    uint64_t sum = 0;
    for (int r = 0; r < IVF_ROW_REASONS; r++)
        sum += (uint64_t)skipped[r];
    return (int64_t)sum;
}

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* Conservation: what went in is what is indexed or listed as skipped, for each fragment and for the whole. */
int ivf_manifest_check(const ivf_manifest *m, const char *path)
{
    int64_t rows = 0;
    int64_t postings = 0;
    int64_t listed = 0;
    int64_t shard_rows = 0;
    int64_t bytes = 0;
    uint64_t digest_in = 0;
    for (int64_t i = 0; i < m->fragment_count; i++) {
        const ivf_fragment_record *f = &m->fragments[i];
        if (__builtin_add_overflow(bytes, f->bytes, &bytes))
            return broken(path, "the fragments' bytes add up to more than 2^63");
        if (f->first_row != rows || plus(f->postings, sum_skipped(f->skipped)) != f->rows)
            return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s: %lld postings and %lld skipped of %lld rows from row %lld",
                            path, f->id, (long long)f->postings, (long long)sum_skipped(f->skipped), (long long)f->rows,
                            (long long)f->first_row);
        if (f->digest_in != f->digest_out)
            return ivf_fail(MPIVF_CORRUPT, "%s: fragment %s: the ids read are not the ids written", path, f->id);
        rows = plus(rows, f->rows);
        postings = plus(postings, f->postings);
        digest_in += f->digest_in;
    }
    for (int32_t l = 0; l < m->factory.nlist; l++)
        listed = plus(listed, m->list_sizes[l]);
    for (int i = 0; i < m->shard_count; i++)
        shard_rows = plus(shard_rows, m->shards[i].rows);
    if (rows != m->rows || postings != m->postings || listed != m->postings || shard_rows != m->rows ||
        plus(m->postings, sum_skipped(m->skipped)) != m->rows)
        return ivf_fail(
            MPIVF_CORRUPT,
            "%s: rows do not add up: %lld read, %lld in fragments, %lld in the input; %lld postings, %lld in "
            "fragments, %lld in lists; %lld skipped",
            path, (long long)m->rows, (long long)rows, (long long)shard_rows, (long long)m->postings,
            (long long)postings, (long long)listed, (long long)sum_skipped(m->skipped));
    if (digest_in != m->digest_in || m->digest_in != m->digest_out)
        return broken(path, "the digest of the ids read is not that of the ids written");
    return MPIVF_OK;
}

static int check_envelope(const json_t *json, const char *path)
{
    const char *format = json_string_value(json_object_get(json, "format"));
    int64_t version = json_integer_value(json_object_get(json, "format_version"));
    if (format == NULL || strcmp(format, FORMAT) != 0)
        return broken(path, "not a manifest of mpivf");
    if (version != FORMAT_VERSION)
        return ivf_fail(MPIVF_CORRUPT, "%s: format version %lld, this program reads %lld", path, (long long)version,
                        (long long)FORMAT_VERSION);
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
        rc = read_totals((json_t *)json, path, m);
    if (rc == MPIVF_OK)
        rc = read_list_sizes(json_object_get(json, "list_sizes"), path, m);
    if (rc == MPIVF_OK)
        rc = read_fragments(json_object_get(json, "fragments"), path, m);
    if (rc == MPIVF_OK)
        rc = read_shards(json_object_get(json, "input"), path, m);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_check(m, path);
    if (rc != MPIVF_OK) {
        ivf_manifest_free(m);
        return rc;
    }
    m->config = json_incref(json_object_get(json, "config"));
    m->build = json_incref(json_object_get(json, "build"));
    *manifest = m;
    return MPIVF_OK;
}
