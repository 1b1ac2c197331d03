/* Product quantizer (Jegou, Douze, Schmid, "Product quantization for nearest neighbor search", TPAMI 2011): the
 * residual is cut into m sub-vectors, each stored as the number of the nearest of 2^bits codewords. Codewords, codes
 * and their packing are those of FAISS's ProductQuantizer.
 *
 * Training (pq_train.c) runs one k-means for each sub-vector, on at most ROWS_PER_CODEWORD rows for each codeword (what
 * FAISS takes). Coding is in pq_encode.c.
 *
 * Scanning adds m entries of a table [m][2^bits] that is made for each query (and list). Memory, floats: codebooks,
 * their transpose for making tables and their panels for coding, d * 2^bits each, and half of that in integers. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "codec/bits.h"
#include "codec/internal.h"
#include "codec/kernels.h"
#include "codec/pq.h"
#include "math/panels.h"

enum { ROWS_PER_CODEWORD = 256 };

static const ivf_pq_state *state_of(const ivf_codec *codec)
{
    return codec->state;
}

static void drop(ivf_codec *codec)
{
    ivf_pq_state *s = codec->state;
    if (s == NULL)
        return;
    if (s->panels != NULL && s->exact != NULL)
        ivf_pq_drop_coding(codec);
    ivf_pq_wide_free(s->wide);
    ivf_free(s->panels);
    ivf_free(s->exact);
    ivf_free(s->transposed);
    ivf_free(s->codebooks);
    ivf_free(s);
}

/* Names the nearest numbers of sub-vectors that would do. */
static int refuse_shape(int m, int d)
{
    if (m < 1 || m > d)
        return ivf_fail(MPIVF_BAD_INPUT, "PQ%d: rows of %d values have 1 to %d sub-vectors; use PQ%d", m, d, d,
                        m < 1 ? 1 : d);
    int below = m;
    int above = m;
    while (d % below != 0)
        below--;
    while (d % above != 0)
        above++;
    return ivf_fail(MPIVF_BAD_INPUT, "PQ%d: rows of %d values cannot be cut into %d equal parts; use PQ%d or PQ%d", m,
                    d, m, below, above);
}

static int make(ivf_codec *codec)
{
    const ivf_codec_spec *spec = &codec->spec;
    if (spec->bits < 4 || spec->bits > 8)
        return ivf_fail(MPIVF_BAD_INPUT, "PQ%dx%d: a sub-vector has 4 to 8 bits", spec->m, spec->bits);
    if (spec->m < 1 || codec->d % spec->m != 0)
        return refuse_shape(spec->m, codec->d);
    ivf_pq_state *s = ivf_new_zero(1, sizeof *s);
    codec->state = s;
    if (s == NULL)
        return MPIVF_FAILED;
    s->dsub = codec->d / spec->m;
    s->words = 1 << spec->bits;
    size_t floats = (size_t)codec->d * (size_t)s->words;
    s->codebooks = ivf_new_zero(floats, sizeof(float));
    s->transposed = ivf_new_zero(floats, sizeof(float));
    s->panels = ivf_new_zero((size_t)spec->m, sizeof(ivf_panels *));
    s->exact = ivf_new_zero((size_t)spec->m, sizeof *s->exact);
    return s->codebooks == NULL || s->transposed == NULL || s->panels == NULL || s->exact == NULL ? MPIVF_FAILED
                                                                                                  : MPIVF_OK;
}

static size_t code_size(const ivf_codec *codec)
{
    return ivf_bits_size(codec->spec.m, codec->spec.bits);
}

static int64_t training_rows(const ivf_codec *codec)
{
    return (int64_t)state_of(codec)->words * ROWS_PER_CODEWORD;
}

static int64_t memory(const ivf_codec_spec *spec, int d)
{
    const int dsub = d / spec->m;
    const int words = 1 << spec->bits;
    const int64_t books = (int64_t)d * words * (int64_t)sizeof(float);
    const int64_t integers = dsub <= IVF_WORDS_VALUES ? (int64_t)spec->m * words * (2 * ivf_round_up(dsub, 2) + 4) : 0;
    return 2 * books + ivf_pq_wide_memory(spec, d) + spec->m * (ivf_panels_memory(words, dsub) + 512) + integers;
}

static int arrays(ivf_codec *codec, ivf_array out[IVF_CODEC_ARRAYS])
{
    const ivf_pq_state *s = codec->state;
    out[0] = (ivf_array){.name = "codebooks",
                         .type = IVF_F32,
                         .rank = 3,
                         .dims = {codec->spec.m, s->words, s->dsub},
                         .data = s->codebooks};
    return 1;
}

