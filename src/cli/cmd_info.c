/* mpivf info: what the newest version of an index holds. Rank 0 reads the manifest and the model's file; the other
 * ranks only wait. Memory: the model and 8 bytes for each list. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "index/manifest.h"
#include "index/model.h"
#include "math/rows.h"

/* How evenly the lists are filled. */
typedef struct {
    int64_t min, p1, p50, p99, max;
    double mean;
    double imbalance; /* nlist * sum(size^2) / postings^2: 1 is perfectly even */
} list_spread;

static int compare_sizes(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The nearest-rank percentile of sorted[n]. */
static int64_t percentile(const int64_t *sorted, int64_t n, int64_t percent)
{
    int64_t rank = (n * percent + 99) / 100;
    return sorted[rank > 0 ? rank - 1 : 0];
}

static int measure_lists(const ivf_manifest *m, list_spread *spread)
{
    int64_t n = m->factory.nlist;
    int64_t *sorted = ivf_new((size_t)n, sizeof *sorted);
    if (sorted == NULL)
        return MPIVF_FAILED;
    memcpy(sorted, m->list_sizes, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_sizes);
    double squares = 0;
    for (int64_t l = 0; l < n; l++)
        squares += (double)sorted[l] * (double)sorted[l];
    double postings = (double)m->postings;
    *spread = (list_spread){.min = sorted[0],
                            .p1 = percentile(sorted, n, 1),
                            .p50 = percentile(sorted, n, 50),
                            .p99 = percentile(sorted, n, 99),
                            .max = sorted[n - 1],
                            .mean = postings / (double)n,
                            .imbalance = postings > 0 ? (double)n * squares / (postings * postings) : 0};
    ivf_free(sorted);
    return MPIVF_OK;
}

static int64_t sum_of_skipped(const ivf_manifest *m)
{
    int64_t sum = 0;
    for (int r = IVF_ROW_OK + 1; r < IVF_ROW_REASONS; r++)
        sum += m->skipped[r];
    return sum;
}

static int64_t bytes_of_fragments(const ivf_manifest *m)
{
    int64_t sum = 0;
    for (int64_t f = 0; f < m->fragment_count; f++)
        sum += m->fragments[f].bytes;
    return sum;
}

static double bytes_per_vector(const ivf_manifest *m)
{
    return m->postings > 0 ? (double)bytes_of_fragments(m) / (double)m->postings : 0;
}

static json_t *skipped_to_json(const int64_t skipped[IVF_ROW_REASONS])
{
    json_t *json = json_object();
    for (int r = IVF_ROW_OK + 1; r < IVF_ROW_REASONS; r++) {
        if (json_object_set_new(json, ivf_row_reason_key((ivf_row_reason)r), json_integer(skipped[r])) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *training_to_json(const ivf_training_record *t)
{
    json_t *objective = json_array();
    for (int32_t i = 0; i < t->iterations; i++)
        ivf_output_append(&objective, json_real(t->objective[i]));
    return json_pack("{s:I, s:I, s:i, s:s, s:s, s:I, s:f, s:o}", "sample_rows", (json_int_t)t->sample_rows, "seed",
                     (json_int_t)t->seed, "iterations", (int)t->iterations, "steps", t->steps, "stopped", t->stopped,
                     "repairs", (json_int_t)t->repairs, "imbalance", t->imbalance, "objective", objective);
}

static double share_of_same(const ivf_nearest_agreement *agreement)
{
    return agreement->rows == 0 ? 1 : (double)agreement->same / (double)agreement->rows;
}

static json_t *assign_to_json(const ivf_model *model)
{
    json_t *nodes = json_array();
    json_t *probes = json_array();
    for (int l = model->tree.levels - 1; l > 0; l--) {
        ivf_output_append(&nodes, json_integer(model->tree.count[l]));
        ivf_output_append(&probes, json_integer(model->way.probes[l]));
    }
    return json_pack("{s:s, s:o, s:o, s:I, s:f, s:f}", "way", ivf_nearest_name(model->way.kind), "nodes", nodes,
                     "probes", probes, "rows", (json_int_t)model->agreement.rows, "agreement",
                     share_of_same(&model->agreement), "excess", model->agreement.excess);
}

static json_t *model_to_json(const ivf_manifest *m, const ivf_model *model)
{
    char factory[64];
    ivf_factory_text(&m->factory, factory);
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:i, s:I, s:s, s:I, s:o, s:o}", "id", m->model_id, "factory", factory,
                     "d", m->d, "metric", ivf_metric_name(m->metric), "nlist", (int)m->factory.nlist, "levels",
                     model->tree.levels, "code_bytes", (json_int_t)m->code_size, "vectors", ivf_kept_name(m->kept),
                     "bytes", (json_int_t)m->model_bytes, "training", training_to_json(&model->training), "assign",
                     assign_to_json(model));
}

static json_t *fragments_to_json(const ivf_manifest *m)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < m->fragment_count; i++) {
        const ivf_fragment_record *f = &m->fragments[i];
        json_t *json =
            json_pack("{s:s, s:I, s:I, s:o, s:I}", "id", f->id, "rows", (json_int_t)f->rows, "postings",
                      (json_int_t)f->postings, "skipped", skipped_to_json(f->skipped), "bytes", (json_int_t)f->bytes);
        json_t *range = m->layout == IVF_LAYOUT_LISTS
                            ? json_pack("{s:i, s:i}", "first_list", (int)f->first_list, "lists", (int)f->lists)
                            : json_pack("{s:I}", "first_row", (json_int_t)f->first_row);
        if (json_object_update(json, range) != 0) {
            json_decref(json);
            json = NULL;
        }
        json_decref(range);
        ivf_output_append(&list, json);
    }
    return list;
}

