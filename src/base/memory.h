/* The one allocator: 64-byte aligned, overflow-checked, counted. Thread-safe. */
#ifndef IVF_BASE_MEMORY_H
#define IVF_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

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

/* Local. The next `bytes` bytes of a block, whose first *used are taken, aligned to 64; NULL of no block, when only the
 * counting is wanted. */
static inline void *ivf_memory_piece(void *block, size_t *used, size_t bytes)
{
    void *piece = block == NULL ? NULL : (char *)block + *used;
    *used += (bytes + 63) / 64 * 64;
    return piece;
}

/* Local, at the beginning of a program of ours: a phase's memory is from here on what it holds, whatever the phases
 * before it held. Changes malloc for the whole process, so a library does not do it. */
void ivf_memory_settle(void);

/* Local. Bytes held now through ivf_new, and their peak since the start or the last reset. */
size_t ivf_memory_now(void);
size_t ivf_memory_peak(void);
void ivf_memory_reset_peak(void);

/* Local. Gives what malloc keeps of freed small blocks back to the system, for a phase to begin with: some ms at most.
 */
void ivf_memory_trim(void);

/* Local. Bytes of this process that lie in memory now, and the most since the last reset: libraries, stacks and what
 * they share with others included. The kernel keeps one peak for each process, and starts a new one when told to by
 * clear_refs; where it does not allow that the peak is the whole run's so far. 0 where there is no /proc (proc(5)). */
int64_t ivf_memory_resident(void);
int64_t ivf_memory_resident_peak(void);
void ivf_memory_reset_resident_peak(void);

#endif
