/* Coding with a product quantizer: the number of the codeword that is nearest to each sub-vector, found in 16-bit
 * integers (math/words.h). Sub-vectors that lie beyond the grid of their codewords, and those that have no grid, are
 * compared in single precision (math/panels.h). Either way a row's code depends on the row and the codebooks alone. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "codec/bits.h"
#include "codec/pq.h"

enum { BLOCK = 128 }; /* rows that are coded at a time: their integers stay in the caches while sub-vectors change */

static const float *book_of(const ivf_pq_state *s, int sub)
{
    return s->codebooks + (size_t)sub * (size_t)s->words * (size_t)s->dsub;
}

void ivf_pq_drop_coding(const ivf_codec *codec)
{
    ivf_pq_state *s = codec->state;
    for (int sub = 0; sub < codec->spec.m; sub++) {
        ivf_panels_free(s->panels[sub]);
        s->panels[sub] = NULL;
    }
    ivf_words_free(s->integers);
    s->integers = NULL;
}

int ivf_pq_ready_coding(const ivf_codec *codec)
{
    ivf_pq_state *s = codec->state;
    ivf_pq_drop_coding(codec);
    if (s->dsub <= IVF_WORDS_VALUES) {
        s->integers = ivf_words_new(codec->spec.m, s->dsub, s->words);
        if (s->integers == NULL)
            return MPIVF_FAILED;
    }
    for (int sub = 0; sub < codec->spec.m; sub++) {
        s->exact[sub] = s->integers == NULL || !ivf_words_set_book(s->integers, sub, book_of(s, sub));
        s->panels[sub] = ivf_panels_new(book_of(s, sub), s->words, s->dsub, IVF_L2);
        if (s->panels[sub] == NULL)
            return MPIVF_FAILED;
    }
    return MPIVF_OK;
}

/* A block's work space, cut from the caller's scratch. */
typedef struct {
    float *slice;     /* [rows][dsub] */
    float *score;     /* [rows] */
    int32_t *best;    /* [rows] */
    int16_t *rounded; /* [rows][width] */
    uint8_t *outside; /* [rows] */
    uint8_t *numbers; /* [rows][m] */
} block_space;

/* 16-bit values of a rounded row, also while the codec is not trained yet. */
static size_t width_of(const ivf_codec *codec)
{
    const ivf_pq_state *s = codec->state;
    return s->dsub <= IVF_WORDS_VALUES ? (size_t)codec->spec.m * (size_t)ivf_round_up(s->dsub, 2) : 0;
}

static block_space cut(const ivf_codec *codec, size_t rows, void *scratch)
{
    const ivf_pq_state *s = codec->state;
    block_space b;
    b.slice = scratch;
    b.score = b.slice + rows * (size_t)s->dsub;
    b.best = (int32_t *)(void *)(b.score + rows);
    b.rounded = (int16_t *)(void *)(b.best + rows);
    b.outside = (uint8_t *)(b.rounded + rows * width_of(codec));
    b.numbers = b.outside + rows;
    return b;
}

size_t ivf_pq_encode_scratch(const ivf_codec *codec, int64_t n)
{
    const ivf_pq_state *s = codec->state;
    const size_t row = (size_t)s->dsub * sizeof(float) + sizeof(float) + sizeof(int32_t) +
                       width_of(codec) * sizeof(int16_t) + 1 + (size_t)codec->spec.m;
    return ivf_to_size(ivf_min_i64(n, BLOCK)) * row;
}

/* One sub-vector of x[n][d], in single precision, into numbers[n][m]. */
static void find_exactly(const ivf_codec *codec, int sub, const float *x, size_t n, const block_space *b,
                         uint8_t *numbers)
{
    const ivf_pq_state *s = codec->state;
    const size_t dsub = (size_t)s->dsub;
    for (size_t row = 0; row < n; row++)
        memcpy(b->slice + row * dsub, x + row * (size_t)codec->d + (size_t)sub * dsub, dsub * sizeof *b->slice);
    ivf_panels_best(s->panels[sub], b->slice, (int64_t)n, b->best, b->score);
    for (size_t row = 0; row < n; row++)
        numbers[row * (size_t)codec->spec.m + (size_t)sub] = (uint8_t)b->best[row];
}

/* The sub-vectors of one row that lie beyond their grids. */
static void correct_row(const ivf_codec *codec, const float *x, const int16_t *rounded, const block_space *b,
                        uint8_t *numbers)
{
    const ivf_pq_state *s = codec->state;
    for (int sub = 0; sub < codec->spec.m; sub++)
        if (!s->exact[sub] && ivf_words_outside(s->integers, sub, rounded))
            find_exactly(codec, sub, x, 1, b, numbers);
}

static void find_numbers(const ivf_codec *codec, const float *x, size_t n, const block_space *b, uint8_t *numbers)
{
    const ivf_pq_state *s = codec->state;
    const size_t m = (size_t)codec->spec.m;
    int64_t outside = 0;
    if (s->integers != NULL)
        outside = ivf_words_round(s->integers, x, (int64_t)n, b->rounded, b->outside);
    for (int sub = 0; sub < codec->spec.m; sub++) {
        if (s->exact[sub])
            find_exactly(codec, sub, x, n, b, numbers);
        else
            ivf_words_best(s->integers, sub, b->rounded, (int64_t)n, numbers + sub, (ptrdiff_t)m);
    }
    for (size_t row = 0; row < n && outside > 0; row++)
        if (b->outside[row])
            correct_row(codec, x + row * (size_t)codec->d, b->rounded + row * width_of(codec), b, numbers + row * m);
}

static void encode_block(const ivf_codec *codec, const float *x, size_t n, uint8_t *codes, void *scratch)
{
    const size_t m = (size_t)codec->spec.m;
    const block_space b = cut(codec, n, scratch);
    if (codec->spec.bits == 8) {
        find_numbers(codec, x, n, &b, codes);
        return;
    }
    find_numbers(codec, x, n, &b, b.numbers);
    for (size_t row = 0; row < n; row++)
        ivf_bits_pack(b.numbers + row * m, codec->spec.m, codec->spec.bits,
                      codes + row * ivf_bits_size(codec->spec.m, codec->spec.bits));
}

void ivf_pq_encode(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch)
{
    for (int64_t at = 0; at < n; at += BLOCK)
        encode_block(codec, x + (size_t)at * (size_t)codec->d, (size_t)ivf_min_i64(n - at, BLOCK),
                     codes + (size_t)at * ivf_codec_code_size(codec), scratch);
}

int64_t ivf_pq_scratch_memory(const ivf_codec_spec *spec, int d, int64_t n)
{
    const int64_t dsub = d / spec->m;
    const int64_t rounded = dsub <= IVF_WORDS_VALUES ? spec->m * ivf_round_up(dsub, 2) * 2 : 0;
    return ivf_min_i64(n, BLOCK) * (dsub * 4 + 9 + rounded + spec->m);
}
