#include "build/encode.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "math/panels.h"
#include "math/rows.h"

struct ivf_encoder {
    const ivf_model *model; /* borrowed */
    const ivf_plan *plan;   /* borrowed */
    ivf_panels *panels;
    float *residuals; /* [workers][IVF_ENCODER_ROWS][d], residual codecs only */
    uint8_t *scratch; /* [workers][scratch_bytes] */
    size_t scratch_bytes;
};

ivf_encoder *ivf_encoder_new(const ivf_model *model, const ivf_plan *plan)
{
    size_t workers = (size_t)ivf_team_size();
    size_t rows = ivf_codec_is_residual(model->codec) ? IVF_ENCODER_ROWS : 0;
    ivf_encoder *e = ivf_new_zero(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->model = model;
    e->plan = plan;
    e->scratch_bytes = (size_t)ivf_round_up((int64_t)ivf_codec_encode_scratch(model->codec, IVF_ENCODER_ROWS), 64);
    e->panels = ivf_panels_new(ivf_model_centroids(model), model->nlist, model->d, model->metric);
    e->residuals = ivf_new(workers * rows, (size_t)model->d * sizeof *e->residuals);
    e->scratch = ivf_new(workers, e->scratch_bytes);
    if (e->panels == NULL || e->residuals == NULL || e->scratch == NULL) {
        ivf_encoder_free(e);
        return NULL;
    }
    return e;
}

void ivf_encoder_free(ivf_encoder *encoder)
{
    if (encoder == NULL)
        return;
    ivf_panels_free(encoder->panels);
    ivf_free(encoder->residuals);
    ivf_free(encoder->scratch);
    ivf_free(encoder);
}

typedef struct {
    ivf_encoder *encoder;
    float *x;
    int64_t n;
    int32_t *list;
    uint8_t *reasons;
    uint8_t *codes;
} run_state;

/* Unusable rows become zero, so that the kernels see nothing that is not finite; what they yield for them is dropped.
 */
static void blank_bad_rows(float *x, int64_t n, int d, const uint8_t *reasons)
{
    for (int64_t i = 0; i < n; i++)
        if (reasons[i] != IVF_ROW_OK)
            memset(x + i * d, 0, (size_t)d * sizeof *x);
}

static void normalise_good_rows(float *x, int64_t n, int d, const uint8_t *reasons)
{
    for (int64_t i = 0; i < n; i++)
        if (reasons[i] == IVF_ROW_OK)
            ivf_rows_normalise(x + i * d, 1, d);
}

static int encode_task(void *arg, int64_t task, int worker)
{
    run_state *s = arg;
    ivf_encoder *e = s->encoder;
    const ivf_model *model = e->model;
    int d = model->d;
    int64_t first = task * IVF_ENCODER_ROWS;
    int64_t n = ivf_min_i64(IVF_ENCODER_ROWS, s->n - first);
    float *x = s->x + first * d;
    int32_t *list = s->list + first;
    uint8_t *reasons = s->reasons + first;
    float score[IVF_ENCODER_ROWS];

    int64_t bad = ivf_rows_check(x, n, d, model->metric, e->plan->value_limit, reasons);
    if (bad > 0)
        blank_bad_rows(x, n, d, reasons);
    if (model->metric == IVF_COSINE)
        normalise_good_rows(x, n, d, reasons);
    ivf_panels_best(e->panels, x, n, list, score);
    const float *coded = x;
    if (ivf_codec_is_residual(model->codec)) {
        float *residuals = e->residuals + (size_t)worker * IVF_ENCODER_ROWS * (size_t)d;
        ivf_rows_residual(x, n, d, ivf_model_centroids(model), list, residuals);
        coded = residuals;
    }
    ivf_codec_encode(model->codec, coded, n, s->codes + (size_t)first * e->plan->code_size,
                     e->scratch + (size_t)worker * e->scratch_bytes);
    for (int64_t i = 0; bad > 0 && i < n; i++)
        if (reasons[i] != IVF_ROW_OK)
            list[i] = -1;
    return MPIVF_OK;
}

int ivf_encoder_run(ivf_encoder *encoder, float *x, int64_t n, int32_t *list, uint8_t *reasons, uint8_t *codes)
{
    run_state s = {.encoder = encoder, .n = n};
    s.x = x;
    s.list = list;
    s.reasons = reasons;
    s.codes = codes;
    return ivf_team_run(ivf_ceil_div(n, IVF_ENCODER_ROWS), encode_task, &s);
}
