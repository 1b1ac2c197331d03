/* Checks and transforms of rows before they are indexed. */
#ifndef IVF_MATH_ROWS_H
#define IVF_MATH_ROWS_H

#include <stdint.h>

#include "base/metric.h"

/* Why a row cannot be indexed. The numbers are stored in fragment files. */
typedef enum {
    IVF_ROW_OK = 0,
    IVF_ROW_NOT_FINITE = 1,    /* holds NaN or an infinity */
    IVF_ROW_NORM_OVERFLOW = 2, /* its squared norm exceeds f32 */
    IVF_ROW_ZERO_NORM = 3,     /* no direction to take the cosine with */
    IVF_ROW_OUT_OF_RANGE = 4,  /* holds a value that the codec cannot represent */
    IVF_ROW_REASONS
} ivf_row_reason;

/* Local. "not finite", "norm overflow", "zero norm", "out of range"; as keys: "not_finite", ... */
const char *ivf_row_reason_text(ivf_row_reason reason);
const char *ivf_row_reason_key(ivf_row_reason reason);

/* Local. Judges x[n][d] into reason[n] (ivf_row_reason as u8); `limit` is the largest |value| that can be coded
 * (INFINITY: any). A norm is zero, for IVF_COSINE, when its square underflows below FLT_MIN. Returns the number of rows
 * that are not OK. */
int64_t ivf_rows_check(const float *x, int64_t n, int d, ivf_metric metric, float limit, uint8_t *reason);

/* Local. Scales each row of x[n][d] to norm 1, in place; rows must have passed the check for IVF_COSINE. */
void ivf_rows_normalise(float *x, int64_t n, int d);

/* Local. x[n][d] minus the centroid of each row's list, into out[n][d] (may be x). centroids[nlist][d]. */
void ivf_rows_residual(const float *x, int64_t n, int d, const float *centroids, const int32_t *list, float *out);

#endif
