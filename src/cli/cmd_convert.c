/* mpivf convert: vectors, or ground truth, into a file of another format (build/convert.h). */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "build/convert.h"
#include "cli/cmd.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/targets.h"

static ivf_element type_of(const char *name)
{
    static const ivf_element types[] = {IVF_F32, IVF_F16, IVF_U8, IVF_I8};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(name, ivf_element_name(types[i])) == 0)
            return types[i];
    return IVF_F32;
}

static int refuse_with_truth(const ivf_options *options)
{
    static const ivf_option_id others[] = {IVF_OPTION_DATASET, IVF_OPTION_OUTPUT_DATASET, IVF_OPTION_CONVERT_TYPE};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (ivf_options_differs(options, others[i]))
            return ivf_fail(MPIVF_USAGE, "--%s has no effect with --groundtruth", ivf_option_get(others[i])->name);
    return MPIVF_OK;
}

/* Either vectors or ground truth. */
static int check_source(const ivf_options *options)
{
    const char *output = ivf_options_text(options, IVF_OPTION_CONVERT_OUTPUT);
    const bool vectors = ivf_options_value(options, IVF_OPTION_CONVERT_INPUT)->count > 0;
    const bool truth = ivf_options_text(options, IVF_OPTION_CONVERT_TRUTH) != NULL;
    if (vectors == truth)
        return ivf_fail(MPIVF_USAGE, "give --input PATH, for vectors, or --groundtruth FILE%s",
                        vectors ? ", not both" : "");
    if (truth)
        return refuse_with_truth(options);
    if (!ivf_load_is_hdf5(output) && ivf_options_differs(options, IVF_OPTION_OUTPUT_DATASET))
        return ivf_fail(MPIVF_USAGE, "--output-dataset %s has no effect: %s is no HDF5 file",
                        ivf_options_text(options, IVF_OPTION_OUTPUT_DATASET), output);
    return MPIVF_OK;
}

static int print_vectors(const ivf_options *options, const ivf_convert_report *r, double seconds)
{
    const char *output = ivf_options_text(options, IVF_OPTION_CONVERT_OUTPUT);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack("{s:s, s:I, s:i, s:s, s:s, s:f}", "output", output, "rows",
                                         (json_int_t)r->rows, "d", r->d, "from", ivf_element_name(r->from), "to",
                                         ivf_element_name(r->to), "seconds", seconds));
    ivf_text out = {0};
    ivf_text_add(&out, "%s: %" PRId64 " rows of %d values, %s to %s, in %.2f s\n", output, r->rows, r->d,
                 ivf_element_name(r->from), ivf_element_name(r->to), seconds);
    return ivf_output_text(&out);
}

static int print_truth(const ivf_options *options, const ivf_convert_truth_report *r, double seconds)
{
    const char *output = ivf_options_text(options, IVF_OPTION_CONVERT_OUTPUT);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack("{s:s, s:I, s:i, s:f}", "output", output, "queries", (json_int_t)r->queries,
                                         "k", r->k, "seconds", seconds));
    ivf_text out = {0};
    ivf_text_add(&out, "%s: %d neighbours of %" PRId64 " queries, in %.2f s\n", output, r->k, r->queries, seconds);
    return ivf_output_text(&out);
}

static int convert_vectors(const ivf_ctx *ctx, const ivf_options *options)
{
    const double started = ivf_clock();
    const char *type = ivf_options_text(options, IVF_OPTION_CONVERT_TYPE);
    ivf_convert_report report;
    ivf_convert_config config = {.output = ivf_options_text(options, IVF_OPTION_CONVERT_OUTPUT),
                                 .h5_path = ivf_options_text(options, IVF_OPTION_OUTPUT_DATASET),
                                 .keeps_type = strcmp(type, "auto") == 0,
                                 .type = type_of(type)};
    int rc = ivf_load_inputs_of(options, IVF_OPTION_CONVERT_INPUT, &config.input);
    if (rc == MPIVF_OK)
        rc = ivf_targets_check_converted(ctx, options, config.output);
    if (rc == MPIVF_OK)
        rc = ivf_convert(ctx, &config, &report);
    if (rc != MPIVF_OK)
        return rc;
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print_vectors(options, &report, ivf_clock() - started) : MPIVF_OK);
}

static int convert_truth(const ivf_ctx *ctx, const ivf_options *options)
{
    const double started = ivf_clock();
    const char *output = ivf_options_text(options, IVF_OPTION_CONVERT_OUTPUT);
    ivf_convert_truth_report report;
    int rc = ivf_targets_check_converted(ctx, options, output);
    if (rc == MPIVF_OK)
        rc = ivf_convert_truth(ctx, ivf_options_text(options, IVF_OPTION_CONVERT_TRUTH), output, &report);
    if (rc != MPIVF_OK)
        return rc;
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print_truth(options, &report, ivf_clock() - started) : MPIVF_OK);
}

int ivf_cmd_convert(const ivf_ctx *ctx, const ivf_options *options)
{
    int rc = check_source(options);
    if (rc != MPIVF_OK)
        return rc;
    return ivf_options_text(options, IVF_OPTION_CONVERT_TRUTH) != NULL ? convert_truth(ctx, options)
                                                                       : convert_vectors(ctx, options);
}
