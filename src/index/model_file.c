/* models/<id>.h5: the model on disk (FORMAT.md). */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "index/model.h"
#include "io/h5.h"

static const char FORMAT[] = "mpivf model";
static const int64_t FORMAT_VERSION = 1;

static int write_attributes(ivf_h5 *file, const ivf_model *model)
{
    char factory[64];
    ivf_factory_text(&model->factory, factory);
    const struct {
        const char *name, *value;
    } texts[] = {
        {"format", FORMAT},
        {"id", model->id},
        {"factory", factory},
        {"metric", ivf_metric_name(model->metric)},
        {"stopped", model->training.stopped},
        {"steps", model->training.steps},
        {"assign", ivf_nearest_name(model->way.kind)},
    };
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"format_version", FORMAT_VERSION},
        {"d", model->d_in},
        {"nlist", model->nlist},
        {"levels", model->tree.levels},
        {"by_residual", ivf_codec_is_residual(model->codec)},
        {"code_size", (int64_t)ivf_codec_code_size(model->codec)},
        {"sample_rows", model->training.sample_rows},
        {"seed", (int64_t)model->training.seed},
        {"iterations", model->training.iterations},
        {"repairs", model->training.repairs},
        {"imbalance_ppm", llround(model->training.imbalance * 1e6)},
        {"assign_probes1", model->way.probes[1]},
        {"assign_probes2", model->way.probes[2]},
        {"assign_rows", model->agreement.rows},
        {"assign_same", model->agreement.same},
        {"assign_excess_ppb", llround(model->agreement.excess * 1e9)},
    };
    int rc = MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < sizeof texts / sizeof texts[0]; i++)
        rc = ivf_h5_write_text(file, texts[i].name, texts[i].value);
    for (size_t i = 0; rc == MPIVF_OK && i < sizeof numbers / sizeof numbers[0]; i++)
        rc = ivf_h5_write_i64(file, numbers[i].name, numbers[i].value);
    return rc;
}

static int write_file(ivf_model *model, const char *path)
{
    ivf_h5 *file = NULL;
    ivf_model_arrays all;
    int rc = ivf_h5_create(path, &file);
    if (rc != MPIVF_OK)
        return rc;
    ivf_model_list_arrays(model, &all);
    rc = write_attributes(file, model);
    for (int i = 0; rc == MPIVF_OK && i < all.count; i++)
        rc = ivf_h5_write(file, &all.arrays[i]);
    if (rc == MPIVF_OK)
        return ivf_h5_close(file);
    ivf_h5_abandon(file);
    return rc;
}

int ivf_model_write(ivf_model *model, const char *index, int64_t *bytes, uint64_t *checksum)
{
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
    int rc = ivf_layout_model(index, model->id, path);
    if (rc == MPIVF_OK)
        rc = ivf_publish_name(path, temp);
    if (rc != MPIVF_OK)
        return rc;
    rc = write_file(model, temp);
    if (rc != MPIVF_OK) {
        (void)unlink(temp);
        return rc;
    }
    return ivf_publish_rename(temp, path, bytes, checksum);
}

/* The shape that a file claims, checked before anything is allocated for it. */
typedef struct {
    ivf_factory factory;
    ivf_metric metric;
    int d_in;
    ivf_model_sizes sizes;
} file_shape;

static int read_name(ivf_h5 *file, const char *path, file_shape *shape)
{
    char *format = NULL;
    char *factory = NULL;
    char *metric = NULL;
    int rc = ivf_h5_read_text(file, "format", &format);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_text(file, "factory", &factory);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_text(file, "metric", &metric);
    if (rc == MPIVF_OK && strcmp(format, FORMAT) != 0)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: format is \"%.40s\", not \"%s\"", path, format, FORMAT);
    if (rc == MPIVF_OK && (ivf_factory_parse(factory, &shape->factory) != MPIVF_OK || shape->factory.nlist < 1))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: factory \"%.60s\" is not one that mpivf writes", path, factory);
    if (rc == MPIVF_OK && !ivf_metric_parse(metric, &shape->metric))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: metric \"%.20s\" is not l2, ip or cosine", path, metric);
    ivf_free(metric);
    ivf_free(factory);
    ivf_free(format);
    return rc;
}

static int read_version(ivf_h5 *file, const char *path)
{
    int64_t version = 0;
    int rc = ivf_h5_read_i64(file, "format_version", &version);
    if (rc == MPIVF_OK && version != FORMAT_VERSION)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: format version %lld, this program reads %lld", path, (long long)version,
                      (long long)FORMAT_VERSION);
    return rc;
}

