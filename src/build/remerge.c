#include "build/remerge.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "build/compact_internal.h"
#include "build/publisher.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"

struct ivf_remerge {
    const char *index;
    const ivf_manifest *manifest; /* of the compacted version */
    ivf_manifest *source;         /* owned */
    ivf_place *places;            /* [its fragments], owned */
};

static int refuse_source(const char *index, const ivf_manifest *m, const char *why)
{
    return ivf_fail(MPIVF_CORRUPT,
                    "%s: damaged fragments of version %" PRId64 " can be merged again only from version %" PRId64
                    ", from which it was compacted, and that one %s; build again with --replace: the same input and "
                    "options make the same index, and --model %s spares the training",
                    index, m->version, m->compacted.version, why, index);
}

/* Versions of the same fragments are as good as the one that was compacted. */
typedef struct {
    const char *build_id;
    int64_t version; /* 0: none found */
} search;

static int look_at_version(void *arg, const ivf_manifest *m, bool *stop)
{
    search *s = arg;
    *stop = strcmp(m->build_id, s->build_id) == 0;
    if (*stop)
        s->version = m->version;
    return MPIVF_OK;
}

/* Rank 0. */
static int read_source(const char *index, const ivf_manifest *m, ivf_manifest **source)
{
    search s = {.build_id = m->compacted.build_id};
    int64_t damaged = 0;
    int rc = ivf_manifest_walk(index, look_at_version, &s, &damaged);
    if (rc == MPIVF_OK && s.version == 0)
        return refuse_source(index, m, damaged > 0 ? "is damaged" : "has been removed");
    if (rc == MPIVF_OK)
        rc = ivf_manifest_read_version(index, s.version, source);
    if (rc == MPIVF_OK &&
        ((*source)->factory.nlist != m->factory.nlist || (*source)->code_size != m->code_size ||
         (*source)->kept.d != m->kept.d || (*source)->kept.type != m->kept.type ||
         memcmp((*source)->list_sizes, m->list_sizes, (size_t)m->factory.nlist * sizeof *m->list_sizes) != 0)) {
        rc = refuse_source(index, m, "has other lists");
        ivf_manifest_free(*source);
        *source = NULL;
    }
    return rc;
}

int ivf_remerge_open(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, ivf_remerge **remerge)
{
    ivf_remerge *r = ivf_new_zero(1, sizeof *r);
    int rc = r == NULL ? MPIVF_FAILED : MPIVF_OK;
    *remerge = NULL;
    if (rc == MPIVF_OK && r != NULL && ivf_ctx_is_root(ctx))
        rc = read_source(index, manifest, &r->source);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && r != NULL) {
        r->index = index;
        r->manifest = manifest;
        rc = ivf_manifest_share(ctx, index, MPIVF_OK, &r->source);
    }
    if (rc == MPIVF_OK && r != NULL) {
        r->places = ivf_new(ivf_to_size(r->source->fragment_count), sizeof *r->places);
        rc = ivf_agree(ctx, r->places == NULL ? MPIVF_FAILED : MPIVF_OK);
    }
    if (rc == MPIVF_OK && r != NULL)
        rc = ivf_place_find_all(ctx, index, r->source, r->places);
    if (rc == MPIVF_OK)
        *remerge = r;
    else
        ivf_remerge_close(r);
    return rc;
}

void ivf_remerge_close(ivf_remerge *remerge)
{
    if (remerge == NULL)
        return;
    ivf_free(remerge->places);
    ivf_manifest_free(remerge->source);
    ivf_free(remerge);
}

static int merge_fragment(const ivf_remerge *r, int64_t number, uint64_t *checksum)
{
    const ivf_fragment_record *expected = &r->manifest->fragments[number];
    ivf_fragment_record record = {.number = number};
    ivf_fragment *fragment = NULL;
    ivf_merger *merger = ivf_merger_open(r->index, r->source, r->places, expected->lists);
    memcpy(record.id, expected->id, sizeof record.id);
    int rc = merger == NULL ? MPIVF_FAILED
                            : ivf_fragment_new(expected->lists, r->source->code_size, expected->postings,
                                               expected->rows - expected->postings, &fragment);
    if (rc == MPIVF_OK && r->source->kept.d > 0)
        rc = ivf_fragment_keep(fragment, r->source->kept);
    if (rc == MPIVF_OK)
        rc = ivf_merger_run(merger, expected->first_list, expected->lists, fragment, &record);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_rewrite(fragment, r->index, expected, &record);
    *checksum = record.checksum;
    ivf_fragment_free(fragment);
    ivf_merger_close(merger);
    return rc;
}

static int merge_fragments(const ivf_ctx *ctx, const ivf_remerge *r, const int64_t *pending, int64_t count,
                           uint64_t *checksums)
{
    int64_t postings = 0;
    for (int64_t i = 0; i < count; i++)
        postings += r->manifest->fragments[pending[i]].postings;
    ivf_tickets *tickets = ivf_tickets_open(ctx, count);
    if (tickets == NULL)
        return ivf_error_last()->code;
    ivf_progress *progress = ivf_progress_open(ctx, "repair", "rows", postings);
    int rc = progress == NULL ? ivf_error_last()->code : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        rc = ivf_stop_point();
        if (rc == MPIVF_OK)
            rc = merge_fragment(r, pending[t], &checksums[pending[t]]);
        if (rc != MPIVF_OK)
            break;
        ivf_progress_add(progress, r->manifest->fragments[pending[t]].postings);
    }
    if (rc != MPIVF_OK)
        ivf_tickets_withdraw(tickets);
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

/* The one file that all ranks write. */
static int merge_file(const ivf_ctx *ctx, const ivf_remerge *r, uint64_t *checksums)
{
    const ivf_compact_config config = {
        .index = r->index, .fragment_bytes = r->manifest->compacted.fragment_bytes, .single_file = true};
    ivf_fragment_record made = {0};
    ivf_compact_state s = {.config = &config,
                           .manifest = r->source,
                           .places = r->places,
                           .held = IVF_PUBLISHER_HELD,
                           .expected = &r->manifest->fragments[0],
                           .records = &made};
    memcpy(s.build_id, r->manifest->build_id, sizeof s.build_id);
    int rc = ivf_agree(ctx, ivf_compact_cut(r->source, &config, &s.parts));
    if (rc == MPIVF_OK)
        rc = ivf_compact_file(ctx, &s);
    checksums[0] = made.checksum;
    ivf_free(s.parts.starts);
    return rc;
}

int ivf_remerge_run(const ivf_ctx *ctx, const ivf_remerge *remerge, const int64_t *pending, int64_t count,
                    uint64_t *checksums)
{
    int rc = remerge->manifest->compacted.single_file ? merge_file(ctx, remerge, checksums)
                                                      : merge_fragments(ctx, remerge, pending, count, checksums);
    if (rc == MPIVF_OK)
        ivf_allsum_u64(ctx, checksums, remerge->manifest->fragment_count);
    return rc;
}
