#include "io/shards.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "comm/transfer.h"
#include "io/inputs.h"

/* What tells whether two paths are one file. */
typedef struct {
    dev_t device;
    ino_t inode;
    int64_t shard;
} identity;

static int compare_identities(const void *a, const void *b)
{
    const identity *x = a;
    const identity *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return (x->shard > y->shard) - (x->shard < y->shard);
}

static int check_distinct(char *const *paths, identity *identities, int count)
{
    qsort(identities, (size_t)count, sizeof *identities, compare_identities);
    for (int i = 1; i < count; i++) {
        const identity *one = &identities[i - 1];
        const identity *other = &identities[i];
        if (one->device == other->device && one->inode == other->inode)
            return ivf_fail(MPIVF_BAD_INPUT, "input %s is given twice (the other time as %s): its rows would be too",
                            paths[other->shard], paths[one->shard]);
    }
    return MPIVF_OK;
}

static int check_alike(const ivf_shards *shards, int reference, int shard)
{
    const ivf_layout *first = &shards->layouts[reference];
    const ivf_layout *other = &shards->layouts[shard];
    if (other->d != first->d)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s has d = %" PRId32 ", but %s has d = %" PRId32 ": all files must be equally wide",
                        shards->paths[shard], other->d, shards->paths[reference], first->d);
    if (other->type != first->type)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s holds %s, but %s holds %s: all files must have one element type",
                        shards->paths[shard], ivf_element_name(other->type), shards->paths[reference],
                        ivf_element_name(first->type));
    return MPIVF_OK;
}

static void warn_of_empty(const ivf_shards *shards)
{
    for (int i = 0; i < shards->count; i++)
        if (shards->layouts[i].rows == 0)
            ivf_warn("input %s has no rows", shards->paths[i]);
}

/* Empty shards are left out of the comparison: their headers need not know d. */
static int check_together(ivf_shards *shards)
{
    int reference = -1;
    for (int i = 0; i < shards->count; i++) {
        if (shards->layouts[i].rows == 0)
            continue;
        reference = reference < 0 ? i : reference;
        int rc = check_alike(shards, reference, i);
        if (rc != MPIVF_OK)
            return rc;
    }
    if (reference < 0)
        return ivf_fail(MPIVF_BAD_INPUT, "the input has no rows: %s%s empty", shards->paths[0],
                        shards->count > 1 ? " and all other files are" : " is");
    warn_of_empty(shards);
    shards->d = shards->layouts[reference].d;
    shards->type = shards->layouts[reference].type;
    return MPIVF_OK;
}

static int probe_all(ivf_shards *shards, const char *h5_path, identity *identities)
{
    for (int i = 0; i < shards->count; i++) {
        ivf_rawfile file = {.fd = -1};
        int rc = ivf_source_probe(shards->paths[i], h5_path, IVF_VECTORS, &shards->layouts[i], &file);
        if (rc != MPIVF_OK)
            return rc;
        identities[i] = (identity){.device = file.device, .inode = file.inode, .shard = i};
    }
    return MPIVF_OK;
}

static int reserve(ivf_shards *shards, int count, size_t name_bytes)
{
    shards->count = count;
    shards->layouts = ivf_new_zero((size_t)count, sizeof *shards->layouts);
    shards->first_rows = ivf_new_zero((size_t)count + 1, sizeof *shards->first_rows);
    shards->paths = ivf_new_zero((size_t)count, sizeof *shards->paths);
    shards->names = ivf_new_zero(name_bytes, 1);
    return shards->layouts == NULL || shards->first_rows == NULL || shards->paths == NULL || shards->names == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

static void point_at_names(ivf_shards *shards)
{
    char *at = shards->names;
    for (int i = 0; i < shards->count; i++, at += strlen(at) + 1)
        shards->paths[i] = at;
}

static int add_rows_up(ivf_shards *shards)
{
    for (int i = 0; i < shards->count; i++)
        if (__builtin_add_overflow(shards->first_rows[i], shards->layouts[i].rows, &shards->first_rows[i + 1]))
            return ivf_fail(MPIVF_BAD_INPUT, "the input claims more than 2^63 rows; look at %s", shards->paths[i]);
    return MPIVF_OK;
}

/* Takes the expanded list; *name_bytes is the room that its names take. */
static int take_list(const ivf_inputs *files, ivf_shards *shards, size_t *name_bytes)
{
    *name_bytes = 0;
    for (int64_t i = 0; i < files->count; i++)
        *name_bytes += strlen(files->paths[i]) + 1;
    if (files->count > INT_MAX)
        return ivf_fail(MPIVF_BAD_INPUT, "%" PRId64 " input files are beyond the limit of %d; join some", files->count,
                        INT_MAX);
    int rc = reserve(shards, (int)files->count, *name_bytes);
    char *at = shards->names;
    for (int64_t i = 0; rc == MPIVF_OK && i < files->count; i++) {
        size_t bytes = strlen(files->paths[i]) + 1;
        memcpy(at, files->paths[i], bytes);
        at += bytes;
    }
    return rc;
}

/* What rank 0 does alone. */
static int find(const char *const *inputs, int count, const char *h5_path, ivf_shards *shards, size_t *name_bytes)
{
    ivf_inputs files;
    int rc = ivf_inputs_expand(inputs, count, &files);
    if (rc == MPIVF_OK)
        rc = take_list(&files, shards, name_bytes);
    ivf_inputs_free(&files);
    if (rc != MPIVF_OK)
        return rc;
    point_at_names(shards);
    identity *identities = ivf_new((size_t)shards->count, sizeof *identities);
    rc = identities == NULL ? MPIVF_FAILED : probe_all(shards, h5_path, identities);
    if (rc == MPIVF_OK)
        rc = check_distinct(shards->paths, identities, shards->count);
    ivf_free(identities);
    if (rc == MPIVF_OK)
        rc = check_together(shards);
    return rc == MPIVF_OK ? add_rows_up(shards) : rc;
}

static int share(const ivf_ctx *ctx, size_t name_bytes, ivf_shards *shards)
{
    int64_t head[4] = {shards->count, (int64_t)name_bytes, shards->d, shards->type};
    ivf_bcast(ctx, head, sizeof head);
    int rc = MPIVF_OK;
    if (!ivf_ctx_is_root(ctx)) {
        rc = reserve(shards, (int)head[0], (size_t)head[1]);
        shards->d = (int)head[2];
        shards->type = (ivf_element)head[3];
    }
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, shards->layouts, (size_t)head[0] * sizeof *shards->layouts);
    ivf_bcast(ctx, shards->first_rows, ((size_t)head[0] + 1) * sizeof *shards->first_rows);
    ivf_bcast(ctx, shards->names, (size_t)head[1]);
    point_at_names(shards);
    return MPIVF_OK;
}

int ivf_shards_find(const ivf_ctx *ctx, const char *const *inputs, int count, const char *h5_path, ivf_shards *shards)
{
    size_t name_bytes = 0;
    *shards = (ivf_shards){0};
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? find(inputs, count, h5_path, shards, &name_bytes) : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = share(ctx, name_bytes, shards);
    if (rc != MPIVF_OK)
        ivf_shards_free(shards);
    return rc;
}

void ivf_shards_free(ivf_shards *shards)
{
    ivf_free(shards->layouts);
    ivf_free(shards->first_rows);
    ivf_free(shards->paths);
    ivf_free(shards->names);
    *shards = (ivf_shards){0};
}
