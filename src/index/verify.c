#include "index/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "index/manifest.h"
#include "index/model.h"

/* What one rank has seen. */
typedef struct {
    const char *index;
    const ivf_manifest *manifest;
    ivf_text text;       /* findings, one a line */
    int64_t totals[4];   /* files, bytes, postings, findings */
    int64_t *list_sizes; /* [nlist] */
} verify_state;

enum { FILES, BYTES, POSTINGS, FINDINGS };

/* Takes a failure that is the index's as a finding, to go on; one of the system (no memory, an I/O error) stays a
 * failure. */
static int note(verify_state *s, int rc)
{
    if (rc != MPIVF_CORRUPT && rc != MPIVF_BAD_INPUT)
        return rc;
    ivf_text_add(&s->text, "%s\n", ivf_error_last()->text);
    s->totals[FINDINGS]++;
    return s->text.failed ? MPIVF_FAILED : MPIVF_OK;
}

static int check_file(verify_state *s, const char *path, int64_t bytes, uint64_t checksum)
{
    int64_t found_bytes = 0;
    uint64_t found = 0;
    int rc = ivf_file_checksum(path, &found_bytes, &found);
    if (rc != MPIVF_OK)
        return rc;
    s->totals[FILES]++;
    s->totals[BYTES] += found_bytes;
    if (found_bytes != bytes)
        return ivf_fail(MPIVF_CORRUPT, "%s: %" PRId64 " bytes, the manifest says %" PRId64, path, found_bytes, bytes);
    if (found != checksum)
        return ivf_fail(MPIVF_CORRUPT, "%s: checksum %016" PRIx64 ", the manifest says %016" PRIx64, path, found,
                        checksum);
    return MPIVF_OK;
}

/* Somebody may have committed since this version was opened. */
static bool newer_is_sound(const verify_state *s)
{
    ivf_manifest *now = NULL;
    bool sound = ivf_manifest_read(s->index, &now) == MPIVF_OK && now->version != s->manifest->version;
    ivf_manifest_free(now);
    return sound;
}

/* Readers fall back from a torn manifest; whoever verifies wants to know of it. */
static int verify_newest(verify_state *s)
{
    int64_t latest = 0;
    int rc = ivf_manifest_latest(s->index, &latest);
    if (rc == MPIVF_OK && latest != s->manifest->version && !newer_is_sound(s))
        rc =
            ivf_fail(MPIVF_CORRUPT, "manifest of version %" PRId64 " is damaged; readers fall back to version %" PRId64,
                     latest, s->manifest->version);
    return note(s, rc);
}

static int verify_model(verify_state *s)
{
    const ivf_manifest *m = s->manifest;
    char path[IVF_PATH_BYTES];
    ivf_model *model = NULL;
    int rc = ivf_layout_model(s->index, m->model_id, path);
    if (rc == MPIVF_OK)
        rc = check_file(s, path, m->model_bytes, m->model_checksum);
    if (rc == MPIVF_OK)
        rc = ivf_model_read(s->index, m->model_id, &model);
    if (rc == MPIVF_OK && (model->d_in != m->d || model->nlist != m->factory.nlist || model->metric != m->metric ||
                           ivf_codec_code_size(model->codec) != m->code_size))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: d %d, %d lists, %zu bytes a code; the manifest says %d, %d, %zu", path,
                      model->d_in, model->nlist, ivf_codec_code_size(model->codec), m->d, m->factory.nlist,
                      m->code_size);
    ivf_model_free(model);
    return note(s, rc);
}

static int verify_fragment(verify_state *s, const ivf_fragment_record *record)
{
    const ivf_manifest *m = s->manifest;
    char path[IVF_PATH_BYTES];
    ivf_fragment *fragment = NULL;
    int rc = ivf_layout_fragment(s->index, record->id, path);
    if (rc == MPIVF_OK)
        rc = check_file(s, path, record->bytes, record->checksum);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_open(s->index, record, m->factory.nlist, m->code_size, &fragment);
    for (int32_t l = 0; rc == MPIVF_OK && l < m->factory.nlist; l++)
        s->list_sizes[l] += (int64_t)(fragment->offsets[l + 1] - fragment->offsets[l]);
    if (rc == MPIVF_OK)
        s->totals[POSTINGS] += fragment->postings;
    ivf_fragment_free(fragment);
    return rc;
}

