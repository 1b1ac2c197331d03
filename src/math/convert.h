/* Elements of any input type to f32 and back. */
#ifndef IVF_MATH_CONVERT_H
#define IVF_MATH_CONVERT_H

#include <stdint.h>

#include "base/array.h"

/* Local. n elements of type F32, F64, F16, U8 or I8 to f32; F64 beyond f32's range becomes infinite. `from` need not be
 * aligned. */
void ivf_to_f32(ivf_element type, const void *from, int64_t n, float *to);

/* Local. f32 to IEEE half precision, rounded to nearest even; beyond 65504 becomes infinite. */
void ivf_f32_to_f16(const float *from, int64_t n, uint16_t *to);
void ivf_f16_to_f32(const uint16_t *from, int64_t n, float *to);

#endif
