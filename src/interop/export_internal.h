/* What the files of export share. */
#ifndef IVF_INTEROP_EXPORT_INTERNAL_H
#define IVF_INTEROP_EXPORT_INTERNAL_H

#include "interop/export.h"

/* Collective; the model is not changed. */
int ivf_export_faiss(const ivf_ctx *ctx, const ivf_export_config *config, const ivf_manifest *manifest,
                     ivf_model *model, ivf_export_report *report);

/* Collective. */
int ivf_export_vectorchord(const ivf_ctx *ctx, const ivf_export_config *config, const ivf_manifest *manifest,
                           const ivf_model *model, ivf_export_report *report);

/* Local, for rank 0. */
int ivf_export_npy(const ivf_export_config *config, const ivf_manifest *manifest, ivf_model *model,
                   ivf_export_report *report);

#endif
