#include "index/kept.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "math/convert.h"

enum { PIECE_BYTES = 1 << 20, SCALED_VALUES = 256 };

static const float LARGEST_HALF = 65504;
static const float LEAST_UNSCALED = 1.0F / 1024;

const char *ivf_kept_name(ivf_keeping kept)
{
    return kept.d == 0 ? "none" : ivf_element_name(kept.type);
}

bool ivf_kept_parse(const char *name, int d, ivf_keeping *kept)
{
    *kept = (ivf_keeping){0};
    if (strcmp(name, "none") == 0)
        return true;
    *kept = (ivf_keeping){.d = d, .type = strcmp(name, "f16") == 0 ? IVF_F16 : IVF_F32};
    return kept->type == IVF_F16 || strcmp(name, "f32") == 0;
}

size_t ivf_kept_bytes(ivf_keeping kept)
{
    return kept.d == 0 ? 0 : (size_t)kept.d * ivf_element_size(kept.type);
}

float ivf_kept_limit(ivf_keeping kept)
{
    return kept.d > 0 && kept.type == IVF_F16 ? LARGEST_HALF : INFINITY;
}

/* The largest |value|, or any that is large enough. */
static float find_large(const float *x, int d)
{
    float largest = 0;
    for (int i = 0; i < d && largest < LEAST_UNSCALED; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    return largest;
}

/* One vector, whose direction counts. */
static void put_direction(const float *x, int d, uint16_t *to)
{
    float scaled[SCALED_VALUES];
    int exponent = 0;
    const float largest = find_large(x, d);
    if (!(largest > 0 && largest < LEAST_UNSCALED)) {
        ivf_f32_to_f16(x, d, to);
        return;
    }
    (void)frexpf(largest, &exponent); /* < 2^exponent */
    for (int first = 0; first < d; first += SCALED_VALUES) {
        const int m = d - first < SCALED_VALUES ? d - first : SCALED_VALUES;
        for (int i = 0; i < m; i++)
            scaled[i] = ldexpf(x[first + i], 1 - exponent);
        ivf_f32_to_f16(scaled, m, to + first);
    }
}

void ivf_kept_put(ivf_keeping kept, ivf_metric metric, const float *x, int64_t n, void *to)
{
    uint16_t *halves = to;
    if (kept.type == IVF_F16 && metric == IVF_COSINE)
        for (int64_t i = 0; i < n; i++)
            put_direction(x + i * kept.d, kept.d, halves + i * kept.d);
    else if (kept.type == IVF_F16)
        ivf_f32_to_f16(x, n * kept.d, halves);
    else
        memcpy(to, x, ivf_to_size(n) * ivf_kept_bytes(kept));
}

void ivf_kept_get(ivf_keeping kept, const void *from, int64_t n, float *x)
{
    ivf_to_f32(kept.type, from, n * kept.d, x);
}

int ivf_kept_locate(ivf_h5 *file, ivf_keeping kept, int64_t postings, int64_t *offset)
{
    const ivf_array array = {IVF_KEPT_VECTORS, kept.type, 2, {postings, kept.d}, NULL};
    return ivf_h5_locate(file, &array, offset);
}

/* The bytes of a list, a piece at a time. */
static int hash_list(ivf_h5 *file, int64_t at, int64_t bytes, void *piece, ivf_hasher *list, ivf_hasher *whole)
{
    int rc = MPIVF_OK;
    ivf_hasher_reset(list);
    for (int64_t done = 0; rc == MPIVF_OK && done < bytes; done += PIECE_BYTES) {
        const size_t n = (size_t)ivf_min_i64(PIECE_BYTES, bytes - done);
        rc = ivf_h5_read_bytes(file, at + done, n, piece);
        if (rc == MPIVF_OK) {
            ivf_hasher_add(list, piece, n);
            ivf_hasher_add(whole, piece, n);
        }
    }
    return rc;
}

/* What the walk needs. */
typedef struct {
    ivf_h5 *file;
    const char *path;
    size_t size; /* of a vector */
    const uint64_t *offsets;
    int32_t first_list, nlist;
    uint64_t *sums; /* [nlist], owned */
    void *piece;    /* owned */
    ivf_hasher *list, *whole;
} inspection;

static int walk(const inspection *s, int64_t at, uint64_t checksum)
{
    int32_t bad = -1;
    int rc = MPIVF_OK;
    for (int32_t l = 0; rc == MPIVF_OK && l < s->nlist; l++) {
        const int64_t first = (int64_t)(s->offsets[l] * s->size);
        const int64_t bytes = (int64_t)((s->offsets[l + 1] - s->offsets[l]) * s->size);
        rc = hash_list(s->file, at + first, bytes, s->piece, s->list, s->whole);
        if (rc == MPIVF_OK && bad < 0 && ivf_hasher_end(s->list) != s->sums[l])
            bad = l;
    }
    if (rc != MPIVF_OK || (bad < 0 && ivf_hasher_end(s->whole) == checksum))
        return rc;
    if (ivf_hasher_end(s->whole) == checksum)
        return ivf_fail(MPIVF_CORRUPT, "%s: vectors of list %d do not fit vector_checksums", s->path,
                        s->first_list + bad);
    if (bad < 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: the checksum of vectors was changed", s->path);
    return ivf_fail(MPIVF_CORRUPT, "%s: vectors of list %d were changed", s->path, s->first_list + bad);
}

int ivf_kept_inspect(ivf_h5 *file, const char *path, ivf_keeping kept, const uint64_t *offsets, int32_t first_list,
                     int32_t nlist)
{
    inspection s = {.file = file,
                    .path = path,
                    .size = ivf_kept_bytes(kept),
                    .offsets = offsets,
                    .first_list = first_list,
                    .nlist = nlist,
                    .sums = ivf_new((size_t)nlist, sizeof(uint64_t)),
                    .piece = ivf_new(PIECE_BYTES, 1),
                    .list = ivf_hasher_new(),
                    .whole = ivf_hasher_new()};
    const ivf_array checksums = {IVF_KEPT_CHECKSUMS, IVF_U64, 1, {nlist}, s.sums};
    int64_t at = 0;
    uint64_t checksum = 0;
    int rc = s.sums == NULL || s.piece == NULL || s.list == NULL || s.whole == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK)
        rc = ivf_h5_read(file, &checksums);
    if (rc == MPIVF_OK)
        rc = ivf_kept_locate(file, kept, ivf_to_i64(offsets[nlist]), &at);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_checksum(file, IVF_KEPT_VECTORS, &checksum);
    if (rc == MPIVF_OK)
        rc = walk(&s, at, checksum);
    ivf_hasher_free(s.whole);
    ivf_hasher_free(s.list);
    ivf_free(s.piece);
    ivf_free(s.sums);
    return rc;
}
