#include "build/given.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/text.h"
#include "comm/transfer.h"
#include "index/json.h"
#include "index/manifest.h"
#include "io/npyfile.h"
#include "math/rows.h"

static const struct {
    const char *option;
    int rank;
} kinds[IVF_GIVEN_PARTS] = {
    [IVF_GIVEN_CENTROIDS] = {"centroids", 2},
    [IVF_GIVEN_TOP] = {"centroids-top", 2},
    [IVF_GIVEN_CODEBOOKS] = {"codebooks", 3},
    [IVF_GIVEN_ROTATION] = {"rotation", 2},
};

/* ---- reading ---- */

static int read_model(ivf_given *given)
{
    const char *index = given->files.model;
    ivf_manifest *manifest = NULL;
    int rc = ivf_manifest_read(index, &manifest);
    if (rc == MPIVF_OK)
        rc = ivf_model_read(index, manifest->model_id, &given->model);
    ivf_manifest_free(manifest);
    if (rc != MPIVF_OK)
        return rc;
    const ivf_model *model = given->model;
    memcpy(given->model_id, model->id, sizeof given->model_id);
    given->factory = model->factory;
    given->metric = model->metric;
    given->d_in = model->d_in;
    given->residual = ivf_codec_is_residual(model->codec);
    given->way = model->way;
    given->shape = (ivf_tree){.levels = model->tree.levels, .d = model->d};
    memcpy(given->shape.count, model->tree.count, sizeof given->shape.count);
    return MPIVF_OK;
}

/* Rank 0. */
static int read_files(ivf_given *given)
{
    int rc = given->files.model != NULL ? read_model(given) : MPIVF_OK;
    for (int part = 0; rc == MPIVF_OK && part < IVF_GIVEN_PARTS; part++) {
        const char *path = given->files.parts[part];
        int64_t *dims = given->dims[part];
        if (path == NULL)
            continue;
        dims[2] = 1;
        rc = ivf_npyfile_read(path, kinds[part].rank, dims, &given->values[part]);
        if (rc == MPIVF_OK)
            given->checksum[part] =
                ivf_hash64(given->values[part], ivf_to_size(dims[0] * dims[1] * dims[2]) * sizeof(float));
    }
    return rc;
}

/* What rank 0 has read, but for the contents, reaches every rank. */
static void share_shapes(const ivf_ctx *ctx, ivf_given *given)
{
    ivf_given read = *given;
    ivf_bcast(ctx, &read, sizeof read);
    read.files = given->files;
    read.model = given->model;
    memcpy(read.values, given->values, sizeof read.values);
    *given = read;
}

/* ---- what follows from it ---- */

static bool is_same_factory(const ivf_factory *wanted, const ivf_factory *has)
{
    char a[64];
    char b[64];
    ivf_factory filled = *wanted;
    if (filled.nlist == 0)
        filled.nlist = has->nlist;
    ivf_factory_text(&filled, a);
    ivf_factory_text(has, b);
    return strcmp(a, b) == 0;
}

static int settle_model(const ivf_given *given, ivf_build_config *config)
{
    char has[64];
    char wanted[64];
    ivf_factory_text(&given->factory, has);
    ivf_factory_text(&config->factory, wanted);
    if (!given->files.any_factory && !is_same_factory(&config->factory, &given->factory))
        return ivf_fail(MPIVF_USAGE, "--factory %s: the model of %s is %s; leave the option out", wanted,
                        given->files.model, has);
    if (!given->files.any_metric && config->metric != given->metric)
        return ivf_fail(MPIVF_USAGE, "--metric %s: the model of %s is for %s; leave the option out",
                        ivf_metric_name(config->metric), given->files.model, ivf_metric_name(given->metric));
    config->factory = given->factory;
    config->metric = given->metric;
    config->levels = given->shape.levels;
    return MPIVF_OK;
}

static int refuse_shape(const ivf_given *given, ivf_given_part part, const char *why)
{
    const int64_t *dims = given->dims[part];
    ivf_text shape = {0};
    for (int i = 0; i < kinds[part].rank; i++)
        ivf_text_add(&shape, "%s%" PRId64, i > 0 ? " x " : "", dims[i]);
    int rc = ivf_fail(MPIVF_BAD_INPUT, "--%s %s is %s: %s", kinds[part].option, given->files.parts[part],
                      shape.failed ? "of another shape" : shape.text, why);
    ivf_text_free(&shape);
    return rc;
}

