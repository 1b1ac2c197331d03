/* One block of rows through the model: checked, assigned to lists, encoded. */
#ifndef IVF_BUILD_ENCODE_H
#define IVF_BUILD_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "build/plan.h"
#include "index/model.h"

typedef struct ivf_encoder ivf_encoder;

/* Local. Makes room for every thread of the team, and packs the model's centroids into a block of
 * ivf_encoder_shared_memory bytes, zero, aligned to 64, the caller's; or (`packed`) looks at what another rank of the
 * same SIMD level has packed there. NULL with a failure recorded. */
ivf_encoder *ivf_encoder_new(const ivf_model *model, const ivf_plan *plan, void *block, bool packed);
void ivf_encoder_free(ivf_encoder *encoder);

/* Local. Bytes that ivf_encoder_new takes for itself with so many threads, and for what is derived from a model whose
 * tree has that shape. */
int64_t ivf_encoder_memory(const ivf_plan *plan, const ivf_tree *shape, const ivf_nearest_way *way, int threads);
int64_t ivf_encoder_shared_memory(const ivf_plan *plan, const ivf_tree *shape, const ivf_nearest_way *way);

/* Local. Rows that one thread takes at a time. */
int64_t ivf_encoder_rows(const ivf_encoder *encoder);

/* Local, uses the team. x[n][d] (changed: normalised for cosine) to list[n] (-1: not to be indexed), reasons[n]
 * (ivf_row_reason), codes[n][code_size]. Each row's outcome depends on the row alone. */
int ivf_encoder_run(ivf_encoder *encoder, float *x, int64_t n, int32_t *list, uint8_t *reasons, uint8_t *codes);

#endif
