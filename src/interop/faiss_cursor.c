#include "interop/faiss_cursor.h"

#include <inttypes.h>

#include "base/error.h"

static int refuse_end(const ivf_cursor *c, const char *what, uint64_t count, size_t size)
{
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s is damaged: %s at byte %" PRId64 " needs %" PRIu64
                    " x %zu bytes, and the file ends at %" PRId64,
                    c->file->path, what, c->at, count, size, c->file->bytes);
}

static int take(ivf_cursor *c, void *value, size_t bytes)
{
    if (c->file->bytes - c->at < (int64_t)bytes)
        return refuse_end(c, "a number", 1, bytes);
    int rc = ivf_rawfile_read(c->file, c->at, bytes, value);
    c->at += (int64_t)bytes;
    return rc;
}

int ivf_cursor_u8(ivf_cursor *c, uint8_t *value)
{
    return take(c, value, sizeof *value);
}

int ivf_cursor_u32(ivf_cursor *c, uint32_t *value)
{
    return take(c, value, sizeof *value);
}

int ivf_cursor_u64(ivf_cursor *c, uint64_t *value)
{
    return take(c, value, sizeof *value);
}

int ivf_cursor_skip(ivf_cursor *c, const char *what, int64_t bytes)
{
    if (bytes < 0 || bytes > c->file->bytes - c->at)
        return refuse_end(c, what, (uint64_t)bytes, 1);
    c->at += bytes;
    return MPIVF_OK;
}

int ivf_cursor_array(ivf_cursor *c, const char *what, size_t size, int64_t *count, int64_t *at)
{
    uint64_t n = 0;
    int rc = ivf_cursor_u64(c, &n);
    if (rc != MPIVF_OK)
        return rc;
    if (n > (uint64_t)(c->file->bytes - c->at) / size)
        return refuse_end(c, what, n, size);
    *count = (int64_t)n;
    *at = c->at;
    c->at += (int64_t)(n * size);
    return MPIVF_OK;
}

int ivf_cursor_exact(ivf_cursor *c, const char *what, size_t size, int64_t wanted, int64_t *at)
{
    int64_t count = 0;
    int rc = ivf_cursor_array(c, what, size, &count, at);
    if (rc == MPIVF_OK && count != wanted)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s is damaged: %s are %" PRId64 " numbers, where %" PRId64 " are needed",
                      c->file->path, what, count, wanted);
    return rc;
}
