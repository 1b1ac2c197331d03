/* Export of the centroids as the table that VectorChord builds an index from (`build.external`), in a form that COPY of
 * PostgreSQL reads, and the SQL that goes with it.
 *
 * The nodes are numbered from the root down: 0 is the root, which has no parent and stands at the mean of its children;
 * then the nodes of each level in their order, the lists last. A row of the binary form has a size that its level
 * alone decides; the rows of the text form are measured before they are written. So ranks write ranges of rows of one
 * file at places of their own. Memory of a rank: the model, and a block of 256 rows. */
#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "base/text.h"
#include "comm/transfer.h"
#include "interop/export_internal.h"
#include "io/outfile.h"

enum {
    MOST_VALUES = 16000,               /* of pgvector's type vector */
    BLOCK = 256,                       /* rows that are formatted at a time */
    NUMBER_TEXT = 16,                  /* "-1.17549435e-38,": characters of a value in text, at most */
    ROW_TEXT = 2 * 11 + 8,             /* of the rest of a row */
    ROW_BYTES = 2 + 3 * 4 + 2 * 4 + 4, /* of a row of the binary form, but for its values */
};
static const char HEAD[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and the 0 that ends it: 19 bytes */
static const char TRAILER[] = {'\377', '\377'};

typedef struct {
    const ivf_export_config *config;
    const ivf_tree *tree;
    float *root; /* [d], owned */
    int64_t rows;
    int64_t base[IVF_LEVELS]; /* number of the first node of each level */
    uint8_t *block;           /* [BLOCK] rows, owned */
} table;

/* A row: its numbers and its values. */
typedef struct {
    int64_t id;
    int64_t parent; /* -1: none */
    const float *values;
} node;

/* The node of level `above` that has node i of the level below as a child. */
static int32_t parent_of(const ivf_tree *tree, int above, int64_t i)
{
    int32_t from = 0;
    int32_t to = tree->count[above];
    while (to - from > 1) {
        const int32_t middle = from + (to - from) / 2;
        if (tree->first[above][middle] <= i)
            from = middle;
        else
            to = middle;
    }
    return from;
}

static node node_at(const table *t, int64_t id)
{
    const ivf_tree *tree = t->tree;
    int level = tree->levels - 1;
    if (id == 0)
        return (node){.id = 0, .parent = -1, .values = t->root};
    while (level > 0 && id >= t->base[level - 1])
        level--;
    const int64_t i = id - t->base[level];
    return (node){.id = id,
                  .parent = level == tree->levels - 1 ? 0 : t->base[level + 1] + parent_of(tree, level + 1, i),
                  .values = tree->centroids[level] + i * tree->d};
}

/* ---- the two forms ---- */

static uint8_t *put_u16(uint8_t *at, uint32_t value)
{
    const uint16_t big = htobe16((uint16_t)value);
    memcpy(at, &big, sizeof big);
    return at + sizeof big;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    const uint32_t big = htobe32(value);
    memcpy(at, &big, sizeof big);
    return at + sizeof big;
}

static uint8_t *put_field(uint8_t *at, uint32_t value)
{
    return put_u32(put_u32(at, sizeof value), value);
}

static size_t format_binary(const node *n, int d, uint8_t *to)
{
    uint8_t *at = put_field(put_u16(to, 3), (uint32_t)n->id);
    at = n->parent < 0 ? put_u32(at, UINT32_MAX) : put_field(at, (uint32_t)n->parent);
    at = put_u16(put_u16(put_u32(at, 4 + 4 * (uint32_t)d), (uint32_t)d), 0);
    for (int j = 0; j < d; j++) {
        uint32_t bits = 0;
        memcpy(&bits, &n->values[j], sizeof bits);
        at = put_u32(at, bits);
    }
    return (size_t)(at - to);
}

/* Nine digits name a float. */
static size_t format_text(const node *n, int d, uint8_t *to)
{
    char *at = (char *)to;
    at += sprintf(at, "%" PRId64 "\t", n->id);
    at += n->parent < 0 ? sprintf(at, "\\N\t") : sprintf(at, "%" PRId64 "\t", n->parent);
    for (int j = 0; j < d; j++)
        at += sprintf(at, "%c%.9g", j == 0 ? '[' : ',', (double)n->values[j]);
    *at++ = ']';
    *at++ = '\n';
    return (size_t)((uint8_t *)at - to);
}

/* Rows first .. first + n - 1 into the block; returns their bytes. */
static size_t format_rows(const table *t, int64_t first, int64_t n)
{
    size_t bytes = 0;
    for (int64_t id = first; id < first + n; id++) {
        const node row = node_at(t, id);
        bytes += t->config->as_text ? format_text(&row, t->tree->d, t->block + bytes)
                                    : format_binary(&row, t->tree->d, t->block + bytes);
    }
    return bytes;
}

/* ---- ranks ---- */

static int64_t first_of(const ivf_ctx *ctx, const table *t, int rank)
{
    return t->rows / ivf_ctx_size(ctx) * rank + ivf_min_i64(t->rows % ivf_ctx_size(ctx), rank);
}

/* Bytes of this rank's rows. */
static int measure(const ivf_ctx *ctx, const table *t, int64_t *bytes)
{
    const int64_t from = first_of(ctx, t, ivf_ctx_rank(ctx));
    const int64_t to = first_of(ctx, t, ivf_ctx_rank(ctx) + 1);
    int rc = MPIVF_OK;
    *bytes = (to - from) * (ROW_BYTES + 4 * (int64_t)t->tree->d) - (from == 0 && to > 0 ? 4 : 0);
    if (!t->config->as_text)
        return MPIVF_OK;
    *bytes = 0;
    for (int64_t first = from; rc == MPIVF_OK && first < to; first += BLOCK) {
        *bytes += ivf_to_i64(format_rows(t, first, ivf_min_i64(BLOCK, to - first)));
        rc = ivf_stop_point();
    }
    return rc;
}

static int write_rows(const ivf_ctx *ctx, const table *t, const ivf_outfile *file, int64_t at)
{
    const int64_t from = first_of(ctx, t, ivf_ctx_rank(ctx));
    const int64_t to = first_of(ctx, t, ivf_ctx_rank(ctx) + 1);
    int rc = MPIVF_OK;
    for (int64_t first = from; rc == MPIVF_OK && first < to; first += BLOCK) {
        const size_t bytes = format_rows(t, first, ivf_min_i64(BLOCK, to - first));
        rc = ivf_outfile_put(file, t->block, bytes, at);
        at += (int64_t)bytes;
        if (rc == MPIVF_OK)
            rc = ivf_stop_point();
    }
    return rc;
}

static int write_ends(const table *t, const ivf_outfile *file, int64_t bytes)
{
    if (t->config->as_text)
        return MPIVF_OK;
    int rc = ivf_outfile_put(file, HEAD, sizeof HEAD, 0);
    return rc == MPIVF_OK ? ivf_outfile_put(file, TRAILER, sizeof TRAILER, bytes - (int64_t)sizeof TRAILER) : rc;
}

/* offsets[size + 1]: where the rows of each rank begin. */
static int lay_out(const ivf_ctx *ctx, const table *t, int64_t *offsets)
{
    const int size = ivf_ctx_size(ctx);
    memset(offsets, 0, ((size_t)size + 1) * sizeof *offsets);
    int rc = ivf_agree(ctx, measure(ctx, t, &offsets[ivf_ctx_rank(ctx) + 1]));
    if (rc != MPIVF_OK)
        return rc;
    ivf_allsum_i64(ctx, offsets, size + 1);
    offsets[0] = t->config->as_text ? 0 : (int64_t)sizeof HEAD;
    for (int r = 0; r < size; r++)
        offsets[r + 1] += offsets[r];
    return MPIVF_OK;
}

static int write_table(const ivf_ctx *ctx, const table *t, int64_t *bytes)
{
    ivf_outfile *file = NULL;
    int64_t *offsets = ivf_new((size_t)ivf_ctx_size(ctx) + 1, sizeof *offsets);
    int rc = ivf_agree(ctx, offsets == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && offsets != NULL)
        rc = lay_out(ctx, t, offsets);
    if (rc == MPIVF_OK && offsets != NULL) {
        *bytes = offsets[ivf_ctx_size(ctx)] + (t->config->as_text ? 0 : (int64_t)sizeof TRAILER);
        rc = ivf_outfile_open(ctx, t->config->output, *bytes, &file);
    }
    if (rc == MPIVF_OK && offsets != NULL) {
        rc = write_rows(ctx, t, file, offsets[ivf_ctx_rank(ctx)]);
        if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
            rc = write_ends(t, file, *bytes);
    }
    ivf_free(offsets);
    return file == NULL ? rc : ivf_outfile_close(ctx, file, rc);
}

/* ---- the SQL ---- */

static const char *operators_of(ivf_metric metric)
{
    if (metric == IVF_L2)
        return "vector_l2_ops";
    return metric == IVF_IP ? "vector_ip_ops" : "vector_cosine_ops";
}

/* The file's own name, in quotes: psql runs in its folder. */
static void add_name(ivf_text *sql, const char *path)
{
    const char *slash = strrchr(path, '/');
    ivf_text_add(sql, "'");
    for (const char *at = slash != NULL ? slash + 1 : path; *at != '\0'; at++)
        ivf_text_add(sql, *at == '\'' ? "''" : "%c", *at);
    ivf_text_add(sql, "'");
}

static void add_sql(ivf_text *sql, const table *t, const ivf_manifest *manifest)
{
    const ivf_tree *tree = t->tree;
    const char *name = t->config->table;
    ivf_text_add(
        sql, "-- The centroids of %d lists, for VectorChord. In this file's folder: psql -v ON_ERROR_STOP=1 -f FILE\n",
        manifest->factory.nlist);
    ivf_text_add(sql, "-- Rows: 0 is the root");
    for (int l = tree->levels - 1; l >= 0; l--)
        ivf_text_add(sql, "; %" PRId64 " to %" PRId64 " %s", t->base[l], t->base[l] + tree->count[l] - 1,
                     l == 0 ? "the lists" : "a level above");
    ivf_text_add(sql, "\nBEGIN;\nCREATE EXTENSION IF NOT EXISTS vchord CASCADE;\n");
    ivf_text_add(sql, "CREATE TABLE %s (id integer NOT NULL UNIQUE, parent integer, vector vector(%d) NOT NULL);\n",
                 name, tree->d);
    ivf_text_add(sql, "\\copy %s (id, parent, vector) FROM ", name);
    add_name(sql, t->config->output);
    ivf_text_add(sql, " WITH (FORMAT %s)\nCOMMIT;\n", t->config->as_text ? "text" : "binary");
    ivf_text_add(sql,
                 "-- Then, for a column embedding vector(%d) of a table items:\n"
                 "-- CREATE INDEX ON items USING vchordrq (embedding %s) WITH (options = $$\n"
                 "-- [build.external]\n"
                 "-- table = '%s'\n"
                 "-- $$);\n",
                 tree->d, operators_of(manifest->metric), name);
}

static int write_sql(const table *t, const ivf_manifest *manifest, ivf_export_report *report)
{
    ivf_text sql = {0};
    add_sql(&sql, t, manifest);
    int rc = sql.failed ? MPIVF_FAILED : ivf_publish_text(report->data, sql.text, sql.length);
    report->bytes += ivf_to_i64(sql.length);
    ivf_text_free(&sql);
    return rc;
}

/* ---- all of it ---- */

/* The mean of the top nodes; for cosine of norm 1 like these, unless they cancel out. */
static int find_root(table *t, ivf_metric metric)
{
    const ivf_tree *tree = t->tree;
    const int32_t count = tree->count[tree->levels - 1];
    const float *top = tree->centroids[tree->levels - 1];
    double squares = 0;
    t->root = ivf_new((size_t)tree->d, sizeof *t->root);
    if (t->root == NULL)
        return MPIVF_FAILED;
    for (int j = 0; j < tree->d; j++) {
        double sum = 0;
        for (int32_t i = 0; i < count; i++)
            sum += (double)top[(int64_t)i * tree->d + j];
        t->root[j] = (float)(sum / count);
        squares += (double)t->root[j] * (double)t->root[j];
    }
    for (int j = 0; j < tree->d && metric == IVF_COSINE && squares > 0; j++)
        t->root[j] = (float)((double)t->root[j] / sqrt(squares));
    return MPIVF_OK;
}

static int check(const ivf_export_config *config, const ivf_model *model, int64_t rows)
{
    if (model->rotation != NULL)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "%s: its centroids are those of rows rotated by OPQ, which VectorChord does not do; train "
                        "without OPQ",
                        config->index);
    if (model->d > MOST_VALUES)
        return ivf_fail(MPIVF_BAD_INPUT, "%s: rows of %d values; PostgreSQL's type vector holds %d", config->index,
                        model->d, MOST_VALUES);
    if (rows > INT32_MAX)
        return ivf_fail(MPIVF_BAD_INPUT, "%s: %" PRId64 " nodes; the table numbers them by integer, up to %d",
                        config->index, rows, INT32_MAX);
    return MPIVF_OK;
}

