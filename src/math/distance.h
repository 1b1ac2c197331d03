/* Distances between vectors. The same arguments give the same bits, whatever stands around them in memory. */
#ifndef IVF_MATH_DISTANCE_H
#define IVF_MATH_DISTANCE_H

#include <stdint.h>

#include "base/metric.h"

/* Local. Sums over d in f32. */
float ivf_l2_sqr(const float *x, const float *y, int d);
float ivf_dot(const float *x, const float *y, int d);

/* Local. Keys (base/metric.h) of one query[d] against rows[n][d], f32 or f16, into keys[n]; f16 rows are compared as
 * their f32 values, with the bits that the f32 form would give. */
void ivf_keys_f32(ivf_metric metric, const float *query, const float *rows, int64_t n, int d, float *keys);
void ivf_keys_f16(ivf_metric metric, const float *query, const uint16_t *rows, int64_t n, int d, float *keys);

#endif