static int settle_centroids(const ivf_given *given, ivf_build_config *config)
{
    const int64_t *lists = given->dims[IVF_GIVEN_CENTROIDS];
    const int64_t *top = given->dims[IVF_GIVEN_TOP];
    const bool has_top = ivf_given_has(given, IVF_GIVEN_TOP);
    if (lists[0] > INT32_MAX)
        return refuse_shape(given, IVF_GIVEN_CENTROIDS, "at most 2^31 - 1 lists are possible");
    if (config->factory.nlist > 0 && config->factory.nlist != lists[0])
        return ivf_fail(MPIVF_USAGE, "--factory has %d lists, --centroids %s has %" PRId64 "; IVF alone takes these",
                        config->factory.nlist, given->files.parts[IVF_GIVEN_CENTROIDS], lists[0]);
    if (config->factory.opq_m > 0 && !ivf_given_has(given, IVF_GIVEN_ROTATION))
        return ivf_fail(MPIVF_USAGE, "--centroids with OPQ are those of rotated rows: give the --rotation as well");
    config->factory.nlist = (int32_t)lists[0];
    if (has_top && config->levels != 0 && config->levels != 2)
        return ivf_fail(MPIVF_USAGE, "--centroids-top makes 2 levels, not %d", config->levels);
    if (has_top && top[0] > lists[0])
        return refuse_shape(given, IVF_GIVEN_TOP, "more nodes than the lists below them");
    if (has_top)
        config->level_nodes[1] = (int32_t)top[0];
    if (config->levels == 0)
        config->levels = has_top ? 2 : 1;
    return MPIVF_OK;
}

static int settle(const ivf_given *given, ivf_build_config *config)
{
    if (given->files.model != NULL)
        return settle_model(given, config);
    return ivf_given_has(given, IVF_GIVEN_CENTROIDS) ? settle_centroids(given, config) : MPIVF_OK;
}

static bool names_nothing(const ivf_given_files *files)
{
    bool nothing = files->model == NULL;
    for (int part = 0; part < IVF_GIVEN_PARTS; part++)
        nothing = nothing && files->parts[part] == NULL;
    return nothing;
}

int ivf_given_open(const ivf_ctx *ctx, const ivf_given_files *files, ivf_build_config *config, ivf_given **given)
{
    *given = NULL;
    if (names_nothing(files))
        return MPIVF_OK;
    ivf_given *made = ivf_new_zero(1, sizeof *made);
    int rc = ivf_agree(ctx, made == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || made == NULL) {
        ivf_free(made);
        return rc;
    }
    made->files = *files;
    rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? read_files(made) : MPIVF_OK);
    if (rc == MPIVF_OK) {
        share_shapes(ctx, made);
        rc = ivf_agree(ctx, settle(made, config));
    }
    if (rc != MPIVF_OK) {
        ivf_given_free(made);
        return rc;
    }
    config->given = made;
    *given = made;
    return MPIVF_OK;
}

void ivf_given_free(ivf_given *given)
{
    if (given == NULL)
        return;
    for (int part = 0; part < IVF_GIVEN_PARTS; part++)
        ivf_free(given->values[part]);
    ivf_model_free(given->model);
    ivf_free(given);
}

/* ---- checks against the plan ---- */

static int check_dims(const ivf_given *given, ivf_given_part part, int64_t a, int64_t b, int64_t c)
{
    const int64_t *dims = given->dims[part];
    const int64_t wanted[IVF_ARRAY_RANK] = {a, b, c};
    char why[96];
    if (!ivf_given_has(given, part))
        return MPIVF_OK;
    for (int i = 0; i < IVF_ARRAY_RANK && i < kinds[part].rank; i++)
        if (wanted[i] > 0 && dims[i] != wanted[i]) {
            (void)snprintf(why, sizeof why, "its dimension %d must be %" PRId64 " for this input and --factory", i + 1,
                           wanted[i]);
            return refuse_shape(given, part, why);
        }
    return MPIVF_OK;
}

static int check_shapes(const ivf_given *given, const ivf_plan *plan)
{
    const ivf_codec_spec *codec = &plan->factory.codec;
    const int d = plan->d_rotated;
    if (ivf_given_has(given, IVF_GIVEN_CODEBOOKS) && !ivf_codec_has_words(codec))
        return ivf_fail(MPIVF_USAGE, "--codebooks has no effect: --factory has no PQ");
    if (ivf_given_has(given, IVF_GIVEN_ROTATION) && plan->factory.opq_m == 0)
        return ivf_fail(MPIVF_USAGE, "--rotation has no effect: --factory has no OPQ");
    int rc = check_dims(given, IVF_GIVEN_CENTROIDS, 0, d, 0);
    if (rc == MPIVF_OK)
        rc = check_dims(given, IVF_GIVEN_TOP, 0, d, 0);
    if (rc == MPIVF_OK)
        rc = check_dims(given, IVF_GIVEN_ROTATION, d, plan->d, 0);
    if (rc == MPIVF_OK && ivf_codec_has_words(codec))
        rc = check_dims(given, IVF_GIVEN_CODEBOOKS, codec->m, (int64_t)1 << codec->bits, d / codec->m);
    return rc;
}

