/* How a compaction cuts its work, and what that takes of a rank's memory. */
#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "base/text.h"
#include "build/compact_internal.h"
#include "build/compact_sums.h"
#include "build/publisher.h"

/* Beside blocks that are counted, measured at 1 to 5 ranks: small blocks, stacks, pages of libraries; of each rank. */
static const int64_t GROWTH = 6 << 20;
static const int64_t RANK_GROWTH = 384 << 10;

static const int64_t MOST_FRAGMENTS = 1000000; /* a record of each is in the manifest */
static const int64_t MEBIBYTE = 1 << 20;
static const int64_t SPARE = 2 << 20; /* that a remedy leaves free */
enum { RECORD_TEXT = 1536 };          /* of a fragment in the manifest, as JSON in memory and as text */

static int64_t posting_bytes(const ivf_manifest *m)
{
    return (int64_t)(sizeof(uint64_t) + m->code_size + ivf_kept_bytes(m->kept));
}

/* Walks through the parts; starts may be NULL. */
static void walk_parts(const ivf_manifest *m, int64_t bytes, ivf_compact_parts *parts)
{
    const int64_t most = ivf_max_i64(1, bytes / posting_bytes(m));
    int64_t postings = 0;
    int32_t first = 0;
    parts->count = 0;
    parts->most_lists = 0;
    parts->most_postings = 0;
    for (int32_t l = 0; l < m->factory.nlist; l++) {
        if (l > first && m->list_sizes[l] > most - postings) {
            first = l;
            postings = 0;
        }
        if (l == first && parts->starts != NULL)
            parts->starts[parts->count] = l;
        parts->count += l == first;
        postings += m->list_sizes[l];
        parts->most_lists = ivf_to_i32(ivf_max_i64(parts->most_lists, (int64_t)l - first + 1));
        parts->most_postings = ivf_max_i64(parts->most_postings, postings);
    }
    if (parts->starts != NULL)
        parts->starts[parts->count] = m->factory.nlist;
}

static int64_t bytes_of_part(bool single_file, int64_t bytes)
{
    return single_file ? ivf_ceil_div(bytes, IVF_PUBLISHER_HELD) : bytes;
}

int ivf_compact_cut(const ivf_manifest *manifest, const ivf_compact_config *config, ivf_compact_parts *parts)
{
    const int64_t bytes = bytes_of_part(config->single_file, config->fragment_bytes);
    *parts = (ivf_compact_parts){0};
    walk_parts(manifest, bytes, parts);
    if (parts->count > MOST_FRAGMENTS)
        return ivf_fail(MPIVF_USAGE,
                        "fragments of %" PRId64 " bytes would be %" PRId64 ", at most %" PRId64
                        " are possible; use a larger --fragment-bytes",
                        config->fragment_bytes, parts->count, MOST_FRAGMENTS);
    parts->starts = ivf_new(ivf_to_size(parts->count) + 1, sizeof *parts->starts);
    if (parts->starts == NULL)
        return MPIVF_FAILED;
    walk_parts(manifest, bytes, parts);
    return MPIVF_OK;
}

/* What a rank holds at most with parts like these. */
static int64_t memory_of(const ivf_compact_state *s, const ivf_compact_parts *parts, int ranks)
{
    const ivf_manifest *m = s->manifest;
    const int64_t made = s->config->single_file ? 1 : parts->count;
    const int64_t lists = 8 * (int64_t)m->factory.nlist;
    const int64_t merging =
        s->held * ivf_fragment_memory(parts->most_lists, m->code_size, m->kept, parts->most_postings) +
        ivf_merger_memory(m, parts->most_lists) + 8 * (int64_t)parts->most_lists +
        2 * ivf_fragment_skipped_memory(ivf_merger_skipped(m)) +
        (s->config->single_file ? 3 * lists + ivf_compact_sums_memory() : 0);
    const int64_t committing = made * (3 * (int64_t)sizeof(ivf_fragment_record) + RECORD_TEXT) + 8 * lists;
    const int64_t records = made * (int64_t)(sizeof(ivf_fragment_record) + sizeof(int64_t) + sizeof(int32_t)) +
                            m->fragment_count * (int64_t)sizeof(ivf_place);
    return s->base + GROWTH + ranks * RANK_GROWTH + records + ivf_max_i64(merging, ivf_max_i64(committing, 3 * lists));
}

/* The largest parts that fit, in whole megabytes where they are so large; 0: not even lists that are merged one by one
 * do. */
static int64_t find_fitting(const ivf_compact_state *s, int ranks)
{
    int64_t fitting = 0;
    int64_t beyond = s->config->fragment_bytes;
    while (beyond - fitting > 1) {
        const int64_t middle = fitting + (beyond - fitting) / 2;
        ivf_compact_parts parts = {0};
        walk_parts(s->manifest, bytes_of_part(s->config->single_file, middle), &parts);
        if (parts.count <= MOST_FRAGMENTS && memory_of(s, &parts, ranks) <= s->config->memory - SPARE)
            fitting = middle;
        else
            beyond = middle;
    }
    return fitting > MEBIBYTE ? fitting / MEBIBYTE * MEBIBYTE : fitting;
}

static int refuse(const ivf_compact_state *s, int ranks)
{
    char needed[24];
    char allowed[24];
    char smaller[64] = "";
    const int64_t fitting = find_fitting(s, ranks);
    if (fitting > MEBIBYTE)
        (void)snprintf(smaller, sizeof smaller, "--fragment-bytes %" PRId64 "M, or ", fitting / MEBIBYTE);
    else if (fitting > 0)
        (void)snprintf(smaller, sizeof smaller, "--fragment-bytes %" PRId64 ", or ", fitting);
    return ivf_fail(
        MPIVF_USAGE,
        "merging %s of lists at a time needs %s of a rank, --memory allows %s; what fits: %s--memory %" PRId64 "M",
        s->config->single_file ? "a part" : "a fragment", ivf_text_bytes((double)s->planned, needed),
        ivf_text_bytes((double)s->config->memory, allowed), smaller, ivf_ceil_div(s->planned + SPARE, MEBIBYTE));
}

int ivf_compact_plan(ivf_compact_state *s, int ranks)
{
    int rc = ivf_compact_cut(s->manifest, s->config, &s->parts);
    if (rc != MPIVF_OK)
        return rc;
    s->held = IVF_PUBLISHER_HELD;
    s->planned = memory_of(s, &s->parts, ranks);
    if (s->config->single_file && s->config->memory > 0 && s->planned > s->config->memory) {
        s->held = 1;
        s->planned = memory_of(s, &s->parts, ranks);
    }
    return s->config->memory == 0 || s->planned <= s->config->memory ? MPIVF_OK : refuse(s, ranks);
}