/* NULL for a version that is as it was built. */
static json_t *compacted_to_json(const ivf_manifest *m)
{
    return m->layout == IVF_LAYOUT_ROWS
               ? NULL
               : json_pack("{s:I, s:I, s:b}", "version", (json_int_t)m->compacted.version, "fragment_bytes",
                           (json_int_t)m->compacted.fragment_bytes, "single_file", m->compacted.single_file);
}

static json_t *info_to_json(const char *index, const ivf_manifest *m, const ivf_model *model, const list_spread *spread)
{
    json_t *lists = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "min", (json_int_t)spread->min, "p1",
                              (json_int_t)spread->p1, "p50", (json_int_t)spread->p50, "p99", (json_int_t)spread->p99,
                              "max", (json_int_t)spread->max, "mean", spread->mean, "imbalance", spread->imbalance);
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:I, s:f, s:o, s:o, s:O, s:O, s:s, s:o*}", "index", index,
                     "version", (json_int_t)m->version, "rows", (json_int_t)m->rows, "postings",
                     (json_int_t)m->postings, "skipped", skipped_to_json(m->skipped), "model", model_to_json(m, model),
                     "bytes", (json_int_t)bytes_of_fragments(m), "bytes_per_vector", bytes_per_vector(m), "list_sizes",
                     lists, "fragments", fragments_to_json(m), "config", m->config, "build", m->build, "layout",
                     m->layout == IVF_LAYOUT_LISTS ? "lists" : "rows", "compacted", compacted_to_json(m));
}

static void add_skipped(ivf_text *out, const ivf_manifest *m)
{
    ivf_text_add(out, "skipped       %" PRId64, sum_of_skipped(m));
    const char *separator = ": ";
    for (int r = IVF_ROW_OK + 1; r < IVF_ROW_REASONS; r++) {
        if (m->skipped[r] == 0)
            continue;
        ivf_text_add(out, "%s%" PRId64 " %s", separator, m->skipped[r], ivf_row_reason_text((ivf_row_reason)r));
        separator = ", ";
    }
    ivf_text_add(out, "\n");
}

