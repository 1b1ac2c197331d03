/* mpivf repair: damaged fragments made again (build/repair.h). What is damaged, and what came of it, is the result, so
 * it is printed before the command fails. */
#include <inttypes.h>

#include "base/error.h"
#include "base/memory.h"
#include "build/repair.h"
#include "cli/cmd.h"
#include "cli/output.h"

static int print_report(const ivf_options *options, const ivf_repair_report *r)
{
    bool dry_run = ivf_options_flag(options, IVF_OPTION_DRY_RUN);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack(
            "{s:s, s:I, s:b, s:I, s:I, s:I, s:o}", "index", ivf_options_text(options, IVF_OPTION_INDEX), "version",
            (json_int_t)r->version, "dry_run", dry_run, "damaged", (json_int_t)r->damaged, "repaired",
            (json_int_t)r->repaired, "bytes", (json_int_t)r->bytes, "findings", ivf_output_lines(r->text)));
    ivf_text out = {0};
    char bytes[24];
    if (r->text != NULL)
        ivf_text_add(&out, "%s", r->text);
    if (r->damaged == 0)
        ivf_text_add(&out, "version %" PRId64 ": no fragment is damaged\n", r->version);
    else
        ivf_text_add(&out, "version %" PRId64 ": %" PRId64 " of %" PRId64 " damaged fragments %s, %s\n", r->version,
                     r->repaired, r->damaged, dry_run ? "would be made again" : "repaired",
                     ivf_text_bytes((double)r->bytes, bytes));
    return ivf_output_text(&out);
}

int ivf_cmd_repair(const ivf_ctx *ctx, const ivf_options *options)
{
    const ivf_option_value *input = ivf_options_value(options, IVF_OPTION_REPAIR_INPUT);
    ivf_repair_report report = {0};
    const ivf_repair_config config = {
        .index = ivf_options_text(options, IVF_OPTION_INDEX),
        .input = {.inputs = (const char *const *)input->texts, .count = input->count},
        .ids = ivf_options_text(options, IVF_OPTION_REPAIR_IDS),
        .dry_run = ivf_options_flag(options, IVF_OPTION_DRY_RUN),
    };
    int rc = ivf_repair(ctx, &config, &report);
    ivf_error failure = *ivf_error_last();
    bool is_filled = ivf_ctx_is_root(ctx) && report.version > 0;
    int printed = ivf_agree(ctx, is_filled ? print_report(options, &report) : MPIVF_OK);
    ivf_free(report.text);
    if (printed != MPIVF_OK)
        return printed;
    ivf_error_set(&failure);
    return rc;
}
