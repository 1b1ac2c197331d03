/* mpivf generate: synthetic vectors (build/generate.h says which). */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/numbers.h"
#include "build/generate.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "cli/targets.h"

enum { USUAL_INTRINSIC = 32 };

static void read_options(const ivf_options *options, ivf_generate_config *config)
{
    int64_t d = ivf_options_integer(options, IVF_OPTION_DIM);
    int64_t intrinsic = ivf_options_integer(options, IVF_OPTION_INTRINSIC);
    *config = (ivf_generate_config){
        .output = ivf_options_text(options, IVF_OPTION_OUTPUT),
        .rows = ivf_options_integer(options, IVF_OPTION_ROWS),
        .queries_output = ivf_options_text(options, IVF_OPTION_QUERIES_OUTPUT),
        .queries = ivf_options_integer(options, IVF_OPTION_QUERY_ROWS),
        .d = ivf_to_int(d),
        .clusters = ivf_to_i32(ivf_options_integer(options, IVF_OPTION_CLUSTERS)),
        .intrinsic = ivf_to_int(intrinsic > 0 ? intrinsic : ivf_min_i64(d, USUAL_INTRINSIC)),
        .noise = ivf_options_real(options, IVF_OPTION_NOISE),
        .as_bytes = strcmp(ivf_options_text(options, IVF_OPTION_TYPE), "u8") == 0,
        .seed = (uint64_t)ivf_options_integer(options, IVF_OPTION_SEED),
    };
}

static int print_result(const ivf_options *options, const ivf_generate_config *c, double seconds)
{
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(
            json_pack("{s:s, s:I, s:s?, s:I, s:i, s:s, s:i, s:i, s:f, s:I, s:f}", "output", c->output, "rows",
                      (json_int_t)c->rows, "queries_output", c->queries_output, "queries", (json_int_t)c->queries,
                      "dim", c->d, "type", ivf_options_text(options, IVF_OPTION_TYPE), "clusters", (int)c->clusters,
                      "intrinsic", c->intrinsic, "noise", c->noise, "seed", (json_int_t)c->seed, "seconds", seconds));
    ivf_text out = {0};
    ivf_text_add(&out, "%s: %" PRId64 " rows of %d values\n", c->output, c->rows, c->d);
    if (c->queries_output != NULL)
        ivf_text_add(&out, "%s: %" PRId64 " queries\n", c->queries_output, c->queries);
    return ivf_output_text(&out);
}

int ivf_cmd_generate(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_generate_config config;
    double started = ivf_clock();
    read_options(options, &config);
    int rc = ivf_targets_check_generated(ctx, config.output, config.queries_output);
    if (rc == MPIVF_OK)
        rc = ivf_generate(ctx, &config);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print_result(options, &config, ivf_clock() - started) : MPIVF_OK);
    return rc;
}
