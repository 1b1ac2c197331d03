#include "build/encode.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "math/panels.h"
#include "math/rows.h"

/* Rows whose residuals and codes are made at a time: few enough that they stay in the cache. */
enum { CODED_ROWS = 256 };

struct ivf_encoder {
    const ivf_model *model; /* borrowed */
    const ivf_plan *plan;   /* borrowed */
    ivf_panels *rotation;   /* NULL: none */
    ivf_nearest *nearest;
    int64_t task_rows;
    float *rotated;   /* [workers][task_rows][d], with a rotation only */
    float *residuals; /* [workers][CODED_ROWS][d], residual codecs only */
    float *scores;    /* [workers][task_rows] */
    uint8_t *scratch; /* [workers][scratch_bytes] */
    size_t scratch_bytes;
};

static int make_rooms(ivf_encoder *e)
{
    const ivf_model *model = e->model;
    size_t workers = (size_t)ivf_team_size();
    size_t row_bytes = (size_t)model->d * sizeof(float);
    size_t coding = ivf_codec_encode_scratch(model->codec, CODED_ROWS);
    size_t finding = ivf_nearest_scratch(e->nearest);
    e->task_rows = ivf_nearest_rows(e->nearest);
    e->scratch_bytes = (size_t)ivf_round_up((int64_t)(coding > finding ? coding : finding), 64);
    e->residuals = ivf_new(workers * (ivf_codec_is_residual(model->codec) ? CODED_ROWS : 0), row_bytes);
    e->rotated = ivf_new(workers * (model->rotation != NULL ? (size_t)e->task_rows : 0), row_bytes);
    e->scores = ivf_new(workers * (size_t)e->task_rows, sizeof *e->scores);
    e->scratch = ivf_new(workers, e->scratch_bytes);
    return e->residuals == NULL || e->rotated == NULL || e->scores == NULL || e->scratch == NULL ? MPIVF_FAILED
                                                                                                 : MPIVF_OK;
}

ivf_encoder *ivf_encoder_new(const ivf_model *model, const ivf_plan *plan, void *block, bool packed)
{
    ivf_encoder *e = ivf_new_zero(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->model = model;
    e->plan = plan;
    e->nearest = ivf_nearest_view(block, packed, &model->tree, model->metric, &model->grid, &model->way);
    int rc = e->nearest == NULL ? MPIVF_FAILED : make_rooms(e);
    if (rc == MPIVF_OK && model->rotation != NULL) {
        e->rotation =
            ivf_model_view_rotation(model, (char *)block + ivf_nearest_memory(&model->tree, &model->way), packed);
        rc = e->rotation == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc != MPIVF_OK) {
        ivf_encoder_free(e);
        return NULL;
    }
    return e;
}

void ivf_encoder_free(ivf_encoder *encoder)
{
    if (encoder == NULL)
        return;
    ivf_panels_free(encoder->rotation);
    ivf_free(encoder->rotated);
    ivf_nearest_free(encoder->nearest);
    ivf_free(encoder->residuals);
    ivf_free(encoder->scores);
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

/* Checks x[n][d_in] and brings it into the form in which it is compared; returns how many rows are unusable. */
static int64_t prepare_rows(const ivf_encoder *e, float *x, int64_t n, uint8_t *reasons)
{
    const ivf_model *model = e->model;
    int64_t bad = ivf_rows_check(x, n, model->d_in, model->metric, e->plan->value_limit, reasons);
    if (bad > 0)
        blank_bad_rows(x, n, model->d_in, reasons);
    if (model->metric == IVF_COSINE)
        normalise_good_rows(x, n, model->d_in, reasons);
    return bad;
}

/* Codes of x[n][d], whose lists are known. */
static void code_rows(const ivf_encoder *e, const float *x, int64_t n, const int32_t *list, uint8_t *codes, int worker)
{
    const ivf_model *model = e->model;
    float *residuals = e->residuals + (ptrdiff_t)worker * CODED_ROWS * model->d;
    uint8_t *scratch = e->scratch + (size_t)worker * e->scratch_bytes;
    bool residual = ivf_codec_is_residual(model->codec);
    for (int64_t first = 0; first < n; first += CODED_ROWS) {
        int64_t rows = ivf_min_i64(CODED_ROWS, n - first);
        const float *coded = x + first * model->d;
        if (residual) {
            ivf_rows_residual(coded, rows, model->d, ivf_model_centroids(model), list + first, residuals);
            coded = residuals;
        }
        ivf_codec_encode(model->codec, coded, rows, codes + (size_t)first * e->plan->code_size, scratch);
    }
}

static int encode_task(void *arg, int64_t task, int worker)
{
    run_state *s = arg;
    ivf_encoder *e = s->encoder;
    const ivf_model *model = e->model;
    int64_t first = task * e->task_rows;
    int64_t n = ivf_min_i64(e->task_rows, s->n - first);
    float *x = s->x + first * model->d_in;
    int32_t *list = s->list + first;
    uint8_t *reasons = s->reasons + first;

    int64_t bad = prepare_rows(e, x, n, reasons);
    if (e->rotation != NULL) {
        float *rotated = e->rotated + worker * e->task_rows * model->d;
        ivf_panels_scores(e->rotation, x, n, rotated);
        x = rotated;
    }
    ivf_nearest_best(e->nearest, x, n, list, e->scores + worker * e->task_rows,
                     e->scratch + (size_t)worker * e->scratch_bytes);
    code_rows(e, x, n, list, s->codes + (size_t)first * e->plan->code_size, worker);
    for (int64_t i = 0; bad > 0 && i < n; i++)
        if (reasons[i] != IVF_ROW_OK)
            list[i] = -1;
    return MPIVF_OK;
}

int64_t ivf_encoder_rows(const ivf_encoder *encoder)
{
    return encoder->task_rows;
}

int ivf_encoder_run(ivf_encoder *encoder, float *x, int64_t n, int32_t *list, uint8_t *reasons, uint8_t *codes)
{
    run_state s = {.encoder = encoder, .n = n};
    s.x = x;
    s.list = list;
    s.reasons = reasons;
    s.codes = codes;
    return ivf_fault("encoder") ? MPIVF_FAILED
                                : ivf_team_run_stoppable(ivf_ceil_div(n, encoder->task_rows), encode_task, &s);
}

int64_t ivf_encoder_memory(const ivf_plan *plan, const ivf_tree *shape, const ivf_nearest_way *way, int threads)
{
    const int64_t row = plan->d_rotated * (int64_t)sizeof(float);
    const int64_t rows = ivf_nearest_way_rows(way);
    const int64_t coding = ivf_codec_scratch_memory(&plan->factory.codec, plan->d_rotated, CODED_ROWS);
    return threads * ((plan->residual ? CODED_ROWS * row : 0) + (plan->factory.opq_m > 0 ? rows * row : 0) + rows * 4 +
                      ivf_max_i64(coding, ivf_nearest_scratch_memory(shape, way)));
}

int64_t ivf_encoder_shared_memory(const ivf_plan *plan, const ivf_tree *shape, const ivf_nearest_way *way)
{
    return ivf_nearest_memory(shape, way) + (plan->factory.opq_m > 0 ? ivf_panels_memory(plan->d_rotated, plan->d) : 0);
}
