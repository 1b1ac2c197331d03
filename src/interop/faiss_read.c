/* FAISS's index files (faiss/impl/index_read.cpp): an IVF index over flat rows, scalar or product quantizers, perhaps
 * with a linear transform before it; the centroids in a flat index, or in a graph over one. Everything else is refused
 * by name. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "interop/faiss.h"
#include "interop/faiss_cursor.h"
#include "interop/faiss_internal.h"
#include "io/source.h"

enum { NLIST_MOST = 1 << 26, PQ_BITS_LEAST = 4, PQ_BITS_MOST = 8, PQ_M_MOST = 1 << 16 };

typedef struct {
    int d;
    int64_t rows;
    ivf_metric metric;
} header;

static int refuse(const ivf_cursor *c, const char *what, int64_t value)
{
    return ivf_fail(MPIVF_BAD_INPUT, "input %s, before byte %" PRId64 ": %s (%" PRId64 ")", c->file->path, c->at, what,
                    value);
}

/* ---- parts ---- */

static int read_header(ivf_cursor *c, header *h)
{
    uint32_t d = 0;
    uint32_t metric = 0;
    uint64_t rows = 0;
    uint64_t dummy = 0;
    uint8_t is_trained = 0;
    int rc = ivf_cursor_u32(c, &d);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &rows);
    for (int i = 0; rc == MPIVF_OK && i < 2; i++)
        rc = ivf_cursor_u64(c, &dummy);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u8(c, &is_trained);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u32(c, &metric);
    if (rc != MPIVF_OK)
        return rc;
    if (d < 1 || d > IVF_D_MOST)
        return refuse(c, "rows of so many values are not held", (int64_t)d);
    if (rows > INT64_MAX)
        return refuse(c, "the number of rows is negative", (int64_t)rows);
    if (is_trained != 1)
        return refuse(c, "the index is not trained", is_trained);
    if (metric != IVF_FAISS_L2 && metric != IVF_FAISS_IP)
        return refuse(c, "a metric that is neither L2 nor inner product", (int64_t)metric);
    *h = (header){.d = (int)d, .rows = (int64_t)rows, .metric = metric == IVF_FAISS_L2 ? IVF_L2 : IVF_IP};
    return MPIVF_OK;
}

/* After IxPT: the header of the whole, and one linear transform. */
static int read_rotation(ivf_cursor *c, header *outer, ivf_faiss_index *index)
{
    uint32_t count = 0;
    uint32_t name = 0;
    uint32_t in = 0;
    uint32_t out = 0;
    uint8_t has_bias = 0;
    uint8_t is_trained = 0;
    int64_t values = 0;
    int64_t bias = 0;
    int64_t bias_at = 0;
    int rc = read_header(c, outer);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u32(c, &count);
    if (rc == MPIVF_OK && count != 1)
        rc = refuse(c, "not one but several transforms before the index", (int64_t)count);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u32(c, &name);
    if (rc == MPIVF_OK && name != ivf_faiss_name("LTra") && name != ivf_faiss_name("rrot"))
        rc = ivf_faiss_refuse_name(c, name, "transform");
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u8(c, &has_bias);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_array(c, "the matrix", sizeof(float), &values, &index->rotation_at);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_array(c, "the bias", sizeof(float), &bias, &bias_at);
    if (rc == MPIVF_OK && (has_bias != 0 || bias != 0))
        rc = refuse(c, "a transform with a bias is not held", bias);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u32(c, &in);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u32(c, &out);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u8(c, &is_trained);
    if (rc != MPIVF_OK)
        return rc;
    if (is_trained != 1)
        return refuse(c, "the transform is not trained", is_trained);
    if (in != (uint32_t)outer->d || out < 1 || out > IVF_D_MOST || values != (int64_t)in * out)
        return refuse(c, "the transform's matrix does not fit the rows", values);
    index->d_in = (int)in;
    index->d = (int)out;
    return MPIVF_OK;
}

