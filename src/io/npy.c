/* The header of .npy: magic, version, length, then a Python dictionary literal with the keys descr, fortran_order and
 * shape in any order. It comes from strangers, so that only what is needed is understood and the rest refused. */
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/formats.h"

enum { DIMS = 4, DESCR_BYTES = 32, HEADER_MOST = 65536 };

typedef struct {
    char descr[DESCR_BYTES];
    bool fortran_order;
    int rank; /* counts on beyond DIMS */
    int64_t dims[DIMS];
    bool has_descr, has_order, has_shape;
} npy_header;

/* A place in the header's text, which ends with a 0 byte. */
typedef struct {
    const char *at;
} cursor;

static void skip_blanks(cursor *c)
{
    while (isspace((unsigned char)*c->at))
        c->at++;
}

static bool take(cursor *c, char expected)
{
    skip_blanks(c);
    if (*c->at != expected)
        return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    skip_blanks(c);
    size_t length = strlen(word);
    if (strncmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

static bool take_string(cursor *c, char text[DESCR_BYTES])
{
    skip_blanks(c);
    char quote = *c->at;
    if (quote != '\'' && quote != '"')
        return false;
    const char *end = strchr(c->at + 1, quote);
    if (end == NULL || end - c->at > DESCR_BYTES)
        return false;
    size_t length = (size_t)(end - c->at) - 1;
    memcpy(text, c->at + 1, length);
    text[length] = '\0';
    c->at = end + 1;
    return true;
}

static bool take_size(cursor *c, int64_t *size)
{
    skip_blanks(c);
    if (!isdigit((unsigned char)*c->at))
        return false;
    *size = 0;
    for (; isdigit((unsigned char)*c->at); c->at++)
        if (__builtin_mul_overflow(*size, 10, size) || __builtin_add_overflow(*size, *c->at - '0', size))
            return false;
    if (*c->at == 'L') /* a long of Python 2 */
        c->at++;
    return true;
}

static bool take_shape(cursor *c, npy_header *header)
{
    if (!take(c, '('))
        return false;
    while (!take(c, ')')) {
        int64_t size = 0;
        if (!take_size(c, &size))
            return false;
        if (header->rank < DIMS)
            header->dims[header->rank] = size;
        header->rank++;
        if (!take(c, ',') && *c->at != ')')
            return false;
    }
    return true;
}

/* A list is the descr of a structured type: kept as such, for the message. */
static bool take_descr(cursor *c, npy_header *header)
{
    skip_blanks(c);
    if (*c->at != '[')
        return take_string(c, header->descr);
    int depth = 0;
    do {
        depth += (*c->at == '[') - (*c->at == ']');
        if (*c->at == '\0')
            return false;
        c->at++;
    } while (depth > 0);
    memcpy(header->descr, "structured", sizeof "structured");
    return true;
}

static bool take_entry(cursor *c, npy_header *header)
{
    char key[DESCR_BYTES];
    if (!take_string(c, key) || !take(c, ':'))
        return false;
    if (strcmp(key, "descr") == 0 && !header->has_descr)
        return header->has_descr = take_descr(c, header);
    if (strcmp(key, "shape") == 0 && !header->has_shape)
        return header->has_shape = take_shape(c, header);
    if (strcmp(key, "fortran_order") != 0 || header->has_order)
        return false;
    header->has_order = true;
    header->fortran_order = take_word(c, "True");
    return header->fortran_order || take_word(c, "False");
}

static bool parse(const char *text, npy_header *header)
{
    cursor c = {text};
    if (!take(&c, '{'))
        return false;
    while (!take(&c, '}'))
        if (!take_entry(&c, header) || (!take(&c, ',') && *c.at != '}'))
            return false;
    skip_blanks(&c);
    return *c.at == '\0' && header->has_descr && header->has_order && header->has_shape;
}

/* Magic, version and length: *start and *length of the text. */
static int find_text(const ivf_rawfile *file, int64_t *start, int64_t *length)
{
    uint8_t head[12] = {0};
    size_t bytes = (size_t)ivf_min_i64(file->bytes, (int64_t)sizeof head);
    int rc = ivf_rawfile_read(file, 0, bytes, head);
    if (rc != MPIVF_OK)
        return rc;
    if (memcmp(head, "\x93NUMPY", 6) != 0)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s is no .npy file: it does not begin with \\x93NUMPY", file->path);
    if (head[6] < 1 || head[6] > 3 || head[7] != 0)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: .npy version %d.%d is not known; versions 1.0, 2.0 and 3.0 are",
                        file->path, head[6], head[7]);
    *start = head[6] == 1 ? 10 : 12;
    *length = head[8] | head[9] << 8;
    if (head[6] > 1)
        *length |= (int64_t)head[10] << 16 | (int64_t)head[11] << 24;
    if (*length > HEADER_MOST)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: a .npy header of %" PRId64 " bytes is beyond the limit of %d",
                        file->path, *length, HEADER_MOST);
    if (*start + *length > file->bytes)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: the .npy header ends at byte %" PRId64 ", the file has %" PRId64
                        ": it was cut short; write it again",
                        file->path, *start + *length, file->bytes);
    return MPIVF_OK;
}

