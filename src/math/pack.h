/* f32 values into the element types of output files. */
#ifndef IVF_MATH_PACK_H
#define IVF_MATH_PACK_H

#include <stdint.h>

#include "base/array.h"

/* Local. n values to elements of type F32, F16, U8 or I8. Integers: rounded to nearest, ties to even, after clamping to
 * the type's range; NaN becomes 0. F16: as ivf_f32_to_f16. */
void ivf_f32_to_element(ivf_element type, const float *from, int64_t n, void *to);

#endif
