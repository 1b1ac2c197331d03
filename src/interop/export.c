#include "interop/export.h"

#include "base/error.h"
#include "interop/export_internal.h"

static int export_format(const ivf_ctx *ctx, const ivf_export_config *config, const ivf_manifest *manifest,
                         ivf_model *model, ivf_export_report *report)
{
    if (config->format == IVF_EXPORT_VECTORCHORD)
        return ivf_export_vectorchord(ctx, config, manifest, model, report);
    if (config->format != IVF_EXPORT_NPY)
        return ivf_export_faiss(ctx, config, manifest, model, report);
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? ivf_export_npy(config, manifest, model, report) : MPIVF_OK);
}

int ivf_export(const ivf_ctx *ctx, const ivf_export_config *config, ivf_export_report *report)
{
    ivf_manifest *manifest = NULL;
    ivf_model *model = NULL;
    *report = (ivf_export_report){0};
    int rc = ivf_manifest_open(ctx, config->index, &manifest);
    if (rc == MPIVF_OK)
        rc = ivf_model_open(ctx, config->index, manifest->model_id, &model);
    if (rc == MPIVF_OK) {
        report->version = manifest->version;
        report->nlist = manifest->factory.nlist;
        report->postings = manifest->postings;
        report->metric = manifest->metric;
        rc = export_format(ctx, config, manifest, model, report);
    }
    ivf_model_free(model);
    ivf_manifest_free(manifest);
    return rc;
}
