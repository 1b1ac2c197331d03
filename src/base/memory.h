/* The one allocator: 64-byte aligned, overflow-checked, counted. Thread-safe. */
#ifndef IVF_BASE_MEMORY_H
#define IVF_BASE_MEMORY_H

#include <stddef.h>

/* Local. `count` elements of `size` bytes, not initialised; NULL with a failure recorded when they cannot be had. A
 * count of 0 gives a valid block. */
void *ivf_new(size_t count, size_t size);

/* Local. The same, all bytes zero. */
void *ivf_new_zero(size_t count, size_t size);

/* Local. Grows or shrinks a block to `count` elements, keeping the contents; on failure the old block stays. NULL grows
 * from nothing. */
void *ivf_resize(void *block, size_t count, size_t size);

/* Local. Gives a block back; NULL is allowed. */
void ivf_free(void *block);

/* Local. Bytes held now through ivf_new, and their peak since the start or the last reset. */
size_t ivf_memory_now(void);
size_t ivf_memory_peak(void);
void ivf_memory_reset_peak(void);

#endif