static int ready(ivf_codec *codec)
{
    ivf_pq_state *s = codec->state;
    const size_t words = (size_t)s->words;
    const size_t dsub = (size_t)s->dsub;
    for (int sub = 0; sub < codec->spec.m; sub++) {
        const float *book = s->codebooks + (size_t)sub * words * dsub;
        float *turned = s->transposed + (size_t)sub * words * dsub;
        for (size_t w = 0; w < words; w++)
            for (size_t j = 0; j < dsub; j++)
                turned[j * words + w] = book[w * dsub + j];
    }
    ivf_pq_wide_free(s->wide);
    s->wide = NULL;
    const int rc = ivf_pq_wide_new(codec, &s->wide);
    return rc == MPIVF_OK ? ivf_pq_ready_coding(codec) : rc;
}

static void decode(const ivf_codec *codec, const uint8_t *codes, int64_t n, float *x)
{
    const ivf_pq_state *s = state_of(codec);
    const size_t dsub = (size_t)s->dsub;
    const int m = codec->spec.m;
    for (int64_t row = 0; row < n; row++) {
        for (int at = 0; at < m; at += IVF_BITS_CHUNK) {
            uint8_t numbers[IVF_BITS_CHUNK];
            int count = m - at < IVF_BITS_CHUNK ? m - at : IVF_BITS_CHUNK;
            ivf_bits_unpack(codes, count, codec->spec.bits, numbers);
            codes += ivf_bits_size(count, codec->spec.bits);
            for (int i = 0; i < count; i++, x += dsub) {
                size_t word = (size_t)(at + i) * (size_t)s->words + numbers[i];
                memcpy(x, s->codebooks + word * dsub, dsub * sizeof *x);
            }
        }
    }
}

/* A table: entries[m rounded up to a group][words], and room for a number of each sub-vector (ivf_pq_probe). */
static size_t table_floats(const ivf_codec *codec, int m)
{
    return (size_t)m * (size_t)state_of(codec)->words;
}

static size_t table_size(const ivf_codec *codec)
{
    return (size_t)ivf_to_int(ivf_round_up(codec->spec.m, IVF_BITS_GROUP)) * ((size_t)state_of(codec)->words + 1) *
           sizeof(float);
}

float *ivf_pq_table_spare(const ivf_codec *codec, void *table)
{
    return (float *)table + table_floats(codec, ivf_to_int(ivf_round_up(codec->spec.m, IVF_BITS_GROUP)));
}

static void prepare(const ivf_codec *codec, ivf_metric metric, const float *query, void *table)
{
    const ivf_pq_state *s = state_of(codec);
    const ivf_codec_kernels *kernels = ivf_codec_kernels_now();
    for (size_t sub = 0; sub < (size_t)codec->spec.m; sub++) {
        float *entries = (float *)table + sub * (size_t)s->words;
        const float *slice = query + sub * (size_t)s->dsub;
        const float *book = s->transposed + sub * (size_t)s->words * (size_t)s->dsub;
        if (metric == IVF_L2)
            kernels->squares(slice, book, s->dsub, s->words, entries);
        else
            kernels->products(slice, book, s->dsub, s->words, entries);
    }
    size_t used = table_floats(codec, codec->spec.m);
    memset((float *)table + used, 0, table_size(codec) - used * sizeof(float));
}

static void scan(const ivf_codec *codec, ivf_metric metric, const void *table, const uint8_t *codes, int64_t n,
                 float *keys)
{
    (void)metric;
    ivf_codec_kernels_now()->sum_entries(table, codec->spec.m, codec->spec.bits, codes, n, keys);
}

#define PQ_FUNCTIONS(is_residual)                                                                                      \
    {                                                                                                                  \
        .residual = (is_residual), .value_limit = INFINITY, .make = make, .drop = drop, .code_size = code_size,        \
        .table_size = table_size, .encode_scratch = ivf_pq_encode_scratch, .training_rows = training_rows,             \
        .train = ivf_pq_train, .train_dealt = ivf_pq_train_dealt, .memory = memory,                                    \
        .train_memory = ivf_pq_train_memory, .scratch_memory = ivf_pq_scratch_memory, .arrays = arrays,                \
        .ready = ready, .encode = ivf_pq_encode, .decode = decode, .prepare = prepare, .scan = scan,                   \
        .block_size = ivf_pq_block_size, .block_put = ivf_pq_block_put, .block_get = ivf_pq_block_get,                 \
        .probe_size = ivf_pq_probe_size, .probe = ivf_pq_probe, .bounds = ivf_pq_bounds, .spread = ivf_pq_spread,      \
        .wide_size = ivf_pq_wide_size, .widen = ivf_pq_widen, .wide_probe = ivf_pq_wide_probe,                         \
        .wide_bounds = ivf_pq_wide_bounds, .few = ivf_pq_few, .keys_of_few = ivf_pq_keys_of_few,                       \
    }

const ivf_codec_functions ivf_pq_functions = PQ_FUNCTIONS(true);
const ivf_codec_functions ivf_pq_rows_functions = PQ_FUNCTIONS(false);
