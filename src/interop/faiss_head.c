/* The head goes through one function, which either counts bytes or writes them, so that the place of every list is
 * known on all ranks before anything is written. */
#include "interop/faiss_head.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "interop/faiss.h"

enum { BUFFER_BYTES = 1 << 20 };

typedef struct {
    const ivf_outfile *file; /* NULL: bytes are counted */
    uint8_t *buffer;         /* [BUFFER_BYTES], owned */
    size_t used;
    int64_t at; /* in the file, of the buffer */
    int rc;
} emitter;

static void flush(emitter *e)
{
    if (e->rc == MPIVF_OK && e->used > 0 && e->file != NULL)
        e->rc = ivf_outfile_put(e->file, e->buffer, e->used, e->at);
    e->at += (int64_t)e->used;
    e->used = 0;
}

static void put(emitter *e, const void *data, size_t bytes)
{
    if (e->file == NULL) {
        e->at += (int64_t)bytes;
        return;
    }
    for (const uint8_t *from = data; bytes > 0;) {
        const size_t n = bytes < BUFFER_BYTES - e->used ? bytes : BUFFER_BYTES - e->used;
        memcpy(e->buffer + e->used, from, n);
        e->used += n;
        from += n;
        bytes -= n;
        if (e->used == BUFFER_BYTES)
            flush(e);
    }
}

static void put_u8(emitter *e, uint8_t value)
{
    put(e, &value, sizeof value);
}

static void put_u32(emitter *e, uint32_t value)
{
    put(e, &value, sizeof value);
}

static void put_u64(emitter *e, uint64_t value)
{
    put(e, &value, sizeof value);
}

static void put_floats(emitter *e, const float *values, int64_t n)
{
    put_u64(e, (uint64_t)n);
    put(e, values, ivf_to_size(n) * sizeof *values);
}

static void put_index(emitter *e, uint32_t name, int d, int64_t rows, ivf_metric metric)
{
    put_u32(e, name);
    put_u32(e, (uint32_t)d);
    put_u64(e, (uint64_t)rows);
    put_u64(e, IVF_FAISS_DUMMY);
    put_u64(e, IVF_FAISS_DUMMY);
    put_u8(e, 1); /* trained */
    put_u32(e, metric == IVF_L2 ? IVF_FAISS_L2 : IVF_FAISS_IP);
}

/* IndexPreTransform around the rest, with one LinearTransform. */
static void put_rotation(emitter *e, const ivf_model *model, int64_t rows)
{
    put_index(e, IVF_FOURCC('I', 'x', 'P', 'T'), model->d_in, rows, model->metric);
    put_u32(e, 1);
    put_u32(e, IVF_FOURCC('L', 'T', 'r', 'a'));
    put_u8(e, 0); /* no bias */
    put_floats(e, model->rotation, (int64_t)model->d * model->d_in);
    put_u64(e, 0);
    put_u32(e, (uint32_t)model->d_in);
    put_u32(e, (uint32_t)model->d);
    put_u8(e, 1);
}

static void put_centroids(emitter *e, const ivf_model *model)
{
    put_index(e, model->metric == IVF_L2 ? IVF_FOURCC('I', 'x', 'F', '2') : IVF_FOURCC('I', 'x', 'F', 'I'), model->d,
              model->nlist, model->metric);
    put_floats(e, ivf_model_centroids(model), (int64_t)model->nlist * model->d);
}

static uint32_t name_of(const ivf_codec_spec *spec)
{
    switch (spec->kind) {
    case IVF_CODEC_FLAT:
        return IVF_FOURCC('I', 'w', 'F', 'l');
    case IVF_CODEC_FLAT16:
    case IVF_CODEC_SQ:
        return IVF_FOURCC('I', 'w', 'S', 'q');
    case IVF_CODEC_PQ:
    case IVF_CODEC_PQ_ROWS:
        return IVF_FOURCC('I', 'w', 'P', 'Q');
    }
    return 0;
}

static uint32_t quantizer_of(const ivf_codec_spec *spec)
{
    if (spec->kind == IVF_CODEC_FLAT16)
        return IVF_FAISS_FP16;
    return spec->bits == 8 ? IVF_FAISS_SQ8 : spec->bits == 6 ? IVF_FAISS_SQ6 : IVF_FAISS_SQ4;
}

