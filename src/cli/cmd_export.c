/* mpivf export: an index for FAISS, its centroids for VectorChord, or its model as .npy files (interop/export.h). */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "cli/targets.h"
#include "interop/export.h"

static ivf_export_format format_of(const char *name)
{
    if (strcmp(name, "npy") == 0)
        return IVF_EXPORT_NPY;
    if (strcmp(name, "vectorchord") == 0)
        return IVF_EXPORT_VECTORCHORD;
    return strcmp(name, "faiss") == 0 ? IVF_EXPORT_FAISS : IVF_EXPORT_FAISS_DISK;
}

static bool is_faiss(ivf_export_format format)
{
    return format == IVF_EXPORT_FAISS || format == IVF_EXPORT_FAISS_DISK;
}

/* A name, or a schema's and a name, that SQL takes without quotes. */
static bool is_table_name(const char *name)
{
    int parts = 1;
    bool begins = true;
    for (; *name != '\0'; name++) {
        const bool letter = (*name >= 'a' && *name <= 'z') || *name == '_';
        const bool digit = *name >= '0' && *name <= '9';
        if (*name == '.' && !begins && parts++ == 1)
            begins = true;
        else if (letter || (digit && !begins))
            begins = false;
        else
            return false;
    }
    return !begins;
}

static int check_effects(const ivf_options *options, ivf_export_format format)
{
    const char *name = ivf_options_text(options, IVF_OPTION_EXPORT_FORMAT);
    const char *table = ivf_options_text(options, IVF_OPTION_TABLE);
    if (!is_faiss(format) && ivf_options_differs(options, IVF_OPTION_EXPORT_NPROBE))
        return ivf_fail(MPIVF_USAGE, "--nprobe has no effect with --format %s", name);
    if (format != IVF_EXPORT_VECTORCHORD && ivf_options_differs(options, IVF_OPTION_TABLE))
        return ivf_fail(MPIVF_USAGE, "--table has no effect with --format %s", name);
    if (format != IVF_EXPORT_VECTORCHORD && ivf_options_differs(options, IVF_OPTION_COPY))
        return ivf_fail(MPIVF_USAGE, "--copy has no effect with --format %s", name);
    if (!is_table_name(table))
        return ivf_fail(MPIVF_USAGE,
                        "--table %s: use small letters, digits and _, and at most one point, after a schema's name",
                        table);
    return MPIVF_OK;
}

static int read_options(const ivf_options *options, ivf_export_config *config)
{
    *config = (ivf_export_config){
        .index = ivf_options_text(options, IVF_OPTION_INDEX),
        .output = ivf_options_text(options, IVF_OPTION_EXPORT_OUTPUT),
        .format = format_of(ivf_options_text(options, IVF_OPTION_EXPORT_FORMAT)),
        .nprobe = ivf_options_integer(options, IVF_OPTION_EXPORT_NPROBE),
        .table = ivf_options_text(options, IVF_OPTION_TABLE),
        .as_text = strcmp(ivf_options_text(options, IVF_OPTION_COPY), "text") == 0,
    };
    return check_effects(options, config->format);
}

/* What somebody who searches with FAISS has to know. */
static void advise(const ivf_export_config *config, const ivf_export_report *report)
{
    if (is_faiss(config->format) && report->metric == IVF_COSINE)
        ivf_warn("FAISS knows no cosine: %s holds rows of norm 1 and compares inner products, which order rows alike; "
                 "scale queries to norm 1 if distances matter",
                 config->output);
}

static int print_result(const ivf_options *options, const ivf_export_config *c, const ivf_export_report *report,
                        double seconds)
{
    const char *format = ivf_options_text(options, IVF_OPTION_EXPORT_FORMAT);
    if (ivf_options_flag(options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack("{s:s, s:I, s:s, s:s, s:s?, s:i, s:I, s:I, s:I, s:f}", "index", c->index,
                                         "version", (json_int_t)report->version, "format", format, "output", c->output,
                                         "data", report->data[0] != '\0' ? report->data : NULL, "lists",
                                         (int)report->nlist, "postings", (json_int_t)report->postings, "nodes",
                                         (json_int_t)report->nodes, "bytes", (json_int_t)report->bytes, "seconds",
                                         seconds));
    ivf_text out = {0};
    char bytes[24];
    if (c->format == IVF_EXPORT_VECTORCHORD) {
        ivf_text_add(&out, "%s: version %" PRId64 " as %s, %" PRId64 " nodes, %s in %.2f s\n%s: the SQL\n", c->output,
                     report->version, format, report->nodes, ivf_text_bytes((double)report->bytes, bytes), seconds,
                     report->data);
        return ivf_output_text(&out);
    }
    ivf_text_add(&out, "%s: version %" PRId64 " as %s, %" PRId64 " rows in %d lists, %s in %.2f s\n", c->output,
                 report->version, format, report->postings, report->nlist, ivf_text_bytes((double)report->bytes, bytes),
                 seconds);
    if (report->data[0] != '\0')
        ivf_text_add(&out, "%s: the lists\n", report->data);
    return ivf_output_text(&out);
}

int ivf_cmd_export(const ivf_ctx *ctx, const ivf_options *options)
{
    ivf_export_config config;
    ivf_export_report report;
    const double started = ivf_clock();
    int rc = read_options(options, &config);
    if (rc == MPIVF_OK && config.format != IVF_EXPORT_NPY)
        rc = ivf_targets_check_file(ctx, config.output);
    if (rc == MPIVF_OK)
        rc = ivf_export(ctx, &config, &report);
    if (rc != MPIVF_OK)
        return rc;
    advise(&config, &report);
    return ivf_agree(ctx,
                     ivf_ctx_is_root(ctx) ? print_result(options, &config, &report, ivf_clock() - started) : MPIVF_OK);
}