/* Rows that a row of the input could be, and for cosine of norm 1, as those that k-means yields. */
static int check_rows(const ivf_given *given, ivf_given_part part, const ivf_plan *plan)
{
    const int64_t n = given->dims[part][0];
    const int d = plan->d_rotated;
    const float *x = given->values[part];
    for (int64_t i = 0; x != NULL && i < n; i++, x += d) {
        uint8_t reason = IVF_ROW_OK;
        double norm = 0;
        (void)ivf_rows_check(x, 1, d, plan->metric, INFINITY, &reason);
        for (int j = 0; j < d; j++)
            norm += (double)x[j] * (double)x[j];
        if (reason != IVF_ROW_OK)
            return ivf_fail(MPIVF_BAD_INPUT, "--%s %s: row %" PRId64 " cannot be a centroid: %s", kinds[part].option,
                            given->files.parts[part], i, ivf_row_reason_text((ivf_row_reason)reason));
        if (plan->metric == IVF_COSINE && fabs(norm - 1) > 1e-3)
            return ivf_fail(MPIVF_BAD_INPUT,
                            "--%s %s: row %" PRId64 " has the norm %g; for cosine centroids must have norm 1",
                            kinds[part].option, given->files.parts[part], i, sqrt(norm));
    }
    return MPIVF_OK;
}

/* A rotation to as many values or more keeps the length of any x: |A x| = |x|; one to fewer that of any y of its range:
 * |A' y| = |y|. Tried on vectors of signs. */
static double worst_stretch(const float *a, int rows, int columns, bool transposed)
{
    enum { TRIED = 8 };
    double worst = 0;
    const int n = transposed ? rows : columns;
    const int m = transposed ? columns : rows;
    for (int v = 0; v < TRIED; v++) {
        double squares = 0;
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int j = 0; j < n; j++) {
                const double value = (double)(transposed ? a[(size_t)j * (size_t)columns + (size_t)i]
                                                         : a[(size_t)i * (size_t)columns + (size_t)j]);
                const uint64_t place = (uint64_t)v << 32 | (uint64_t)j;
                sum += (ivf_rng_bits(1, IVF_RNG_GIVEN, place) & 1) != 0 ? value : -value;
            }
            squares += sum * sum;
        }
        worst = fmax(worst, fabs(squares / n - 1));
    }
    return worst;
}

static int check_rotation(const ivf_given *given)
{
    const int64_t *dims = given->dims[IVF_GIVEN_ROTATION];
    const float *a = given->values[IVF_GIVEN_ROTATION];
    if (a == NULL)
        return MPIVF_OK;
    const double stretch = worst_stretch(a, (int)dims[0], (int)dims[1], dims[0] < dims[1]);
    return stretch <= 1e-2
               ? MPIVF_OK
               : ivf_fail(MPIVF_BAD_INPUT, "--rotation %s is none: it changes squared lengths by up to %.2g of them",
                          given->files.parts[IVF_GIVEN_ROTATION], stretch);
}

int ivf_given_check(const ivf_given *given, const ivf_plan *plan)
{
    if (given == NULL)
        return MPIVF_OK;
    if (given->files.model != NULL && given->d_in != plan->d)
        return ivf_fail(MPIVF_BAD_INPUT, "--model %s is for rows of %d values; those of the input have %d",
                        given->files.model, given->d_in, plan->d);
    int rc = check_shapes(given, plan);
    if (rc == MPIVF_OK)
        rc = check_rows(given, IVF_GIVEN_CENTROIDS, plan);
    if (rc == MPIVF_OK)
        rc = check_rows(given, IVF_GIVEN_TOP, plan);
    return rc == MPIVF_OK ? check_rotation(given) : rc;
}

/* ---- use ---- */

void ivf_given_take(const ivf_ctx *ctx, const ivf_given *given, ivf_given_part part, float *values)
{
    const int64_t *dims = given->dims[part];
    const size_t bytes = ivf_to_size(dims[0] * dims[1] * dims[2]) * sizeof *values;
    if (ivf_ctx_is_root(ctx))
        memcpy(values, given->values[part], bytes);
    ivf_bcast(ctx, values, bytes);
}

int ivf_given_describe(const ivf_given *given, json_t *identity)
{
    int wrong = 0;
    if (ivf_given_has_model(given))
        wrong = json_object_set_new(identity, "model", json_string(given->model_id));
    for (int part = 0; part < IVF_GIVEN_PARTS; part++)
        if (ivf_given_has(given, (ivf_given_part)part))
            wrong |= json_object_set_new(identity, kinds[part].option, ivf_json_hash(given->checksum[part]));
    return wrong == 0 ? MPIVF_OK : ivf_fail(MPIVF_FAILED, "out of memory for the build's name");
}
