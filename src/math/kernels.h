/* What each SIMD level implements: one table of functions for each family. Private to math/.
 *
 * The tables of AVX2 and AVX-512 give the bits of the reference. For distances that takes a fixed order of summation:
 * element i of a vector goes to lane i % 16 of accumulator (i / 16) % 4, as a fused multiply-add in ascending order of
 * i, where the vector is extended with zeros to a multiple of 16; then the accumulators are added as (0 + 1) + (2 + 3),
 * and lanes l and l + 8, l + 4, l + 2, l + 1 in turn. */
#ifndef IVF_MATH_KERNELS_H
#define IVF_MATH_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "math/blocksum.h"
#include "math/coarse.h"
#include "math/panels.h"
#include "math/simd.h"

enum { IVF_LANES = 16, IVF_ACCUMULATORS = 4 };

/* One query[d] against rows[n][d], for both kinds of keys: the squared distance, or minus the product. */
typedef struct {
    void (*l2_f32)(const float *query, const float *rows, int64_t n, int d, float *keys);
    void (*dot_f32)(const float *query, const float *rows, int64_t n, int d, float *keys);
    void (*l2_f16)(const float *query, const uint16_t *rows, int64_t n, int d, float *keys);
    void (*dot_f16)(const float *query, const uint16_t *rows, int64_t n, int d, float *keys);
} ivf_distance_kernels;

typedef struct {
    void (*f32_to_f16)(const float *from, int64_t n, uint16_t *to);
    void (*f16_to_f32)(const uint16_t *from, int64_t n, float *to);
} ivf_convert_kernels;

/* See ivf_blocksum_make. */
typedef struct {
    void (*make)(const uint8_t *data, int64_t n, ivf_blocksum *sums);
} ivf_blocksum_kernels;

/* The level decides the layout: `width` vectors to a panel, stored [panel][d][width]. */
typedef struct {
    int width;
    int rows; /* of a register tile: multiples of it are the most efficient */
    void (*best)(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score);
    void (*scores)(const ivf_panels *panels, const float *x, int64_t n, float *out);
} ivf_panels_kernels;

struct ivf_panels {
    const ivf_panels_kernels *kernels;
    int64_t k;
    int64_t count; /* of panels */
    int d;
    void *block;   /* that holds the pieces, owned; NULL: it is somebody else's */
    float *packed; /* [count][d][width]; padding vectors are zero */
    float *bias;   /* [count][width]; -|c|^2 / 2 or 0; of padding vectors -INFINITY */
};

typedef struct {
    /* q[i] = x[i] - centre[i] times `scale`, rounded and held within i8, for d values; whether one did not fit. */
    bool (*round)(const float *x, const float *centre, float scale, int d, int8_t *q);
    /* See ivf_grid_add. */
    void (*add)(const int8_t *q, int d, const int32_t *list, int64_t n, int32_t *sums);
} ivf_grid_kernels;

/* Products of rounded rows with tiles of centroids. The level decides the layout of a tile: `values` neighbours of each
 * lane's centroid take 4 bytes, [steps][lanes][4 bytes] with steps = d / values rounded up. */
typedef struct {
    int values;
    /* One tile of so many steps from its lanes' 8-bit values, each padded to a multiple of 4. */
    void (*pack)(const uint8_t *const lanes[IVF_COARSE_LANES], int steps, uint8_t *tile);
    /* The i-th row's lanes are found[place[i]], or found[i] without places. */
    void (*scan)(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, const int32_t *place,
                 ivf_coarse_found *found);
    /* The i-th row's scores to out[i][lanes of all tiles]. */
    void (*scores)(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *const *out);
    /* f32 scores of `count` <= IVF_COARSE_CHAINS pairs: score[i], which holds the bias, + x[i][d] * c[i][d]. */
    void (*rescore)(const float *const *x, const float *const *c, int count, int d, float *score);
    /* Squared, of rounded values. */
    int64_t (*distance)(const int8_t *q, const int8_t *mean, int quads);
    /* Bits of the lanes whose score is at most `margin` below the largest; none where nothing was found (INT32_MIN). */
    uint32_t (*near)(const int32_t score[IVF_COARSE_LANES], int32_t margin);
    /* See ivf_coarse_choose. */
    void (*choose)(const int32_t *scores, int64_t slots, int p, int32_t *best, void *scratch);
} ivf_coarse_kernels;