static void put_scalar_quantizer(emitter *e, const ivf_model *model)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    const int count = ivf_codec_arrays(model->codec, arrays);
    put_u32(e, quantizer_of(&model->factory.codec));
    put_u32(e, 0); /* range: smallest to largest value */
    put_u32(e, 0); /* its argument, as f32 */
    put_u64(e, (uint64_t)model->d);
    put_u64(e, ivf_codec_code_size(model->codec));
    put_u64(e, (uint64_t)count * (uint64_t)model->d);
    for (int i = 0; i < count; i++) /* sq_min, sq_span */
        put(e, arrays[i].data, ivf_array_bytes(&arrays[i]));
    put_u64(e, ivf_codec_code_size(model->codec));
    put_u8(e, ivf_codec_is_residual(model->codec));
}

static void put_product_quantizer(emitter *e, const ivf_model *model)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    (void)ivf_codec_arrays(model->codec, arrays);
    put_u8(e, ivf_codec_is_residual(model->codec));
    put_u64(e, ivf_codec_code_size(model->codec));
    put_u64(e, (uint64_t)model->d);
    put_u64(e, (uint64_t)model->factory.codec.m);
    put_u64(e, (uint64_t)model->factory.codec.bits);
    put_floats(e, arrays[0].data, ivf_array_count(&arrays[0]));
}

/* The sizes of all lists, or of those that are not empty, whichever FAISS would write. */
static void put_sizes(emitter *e, const ivf_manifest *m)
{
    const int32_t nlist = m->factory.nlist;
    int32_t filled = 0;
    for (int32_t l = 0; l < nlist; l++)
        filled += m->list_sizes[l] > 0;
    const bool full = filled > nlist / 2;
    put_u32(e, full ? IVF_FOURCC('f', 'u', 'l', 'l') : IVF_FOURCC('s', 'p', 'r', 's'));
    put_u64(e, full ? (uint64_t)nlist : 2 * (uint64_t)filled);
    for (int32_t l = 0; l < nlist; l++) {
        if (!full && m->list_sizes[l] > 0)
            put_u64(e, (uint64_t)l);
        if (full || m->list_sizes[l] > 0)
            put_u64(e, (uint64_t)m->list_sizes[l]);
    }
}

static void put_disk_lists(emitter *e, const ivf_faiss_head *head)
{
    const ivf_manifest *m = head->manifest;
    put_u64(e, (uint64_t)m->factory.nlist);
    for (int32_t l = 0; l < m->factory.nlist; l++) {
        const uint64_t size = (uint64_t)m->list_sizes[l];
        const ivf_faiss_disk_list list = {size, size, (uint64_t)ivf_lists_offset(head->lists, l)};
        put(e, &list, sizeof list);
    }
    put_u64(e, 0); /* no free slots */
    put_u64(e, strlen(head->data));
    put(e, head->data, strlen(head->data));
    put_u64(e, (uint64_t)ivf_lists_bytes(head->lists));
}

static void put_lists(emitter *e, const ivf_faiss_head *head)
{
    const ivf_model *model = head->model;
    put_u32(e, head->data != NULL ? IVF_FOURCC('i', 'l', 'o', 'd') : IVF_FOURCC('i', 'l', 'a', 'r'));
    put_u64(e, (uint64_t)model->nlist);
    put_u64(e, ivf_codec_code_size(model->codec));
    if (head->data != NULL)
        put_disk_lists(e, head);
    else
        put_sizes(e, head->manifest);
}

static void put_head(emitter *e, const ivf_faiss_head *head)
{
    const ivf_model *model = head->model;
    const int64_t rows = head->manifest->postings;
    if (model->rotation != NULL)
        put_rotation(e, model, rows);
    put_index(e, name_of(&model->factory.codec), model->d, rows, model->metric);
    put_u64(e, (uint64_t)model->nlist);
    put_u64(e, (uint64_t)head->nprobe);
    put_centroids(e, model);
    put_u8(e, 0); /* no direct map, whose array is empty */
    put_u64(e, 0);
    if (ivf_codec_has_words(&model->factory.codec))
        put_product_quantizer(e, model);
    else if (model->factory.codec.kind != IVF_CODEC_FLAT)
        put_scalar_quantizer(e, model);
    put_lists(e, head);
}

int64_t ivf_faiss_head_bytes(const ivf_faiss_head *head)
{
    emitter e = {.rc = MPIVF_OK};
    put_head(&e, head);
    return e.at;
}

int ivf_faiss_head_write(const ivf_faiss_head *head, const ivf_outfile *file)
{
    emitter e = {.file = file, .buffer = ivf_new(BUFFER_BYTES, 1), .rc = MPIVF_OK};
    if (e.buffer == NULL)
        return MPIVF_FAILED;
    put_head(&e, head);
    flush(&e);
    ivf_free(e.buffer);
    return e.rc;
}