/* IndexHNSW up to the index of its rows. */
static int skip_graph(ivf_cursor *c)
{
    static const struct {
        const char *what;
        size_t size;
    } arrays[] = {{"the graph's probabilities", 8},
                  {"the graph's neighbour counts", 4},
                  {"the graph's levels", 4},
                  {"the graph's offsets", 8},
                  {"the graph's neighbours", 4}};
    int64_t count = 0;
    int64_t at = 0;
    int rc = MPIVF_OK;
    for (size_t i = 0; rc == MPIVF_OK && i < sizeof arrays / sizeof arrays[0]; i++)
        rc = ivf_cursor_array(c, arrays[i].what, arrays[i].size, &count, &at);
    return rc == MPIVF_OK ? ivf_cursor_skip(c, "the graph's numbers", 20) : rc;
}

/* The graph, or the flat index of centroids up to these. */
static int read_flat(ivf_cursor *c, const ivf_faiss_index *index, bool has_graph, header *h)
{
    uint32_t name = 0;
    int rc = ivf_cursor_u32(c, &name);
    if (rc == MPIVF_OK && !has_graph && name == ivf_faiss_name("IHNf")) {
        rc = read_header(c, h);
        return rc == MPIVF_OK ? skip_graph(c) : rc;
    }
    if (rc == MPIVF_OK && name != ivf_faiss_name("IxF2") && name != ivf_faiss_name("IxFI") &&
        name != ivf_faiss_name("IxFl"))
        rc = ivf_fail(MPIVF_BAD_INPUT,
                      "input %s: the centroids are in an index that is neither flat nor a graph over a flat one; mpivf "
                      "holds them as they are",
                      c->file->path);
    if (rc == MPIVF_OK)
        rc = read_header(c, h);
    return rc == MPIVF_OK && (h->d != index->d || h->rows != index->factory.nlist)
               ? refuse(c, "the centroids' index does not have one row of the lists' width for each list", h->rows)
               : rc;
}

static int read_centroids(ivf_cursor *c, ivf_faiss_index *index)
{
    header h = {0};
    const int64_t before = c->at;
    uint32_t name = 0;
    int rc = ivf_cursor_u32(c, &name);
    c->at = before;
    index->has_graph = rc == MPIVF_OK && name == ivf_faiss_name("IHNf");
    if (rc == MPIVF_OK)
        rc = read_flat(c, index, false, &h);
    if (rc == MPIVF_OK && index->has_graph)
        rc = read_flat(c, index, true, &h);
    if (rc == MPIVF_OK && h.metric != index->metric)
        rc = refuse(c, "the centroids are compared by another metric than the rows", h.metric);
    return rc == MPIVF_OK ? ivf_cursor_exact(c, "the centroids", sizeof(float),
                                             (int64_t)index->factory.nlist * index->d, &index->centroids_at)
                          : rc;
}

static int skip_direct_map(ivf_cursor *c)
{
    uint8_t kind = 0;
    int64_t count = 0;
    int64_t at = 0;
    int rc = ivf_cursor_u8(c, &kind);
    if (rc == MPIVF_OK && kind > 2)
        rc = refuse(c, "a direct map of an unknown kind", kind);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_array(c, "the direct map", 8, &count, &at);
    return rc == MPIVF_OK && kind == 2 ? ivf_cursor_array(c, "the direct map", 16, &count, &at) : rc;
}

/* The header that all IVF indexes share. */
static int read_lists_header(ivf_cursor *c, const header *outer, ivf_faiss_index *index)
{
    header h = {0};
    uint64_t nlist = 0;
    uint64_t nprobe = 0;
    int rc = read_header(c, &h);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &nlist);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &nprobe);
    if (rc != MPIVF_OK)
        return rc;
    if (nlist < 1 || nlist > NLIST_MOST)
        return refuse(c, "so many lists are not held", (int64_t)nlist);
    if (outer != NULL && (h.d != index->d || h.rows != outer->rows || h.metric != outer->metric))
        return refuse(c, "the index does not fit the transform before it", h.d);
    index->d = h.d;
    index->d_in = outer != NULL ? index->d_in : h.d;
    index->rows = h.rows;
    index->metric = h.metric;
    index->nprobe = nprobe < nlist ? (int64_t)nprobe : (int64_t)nlist;
    index->factory.nlist = (int32_t)nlist;
    rc = read_centroids(c, index);
    return rc == MPIVF_OK ? skip_direct_map(c) : rc;
}

