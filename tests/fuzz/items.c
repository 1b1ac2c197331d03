/* An item is: its kind, its name with a zero byte, and then a text with a zero byte, 8 bytes of a number, or for a
 * dataset its type, rank, dims of 2 bytes each and contents. */
#include "items.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/h5.h"

enum { TEXT, NUMBER, DATASET, KINDS, NAME_BYTES = 24, ARRAY_MOST = 1 << 20, TYPES = IVF_U64 + 1 };

/* ---- reading bytes ---- */

typedef struct {
    const uint8_t *at;
    size_t left;
} reader;

static void take(reader *r, void *to, size_t bytes)
{
    size_t n = bytes < r->left ? bytes : r->left;
    memset(to, 0, bytes);
    memcpy(to, r->at, n);
    r->at += n;
    r->left -= n;
}

static uint8_t take_byte(reader *r)
{
    uint8_t byte = 0;
    take(r, &byte, 1);
    return byte;
}

/* A name or text, cut to `most` - 1 characters. */
static void take_text(reader *r, char *text, size_t most)
{
    size_t used = 0;
    for (char c = (char)take_byte(r); c != '\0' && used + 1 < most; c = (char)take_byte(r))
        text[used++] = c;
    text[used] = '\0';
}

/* Names as the format has them: HDF5 takes others, which io/h5 never hands it. */
static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_/";
    size_t length = strlen(name);
    return length > 0 && strspn(name, letters) == length && name[0] != '/' && name[length - 1] != '/' &&
           strstr(name, "//") == NULL;
}

static int write_dataset(ivf_h5 *file, const char *name, reader *r)
{
    ivf_array array = {.name = name, .type = (ivf_element)(take_byte(r) % TYPES), .rank = 1 + take_byte(r) % 3};
    int64_t bytes = (int64_t)ivf_element_size(array.type);
    for (int i = 0; i < array.rank; i++) {
        uint16_t dim = 0;
        take(r, &dim, sizeof dim);
        array.dims[i] = dim;
        bytes *= dim;
        if (bytes > ARRAY_MOST)
            return MPIVF_OK;
    }
    array.data = ivf_new((size_t)bytes, 1);
    if (array.data == NULL)
        return MPIVF_FAILED;
    take(r, array.data, (size_t)bytes);
    int rc = ivf_h5_write(file, &array);
    ivf_free(array.data);
    return rc;
}

static int write_item(ivf_h5 *file, reader *r)
{
    char name[NAME_BYTES];
    char text[256];
    int64_t number = 0;
    int kind = take_byte(r) % KINDS;
    take_text(r, name, sizeof name);
    if (kind == TEXT)
        take_text(r, text, sizeof text);
    else if (kind == NUMBER)
        take(r, &number, sizeof number);
    if (!is_name(name))
        return MPIVF_OK;
    if (kind == DATASET)
        return ivf_h5_has(file, name) ? MPIVF_OK : write_dataset(file, name, r);
    return kind == TEXT ? ivf_h5_write_text(file, name, text) : ivf_h5_write_i64(file, name, number);
}

void items_write(const char *path, const uint8_t *data, size_t bytes)
{
    reader r = {data, bytes};
    ivf_h5 *file = NULL;
    if (ivf_h5_create(path, &file) != MPIVF_OK)
        abort();
    int rc = MPIVF_OK;
    /* What HDF5 does not take, a group where a dataset is, ends the file. */
    while (rc == MPIVF_OK && r.left > 0)
        rc = write_item(file, &r);
    if (ivf_h5_close(file) != MPIVF_OK)
        abort();
}

/* ---- writing them ---- */

typedef struct {
    uint8_t *data;
    size_t used, room;
} writer;

static void put(writer *w, const void *data, size_t bytes)
{
    if (w->used + bytes > w->room)
        abort();
    if (bytes > 0)
        memcpy(w->data + w->used, data, bytes);
    w->used += bytes;
}

static void put_head(writer *w, uint8_t kind, const char *name)
{
    put(w, &kind, 1);
    put(w, name, strlen(name) + 1);
}

static void put_dataset(writer *w, ivf_h5 *file, const char *name)
{
    ivf_array array;
    int64_t offset = 0;
    if (!ivf_h5_has(file, name))
        return;
    if (ivf_h5_describe(file, name, &array, &offset) != MPIVF_OK)
        abort();
    put_head(w, DATASET, name);
    const uint8_t form[2] = {(uint8_t)array.type, (uint8_t)(array.rank - 1)};
    put(w, form, sizeof form);
    for (int i = 0; i < array.rank; i++) {
        uint16_t dim = (uint16_t)array.dims[i];
        put(w, &dim, sizeof dim);
    }
    array.data = ivf_new(ivf_array_bytes(&array), 1);
    if (array.data == NULL || ivf_h5_read(file, &array) != MPIVF_OK)
        abort();
    put(w, array.data, ivf_array_bytes(&array));
    ivf_free(array.data);
}

static void put_text(writer *w, ivf_h5 *file, const char *name)
{
    char *text = NULL;
    if (ivf_h5_read_text(file, name, &text) != MPIVF_OK)
        abort();
    put_head(w, TEXT, name);
    put(w, text, strlen(text) + 1);
    ivf_free(text);
}

static void put_number(writer *w, ivf_h5 *file, const char *name)
{
    int64_t number = 0;
    if (ivf_h5_read_i64(file, name, &number) != MPIVF_OK)
        abort();
    put_head(w, NUMBER, name);
    put(w, &number, sizeof number);
}

void items_give(const char *path, const char *const *datasets, const char *const *texts, const char *const *numbers,
                fuzz_sink *sink, void *arg)
{
    writer w = {.data = malloc(ARRAY_MOST), .room = ARRAY_MOST};
    ivf_h5 *file = NULL;
    if (w.data == NULL || ivf_h5_open(path, &file) != MPIVF_OK)
        abort();
    for (; *texts != NULL; texts++)
        put_text(&w, file, *texts);
    for (; *numbers != NULL; numbers++)
        put_number(&w, file, *numbers);
    for (; *datasets != NULL; datasets++)
        put_dataset(&w, file, *datasets);
    ivf_h5_release(file);
    sink(arg, w.data, w.used);
    free(w.data);
}