/* Rows of dataset `name`, which is [any][columns]; columns 0: any too, and given back. */
static int read_extent(ivf_h5 *file, const char *path, const char *name, int32_t *rows, int *columns)
{
    ivf_array array;
    int64_t offset = 0;
    int rc = ivf_h5_describe(file, name, &array, &offset);
    if (rc != MPIVF_OK)
        return rc;
    if (array.rank != 2 || array.dims[0] < 1 || array.dims[0] > INT32_MAX || array.dims[1] < 1 ||
        array.dims[1] > INT32_MAX || (*columns != 0 && array.dims[1] != *columns))
        return ivf_fail(MPIVF_CORRUPT, "%s: %s is no matrix of centroids of d values", path, name);
    *rows = (int32_t)array.dims[0];
    *columns = (int)array.dims[1];
    return MPIVF_OK;
}

static int read_levels(ivf_h5 *file, const char *path, file_shape *shape, int *d)
{
    char name[IVF_MODEL_NAME];
    int64_t levels = 0;
    int rc = ivf_h5_read_i64(file, "levels", &levels);
    if (rc == MPIVF_OK && (levels < 1 || levels > IVF_LEVELS))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: %lld levels of centroids; 1 to %d are possible", path, (long long)levels,
                      IVF_LEVELS);
    if (rc == MPIVF_OK)
        rc = read_extent(file, path, "centroids", &shape->sizes.count[0], d);
    for (int l = 1; rc == MPIVF_OK && l < levels; l++) {
        (void)snprintf(name, sizeof name, "level%d/centroids", l);
        rc = read_extent(file, path, name, &shape->sizes.count[l], d);
    }
    shape->sizes.levels = (int32_t)levels;
    return rc;
}

/* d_in from the rotation, if the factory string says that there is one, else from the centroids. */
static int read_width(ivf_h5 *file, const char *path, int d, file_shape *shape)
{
    int32_t rows = d;
    int rc = MPIVF_OK;
    shape->d_in = d;
    if (shape->factory.opq_m > 0) {
        shape->d_in = 0;
        rc = read_extent(file, path, "rotation", &rows, &shape->d_in);
    }
    if (rc == MPIVF_OK && (rows != d || ivf_factory_rotated(&shape->factory, shape->d_in) != d))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: the rotation yields %d values, centroids have %d", path, rows, d);
    return rc;
}

static int read_shape(ivf_h5 *file, const char *path, file_shape *shape)
{
    int64_t iterations = 0;
    int d = 0;
    int rc = read_name(file, path, shape);
    if (rc == MPIVF_OK)
        rc = read_version(file, path);
    if (rc == MPIVF_OK)
        rc = read_levels(file, path, shape, &d);
    if (rc == MPIVF_OK)
        rc = read_width(file, path, d, shape);
    if (rc == MPIVF_OK && shape->sizes.count[0] != shape->factory.nlist)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: %d centroids, the factory string says %d lists", path, shape->sizes.count[0],
                      shape->factory.nlist);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_i64(file, "iterations", &iterations);
    if (rc == MPIVF_OK && (iterations < 0 || iterations > 1000000))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: %lld training iterations", path, (long long)iterations);
    shape->sizes.iterations = (int32_t)iterations;
    return rc;
}

/* One number of the model's attributes, and where it goes. */
typedef struct {
    const char *name;
    int64_t *value;
} number;

static int read_numbers(ivf_h5 *file, const number *numbers, size_t count)
{
    int rc = MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < count; i++)
        rc = ivf_h5_read_i64(file, numbers[i].name, numbers[i].value);
    return rc;
}

static int read_training(ivf_h5 *file, ivf_training_record *training)
{
    char *stopped = NULL;
    char *steps = NULL;
    int64_t seed = 0;
    int64_t ppm = 0;
    const number numbers[] = {{"sample_rows", &training->sample_rows},
                              {"seed", &seed},
                              {"repairs", &training->repairs},
                              {"imbalance_ppm", &ppm}};
    int rc = read_numbers(file, numbers, sizeof numbers / sizeof numbers[0]);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_text(file, "stopped", &stopped);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_text(file, "steps", &steps);
    if (rc == MPIVF_OK) {
        (void)snprintf(training->stopped, sizeof training->stopped, "%s", stopped);
        (void)snprintf(training->steps, sizeof training->steps, "%s", steps);
        training->seed = (uint64_t)seed;
        training->imbalance = (double)ppm * 1e-6;
    }
    ivf_free(steps);
    ivf_free(stopped);
    return rc;
}

static int read_kind(ivf_h5 *file, const char *path, ivf_nearest_kind *kind)
{
    char *name = NULL;
    int rc = ivf_h5_read_text(file, "assign", &name);
    if (rc != MPIVF_OK)
        return rc;
    *kind = IVF_NEAREST_EXACT;
    while (*kind < IVF_NEAREST_KINDS && strcmp(name, ivf_nearest_name(*kind)) != 0)
        (*kind)++;
    if (*kind == IVF_NEAREST_KINDS)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: rows cannot be assigned in a way called \"%.20s\"", path, name);
    ivf_free(name);
    return rc;
}

