#include "io/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/formats.h"
#include "io/h5source.h"
#include "math/convert.h"

/* Files hold little-endian numbers, and are read without conversion. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "mpivf runs on little-endian machines");

typedef enum { NPY, VECS, BIN, HDF5, RAW } family;

static const struct {
    const char *ending;
    const char *name;
    family family;
    ivf_element type; /* of VECS and BIN, whose names tell it */
} formats[] = {
    {".npy", "npy", NPY, IVF_F32},    {".fvecs", "fvecs", VECS, IVF_F32},  {".bvecs", "bvecs", VECS, IVF_U8},
    {".fbin", "fbin", BIN, IVF_F32},  {".f16bin", "f16bin", BIN, IVF_F16}, {".u8bin", "u8bin", BIN, IVF_U8},
    {".i8bin", "i8bin", BIN, IVF_I8}, {".h5", "hdf5", HDF5, IVF_F32},      {".hdf5", "hdf5", HDF5, IVF_F32},
};

enum { FORMATS = sizeof formats / sizeof formats[0] };

struct ivf_source {
    const ivf_layout *layout;
    ivf_rawfile file;
    ivf_h5source *h5; /* NULL unless rows come through HDF5 */
};

/* Length of a name without the ".crop_nb_N" that big-ann tools put behind the ending. */
static size_t cropped_length(const char *path)
{
    static const char mark[] = ".crop_nb_";
    size_t length = strlen(path);
    size_t digits = 0;
    while (digits < length && path[length - 1 - digits] >= '0' && path[length - 1 - digits] <= '9')
        digits++;
    size_t tail = digits + sizeof mark - 1;
    if (digits == 0 || tail > length || strncmp(path + length - tail, mark, sizeof mark - 1) != 0)
        return length;
    return length - tail;
}

int ivf_source_format(const char *path)
{
    size_t length = cropped_length(path);
    for (int i = 0; i < FORMATS; i++) {
        size_t ending = strlen(formats[i].ending);
        if (length > ending && strncasecmp(path + length - ending, formats[i].ending, ending) == 0)
            return i;
    }
    return -1;
}

const char *ivf_source_format_name(int format)
{
    return formats[format].name;
}

const char *ivf_source_known(void)
{
    return ".npy, .fvecs, .bvecs, .fbin, .f16bin, .u8bin, .i8bin, .h5, .hdf5";
}

size_t ivf_layout_stride(const ivf_layout *layout)
{
    return (size_t)layout->prefix + (size_t)layout->d * ivf_element_size(layout->type);
}

static int refuse_size(const ivf_rawfile *file, int64_t rows, int64_t d, ivf_element type, int64_t wanted)
{
    char needs[64] = "more than 2^63 bytes";
    if (wanted >= 0)
        (void)snprintf(needs, sizeof needs, "%" PRId64 " bytes", wanted);
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s: its header says %" PRId64 " rows of d = %" PRId64 " in %s, which make %s; the file has "
                    "%" PRId64 ": it was cut short, or its header is wrong",
                    file->path, rows, d, ivf_element_name(type), needs, file->bytes);
}

int ivf_layout_fit(const ivf_rawfile *file, int64_t rows, int64_t d, ivf_layout *layout)
{
    int64_t wanted = 0;
    if (rows > 0 && d == 0)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s has %" PRId64 " rows of d = 0: rows need at least one component",
                        file->path, rows);
    if (__builtin_mul_overflow(rows, d, &wanted) ||
        __builtin_mul_overflow(wanted, (int64_t)ivf_element_size(layout->type), &wanted) ||
        __builtin_add_overflow(wanted, layout->offset, &wanted))
        wanted = -1;
    if (wanted != file->bytes)
        return refuse_size(file, rows, d, layout->type, wanted);
    if (rows > 0 && d > IVF_D_MOST)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: d = %" PRId64 " is beyond the limit of %d", file->path, d,
                        IVF_D_MOST);
    layout->rows = rows;
    layout->d = rows > 0 ? (int32_t)d : 0;
    return MPIVF_OK;
}

/* Ids that are in no format of vectors are plain 64-bit numbers. */
static int raw_ids_probe(const ivf_rawfile *file, ivf_layout *layout)
{
    layout->type = IVF_I64;
    layout->offset = 0;
    if (file->bytes % 8 != 0)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: %" PRId64 " bytes are no whole number of 64-bit ids", file->path,
                        file->bytes);
    return ivf_layout_fit(file, file->bytes / 8, 1, layout);
}

static int probe_open_file(const ivf_rawfile *file, const char *h5_path, ivf_contents contents, ivf_layout *layout)
{
    family found = layout->format < 0 ? RAW : formats[layout->format].family;
    if (contents == IVF_ID_LIST && (found == VECS || found == BIN))
        found = RAW;
    switch (found) {
    case NPY:
        return ivf_npy_probe(file, contents, layout);
    case VECS:
        return ivf_vecs_probe(file, layout);
    case BIN:
        return ivf_bin_probe(file, layout);
    case HDF5:
        return ivf_h5source_probe(file, h5_path, contents, layout);
    case RAW:
        break;
    }
    return raw_ids_probe(file, layout);
}

int ivf_source_probe(const char *path, const char *h5_path, ivf_contents contents, ivf_layout *layout,
                     ivf_rawfile *file)
{
    *layout = (ivf_layout){.format = ivf_source_format(path)};
    int rc = ivf_rawfile_open(path, file);
    if (rc != MPIVF_OK)
        return rc;
    layout->bytes = file->bytes;
    layout->mtime_ns = file->mtime_ns;
    if (layout->format >= 0)
        layout->type = formats[layout->format].type;
    if (layout->format < 0 && contents == IVF_VECTORS)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s: its name tells no known format; known are %s", path,
                      ivf_source_known());
    else
        rc = probe_open_file(file, h5_path, contents, layout);
    ivf_rawfile_close(file);
    return rc;
}

