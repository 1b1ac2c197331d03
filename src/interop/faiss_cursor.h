/* Reading a file from front to back: what is taken is there, or the failure says where the file ends. */
#ifndef IVF_INTEROP_FAISS_CURSOR_H
#define IVF_INTEROP_FAISS_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "io/rawfile.h"

typedef struct {
    const ivf_rawfile *file;
    int64_t at;
} ivf_cursor;

/* Local. The next numbers. */
int ivf_cursor_u8(ivf_cursor *c, uint8_t *value);
int ivf_cursor_u32(ivf_cursor *c, uint32_t *value);
int ivf_cursor_u64(ivf_cursor *c, uint64_t *value);

/* Local. An array of `size` bytes an element, as a count and the elements, is passed over: how many there are, and
 * where they begin. MPIVF_BAD_INPUT, naming `what`, when the rest of the file is shorter. */
int ivf_cursor_array(ivf_cursor *c, const char *what, size_t size, int64_t *count, int64_t *at);

/* Local. The same, where there must be exactly `wanted`. */
int ivf_cursor_exact(ivf_cursor *c, const char *what, size_t size, int64_t wanted, int64_t *at);

/* Local. Passes over so many bytes, which must be there. */
int ivf_cursor_skip(ivf_cursor *c, const char *what, int64_t bytes);

#endif
