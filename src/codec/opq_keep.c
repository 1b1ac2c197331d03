/* What is kept of OPQ between passes, and how it goes on from there: head, rotation, codewords once there are some, and
 * the start that was put aside. All of it is on every rank; rank 0 writes and reads. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "codec/opq_work.h"
#include "comm/transfer.h"

enum { PARTS = 4 };

static const char NAME[] = "rotation";

typedef struct {
    int64_t m, d, d_out, rows, wanted, exact; /* must be as they were */
    int64_t stage, passes, settled;
    int64_t iterations;
    double before, plain, start, error;
} kept_head;

int ivf_opq_make_other(ivf_opq_work *w)
{
    if (w->other == NULL)
        w->other = ivf_new_zero(w->d * w->d + w->d * IVF_OPQ_WORDS, sizeof *w->other);
    return w->other == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static kept_head head_of(const ivf_opq_work *w, const ivf_opq_report *report)
{
    return (kept_head){
        .m = w->params->m,
        .d = w->params->d,
        .d_out = w->params->d_out,
        .rows = w->share.total,
        .wanted = w->params->iterations,
        .exact = w->params->exact,
        .stage = w->at.stage,
        .passes = w->at.passes,
        .settled = w->at.settled,
        .iterations = report->iterations,
        .before = w->at.before,
        .plain = w->at.plain,
        .start = report->start,
        .error = report->error,
    };
}

static int parts_of(const ivf_opq_work *w, kept_head *head, ivf_keeper_part parts[PARTS])
{
    const size_t turned = w->d * w->d_out;
    const size_t words = w->d_out * IVF_OPQ_WORDS;
    const bool moved = w->at.stage != IVF_OPQ_DONE && (w->at.stage != IVF_OPQ_PRINCIPAL || w->at.passes > 0);
    int count = 0;
    parts[count++] = (ivf_keeper_part){head, sizeof *head};
    parts[count++] = (ivf_keeper_part){w->rotation, turned * sizeof(float)};
    if (moved)
        parts[count++] = (ivf_keeper_part){w->books, words * sizeof(float)};
    if (w->at.stage == IVF_OPQ_PLAIN)
        parts[count++] = (ivf_keeper_part){w->other, (turned + words) * sizeof(float)};
    return count;
}

int ivf_opq_keep(ivf_opq_work *w, const ivf_opq_report *report, int code)
{
    const ivf_keeper *keeper = w->params->keeper;
    kept_head head = head_of(w, report);
    ivf_keeper_part parts[PARTS];
    if (code != MPIVF_OK || keeper == NULL || !ivf_ctx_is_root(w->ctx))
        return code;
    if (!keeper->due(keeper->arg, (w->d + IVF_OPQ_WORDS) * w->d_out * sizeof(float)))
        return code;
    return ivf_keeper_put(keeper, NAME, parts, parts_of(w, &head, parts));
}

/* Local. Takes up the head, if it can be of this work. */
static bool adopt(const kept_head *head, ivf_opq_work *w, ivf_opq_report *report)
{
    const ivf_opq_params *p = w->params;
    bool fits = head->m == p->m && head->d == p->d && head->d_out == p->d_out && head->rows == w->share.total &&
                head->wanted == p->iterations && head->exact == p->exact;
    fits = fits && head->stage >= IVF_OPQ_PRINCIPAL && head->stage <= IVF_OPQ_DONE && head->passes >= 0 &&
           head->passes <= IVF_OPQ_ITERATIONS && head->iterations >= 0 && head->iterations <= p->iterations &&
           (head->stage != IVF_OPQ_PLAIN || p->d == p->d_out);
    fits = fits && !isnan(head->before) && !isnan(head->plain) && isfinite(head->start) && isfinite(head->error);
    if (!fits)
        return false;
    w->at = (ivf_opq_progress){.stage = (ivf_opq_stage)head->stage,
                               .passes = (int)head->passes,
                               .settled = head->settled != 0,
                               .before = head->before,
                               .plain = head->plain};
    *report = (ivf_opq_report){.iterations = (int)head->iterations, .start = head->start, .error = head->error};
    return true;
}

static bool take_parts(const ivf_keeper *keeper, ivf_kept *kept, const ivf_keeper_part *parts, int count)
{
    bool whole = true;
    for (int i = 0; i < count && whole; i++)
        whole = keeper->take(kept, parts[i].data, parts[i].bytes) &&
                ivf_keeper_finite(parts[i].data, parts[i].bytes / sizeof(float));
    return whole;
}

/* Rank 0's part: the head alone. */
static ivf_kept *find(ivf_opq_work *w, kept_head *head, ivf_opq_report *report)
{
    const ivf_keeper *keeper = w->params->keeper;
    ivf_keeper_part parts[PARTS];
    size_t bytes = 0;
    ivf_kept *kept = keeper->open(keeper->arg, NAME, &bytes);
    if (kept == NULL)
        return NULL;
    if (keeper->take(kept, head, sizeof *head) && adopt(head, w, report)) {
        for (int i = parts_of(w, head, parts); i > 0; i--)
            bytes -= parts[i - 1].bytes;
        if (bytes == 0)
            return kept;
    }
    keeper->close(kept);
    ivf_keeper_refuse(NAME);
    return NULL;
}

/* Collective. What rank 0 says. */
static bool all_hear(const ivf_opq_work *w, bool said)
{
    int64_t heard = said;
    ivf_bcast(w->ctx, &heard, sizeof heard);
    return heard != 0;
}

/* Collective. What follows the head; *whole: it was all there. */
static int recall_rest(ivf_opq_work *w, kept_head *head, ivf_kept *kept, bool *whole)
{
    ivf_keeper_part parts[PARTS];
    int rc = ivf_agree(w->ctx, w->at.stage == IVF_OPQ_PLAIN ? ivf_opq_make_other(w) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    int count = parts_of(w, head, parts);
    *whole = all_hear(w, kept != NULL && take_parts(w->params->keeper, kept, parts + 1, count - 1));
    for (int i = 1; i < count && *whole; i++)
        ivf_bcast(w->ctx, parts[i].data, parts[i].bytes);
    return ivf_agree(w->ctx, *whole && count > 2 ? ivf_codec_ready(w->codec) : MPIVF_OK);
}

int ivf_opq_recall(ivf_opq_work *w, ivf_opq_report *report, bool *recalled)
{
    const ivf_opq_progress anew = w->at;
    kept_head head = {0};
    ivf_kept *kept = NULL;
    *recalled = false;
    if (w->params->keeper == NULL)
        return MPIVF_OK;
    if (ivf_ctx_is_root(w->ctx))
        kept = find(w, &head, report);
    bool whole = all_hear(w, kept != NULL);
    int rc = MPIVF_OK;
    if (whole) {
        ivf_bcast(w->ctx, &head, sizeof head);
        (void)adopt(&head, w, report);
        rc = recall_rest(w, &head, kept, &whole);
        if (!whole && kept != NULL)
            ivf_keeper_refuse(NAME);
    }
    if (kept != NULL)
        w->params->keeper->close(kept);
    if (!whole) {
        w->at = anew;
        *report = (ivf_opq_report){0};
        ivf_free(w->other);
        w->other = NULL;
    }
    *recalled = whole;
    return rc;
}