static int open_file(const char *path, const char *h5_path, ivf_source *source)
{
    int rc = ivf_rawfile_open(path, &source->file);
    if (rc != MPIVF_OK)
        return rc;
    if (source->file.bytes != source->layout->bytes)
        rc = ivf_fail(MPIVF_BAD_INPUT,
                      "input %s has %" PRId64 " bytes here, and had %" PRId64
                      " when the run began: it must not change, and be the same on every host",
                      path, source->file.bytes, source->layout->bytes);
    else if (source->layout->offset < 0)
        rc = ivf_h5source_open(&source->file, h5_path, source->layout, &source->h5);
    if (rc != MPIVF_OK)
        ivf_rawfile_close(&source->file);
    return rc;
}

int ivf_source_open(const char *path, const char *h5_path, const ivf_layout *layout, ivf_source **source)
{
    ivf_source *made = ivf_new_zero(1, sizeof *made);
    *source = NULL;
    if (made == NULL)
        return MPIVF_FAILED;
    made->layout = layout;
    int rc = open_file(path, h5_path, made);
    if (rc == MPIVF_OK)
        *source = made;
    else
        ivf_free(made);
    return rc;
}

void ivf_source_close(ivf_source *source)
{
    if (source == NULL)
        return;
    ivf_h5source_close(source->h5);
    ivf_rawfile_close(&source->file);
    ivf_free(source);
}

static int check_prefixes(const ivf_source *source, int64_t first, int64_t n, const char *raw)
{
    const ivf_layout *layout = source->layout;
    const size_t stride = ivf_layout_stride(layout);
    for (int64_t i = 0; layout->prefix > 0 && i < n; i++, raw += stride) {
        int32_t d = 0;
        memcpy(&d, raw, sizeof d);
        if (d != layout->d)
            return ivf_fail(MPIVF_BAD_INPUT,
                            "input %s: row %" PRId64 " says d = %" PRId32 ", the first row d = %" PRId32
                            ": all rows of a file must be equally wide",
                            source->file.path, first + i, d, layout->d);
    }
    return MPIVF_OK;
}

int ivf_source_fetch(ivf_source *source, int64_t first, int64_t n, void *raw)
{
    const int64_t stride = (int64_t)ivf_layout_stride(source->layout);
    if (source->h5 != NULL)
        return ivf_h5source_read(source->h5, first, n, raw);
    int rc = ivf_rawfile_read(&source->file, source->layout->offset + first * stride, (size_t)(n * stride), raw);
    return rc == MPIVF_OK ? check_prefixes(source, first, n, raw) : rc;
}

/* Rows at..at+n-1 of what was fetched. */
static void unpack(const ivf_layout *layout, const char *raw, int64_t at, int64_t n, float *x)
{
    const size_t stride = ivf_layout_stride(layout);
    raw += (size_t)at * stride;
    if (layout->prefix == 0) {
        ivf_to_f32(layout->type, raw, n * layout->d, x);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        ivf_to_f32(layout->type, raw + (size_t)i * stride + layout->prefix, layout->d, x + i * layout->d);
}

static bool is_plain(const ivf_layout *layout)
{
    return layout->type == IVF_F32 && layout->prefix == 0;
}

int64_t ivf_source_memory(const ivf_layout *layout)
{
    return is_plain(layout) ? 0 : IVF_SPAN_BYTES;
}

/* A chunk is read and decompressed before others make room for it. */
int64_t ivf_source_passing(const ivf_layout *layout)
{
    enum { OWN = 16 << 20 }; /* free lists and small caches of HDF5 */
    return layout->offset < 0 ? OWN + 2 * layout->chunks : 0;
}

int64_t ivf_source_kept(const ivf_layout *layout)
{
    return layout->held * layout->chunks;
}

int ivf_source_read(ivf_source *source, int64_t first, int64_t n, float *x)
{
    const ivf_layout *layout = source->layout;
    if (is_plain(layout))
        return ivf_source_fetch(source, first, n, x);
    const size_t stride = ivf_layout_stride(layout);
    const int64_t piece = ivf_min_i64(n, ivf_max_i64(1, IVF_SPAN_BYTES / (int64_t)stride));
    char *raw = ivf_new((size_t)piece, stride);
    int rc = raw == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t done = 0; rc == MPIVF_OK && done < n; done += piece) {
        int64_t now = ivf_min_i64(piece, n - done);
        rc = ivf_source_fetch(source, first + done, now, raw);
        if (rc == MPIVF_OK)
            unpack(layout, raw, 0, now, x + done * layout->d);
    }
    ivf_free(raw);
    return rc;
}

int ivf_source_read_span(ivf_source *source, const int64_t *picks, int64_t n, int64_t base, float *x)
{
    const ivf_layout *layout = source->layout;
    const int64_t first = picks[0] - base;
    const int64_t span = picks[n - 1] - picks[0] + 1;
    if (span == n)
        return ivf_source_read(source, first, n, x);
    char *raw = ivf_new((size_t)span, ivf_layout_stride(layout));
    int rc = raw == NULL ? MPIVF_FAILED : ivf_source_fetch(source, first, span, raw);
    for (int64_t i = 0; rc == MPIVF_OK && i < n; i++)
        unpack(layout, raw, picks[i] - picks[0], 1, x + i * layout->d);
    ivf_free(raw);
    return rc;
}
