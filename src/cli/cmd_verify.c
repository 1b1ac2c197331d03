/* mpivf verify: every file of the newest version, or of all, against its checksums and the account of rows
 * (index/verify.h). The findings are the result, so they are printed before the command fails. */
#include <inttypes.h>

#include "base/error.h"
#include "base/memory.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "index/verify.h"

static int print_report(const ivf_options *options, const ivf_verify_report *report)
{
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "index", ivf_options_text(options, IVF_OPTION_INDEX), "version",
            (json_int_t)report->version, "versions", (json_int_t)report->versions, "files", (json_int_t)report->files,
            "bytes", (json_int_t)report->bytes, "postings", (json_int_t)report->postings, "sound",
            report->findings == 0, "findings", ivf_output_lines(report->text)));
    ivf_text out = {0};
    char bytes[24];
    if (report->text != NULL)
        ivf_text_add(&out, "%s", report->text);
    if (report->versions == 1)
        ivf_text_add(&out, "version %" PRId64 ": ", report->version);
    else
        ivf_text_add(&out, "%" PRId64 " versions: ", report->versions);
    ivf_text_add(&out, "%" PRId64 " files, %s, %" PRId64 " postings: %s\n", report->files,
                 ivf_text_bytes((double)report->bytes, bytes), report->postings,
                 report->findings == 0 ? "sound" : "damaged");
    return ivf_output_text(&out);
}

int ivf_cmd_verify(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_verify_report report = {0};
    int rc = ivf_verify(ctx, ivf_options_text(options, IVF_OPTION_INDEX),
                        ivf_options_flag(options, IVF_OPTION_ALL_VERSIONS), &report);
    bool is_filled = rc == MPIVF_OK || report.findings > 0;
    int printed = is_filled && ivf_ctx_is_root(ctx) ? print_report(options, &report) : MPIVF_OK;
    ivf_free(report.text);
    printed = ivf_agree(ctx, printed);
    return printed != MPIVF_OK ? printed : rc;
}
