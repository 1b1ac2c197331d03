/* The model out of FAISS's trained parts: one level of lists, numbered as they were, and rows find theirs by comparing
 * with all of them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "interop/import_internal.h"

static int read_floats(const ivf_import_state *s, const char *what, int64_t at, int64_t n, float *values)
{
    int rc = ivf_rawfile_read(&s->file, at, ivf_to_size(n) * sizeof *values, values);
    for (int64_t i = 0; rc == MPIVF_OK && i < n; i++)
        if (!isfinite(values[i]))
            rc = ivf_fail(MPIVF_BAD_INPUT, "input %s: %s hold a value that is not finite at position %" PRId64,
                          s->file.path, what, i);
    return rc;
}

/* SQ has its smallest values and then its spans there, PQ its codewords, in the order of the codec's arrays. */
static int read_codec(const ivf_import_state *s, ivf_codec *codec)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    const int count = ivf_codec_arrays(codec, arrays);
    int64_t at = s->faiss.trained_at;
    int rc = MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < count; i++) {
        rc = read_floats(s, "the codec's numbers", at, ivf_array_count(&arrays[i]), arrays[i].data);
        at += (int64_t)ivf_array_bytes(&arrays[i]);
    }
    ivf_codec_set_residual(codec, s->faiss.by_residual);
    return rc == MPIVF_OK ? ivf_codec_ready(codec) : rc;
}

static int read_parts(const ivf_import_state *s, ivf_model *m)
{
    const ivf_faiss_index *f = &s->faiss;
    int rc = read_floats(s, "the centroids", f->centroids_at, (int64_t)m->nlist * m->d, m->tree.centroids[0]);
    if (rc == MPIVF_OK && m->rotation != NULL)
        rc = read_floats(s, "the rotation's numbers", f->rotation_at, (int64_t)m->d * m->d_in, m->rotation);
    if (rc == MPIVF_OK)
        rc = read_codec(s, m->codec);
    if (rc == MPIVF_OK) {
        ivf_grid_free(&m->grid);
        rc = ivf_grid_fit(&m->grid, m->tree.centroids[0], m->nlist, m->d);
    }
    return rc;
}

int ivf_import_read_model(const ivf_import_state *s, ivf_model **model)
{
    const ivf_model_sizes sizes = {.levels = 1, .count = {s->faiss.factory.nlist}};
    int rc = ivf_model_new(&s->faiss.factory, s->faiss.d_in, s->faiss.metric, model);
    if (rc == MPIVF_OK)
        rc = ivf_model_resize(*model, &sizes);
    if (rc == MPIVF_OK)
        rc = read_parts(s, *model);
    if (rc == MPIVF_OK) {
        (void)snprintf((*model)->training.stopped, sizeof(*model)->training.stopped, "%s", "import");
        (*model)->way.kind = IVF_NEAREST_EXACT;
        rc = ivf_model_seal(*model);
    }
    if (rc != MPIVF_OK) {
        ivf_model_free(*model);
        *model = NULL;
    }
    return rc;
}