/* ---- codecs ---- */

static int read_scalar_kind(ivf_cursor *c, ivf_codec_spec *spec)
{
    static const struct {
        uint32_t type;
        ivf_codec_spec spec;
    } kinds[] = {{IVF_FAISS_SQ8, {IVF_CODEC_SQ, 0, 8}},
                 {IVF_FAISS_SQ6, {IVF_CODEC_SQ, 0, 6}},
                 {IVF_FAISS_SQ4, {IVF_CODEC_SQ, 0, 4}},
                 {IVF_FAISS_FP16, {IVF_CODEC_FLAT16, 0, 0}}};
    static const char *const others[] = {[IVF_FAISS_SQ8_UNIFORM] = "QT_8bit_uniform",
                                         [IVF_FAISS_SQ4_UNIFORM] = "QT_4bit_uniform",
                                         [IVF_FAISS_SQ8_DIRECT] = "QT_8bit_direct",
                                         [IVF_FAISS_BF16] = "QT_bf16",
                                         [IVF_FAISS_SQ8_DIRECT_SIGNED] = "QT_8bit_direct_signed"};
    uint32_t type = 0;
    int rc = ivf_cursor_u32(c, &type);
    if (rc != MPIVF_OK)
        return rc;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].type == type) {
            *spec = kinds[i].spec;
            return MPIVF_OK;
        }
    const char *name = type < sizeof others / sizeof others[0] ? others[type] : NULL;
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s: a scalar quantizer of type %" PRIu32 "%s%s%s; mpivf holds QT_8bit, QT_6bit, QT_4bit and "
                    "QT_fp16",
                    c->file->path, type, name != NULL ? " (" : "", name != NULL ? name : "", name != NULL ? ")" : "");
}

static int read_scalar_quantizer(ivf_cursor *c, bool is_old, ivf_faiss_index *index)
{
    uint32_t ignored = 0;
    uint64_t d = 0;
    uint64_t size = 0;
    uint64_t code_size = 0;
    uint8_t residual = 1; /* what old files mean */
    int rc = read_scalar_kind(c, &index->factory.codec);
    for (int i = 0; rc == MPIVF_OK && i < 2; i++) /* the range's kind and argument: used in training */
        rc = ivf_cursor_u32(c, &ignored);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &d);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &size);
    index->trained = index->factory.codec.kind == IVF_CODEC_SQ ? 2 * (int64_t)index->d : 0;
    if (rc == MPIVF_OK)
        rc = ivf_cursor_exact(c, "the scalar quantizer's ranges", sizeof(float), index->trained, &index->trained_at);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &code_size);
    if (rc == MPIVF_OK && !is_old)
        rc = ivf_cursor_u8(c, &residual);
    if (rc == MPIVF_OK && (d != (uint64_t)index->d || size != code_size || residual > 1))
        rc = refuse(c, "the scalar quantizer does not fit the rows", (int64_t)d);
    index->code_size = code_size <= INT64_MAX ? (int64_t)code_size : -1;
    index->by_residual = residual != 0;
    return rc;
}

static int read_product_quantizer(ivf_cursor *c, ivf_faiss_index *index)
{
    uint8_t residual = 0;
    uint64_t code_size = 0;
    uint64_t d = 0;
    uint64_t m = 0;
    uint64_t bits = 0;
    int rc = ivf_cursor_u8(c, &residual);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &code_size);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &d);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &m);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &bits);
    if (rc != MPIVF_OK)
        return rc;
    if (bits < PQ_BITS_LEAST || bits > PQ_BITS_MOST)
        return refuse(c, "a product quantizer of so many bits; mpivf holds 4 to 8", (int64_t)bits);
    if (d != (uint64_t)index->d || m < 1 || m > PQ_M_MOST || d % m != 0 || residual > 1)
        return refuse(c, "the product quantizer does not fit the rows", (int64_t)m);
    const bool of_rows = residual == 0 && bits == PQ_BITS_LEAST; /* what the factory calls PQmx4fs */
    index->factory.codec = (ivf_codec_spec){of_rows ? IVF_CODEC_PQ_ROWS : IVF_CODEC_PQ, (int)m, (int)bits};
    index->code_size = code_size <= INT64_MAX ? (int64_t)code_size : -1;
    index->by_residual = residual != 0;
    index->trained = (int64_t)index->d << bits;
    return ivf_cursor_exact(c, "the codewords", sizeof(float), index->trained, &index->trained_at);
}

