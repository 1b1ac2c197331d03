/* mpivf compact: one more version of an index, its fragments merged list by list (build/compact.h). */
#include <inttypes.h>

#include "base/error.h"
#include "base/log.h"
#include "build/compact.h"
#include "cli/cmd.h"
#include "cli/output.h"

static int print_result(const ivf_options *options, const ivf_compact_config *c, const ivf_compact_result *r)
{
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack("{s:s, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:f, s:I, s:I}", "index", c->index,
                                         "version", (json_int_t)r->version, "from", (json_int_t)r->from, "already",
                                         r->already, "fragments", (json_int_t)r->fragments, "kept", (json_int_t)r->kept,
                                         "postings", (json_int_t)r->postings, "bytes", (json_int_t)r->bytes, "seconds",
                                         r->seconds, "planned_memory", (json_int_t)r->planned, "peak_memory",
                                         (json_int_t)r->peak));
    ivf_text out = {0};
    char bytes[24];
    if (r->already)
        ivf_text_add(&out, "version %" PRId64 " is compacted like this already\n", r->version);
    else
        ivf_text_add(&out,
                     "version %" PRId64 ": the %" PRId64 " postings of version %" PRId64 " in %" PRId64
                     " fragment%s, %s, in %.2f s\n",
                     r->version, r->postings, r->from, r->fragments, r->fragments == 1 ? "" : "s",
                     ivf_text_bytes((double)r->bytes, bytes), r->seconds);
    return ivf_output_text(&out);
}

int ivf_cmd_compact(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_compact_result result;
    const ivf_compact_config config = {
        .index = ivf_options_text(options, IVF_OPTION_INDEX),
        .fragment_bytes = ivf_options_integer(options, IVF_OPTION_FRAGMENT_BYTES),
        .single_file = ivf_options_flag(options, IVF_OPTION_SINGLE_FILE),
        .memory = ivf_options_integer(options, IVF_OPTION_MEMORY),
    };
    int rc = ivf_compact(ctx, &config, &result);
    return rc == MPIVF_OK ? ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print_result(options, &config, &result) : MPIVF_OK)
                          : rc;
}