static int name_sql(const ivf_export_config *config, ivf_export_report *report)
{
    const int length = snprintf(report->data, sizeof report->data, "%s.sql", config->output);
    return length >= 0 && length < IVF_PATH_BYTES
               ? MPIVF_OK
               : ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long", config->output);
}

static int make_table(const ivf_export_config *config, const ivf_model *model, ivf_export_report *report, table *t)
{
    const size_t row = (size_t)ROW_TEXT + (size_t)NUMBER_TEXT * (size_t)model->d;
    *t = (table){.config = config, .tree = &model->tree, .rows = 1};
    for (int l = t->tree->levels - 1; l >= 0; l--) {
        t->base[l] = t->rows;
        t->rows += t->tree->count[l];
    }
    int rc = check(config, model, t->rows);
    if (rc == MPIVF_OK)
        rc = name_sql(config, report);
    if (rc == MPIVF_OK)
        rc = find_root(t, model->metric);
    if (rc != MPIVF_OK)
        return rc;
    t->block = ivf_new(BLOCK, row);
    return t->block == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void tell_of_childless(const ivf_tree *tree)
{
    int64_t childless = 0;
    for (int l = 1; l < tree->levels; l++)
        for (int32_t i = 0; i < tree->count[l]; i++)
            childless += tree->first[l][i] == tree->first[l][i + 1];
    if (childless > 0)
        ivf_warn("%" PRId64 " nodes above the lists are nearest to no list, and have no children in the table",
                 childless);
}

int ivf_export_vectorchord(const ivf_ctx *ctx, const ivf_export_config *config, const ivf_manifest *manifest,
                           const ivf_model *model, ivf_export_report *report)
{
    table t = {0};
    int rc = ivf_agree(ctx, make_table(config, model, report, &t));
    if (rc == MPIVF_OK && t.root != NULL && t.block != NULL)
        rc = write_table(ctx, &t, &report->bytes);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? write_sql(&t, manifest, report) : MPIVF_OK);
    if (rc == MPIVF_OK)
        tell_of_childless(t.tree);
    report->nodes = t.rows;
    ivf_free(t.block);
    ivf_free(t.root);
    return rc;
}