static int read_codec(ivf_cursor *c, uint32_t name, ivf_faiss_index *index)
{
    if (name == ivf_faiss_name("IwPQ"))
        return read_product_quantizer(c, index);
    if (name != ivf_faiss_name("IwFl"))
        return read_scalar_quantizer(c, name == ivf_faiss_name("IwSQ"), index);
    index->factory.codec = (ivf_codec_spec){IVF_CODEC_FLAT, 0, 0};
    index->code_size = (int64_t)index->d * (int64_t)sizeof(float);
    return MPIVF_OK;
}

/* The codec as mpivf makes it must have codes of the same size. */
static int check_codec(const ivf_cursor *c, const ivf_faiss_index *index)
{
    ivf_codec *codec = NULL;
    int rc = ivf_codec_new(&index->factory.codec, index->d, &codec);
    if (rc == MPIVF_OK && (int64_t)ivf_codec_code_size(codec) != index->code_size)
        rc = refuse(c, "codes of so many bytes do not fit the quantizer", index->code_size);
    ivf_codec_free(codec);
    return rc;
}

/* The factory string must name a rotation. FAISS does not say which sub-vectors it was made for: those of PQ, else it
 * does not matter. */
static void name_rotation(ivf_faiss_index *index)
{
    if (index->rotation_at < 0)
        return;
    index->factory.opq_m = ivf_codec_has_words(&index->factory.codec) ? index->factory.codec.m : 1;
    index->factory.opq_d = index->d != index->d_in ? index->d : 0;
}

static int read_index(ivf_cursor *c, ivf_faiss_index *index)
{
    static const char *const known[] = {"IwFl", "IwSq", "IwSQ", "IwPQ"};
    header outer = {0};
    uint32_t name = 0;
    bool is_known = false;
    int rc = ivf_cursor_u32(c, &name);
    const bool has_rotation = rc == MPIVF_OK && name == ivf_faiss_name("IxPT");
    if (has_rotation) {
        rc = read_rotation(c, &outer, index);
        if (rc == MPIVF_OK)
            rc = ivf_cursor_u32(c, &name);
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        is_known = is_known || name == ivf_faiss_name(known[i]);
    if (rc == MPIVF_OK && !is_known)
        rc = ivf_faiss_refuse_name(c, name, "index");
    if (rc == MPIVF_OK)
        rc = read_lists_header(c, has_rotation ? &outer : NULL, index);
    if (rc == MPIVF_OK)
        rc = read_codec(c, name, index);
    if (rc == MPIVF_OK)
        rc = check_codec(c, index);
    if (rc == MPIVF_OK)
        name_rotation(index);
    return rc;
}

int ivf_faiss_read(const ivf_rawfile *file, ivf_faiss_index *index)
{
    ivf_cursor c = {.file = file};
    uint32_t name = 0;
    *index = (ivf_faiss_index){.rotation_at = -1, .trained_at = -1};
    int rc = read_index(&c, index);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u32(&c, &name);
    if (rc == MPIVF_OK && name != ivf_faiss_name("ilar") && name != ivf_faiss_name("ilod"))
        rc = ivf_faiss_refuse_name(&c, name, "form of lists");
    if (rc == MPIVF_OK)
        rc = ivf_faiss_read_lists(&c, name == ivf_faiss_name("ilod"), index);
    if (rc != MPIVF_OK)
        ivf_faiss_free(index);
    return rc;
}

void ivf_faiss_free(ivf_faiss_index *index)
{
    ivf_free(index->sizes);
    ivf_free(index->codes_at);
    ivf_free(index->ids_at);
    index->sizes = NULL;
    index->codes_at = NULL;
    index->ids_at = NULL;
}