static int verify_fragments(const ivf_ctx *ctx, verify_state *s)
{
    const ivf_manifest *m = s->manifest;
    ivf_tickets *tickets = ivf_tickets_open(ctx, m->fragment_count);
    if (tickets == NULL)
        return MPIVF_FAILED;
    ivf_progress *progress = ivf_progress_open(ctx, "verify", "rows", m->rows);
    int rc = progress == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        if (rc == MPIVF_OK)
            rc = note(s, verify_fragment(s, &m->fragments[t]));
        if (rc != MPIVF_OK)
            ivf_tickets_withdraw(tickets);
        ivf_progress_add(progress, m->fragments[t].rows);
    }
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

/* With damaged fragments left out the sums cannot fit, and say nothing. */
static int compare_list_sizes(verify_state *s, int64_t findings)
{
    const ivf_manifest *m = s->manifest;
    for (int32_t l = 0; findings == 0 && l < m->factory.nlist; l++) {
        if (s->list_sizes[l] == m->list_sizes[l])
            continue;
        (void)ivf_fail(MPIVF_CORRUPT, "list %d: %" PRId64 " postings in the fragments, the manifest says %" PRId64, l,
                       s->list_sizes[l], m->list_sizes[l]);
        return note(s, MPIVF_CORRUPT);
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

static int join_findings(const ivf_ctx *ctx, verify_state *s, ivf_verify_report *report)
{
    ivf_gathered all;
    ivf_allsum_i64(ctx, s->totals, 4);
    ivf_allsum_i64(ctx, s->list_sizes, s->manifest->factory.nlist);
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? compare_list_sizes(s, s->totals[FINDINGS]) : MPIVF_OK);
    ivf_bcast(ctx, s->totals, sizeof s->totals);
    if (rc == MPIVF_OK)
        rc = ivf_gather_bytes(ctx, s->text.text, s->text.length, &all);
    if (rc != MPIVF_OK)
        return rc;
    if (ivf_ctx_is_root(ctx) && s->totals[FINDINGS] > 0)
        rc = sort_findings(&all, all.offsets[ivf_ctx_size(ctx)], s->totals[FINDINGS], &report->text);
    ivf_gathered_free(&all);
    report->version = s->manifest->version;
    report->files = s->totals[FILES];
    report->bytes = s->totals[BYTES];
    report->postings = s->totals[POSTINGS];
    report->findings = s->totals[FINDINGS];
    return ivf_agree(ctx, rc);
}

int ivf_verify(const ivf_ctx *ctx, const char *index, ivf_verify_report *report)
{
    ivf_manifest *manifest = NULL;
    *report = (ivf_verify_report){0};
    int rc = ivf_manifest_open(ctx, index, &manifest);
    if (rc != MPIVF_OK)
        return rc;
    verify_state s = {.index = index, .manifest = manifest};
    s.list_sizes = ivf_new_zero((size_t)manifest->factory.nlist, sizeof *s.list_sizes);
    rc = ivf_agree(ctx, s.list_sizes == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx)) {
        rc = verify_newest(&s);
        if (rc == MPIVF_OK)
            rc = verify_model(&s);
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = verify_fragments(ctx, &s);
    if (rc == MPIVF_OK)
        rc = join_findings(ctx, &s, report);
    if (rc == MPIVF_OK && report->findings > 0)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: version %" PRId64 " is damaged: %" PRId64 " finding%s", index,
                      report->version, report->findings, report->findings == 1 ? "" : "s");
    ivf_free(s.list_sizes);
    ivf_text_free(&s.text);
    ivf_manifest_free(manifest);
    return rc;
}