enum { IVF_COARSE_CHAINS = 8 };

/* What a packing has found beside its arrays. */
typedef struct {
    float step;
    int32_t groups;
    double scale;
    double ends;
} ivf_coarse_head;

struct ivf_coarse {
    const ivf_coarse_kernels *kernels;
    const ivf_coarse *source; /* whose numbers, mean and f32 values count: itself, or what it was gathered from */
    int d;
    int quads;     /* of d, rounded up */
    ivf_grid grid; /* of the rows, borrowed while packing */
    ivf_metric metric;
    float step; /* of the centroids, and 1 / step */
    double scale;
    double ends;      /* step / step of the grid: values of codes on the grid of the rows */
    size_t tile_size; /* bytes */

    void *block;           /* that holds the pieces below, owned; NULL: it is somebody else's */
    ivf_coarse_head *head; /* its beginning */

    /* By number; of the source. */
    const float *c;      /* [k][d], borrowed */
    float *f32_bias;     /* [k]: as in ivf_panels */
    int32_t *whole_bias; /* [k]: of integer scores */
    uint8_t *codes;      /* [k + 1][quads * 4]: q + 128; the last one stands for slots left over */
    float *centre;       /* [d]: what is rounded is c - centre; any will do, for it adds the same to all scores of
                            a row: the grid's for L2, else the centroids' mean, as rows may be of another size */
    int8_t *mean;        /* [quads * 4]: L2: of the centroids, on the grid of the rows; else 0 */
    double *sums;        /* [d]: scratch of packing */
    int64_t blank;       /* number of that last one */

    /* By slot. */
    int32_t groups;
    int32_t *start;  /* [groups + 1]: the first tile of each group, and the end */
    uint8_t *packed; /* tiles */
    int32_t *bias;   /* [tiles][lanes]; INT32_MIN in slots left over, which nothing is below */
    int32_t *number; /* [tiles][lanes]; -1 in slots left over */
};

/* Local. Row `from` and on, at most `most`, of rows. */
ivf_coarse_rows ivf_coarse_rows_from(const ivf_coarse *coarse, const ivf_coarse_rows *rows, int64_t from, int64_t most);

/* Local. The table of the level in use; levels without one of their own share the reference's. */
const ivf_distance_kernels *ivf_kernels_distance(void);
const ivf_convert_kernels *ivf_kernels_convert(void);
const ivf_blocksum_kernels *ivf_kernels_blocksum(void);
const ivf_panels_kernels *ivf_kernels_panels(void);
const ivf_grid_kernels *ivf_kernels_grid(void);
const ivf_coarse_kernels *ivf_kernels_coarse(void);

extern const ivf_distance_kernels ivf_distance_reference;
extern const ivf_convert_kernels ivf_convert_reference;
extern const ivf_blocksum_kernels ivf_blocksum_reference;
extern const ivf_panels_kernels ivf_panels_reference;
extern const ivf_panels_kernels ivf_panels_blas;
extern const ivf_grid_kernels ivf_grid_reference;
extern const ivf_coarse_kernels ivf_coarse_reference;
#if defined(__x86_64__)
extern const ivf_distance_kernels ivf_distance_avx2;
extern const ivf_distance_kernels ivf_distance_avx512;
extern const ivf_convert_kernels ivf_convert_avx2;
extern const ivf_blocksum_kernels ivf_blocksum_avx2;
extern const ivf_panels_kernels ivf_panels_avx2;
extern const ivf_panels_kernels ivf_panels_avx512;
extern const ivf_grid_kernels ivf_grid_avx2;
extern const ivf_coarse_kernels ivf_coarse_sse2;
extern const ivf_coarse_kernels ivf_coarse_avx2;
extern const ivf_coarse_kernels ivf_coarse_avx512;
extern const ivf_coarse_kernels ivf_coarse_vnni;
int64_t ivf_coarse_distance_avx2(const int8_t *q, const int8_t *mean, int quads);
void ivf_coarse_choose_avx512(const int32_t *scores, int64_t slots, int p, int32_t *best, void *scratch);
uint32_t ivf_coarse_near_avx2(const int32_t score[IVF_COARSE_LANES], int32_t margin);
void ivf_coarse_rescore_avx2(const float *const *x, const float *const *c, int count, int d, float *score);
#endif

#endif