/* After the arrays, which the way must fit. */
static int read_way(ivf_h5 *file, const char *path, ivf_model *model)
{
    int64_t ppb = 0;
    int64_t probes[IVF_LEVELS] = {0};
    const number numbers[] = {{"assign_probes1", &probes[1]},
                              {"assign_probes2", &probes[2]},
                              {"assign_rows", &model->agreement.rows},
                              {"assign_same", &model->agreement.same},
                              {"assign_excess_ppb", &ppb}};
    int rc = read_kind(file, path, &model->way.kind);
    if (rc == MPIVF_OK)
        rc = read_numbers(file, numbers, sizeof numbers / sizeof numbers[0]);
    if (rc != MPIVF_OK)
        return rc;
    model->agreement.excess = (double)ppb * 1e-9;
    bool possible = model->grid.step > 0 && (model->way.kind != IVF_NEAREST_TREE || model->tree.levels > 1);
    for (int l = 1; l < IVF_LEVELS; l++) {
        bool used = model->way.kind == IVF_NEAREST_TREE && l < model->tree.levels;
        possible = possible && probes[l] >= (used ? 1 : 0) && probes[l] <= (used ? model->tree.count[l] : 0);
        model->way.probes[l] = (int32_t)probes[l];
    }
    if (!possible)
        return ivf_fail(MPIVF_CORRUPT,
                        "%s: the way in which rows are assigned (%s, %lld and %lld probes) does not fit a tree of %d "
                        "levels",
                        path, ivf_nearest_name(model->way.kind), (long long)probes[1], (long long)probes[2],
                        model->tree.levels);
    return MPIVF_OK;
}

static int check_finite(const ivf_array *array, const char *path)
{
    const float *values = array->data;
    int64_t n = array->type == IVF_F32 ? ivf_array_count(array) : 0;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return ivf_fail(MPIVF_CORRUPT, "%s: %s holds a value that is not finite at position %lld", path,
                            array->name, (long long)i);
    return MPIVF_OK;
}

static int read_residual(ivf_h5 *file, const char *path, ivf_codec *codec)
{
    int64_t residual = 0;
    int rc = ivf_h5_read_i64(file, "by_residual", &residual);
    if (rc == MPIVF_OK && (residual < 0 || residual > 1))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: by_residual is %lld, not 0 or 1", path, (long long)residual);
    ivf_codec_set_residual(codec, residual == 1);
    return rc;
}

static int read_contents(ivf_h5 *file, const char *path, ivf_model *model)
{
    ivf_model_arrays all;
    int rc = read_training(file, &model->training);
    if (rc == MPIVF_OK)
        rc = read_residual(file, path, model->codec);
    ivf_model_list_arrays(model, &all);
    for (int i = 0; rc == MPIVF_OK && i < all.count; i++) {
        rc = ivf_h5_read(file, &all.arrays[i]);
        if (rc == MPIVF_OK)
            rc = check_finite(&all.arrays[i], path);
    }
    if (rc == MPIVF_OK)
        rc = ivf_tree_check(&model->tree, path);
    if (rc == MPIVF_OK)
        rc = read_way(file, path, model);
    if (rc == MPIVF_OK)
        rc = ivf_codec_ready(model->codec);
    return rc == MPIVF_OK ? ivf_model_seal(model) : rc;
}

int ivf_model_read(const char *index, const char *id, ivf_model **model)
{
    char path[IVF_PATH_BYTES];
    ivf_h5 *file = NULL;
    file_shape shape = {0};
    *model = NULL;
    int rc = ivf_layout_model(index, id, path);
    if (rc == MPIVF_OK)
        rc = ivf_h5_open(path, &file);
    if (rc == MPIVF_BAD_INPUT)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is missing, though the manifest names it", path);
    if (rc != MPIVF_OK)
        return rc;
    rc = read_shape(file, path, &shape);
    if (rc == MPIVF_OK)
        rc = ivf_model_new(&shape.factory, shape.d_in, shape.metric, model);
    if (rc == MPIVF_OK)
        rc = ivf_model_resize(*model, &shape.sizes);
    if (rc == MPIVF_OK)
        rc = read_contents(file, path, *model);
    ivf_h5_release(file);
    if (rc == MPIVF_OK && strcmp((*model)->id, id) != 0)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: contents have the id %s; the file was changed", path, (*model)->id);
    if (rc != MPIVF_OK) {
        ivf_model_free(*model);
        *model = NULL;
    }
    return rc;
}
