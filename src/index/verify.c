#include "index/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "index/inspect.h"

enum { FILES, BYTES, POSTINGS, FINDINGS, MODEL_FINDINGS, TOTALS };

/* What one rank has seen. */
typedef struct {
    const char *index;
    const ivf_manifest *manifest;
    ivf_findings findings;
    int64_t totals[TOTALS];
    int64_t *list_sizes; /* [nlist] */
    int64_t *damaged;    /* [fragment_count] */
} verify_state;

static int verify_model(verify_state *s)
{
    int64_t before = s->findings.count;
    s->totals[FILES]++;
    int rc = ivf_inspect_model(s->index, s->manifest, &s->totals[BYTES], &s->findings);
    s->totals[MODEL_FINDINGS] = s->findings.count - before;
    return rc;
}

static int verify_manifest(verify_state *s)
{
    s->totals[FILES]++;
    return ivf_inspect_manifest(s->index, s->manifest->version, &s->totals[BYTES], &s->findings);
}

static int verify_fragment(verify_state *s, int64_t number)
{
    const ivf_fragment_record *record = &s->manifest->fragments[number];
    int64_t before = s->findings.count;
    s->totals[FILES]++;
    int rc = ivf_inspect_fragment(s->index, s->manifest, record, s->list_sizes, &s->totals[BYTES], &s->findings);
    s->damaged[number] = s->findings.count > before;
    if (!s->damaged[number])
        s->totals[POSTINGS] += record->postings;
    return rc;
}

static int verify_fragments(const ivf_ctx *ctx, verify_state *s)
{
    const ivf_manifest *m = s->manifest;
    ivf_tickets *tickets = ivf_tickets_open(ctx, m->fragment_count);
    if (tickets == NULL)
        return ivf_error_last()->code;
    ivf_progress *progress = ivf_progress_open(ctx, "verify", "rows", m->rows);
    int rc = progress == NULL ? ivf_error_last()->code : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        if (rc == MPIVF_OK)
            rc = ivf_stop_point();
        if (rc == MPIVF_OK)
            rc = verify_fragment(s, t);
        if (rc != MPIVF_OK)
            ivf_tickets_withdraw(tickets);
        ivf_progress_add(progress, m->fragments[t].rows);
    }
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

/* With damaged fragments left out the sums cannot fit, and say nothing. */
static int compare_list_sizes(verify_state *s)
{
    const ivf_manifest *m = s->manifest;
    for (int32_t l = 0; l < m->factory.nlist; l++) {
        if (s->list_sizes[l] == m->list_sizes[l])
            continue;
        (void)ivf_fail(MPIVF_CORRUPT, "list %d: %" PRId64 " postings in the fragments, the manifest says %" PRId64, l,
                       s->list_sizes[l], m->list_sizes[l]);
        return ivf_findings_take(&s->findings, NULL, MPIVF_CORRUPT);
    }
    return MPIVF_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Rank 0: the findings of all ranks in the order of their texts, whoever made them; one a line. */
static int sort_findings(const ivf_gathered *all, int64_t length, int64_t count, char **text)
{
    char **lines = ivf_new(ivf_to_size(count), sizeof *lines);
    char *copy = ivf_new_zero(ivf_to_size(length) + 1, 1);
    ivf_text sorted = {0};
    if (lines == NULL || copy == NULL) {
        ivf_free(copy);
        ivf_free(lines);
        return MPIVF_FAILED;
    }
    memcpy(copy, all->data, (size_t)length);
    size_t n = 0;
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line != NULL && n < (size_t)count; line = strsep(&rest, "\n"))
        lines[n++] = line;
    qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        ivf_text_add(&sorted, "%s\n", lines[i]);
    ivf_free(copy);
    ivf_free(lines);
    *text = sorted.text;
    return sorted.failed ? MPIVF_FAILED : MPIVF_OK;
}

/* Adds what all ranks found to the report. */
static int join_findings(const ivf_ctx *ctx, verify_state *s, ivf_verify_report *report)
{
    const ivf_manifest *m = s->manifest;
    ivf_gathered all;
    int64_t found = s->findings.count;
    ivf_allsum_i64(ctx, s->damaged, m->fragment_count);
    ivf_allsum_i64(ctx, s->list_sizes, m->factory.nlist);
    ivf_allsum_i64(ctx, &found, 1);
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) && found == 0 ? compare_list_sizes(s) : MPIVF_OK);
    s->totals[FINDINGS] = s->findings.count;
    ivf_allsum_i64(ctx, s->totals, TOTALS);
    if (rc == MPIVF_OK)
        rc = ivf_gather_bytes(ctx, s->findings.text.text, s->findings.text.length, &all);
    if (rc != MPIVF_OK)
        return rc;
    if (ivf_ctx_is_root(ctx) && s->totals[FINDINGS] > 0)
        rc = sort_findings(&all, all.offsets[ivf_ctx_size(ctx)], s->totals[FINDINGS], &report->text);
    ivf_gathered_free(&all);
    report->version = m->version;
    report->versions = 1;
    report->files = s->totals[FILES];
    report->bytes = s->totals[BYTES];
    report->postings = s->totals[POSTINGS];
    report->findings = s->totals[FINDINGS];
    report->model_findings = s->totals[MODEL_FINDINGS];
    return ivf_agree(ctx, rc);
}

