/* Where the lists lie, in the fragments (index/place.h) and in the layout that is written. */
#include "interop/lists.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "index/layout.h"
#include "interop/lists_internal.h"
#include "io/h5.h"

static int lay_out(ivf_lists *lists)
{
    const ivf_manifest *m = lists->manifest;
    int64_t bytes = 0;
    for (int32_t l = 0; l < m->factory.nlist; l++) {
        int64_t own = 0;
        lists->starts[l] = bytes;
        if (__builtin_mul_overflow(m->list_sizes[l], lists->posting_bytes, &own) ||
            __builtin_add_overflow(bytes, own, &bytes))
            return ivf_fail(MPIVF_BAD_INPUT, "%s: its lists exceed what a file can hold", lists->index);
    }
    lists->starts[m->factory.nlist] = bytes;
    return MPIVF_OK;
}

static ivf_lists *make(const char *index, const ivf_manifest *manifest)
{
    ivf_lists *lists = ivf_new_zero(1, sizeof *lists);
    if (lists == NULL)
        return NULL;
    lists->index = index;
    lists->manifest = manifest;
    lists->posting_bytes = (int64_t)manifest->code_size + (int64_t)sizeof(uint64_t);
    lists->places = ivf_new_zero(ivf_to_size(manifest->fragment_count), sizeof *lists->places);
    lists->starts = ivf_new_zero((size_t)manifest->factory.nlist + 1, sizeof *lists->starts);
    lists->hasher = ivf_hasher_new();
    if (lists->places != NULL && lists->starts != NULL && lists->hasher != NULL)
        return lists;
    ivf_lists_close(lists);
    return NULL;
}

/* The reader borrows the places, which are known by then. */
static int open_reader(ivf_lists *lists)
{
    lists->reader = ivf_reader_open(lists->index, lists->manifest, lists->places, 0, lists->manifest->fragment_count,
                                    (ivf_reader_use){0});
    return lists->reader == NULL ? MPIVF_FAILED : MPIVF_OK;
}

ivf_lists *ivf_lists_open(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest)
{
    ivf_lists *lists = make(index, manifest);
    int rc = ivf_agree(ctx, lists != NULL ? lay_out(lists) : MPIVF_FAILED);
    if (rc == MPIVF_OK)
        rc = ivf_place_find_all(ctx, index, manifest, lists->places);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, open_reader(lists));
    if (rc == MPIVF_OK)
        return lists;
    ivf_lists_close(lists);
    return NULL;
}

void ivf_lists_close(ivf_lists *lists)
{
    if (lists == NULL)
        return;
    ivf_reader_close(lists->reader);
    ivf_free(lists->places);
    ivf_free(lists->starts);
    ivf_free(lists->group);
    ivf_free(lists->numbers);
    ivf_free((void *)lists->to);
    ivf_free(lists->piece);
    ivf_hasher_free(lists->hasher);
    ivf_free(lists);
}

int64_t ivf_lists_bytes(const ivf_lists *lists)
{
    return lists->starts[lists->manifest->factory.nlist];
}

int64_t ivf_lists_offset(const ivf_lists *lists, int32_t l)
{
    return lists->starts[l];
}
