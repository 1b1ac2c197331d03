/* What belongs to a posting alone (codec/scan.h) is computed while its code is at hand. */
#include "search/view.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "codec/scan.h"
#include "math/distance.h"

enum { ROWS_AT_ONCE = 32 };

struct ivf_viewer {
    const ivf_model *model;
    const float *origin; /* [d] */
    bool shifts;         /* lists are relative to their centroids, and compared by L2 */
    size_t workers;
    float *rows;    /* [workers][ROWS_AT_ONCE][d], owned */
    float *shifted; /* [workers][d], owned: c - o */
};

static bool is_l2(const ivf_model *model)
{
    return model->metric == IVF_L2;
}

int ivf_viewer_fit(ivf_viewer *viewer)
{
    const size_t workers = (size_t)ivf_team_size();
    const size_t row = (size_t)viewer->model->d * workers;
    if (workers <= viewer->workers)
        return MPIVF_OK;
    ivf_free(viewer->rows);
    ivf_free(viewer->shifted);
    viewer->rows = ivf_new(row * ROWS_AT_ONCE, sizeof *viewer->rows);
    viewer->shifted = ivf_new(row, sizeof *viewer->shifted);
    viewer->workers = viewer->rows != NULL && viewer->shifted != NULL ? workers : 0;
    return viewer->workers > 0 ? MPIVF_OK : MPIVF_FAILED;
}

ivf_viewer *ivf_viewer_new(const ivf_model *model, const float *origin)
{
    ivf_viewer *v = ivf_new_zero(1, sizeof *v);
    if (v == NULL)
        return NULL;
    v->model = model;
    v->origin = origin;
    v->shifts = is_l2(model) && ivf_codec_is_residual(model->codec);
    if (ivf_viewer_fit(v) == MPIVF_OK)
        return v;
    ivf_viewer_free(v);
    return NULL;
}

void ivf_viewer_free(ivf_viewer *viewer)
{
    if (viewer == NULL)
        return;
    ivf_free(viewer->rows);
    ivf_free(viewer->shifted);
    ivf_free(viewer);
}

int64_t ivf_viewer_block_bytes(const ivf_model *model, int64_t n)
{
    return ivf_ceil_div(n, IVF_SCAN_BLOCK) * (int64_t)ivf_codec_block_size(model->codec);
}

int64_t ivf_viewer_term_bytes(const ivf_model *model, int64_t n)
{
    return is_l2(model) ? ivf_round_up(n, IVF_SCAN_BLOCK) * (int64_t)sizeof(float) : 0;
}

int64_t ivf_viewer_memory(const ivf_model *model)
{
    return (int64_t)(ROWS_AT_ONCE + 1) * ivf_team_size() * model->d * (int64_t)sizeof(float);
}

/* What is known of some codes beside themselves; shifted is NULL where c - o is 0. */
static void describe(const ivf_codec *codec, int d, const uint8_t *codes, int64_t n, const float *shifted, float *rows,
                     ivf_list *list, int64_t first)
{
    ivf_codec_decode(codec, codes, n, rows);
    for (int64_t i = 0; i < n; i++) {
        const float *row = rows + i * d;
        float square = ivf_dot(row, row, d);
        list->radius = fmaxf(list->radius, sqrtf(square));
        list->spread = fmaxf(list->spread, ivf_codec_spread(codec, codes + (size_t)i * ivf_codec_code_size(codec)));
        if (list->terms != NULL)
            list->terms[first + i] = shifted == NULL ? square : square + 2 * ivf_dot(shifted, row, d);
    }
}

void ivf_viewer_fill(const ivf_viewer *viewer, int32_t l, const uint8_t *codes, int64_t first, int64_t n,
                     ivf_list *list, int worker)
{
    const ivf_model *model = viewer->model;
    const int d = model->d;
    float *rows = viewer->rows + (ptrdiff_t)worker * ROWS_AT_ONCE * d;
    float *shifted = viewer->shifts ? viewer->shifted + (ptrdiff_t)worker * d : NULL;
    if (first == 0)
        list->radius = list->spread = list->shift = 0;
    if (shifted != NULL) {
        const float *centroid = ivf_model_centroids(model) + (ptrdiff_t)l * d;
        for (int j = 0; j < d; j++)
            shifted[j] = centroid[j] - viewer->origin[j];
        list->shift = sqrtf(ivf_dot(shifted, shifted, d));
    }
    ivf_codec_blocks_put(model->codec, codes, n, first, list->blocks);
    for (int64_t i = 0; i < n; i += ROWS_AT_ONCE)
        describe(model->codec, d, codes + (size_t)i * ivf_codec_code_size(model->codec),
                 ivf_min_i64(ROWS_AT_ONCE, n - i), shifted, rows, list, first + i);
}
