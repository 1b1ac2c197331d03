/* Integer products in plain C: the oracle of the SIMD variants. */
#include <math.h>
#include <string.h>

#include "math/coarse_row.h"
#include "math/kernels.h"

enum { QUAD = 4, STEP = IVF_COARSE_LANES * QUAD };

static void pack(const uint8_t *const lanes[IVF_COARSE_LANES], int steps, uint8_t *tile)
{
    for (int quad = 0; quad < steps; quad++) {
        for (int lane = 0; lane < IVF_COARSE_LANES; lane++)
            memcpy(tile + ((ptrdiff_t)quad * IVF_COARSE_LANES + lane) * QUAD, lanes[lane] + (ptrdiff_t)quad * QUAD,
                   QUAD);
    }
}

static void score_tile(const ivf_coarse *coarse, int32_t tile, const int8_t *q, int32_t score[IVF_COARSE_LANES])
{
    const uint8_t *packed = coarse->packed + (size_t)tile * coarse->tile_size;
    memcpy(score, coarse->bias + (ptrdiff_t)tile * IVF_COARSE_LANES, IVF_COARSE_LANES * sizeof *score);
    for (int quad = 0; quad < coarse->quads; quad++) {
        for (int lane = 0; lane < IVF_COARSE_LANES; lane++) {
            for (int i = 0; i < QUAD; i++)
                score[lane] += packed[(ptrdiff_t)lane * QUAD + i] * q[i];
        }
        packed += STEP;
        q += QUAD;
    }
}

static const int8_t *row_at(const ivf_coarse *coarse, const ivf_coarse_rows *rows, int64_t i)
{
    return rows->q + (rows->list == NULL ? i : rows->list[i]) * (int64_t)coarse->quads * QUAD;
}

static void scan(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, const int32_t *place,
                 ivf_coarse_found *found)
{
    for (int64_t i = 0; i < rows->n; i++) {
        ivf_coarse_found *f = found + (place == NULL ? i : place[i]);
        for (int32_t tile = tiles.first; tile < tiles.end; tile++) {
            int32_t score[IVF_COARSE_LANES];
            score_tile(coarse, tile, row_at(coarse, rows, i), score);
            for (int lane = 0; lane < IVF_COARSE_LANES; lane++) {
                f->tile[lane] = score[lane] > f->score[lane] ? tile : f->tile[lane];
                f->score[lane] = score[lane] > f->score[lane] ? score[lane] : f->score[lane];
            }
        }
    }
}

static void scores(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *const *out)
{
    for (int64_t i = 0; i < rows->n; i++) {
        for (int32_t tile = tiles.first; tile < tiles.end; tile++)
            score_tile(coarse, tile, row_at(coarse, rows, i),
                       out[i] + (ptrdiff_t)(tile - tiles.first) * IVF_COARSE_LANES);
    }
}

static void rescore(const float *const *x, const float *const *c, int count, int d, float *score)
{
    for (int chain = 0; chain < count; chain++) {
        for (int i = 0; i < d; i++)
            score[chain] = fmaf(x[chain][i], c[chain][i], score[chain]);
    }
}

static int64_t collect(const int32_t *scores, int64_t slots, int32_t low, int32_t *slot, int32_t *kept)
{
    int64_t count = 0;
    for (int64_t i = 0; i < slots; i++) {
        slot[count] = (int32_t)i;
        kept[count] = scores[i];
        count += scores[i] >= low;
    }
    return count;
}

#include "math/coarse_choose.h"

static uint32_t near(const int32_t score[IVF_COARSE_LANES], int32_t margin)
{
    int32_t most = INT32_MIN;
    for (int lane = 0; lane < IVF_COARSE_LANES; lane++)
        most = score[lane] > most ? score[lane] : most;
    int32_t low = most > INT32_MIN + margin ? most - margin : INT32_MIN + 1;
    uint32_t lanes = 0;
    for (int lane = 0; lane < IVF_COARSE_LANES; lane++)
        lanes |= (uint32_t)(score[lane] >= low) << lane;
    return lanes;
}

const ivf_coarse_kernels ivf_coarse_reference = {.values = QUAD,
                                                 .pack = pack,
                                                 .scan = scan,
                                                 .scores = scores,
                                                 .rescore = rescore,
                                                 .distance = square_distance,
                                                 .near = near,
                                                 .choose = choose};