static int read_header(const ivf_rawfile *file, npy_header *header, int64_t *offset)
{
    int64_t start = 0;
    int64_t length = 0;
    int rc = find_text(file, &start, &length);
    if (rc != MPIVF_OK)
        return rc;
    char *text = ivf_new_zero((size_t)length + 1, 1);
    if (text == NULL)
        return MPIVF_FAILED;
    rc = ivf_rawfile_read(file, start, (size_t)length, text);
    if (rc == MPIVF_OK && !parse(text, header))
        rc = ivf_fail(MPIVF_BAD_INPUT,
                      "input %s: the .npy header is not a dictionary of descr, fortran_order and shape; write it with "
                      "numpy.save",
                      file->path);
    ivf_free(text);
    *offset = start + length;
    return rc;
}

static int refuse_type(const ivf_rawfile *file, ivf_contents contents, const char *descr)
{
    if (descr[0] == '>')
        return ivf_fail(MPIVF_BAD_INPUT, "input %s is big-endian (dtype '%s'); save it little-endian", file->path,
                        descr);
    if (contents == IVF_ID_LIST)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: ids of dtype '%s' cannot be read; use int64 or uint64", file->path,
                        descr);
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s: dtype '%s' cannot be read; use float32, float64, float16, uint8 or int8", file->path,
                    descr);
}

static int find_type(const ivf_rawfile *file, ivf_contents contents, const char *descr, ivf_element *type)
{
    static const struct {
        const char *descr;
        ivf_contents contents;
        ivf_element type;
    } types[] = {{"<f4", IVF_VECTORS, IVF_F32}, {"<f8", IVF_VECTORS, IVF_F64}, {"<f2", IVF_VECTORS, IVF_F16},
                 {"|u1", IVF_VECTORS, IVF_U8},  {"|i1", IVF_VECTORS, IVF_I8},  {"<i8", IVF_ID_LIST, IVF_I64},
                 {"<u8", IVF_ID_LIST, IVF_U64}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].contents == contents && strcmp(types[i].descr, descr) == 0) {
            *type = types[i].type;
            return MPIVF_OK;
        }
    }
    return refuse_type(file, contents, descr);
}

/* Whether the file ends where rank dimensions of f32 from `offset` on do. */
static int fit_floats(const ivf_rawfile *file, const npy_header *header, int64_t offset)
{
    int64_t bytes = (int64_t)sizeof(float);
    bool sound = true;
    for (int i = 0; i < header->rank; i++)
        sound = sound && header->dims[i] > 0 && !__builtin_mul_overflow(bytes, header->dims[i], &bytes);
    if (sound && bytes == file->bytes - offset)
        return MPIVF_OK;
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s: its header's shape does not go with the %" PRId64 " bytes behind it; write it again",
                    file->path, file->bytes - offset);
}

int ivf_npy_probe_floats(const ivf_rawfile *file, int rank, int64_t *dims, int64_t *offset)
{
    npy_header header = {0};
    int rc = read_header(file, &header, offset);
    if (rc == MPIVF_OK && strcmp(header.descr, "<f4") != 0)
        rc = ivf_fail(MPIVF_BAD_INPUT,
                      "input %s: dtype '%s' would have to be converted; save it as float32, little-endian", file->path,
                      header.descr);
    if (rc == MPIVF_OK && header.rank != rank)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s is a %d-d array; it must have %d dimensions", file->path, header.rank,
                      rank);
    if (rc == MPIVF_OK && header.fortran_order)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s is in Fortran order; save numpy.ascontiguousarray of it", file->path);
    for (int i = 0; rc == MPIVF_OK && i < rank; i++)
        dims[i] = header.dims[i];
    return rc == MPIVF_OK ? fit_floats(file, &header, *offset) : rc;
}

int ivf_npy_probe(const ivf_rawfile *file, ivf_contents contents, ivf_layout *layout)
{
    npy_header header = {0};
    const int rank = contents == IVF_VECTORS ? 2 : 1;
    int rc = read_header(file, &header, &layout->offset);
    if (rc == MPIVF_OK)
        rc = find_type(file, contents, header.descr, &layout->type);
    if (rc != MPIVF_OK)
        return rc;
    if (header.rank != rank)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s is a %d-d array; %s", file->path, header.rank,
                        rank == 2 ? "vectors need 2 dimensions, [rows][d]" : "ids need 1 dimension, [rows]");
    if (header.fortran_order && rank == 2)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s is in Fortran order (column after column); save numpy.ascontiguousarray of it",
                        file->path);
    return ivf_layout_fit(file, header.dims[0], rank == 2 ? header.dims[1] : 1, layout);
}
