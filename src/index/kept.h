/* The vectors of rows that fragments keep beside their codes, for exact distances: the datasets "vectors" and
 * "vector_checksums" (FORMAT.md). Scans need neither, so they stand apart from ids and codes, and have checksums of
 * their own. */
#ifndef IVF_INDEX_KEPT_H
#define IVF_INDEX_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"
#include "base/metric.h"
#include "io/h5.h"

/* The datasets. */
#define IVF_KEPT_VECTORS "vectors"
#define IVF_KEPT_CHECKSUMS "vector_checksums"

/* Which: as they were read, rounded to `type`; for IVF_COSINE and IVF_F16 what is too small for that in a scale of its
 * own (ivf_kept_put). */
typedef struct {
    int d;            /* values of a vector; 0: none are kept */
    ivf_element type; /* IVF_F32 or IVF_F16 */
} ivf_keeping;

/* Local. "none", "f32", "f16"; false when it is none of these. */
const char *ivf_kept_name(ivf_keeping kept);
bool ivf_kept_parse(const char *name, int d, ivf_keeping *kept);

/* Local. Bytes of a vector; the largest |value| that can be kept (INFINITY: any). */
size_t ivf_kept_bytes(ivf_keeping kept);
float ivf_kept_limit(ivf_keeping kept);

/* Local. n vectors into what is kept, and back. Half precision holds nothing below 2^-24, and less exactly what is near
 * it. The cosine does not ask how long a vector is; so for IVF_COSINE those of which no |value| reaches 2^-10 are first
 * multiplied by the power of two that brings the largest into [1, 2). */
void ivf_kept_put(ivf_keeping kept, ivf_metric metric, const float *x, int64_t n, void *to);
void ivf_kept_get(ivf_keeping kept, const void *from, int64_t n, float *x);

/* Local. Where the vectors lie in a fragment's file; MPIVF_CORRUPT when there are none, or others. */
int ivf_kept_locate(ivf_h5 *file, ivf_keeping kept, int64_t postings, int64_t *offset);

/* Local. Reads all of them: MPIVF_CORRUPT names the first list whose vectors, or checksum, were changed; offsets are
 * sound, and `first_list` is the number of the first. Holds 8 bytes a list and a piece. */
int ivf_kept_inspect(ivf_h5 *file, const char *path, ivf_keeping kept, const uint64_t *offsets, int32_t first_list,
                     int32_t nlist);

#endif
