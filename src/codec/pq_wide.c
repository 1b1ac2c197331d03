/* Product codes as rows of 8-bit numbers, for scans that many queries share: product quantizers of bytes whose
 * sub-vectors are whole quads of values. Each value of the codewords is rounded to a grid of its own, 256 numbers from
 * its smallest to its largest, and a block of codes is widened by looking up quads. What rounding takes from <q, r> is
 * at most |q| times the norm of what it takes from r, of which the largest that any code has is known (`left`). */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "codec/bits.h"
#include "codec/pq.h"
#include "codec/weights.h"

enum { QUAD = 4, LARGEST = 255, BITS = 8 };

struct ivf_pq_wide {
    float *min;        /* [d] */
    float *step;       /* [d] */
    uint32_t *quads;   /* [m][dsub / 4][256]: four numbers */
    uint32_t *squares; /* [m][256]: sum over a codeword's numbers of (2 number - 255)^2 */
    double left;
};

static const ivf_pq_state *state_of(const ivf_codec *codec)
{
    return codec->state;
}

static bool has_quads(const ivf_codec_spec *spec, int d)
{
    return spec->bits > 4 && d / spec->m % QUAD == 0;
}

int64_t ivf_pq_wide_memory(const ivf_codec_spec *spec, int d)
{
    if (!has_quads(spec, d))
        return 0;
    return (int64_t)sizeof(ivf_pq_wide) + 2 * (int64_t)sizeof(float) * d +
           ((int64_t)d + (int64_t)sizeof(uint32_t) * spec->m) * (LARGEST + 1);
}

void ivf_pq_wide_free(ivf_pq_wide *wide)
{
    if (wide == NULL)
        return;
    ivf_free(wide->min);
    ivf_free(wide->step);
    ivf_free(wide->quads);
    ivf_free(wide->squares);
    ivf_free(wide);
}

/* The grid of one value; false where codewords are not finite. */
static bool fit(const float *book, int words, int dsub, int j, float *min, float *step)
{
    float low = book[j];
    float high = book[j];
    for (ptrdiff_t w = 0; w < words; w++) {
        const float value = book[w * dsub + j];
        if (!isfinite(value))
            return false;
        low = fminf(low, value);
        high = fmaxf(high, value);
    }
    *min = low;
    *step = (high - low) / LARGEST;
    return isfinite(*step);
}

/* A codeword's numbers; returns the square of what rounding takes. */
static double round_word(const float *word, const float *min, const float *step, int dsub, uint32_t *quads,
                         uint32_t *squares)
{
    double left = 0;
    *squares = 0;
    for (int j = 0; j < dsub; j++) {
        const float at = step[j] > 0 ? rintf((word[j] - min[j]) / step[j]) : 0;
        const int number = (int)fminf(fmaxf(at, 0), LARGEST);
        const double rest = (double)word[j] - ((double)min[j] + (double)step[j] * number);
        left += rest * rest;
        quads[(ptrdiff_t)(j / QUAD) * (LARGEST + 1)] |= (uint32_t)number << j % QUAD * 8;
        *squares += (uint32_t)((2 * number - LARGEST) * (2 * number - LARGEST));
    }
    return left;
}

static bool round_book(const ivf_codec *codec, int sub, ivf_pq_wide *wide)
{
    const ivf_pq_state *s = state_of(codec);
    const ptrdiff_t first = (ptrdiff_t)sub * s->dsub;
    const float *book = s->codebooks + first * s->words;
    double most = 0;
    for (int j = 0; j < s->dsub; j++)
        if (!fit(book, s->words, s->dsub, j, &wide->min[first + j], &wide->step[first + j]))
            return false;
    for (ptrdiff_t w = 0; w < s->words; w++)
        most = fmax(most, round_word(book + w * s->dsub, wide->min + first, wide->step + first, s->dsub,
                                     wide->quads + first / QUAD * (LARGEST + 1) + w,
                                     &wide->squares[(ptrdiff_t)sub * (LARGEST + 1) + w]));
    wide->left += most;
    return true;
}

int ivf_pq_wide_new(const ivf_codec *codec, ivf_pq_wide **out)
{
    const size_t words = LARGEST + 1;
    *out = NULL;
    if (!has_quads(&codec->spec, codec->d))
        return MPIVF_OK;
    ivf_pq_wide *wide = ivf_new_zero(1, sizeof *wide);
    if (wide == NULL)
        return MPIVF_FAILED;
    wide->min = ivf_new((size_t)codec->d, sizeof *wide->min);
    wide->step = ivf_new((size_t)codec->d, sizeof *wide->step);
    wide->quads = ivf_new_zero((size_t)codec->d / QUAD * words, sizeof *wide->quads);
    wide->squares = ivf_new_zero((size_t)codec->spec.m * words, sizeof *wide->squares);
    bool there = wide->min != NULL && wide->step != NULL && wide->quads != NULL && wide->squares != NULL;
    bool finite = there;
    for (int sub = 0; finite && sub < codec->spec.m; sub++)
        finite = round_book(codec, sub, wide);
    wide->left = sqrt(wide->left) * (1 + 1e-6);
    if (finite)
        *out = wide;
    else
        ivf_pq_wide_free(wide);
    return there ? MPIVF_OK : MPIVF_FAILED;
}

float ivf_pq_spread(const ivf_codec *codec, const uint8_t *code)
{
    const ivf_pq_wide *wide = state_of(codec)->wide;
    uint64_t quarters = 0;
    for (int at = 0; wide != NULL && at < codec->spec.m; at += IVF_BITS_CHUNK) {
        uint8_t numbers[IVF_BITS_CHUNK];
        int count = codec->spec.m - at < IVF_BITS_CHUNK ? codec->spec.m - at : IVF_BITS_CHUNK;
        ivf_bits_unpack(code, count, codec->spec.bits, numbers);
        code += ivf_bits_size(count, codec->spec.bits);
        for (ptrdiff_t i = 0; i < count; i++)
            quarters += wide->squares[(at + i) * (LARGEST + 1) + numbers[i]];
    }
    return (float)(sqrt((double)quarters / 4) * (1 + 1e-6));
}

size_t ivf_pq_wide_size(const ivf_codec *codec)
{
    return state_of(codec)->wide == NULL || !ivf_scan_widens() ? 0 : ivf_scan_numbers_size(codec->d, BITS);
}

void ivf_pq_widen(const ivf_codec *codec, const uint8_t *blocks, int64_t count, uint8_t *wide)
{
    const ivf_pq_state *s = state_of(codec);
    ivf_scan_widen(blocks, count, codec->spec.m, s->dsub / QUAD, s->wide->quads, wide);
}

void ivf_pq_wide_probe(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                       void *table)
{
    const ivf_pq_wide *wide = state_of(codec)->wide;
    const ivf_codec_grid grid = {.min = wide->min, .step = wide->step, .d = codec->d, .bits = BITS};
    ivf_codec_weigh(&grid, metric, query, probe, payload, table);
    const double factor = metric == IVF_L2 ? 2 : 1;
    probe->constant = (float)((double)probe->constant - factor * (double)probe->norm * wide->left);
    probe->size = (float)((double)probe->size + factor * (double)probe->norm * wide->left);
}

void ivf_pq_wide_bounds(const ivf_codec *codec, const ivf_scan_job *job)
{
    ivf_scan_numbers(job, codec->d, BITS);
}
