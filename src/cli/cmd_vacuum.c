/* mpivf vacuum: what goes (index/vacuum.h), a line for each file and one for the sum. Rank 0 alone works. */
#include <inttypes.h>

#include "base/error.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "index/vacuum.h"

static json_t *items_to_json(const ivf_vacuum_report *r)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < r->count; i++)
        ivf_output_append(&list, json_pack("{s:s, s:I, s:s}", "path", r->items[i].path, "bytes",
                                           (json_int_t)r->items[i].bytes, "why", r->items[i].why));
    return list;
}

static int print_report(const ivf_options *options, const ivf_vacuum_config *config, const ivf_vacuum_report *r)
{
    const char *index = ivf_options_text(options, IVF_OPTION_INDEX);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack("{s:s, s:b, s:I, s:I, s:I, s:o}", "index", index, "deleted", config->deletes,
                                         "bytes", (json_int_t)r->bytes, "versions", (json_int_t)r->versions,
                                         "unfinished_builds", (json_int_t)r->builds, "items", items_to_json(r)));
    ivf_text out = {0};
    char bytes[24];
    for (int64_t i = 0; i < r->count; i++)
        ivf_text_add(&out, "%-10s %s: %s\n", ivf_text_bytes((double)r->items[i].bytes, bytes), r->items[i].path,
                     r->items[i].why);
    ivf_text_add(&out,
                 "%s: %s%s in %" PRId64 " item%s; %" PRId64 " version%s and %" PRId64 " unfinished build%s stay%s\n",
                 index, ivf_text_bytes((double)r->bytes, bytes), config->deletes ? " removed" : " could be removed",
                 r->count, r->count == 1 ? "" : "s", r->versions, r->versions == 1 ? "" : "s", r->builds,
                 r->builds == 1 ? "" : "s", config->deletes || r->count == 0 ? "" : "; --delete removes");
    return ivf_output_text(&out);
}

static int vacuum(const ivf_options *options)
{
    const ivf_vacuum_config config = {.keep = ivf_options_integer(options, IVF_OPTION_KEEP),
                                      .older_than = ivf_options_real(options, IVF_OPTION_OLDER_THAN),
                                      .deletes = ivf_options_flag(options, IVF_OPTION_DELETE)};
    ivf_vacuum_report report;
    int rc = ivf_vacuum(ivf_options_text(options, IVF_OPTION_INDEX), &config, &report);
    if (rc == MPIVF_OK)
        rc = print_report(options, &config, &report);
    ivf_vacuum_report_free(&report);
    return rc;
}

int ivf_cmd_vacuum(const ivf_ctx *ctx, const ivf_options *options)
{
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? vacuum(options) : MPIVF_OK);
}