int ivf_verify_version(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, int64_t *damaged,
                       ivf_verify_report *report)
{
    verify_state s = {.index = index, .manifest = manifest, .damaged = damaged};
    *report = (ivf_verify_report){0};
    for (int64_t f = 0; damaged != NULL && f < manifest->fragment_count; f++)
        damaged[f] = 0;
    s.list_sizes = ivf_new_zero((size_t)manifest->factory.nlist, sizeof *s.list_sizes);
    int rc = ivf_agree(ctx, s.list_sizes == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx)) {
        rc = verify_manifest(&s);
        if (rc == MPIVF_OK)
            rc = verify_model(&s);
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = verify_fragments(ctx, &s);
    if (rc == MPIVF_OK)
        rc = join_findings(ctx, &s, report);
    ivf_free(s.list_sizes);
    ivf_text_free(&s.findings.text);
    return rc;
}

static int add_report(const ivf_verify_report *one, ivf_verify_report *all)
{
    ivf_text text = {0};
    if (all->version == 0)
        all->version = one->version;
    all->versions += one->versions;
    all->files += one->files;
    all->bytes += one->bytes;
    all->postings += one->postings;
    all->findings += one->findings;
    all->model_findings += one->model_findings;
    if (one->text == NULL)
        return MPIVF_OK;
    ivf_text_add(&text, "%s%s", all->text != NULL ? all->text : "", one->text);
    ivf_free(all->text);
    all->text = text.text;
    return text.failed ? MPIVF_FAILED : MPIVF_OK;
}

static int verify_one(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, ivf_verify_report *report)
{
    ivf_verify_report one = {0};
    int64_t *damaged = ivf_new(ivf_to_size(manifest->fragment_count), sizeof *damaged);
    int rc = ivf_agree(ctx, damaged == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_verify_version(ctx, index, manifest, damaged, &one);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, add_report(&one, report));
    ivf_free(one.text);
    ivf_free(damaged);
    return rc;
}

/* Rank 0: the newest version below *version, 0 when there is none, and its manifest; NULL when that is damaged, which
 * is a finding. */
static int read_before(const char *index, int64_t *version, ivf_manifest **manifest, ivf_verify_report *report)
{
    ivf_findings findings = {0};
    int rc = ivf_manifest_before(index, *version, version);
    if (rc == MPIVF_OK && *version > 0)
        rc = ivf_manifest_read_version(index, *version, manifest);
    rc = ivf_findings_take(&findings, "manifest", rc);
    ivf_verify_report one = {.text = findings.text.text, .findings = findings.count, .files = findings.count};
    if (rc == MPIVF_OK)
        rc = add_report(&one, report);
    ivf_text_free(&findings.text);
    return rc;
}

/* From the newest version down: to the first one that can be read, or to the last one. */
static int verify_versions(const ivf_ctx *ctx, const char *index, bool all_versions, ivf_verify_report *report)
{
    int64_t at[2] = {INT64_MAX, 0}; /* version; whether its manifest could be read */
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && at[0] > 0 && (all_versions || report->versions == 0)) {
        ivf_manifest *manifest = NULL;
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? read_before(index, &at[0], &manifest, report) : MPIVF_OK);
        at[1] = manifest != NULL;
        ivf_bcast(ctx, at, sizeof at);
        if (rc == MPIVF_OK && at[1] != 0)
            rc = ivf_manifest_share(ctx, index, MPIVF_OK, &manifest);
        if (rc == MPIVF_OK && at[1] != 0)
            rc = verify_one(ctx, index, manifest, report);
        ivf_manifest_free(manifest);
    }
    ivf_bcast(ctx, &report->findings, sizeof report->findings);
    return rc == MPIVF_OK && report->versions == 0 && report->findings == 0 ? ivf_manifest_refuse_empty(index) : rc;
}

int ivf_verify(const ivf_ctx *ctx, const char *index, bool all_versions, ivf_verify_report *report)
{
    *report = (ivf_verify_report){0};
    int rc = verify_versions(ctx, index, all_versions, report);
    if (rc == MPIVF_OK && report->findings > 0)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is damaged: %" PRId64 " finding%s", index, report->findings,
                      report->findings == 1 ? "" : "s");
    return rc;
}
