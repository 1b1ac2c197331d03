/* The manifest: one JSON file for each committed version, and the only thing that a reader trusts. */
#ifndef IVF_INDEX_MANIFEST_H
#define IVF_INDEX_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "codec/factory.h"
#include "comm/context.h"
#include "index/fragment.h"

typedef struct {
    char *path; /* owned */
    char *format;
    int64_t rows, first_row, bytes, mtime_ns;
    uint64_t checksum; /* sampled (io/stamps.h); 0 in manifests of older programs */
} ivf_manifest_shard;

/* What a compaction made a version of, and how: what a fragment of it can be made again from. */
typedef struct {
    int64_t version; /* that it was compacted from; 0: the version is no compaction */
    char build_id[IVF_ID_BYTES];
    int64_t fragment_bytes;
    bool single_file;
} ivf_manifest_origin;

typedef struct {
    int64_t version;
    ivf_layout layout;
    ivf_manifest_origin compacted;
    char build_id[IVF_ID_BYTES];
    char model_id[IVF_ID_BYTES];
    int64_t model_bytes;
    uint64_t model_checksum;
    int d;
    ivf_metric metric;
    ivf_factory factory; /* nlist as chosen */
    size_t code_size;
    ivf_keeping kept; /* vectors in the fragments */
    int64_t rows;     /* read */
    int64_t postings; /* indexed */
    int64_t skipped[IVF_ROW_REASONS];
    uint64_t digest_in, digest_out;
    int64_t *list_sizes; /* [nlist], owned: postings of each list over all fragments */
    int64_t fragment_count;
    ivf_fragment_record *fragments; /* [fragment_count], owned, in the order of rows or lists */
    int shard_count;
    ivf_manifest_shard *shards; /* owned */
    json_t *config;             /* the effective configuration, owned */
    json_t *tuning;             /* what was measured (index/tuning.h), owned; NULL: nothing */
    json_t *build;              /* when, by how many ranks, how long: differs between runs; owned */
} ivf_manifest;

void ivf_manifest_free(ivf_manifest *manifest);

/* Local. The newest version number in the index, valid or not: 0 when there is none; MPIVF_FAILED when the folder
 * cannot be read. */
int ivf_manifest_latest(const char *index, int64_t *version);

/* Local. MPIVF_BAD_INPUT: there is no index in that folder. */
int ivf_manifest_refuse_empty(const char *index);

/* Local. Reads the newest valid manifest; a damaged newer one is passed over with a warning. MPIVF_BAD_INPUT when
 * `index` holds none. */
int ivf_manifest_read(const char *index, ivf_manifest **manifest);

/* Local. The version of a manifest's file name; 0 when it is none. */
int64_t ivf_manifest_version_of(const char *name);

/* Local. The newest version number below `below`, valid or not; 0 when there is none. */
int ivf_manifest_before(const char *index, int64_t below, int64_t *version);

/* Local. Reads one version. MPIVF_CORRUPT: it is damaged; MPIVF_BAD_INPUT: there is none. */
int ivf_manifest_read_version(const char *index, int64_t version, ivf_manifest **manifest);

/* Local. Whether a version's file is, byte by byte, what was committed: its checksum does not see white space. */
int ivf_manifest_check_text(const char *index, int64_t version, int64_t *bytes);

/* Local. Calls `visit` with each valid version, the newest first, until it fails or sets *stop. *damaged counts those
 * that cannot be read as a manifest. */
typedef int ivf_manifest_visit(void *arg, const ivf_manifest *manifest, bool *stop);
int ivf_manifest_walk(const char *index, ivf_manifest_visit *visit, void *arg, int64_t *damaged);

/* Collective. Rank 0 reads the newest valid one, every rank gets it. */
int ivf_manifest_open(const ivf_ctx *ctx, const char *index, ivf_manifest **manifest);

/* Collective. The manifest that rank 0 has read, with the outcome `rc`, reaches every rank; on failure it is freed. */
int ivf_manifest_share(const ivf_ctx *ctx, const char *index, int rc, ivf_manifest **manifest);

/* Local. Commits: writes manifests/<version>.json durably. MPIVF_CONFLICT when that version exists. */
int ivf_manifest_commit(const ivf_manifest *manifest, const char *index);

/* Local. Reads the newest valid one once more, numbered as the next version, for who has worked on `version` for long:
 * MPIVF_CONFLICT if that one is not the newest any more. A damaged newer one does not count, but keeps its number. */
int ivf_manifest_read_next(const char *index, int64_t version, ivf_manifest **manifest);

/* Local. Whether this process may make a file among the manifests, for who has long work before a commit. */
int ivf_manifest_can_commit(const char *index);

/* Local. Adds up what the fragments' records say: postings, digests, rows skipped. */
void ivf_manifest_add_totals(ivf_manifest *manifest);

/* Local. The part that differs between runs of the same, for `build`; NULL with a failure recorded. `started`:
 * ivf_clock at the beginning. */
json_t *ivf_manifest_describe_run(const ivf_ctx *ctx, double started);

/* Local. Which lists a fragment of the manifest has: *count of them, from *first on. */
void ivf_manifest_lists_of(const ivf_manifest *manifest, const ivf_fragment_record *record, int32_t *first,
                           int32_t *count);

/* Local. Every structural rule, conservation first: MPIVF_CORRUPT names the broken one; `path` is for the message. */
int ivf_manifest_check(const ivf_manifest *manifest, const char *path);

/* Local. To JSON and back, with every structural rule checked (conservation included): MPIVF_CORRUPT names the broken
 * one. */
json_t *ivf_manifest_to_json(const ivf_manifest *manifest);
int ivf_manifest_from_json(const json_t *json, const char *path, ivf_manifest **manifest);

#endif
