#include "base/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"

/* Each block is preceded by one alignment unit that holds its size, so that freeing can count it off. */
enum { ALIGNMENT = 64 };

/* Blocks from this size on are mappings of their own, so that freeing them gives their memory back to the system at
 * once. glibc would raise this limit to up to 32 MiB as such blocks are freed, and keep what lies below it. */
enum { MAPPED_BYTES = 1 << 20 };

static atomic_size_t held;
static atomic_size_t peak;

void ivf_memory_settle(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, MAPPED_BYTES);
}

static void count_in(size_t bytes)
{
    size_t now = atomic_fetch_add(&held, bytes) + bytes;
    size_t top = atomic_load(&peak);
    while (now > top && !atomic_compare_exchange_weak(&peak, &top, now)) {
    }
}

static size_t *size_of_block(void *block)
{
    return (size_t *)(void *)((char *)block - ALIGNMENT);
}

void *ivf_new(size_t count, size_t size)
{
    size_t bytes = 0;
    size_t whole = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, 2 * (size_t)ALIGNMENT, &whole)) {
        (void)ivf_fail(MPIVF_FAILED, "out of memory: %zu elements of %zu bytes exceed the address space", count, size);
        return NULL;
    }
    if (ivf_fault("memory"))
        return NULL;
    char *raw = aligned_alloc(ALIGNMENT, whole / ALIGNMENT * ALIGNMENT);
    if (raw == NULL) {
        (void)ivf_fail(MPIVF_FAILED, "out of memory: %zu bytes more than the %zu held cannot be had", bytes,
                       ivf_memory_now());
        return NULL;
    }
    count_in(bytes);
    void *block = raw + ALIGNMENT;
    *size_of_block(block) = bytes;
    return block;
}

void *ivf_new_zero(size_t count, size_t size)
{
    void *block = ivf_new(count, size);
    if (block != NULL)
        memset(block, 0, count * size);
    return block;
}

void *ivf_resize(void *block, size_t count, size_t size)
{
    void *grown = ivf_new(count, size);
    if (grown == NULL || block == NULL)
        return grown;
    size_t old = *size_of_block(block);
    memcpy(grown, block, old < count * size ? old : count * size);
    ivf_free(block);
    return grown;
}

void ivf_free(void *block)
{
    if (block == NULL)
        return;
    atomic_fetch_sub(&held, *size_of_block(block));
    free((char *)block - ALIGNMENT);
}

size_t ivf_memory_now(void)
{
    return atomic_load(&held);
}

size_t ivf_memory_peak(void)
{
    return atomic_load(&peak);
}

void ivf_memory_reset_peak(void)
{
    atomic_store(&peak, atomic_load(&held));
}

void ivf_memory_trim(void)
{
    (void)malloc_trim(0);
}

int64_t ivf_memory_resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %lld", &pages) != 1) // NOLINT(cert-err34-c): the kernel's own number
        pages = 0;
    (void)fclose(file);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

int64_t ivf_memory_resident_peak(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long long kib = 0;
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %lld kB", &kib) == 1) // NOLINT(cert-err34-c): the kernel's own number
            break;
    (void)fclose(file);
    return (int64_t)kib * 1024;
}

void ivf_memory_reset_resident_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (file == NULL)
        return;
    (void)fputs("5", file);
    (void)fclose(file);
}
