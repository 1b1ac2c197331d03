#include "cli/byid.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "io/ids.h"

bool ivf_byid_is_asked(const ivf_options *options)
{
    return ivf_options_text(options, IVF_OPTION_SEARCH_IDS) != NULL;
}

/* "17,42" */
static int parse_list(const char *text, ivf_byid *rows)
{
    rows->ids = ivf_new(strlen(text), sizeof *rows->ids);
    if (rows->ids == NULL)
        return MPIVF_FAILED;
    for (const char *at = text; at != NULL; at = strchr(at, ',')) {
        char word[24] = "";
        int64_t id = 0;
        at += *at == ',';
        const size_t length = strcspn(at, ",");
        if (length < sizeof word)
            memcpy(word, at, length);
        if (!ivf_parse_i64(word, &id))
            return ivf_fail(MPIVF_USAGE, "--ids: '%.*s' is no id; ids are whole numbers from 0 to 2^63 - 1",
                            (int)ivf_min_i64((int64_t)length, 40), at);
        rows->ids[rows->n++] = (uint64_t)id;
    }
    return MPIVF_OK;
}

/* Rank 0. */
static int read(const ivf_options *options, ivf_byid *rows)
{
    const char *text = ivf_options_text(options, IVF_OPTION_SEARCH_IDS);
    int rc = strspn(text, "0123456789,") == strlen(text) ? parse_list(text, rows)
                                                         : ivf_ids_load(text, "ids", &rows->ids, &rows->n);
    if (rc == MPIVF_OK && rows->n == 0)
        rc = ivf_fail(MPIVF_BAD_INPUT, "--ids %s: there are no ids in the file", text);
    return rc;
}

static int check_options(const ivf_options *options)
{
    if (!ivf_options_differs(options, IVF_OPTION_QUERIES_DATASET))
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "--queries-dataset has no effect with --ids");
}

int ivf_byid_read(const ivf_ctx *ctx, const ivf_options *options, ivf_byid *rows)
{
    int rc = check_options(options);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
        rc = read(options, rows);
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &rows->n, sizeof rows->n);
    if (!ivf_ctx_is_root(ctx))
        rows->ids = ivf_new(ivf_to_size(rows->n), sizeof *rows->ids);
    rc = ivf_agree(ctx, rows->ids == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, rows->ids, ivf_to_size(rows->n) * sizeof *rows->ids);
    return rc;
}

int ivf_byid_fetch(const ivf_ctx *ctx, const ivf_searcher *searcher, ivf_byid *rows)
{
    const int d = ivf_searcher_manifest(searcher)->d;
    rows->x = ivf_new(ivf_to_size(rows->n) * (size_t)d, sizeof *rows->x);
    int rc = ivf_agree(ctx, rows->x == NULL ? MPIVF_FAILED : MPIVF_OK);
    return rc == MPIVF_OK ? ivf_vectors_of_ids(ctx, ivf_searcher_vectors(searcher), rows->ids, rows->n, rows->x) : rc;
}

void ivf_byid_free(ivf_byid *rows)
{
    ivf_free(rows->ids);
    ivf_free(rows->x);
    *rows = (ivf_byid){0};
}

void ivf_byid_leave_out(const ivf_byid *rows, ivf_neighbor *found, int k)
{
    ivf_neighbor *to = found;
    for (int64_t q = 0; q < rows->n; q++) {
        const ivf_neighbor *row = found + q * (k + 1);
        int taken = 0;
        for (int i = 0; i <= k && taken < k; i++)
            if (row[i].id != rows->ids[q])
                to[taken++] = row[i];
        to += k;
    }
}