static void add_model(ivf_text *out, const ivf_manifest *m, const ivf_model *model)
{
    char factory[64];
    const ivf_training_record *t = &model->training;
    ivf_factory_text(&m->factory, factory);
    ivf_text_add(out, "model         %s, d %d, metric %s, %d lists\n", factory, m->d, ivf_metric_name(m->metric),
                 m->factory.nlist);
    if (t->sample_rows == 0) {
        ivf_text_add(out, "training      elsewhere: the model was imported\n");
        return;
    }
    ivf_text_add(out, "training      %" PRId64 " rows, seed %" PRIu64 ", %d iterations (stopped by %s)", t->sample_rows,
                 t->seed, t->iterations, t->stopped);
    if (t->iterations > 0)
        ivf_text_add(out, ", objective %.6g to %.6g", t->objective[0], t->objective[t->iterations - 1]);
    ivf_text_add(out, ", %" PRId64 " empty lists repaired\n", t->repairs);
    ivf_text_add(out, "assignment    %s", ivf_nearest_name(model->way.kind));
    for (int l = model->tree.levels - 1; l > 0 && model->way.kind == IVF_NEAREST_TREE; l--)
        ivf_text_add(out, ", %d of %d nodes", model->way.probes[l], model->tree.count[l]);
    ivf_text_add(out, "; %.2f %% of %" PRId64 " rows in their nearest list, objective %+.3f %%\n",
                 100 * share_of_same(&model->agreement), model->agreement.rows, 100 * model->agreement.excess);
}

static void info_to_text(ivf_text *out, const char *index, const ivf_manifest *m, const ivf_model *model,
                         const list_spread *spread)
{
    char bytes[24];
    ivf_text_add(out, "index         %s\n", index);
    ivf_text_add(out, "version       %" PRId64 "\n", m->version);
    ivf_text_add(out, "rows          %" PRId64 "\n", m->rows);
    ivf_text_add(out, "postings      %" PRId64 "\n", m->postings);
    add_skipped(out, m);
    add_model(out, m, model);
    ivf_text_add(out, "fragments     %" PRId64 ", %s\n", m->fragment_count,
                 ivf_text_bytes((double)bytes_of_fragments(m), bytes));
    if (m->layout == IVF_LAYOUT_LISTS)
        ivf_text_add(out,
                     "layout        compacted from version %" PRId64 ": each fragment has all rows of some lists\n",
                     m->compacted.version);
    ivf_text_add(out, "vector        %zu bytes of code, %zu kept of the vector, %.1f bytes on disk\n", m->code_size,
                 ivf_kept_bytes(m->kept), bytes_per_vector(m));
    ivf_text_add(out,
                 "list sizes    min %" PRId64 ", p1 %" PRId64 ", p50 %" PRId64 ", p99 %" PRId64 ", max %" PRId64
                 ", mean %.1f, imbalance %.3f\n",
                 spread->min, spread->p1, spread->p50, spread->p99, spread->max, spread->mean, spread->imbalance);
}

static int print_info(const ivf_options *options, const ivf_manifest *m, const ivf_model *model)
{
    const char *index = ivf_options_text(options, IVF_OPTION_INDEX);
    list_spread spread;
    int rc = measure_lists(m, &spread);
    if (rc != MPIVF_OK)
        return rc;
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(info_to_json(index, m, model, &spread));
    ivf_text out = {0};
    info_to_text(&out, index, m, model, &spread);
    return ivf_output_text(&out);
}

static int inform(const ivf_options *options)
{
    const char *index = ivf_options_text(options, IVF_OPTION_INDEX);
    ivf_manifest *manifest = NULL;
    ivf_model *model = NULL;
    int rc = ivf_manifest_read(index, &manifest);
    if (rc == MPIVF_OK)
        rc = ivf_model_read(index, manifest->model_id, &model);
    if (rc == MPIVF_OK)
        rc = print_info(options, manifest, model);
    ivf_model_free(model);
    ivf_manifest_free(manifest);
    return rc;
}

int ivf_cmd_info(const ivf_ctx *ctx, const ivf_options *options)
{
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? inform(options) : MPIVF_OK);
}
