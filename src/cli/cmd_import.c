/* mpivf import: an index of FAISS becomes one of ours (interop/import.h). */
#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "interop/import.h"

static int print_result(const ivf_options *options, const ivf_import_config *c, const ivf_import_report *report,
                        double seconds)
{
    char factory[64];
    ivf_factory_text(&report->factory, factory);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack(
            "{s:s, s:I, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:b, s:f}", "index", c->index, "version",
            (json_int_t)report->version, "file", c->file, "factory", factory, "metric", ivf_metric_name(report->metric),
            "d", report->d, "rows", (json_int_t)report->rows, "fragments", (json_int_t)report->fragments, "nprobe",
            (json_int_t)report->nprobe, "graph_left_out", (int)report->has_graph, "seconds", seconds));
    ivf_text out = {0};
    ivf_text_add(&out,
                 "%s: version %" PRId64 ", %s, metric %s, %" PRId64 " rows of %d values in %" PRId64
                 " fragments, in %.2f s\n",
                 c->index, report->version, factory, ivf_metric_name(report->metric), report->rows, report->d,
                 report->fragments, seconds);
    return ivf_output_text(&out);
}

int ivf_cmd_import(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_import_report report;
    const double started = ivf_clock();
    ivf_import_config config = {.file = ivf_options_text(options, IVF_OPTION_IMPORT_FILE),
                                .index = ivf_options_text(options, IVF_OPTION_INDEX),
                                .fragment_rows = ivf_options_integer(options, IVF_OPTION_FRAGMENT_ROWS),
                                .replace = ivf_options_flag(options, IVF_OPTION_REPLACE),
                                .config = ivf_options_to_json(options)};
    int rc = ivf_agree(ctx, config.config == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_import(ctx, &config, &report);
    json_decref(config.config);
    if (rc != MPIVF_OK)
        return rc;
    if (report.has_graph)
        ivf_warn("%s: the graph over the centroids is left out: mpivf compares with all of them", config.file);
    return ivf_agree(ctx,
                     ivf_ctx_is_root(ctx) ? print_result(options, &config, &report, ivf_clock() - started) : MPIVF_OK);
}
