/* Export to FAISS. The head is written by rank 0; where it ends, and so the place of every list, follows from the model
 * and the sizes of the lists, which all ranks have. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "index/tuning.h"
#include "interop/export_internal.h"
#include "interop/faiss_head.h"
#include "interop/lists.h"
#include "io/outfile.h"

enum { USUAL_NPROBE = 8 };

static const char DATA_ENDING[] = ".ivfdata";

/* FAISS opens the file of the lists by the name that the index holds: an absolute one serves from any folder. */
static int name_data(const char *output, char data[IVF_PATH_BYTES])
{
    char folder[IVF_PATH_BYTES];
    char whole[PATH_MAX];
    const char *slash = strrchr(output, '/');
    const char *name = slash != NULL ? slash + 1 : output;
    const size_t length = slash == NULL ? 0 : slash == output ? 1 : (size_t)(slash - output);
    int written = snprintf(folder, sizeof folder, "%.*s", (int)length, output);
    if (written < 0 || (size_t)written >= sizeof folder)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long", output);
    if (realpath(length > 0 ? folder : ".", whole) == NULL)
        return ivf_fail_errno(errno, "%s: no absolute path for the file of the lists", output);
    written = snprintf(data, IVF_PATH_BYTES, "%s/%s%s", strcmp(whole, "/") == 0 ? "" : whole, name, DATA_ENDING);
    if (written < 0 || written >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path is too long for the file of the lists beside it", output);
    return MPIVF_OK;
}

/* Rank 0's head, and everybody's lists. */
static int write_all(const ivf_ctx *ctx, const ivf_faiss_head *head, ivf_lists *lists, const ivf_outfile *file,
                     const ivf_outfile *data)
{
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? ivf_faiss_head_write(head, file) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    return ivf_lists_write(ctx, lists, data != NULL ? data : file, data != NULL ? 0 : ivf_faiss_head_bytes(head));
}

static int64_t choose_nprobe(const ivf_export_config *config, const ivf_manifest *manifest)
{
    ivf_tuning_setting tuned = {.nprobe = USUAL_NPROBE};
    int64_t wanted = config->nprobe;
    if (wanted == 0) {
        (void)ivf_tuning_usual(manifest, &tuned);
        wanted = tuned.nprobe;
    }
    return ivf_min_i64(wanted, manifest->factory.nlist);
}

static int write_files(const ivf_ctx *ctx, const ivf_export_config *config, const ivf_faiss_head *head,
                       ivf_lists *lists, ivf_export_report *report)
{
    const int64_t head_bytes = ivf_faiss_head_bytes(head);
    const int64_t list_bytes = ivf_lists_bytes(lists);
    ivf_outfile *file = NULL;
    ivf_outfile *data = NULL;
    int64_t bytes = 0;
    if (__builtin_add_overflow(head_bytes, list_bytes, &bytes))
        return ivf_fail(MPIVF_BAD_INPUT, "%s: the index exceeds what a file can hold", config->output);
    report->bytes = bytes;
    int rc = ivf_outfile_open(ctx, config->output, head->data != NULL ? head_bytes : bytes, &file);
    if (rc == MPIVF_OK && head->data != NULL)
        rc = ivf_outfile_open(ctx, head->data, list_bytes, &data);
    if (rc == MPIVF_OK)
        rc = write_all(ctx, head, lists, file, data);
    /* Both files are complete before the first gets its name, and the index gets its own last. */
    if (rc == MPIVF_OK && data != NULL)
        rc = ivf_outfile_sync(ctx, file, rc);
    if (data != NULL)
        rc = ivf_outfile_close(ctx, data, rc);
    return ivf_outfile_close(ctx, file, rc);
}

int ivf_export_faiss(const ivf_ctx *ctx, const ivf_export_config *config, const ivf_manifest *manifest,
                     ivf_model *model, ivf_export_report *report)
{
    const bool on_disk = config->format == IVF_EXPORT_FAISS_DISK;
    int rc = MPIVF_OK;
    if (on_disk && ivf_ctx_is_root(ctx))
        rc = manifest->postings > 0 ? name_data(config->output, report->data)
                                    : ivf_fail(MPIVF_BAD_INPUT,
                                               "%s holds no rows: FAISS cannot map an empty file of lists; use "
                                               "--format faiss",
                                               config->index);
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, report->data, sizeof report->data);
    ivf_lists *lists = ivf_lists_open(ctx, config->index, manifest);
    if (lists == NULL)
        return ivf_error_last()->code;
    const ivf_faiss_head head = {.model = model,
                                 .manifest = manifest,
                                 .lists = lists,
                                 .nprobe = choose_nprobe(config, manifest),
                                 .data = on_disk ? report->data : NULL};
    rc = write_files(ctx, config, &head, lists, report);
    ivf_lists_close(lists);
    return rc;
}
