/* The commands. Each is collective, prints its result on rank 0, and returns the same code on every rank. */
#ifndef IVF_CLI_CMD_H
#define IVF_CLI_CMD_H

#include "build/build.h"
#include "cli/options.h"
#include "comm/context.h"

int ivf_cmd_build(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_plan(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_search(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_eval(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_exact(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_info(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_verify(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_vacuum(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_repair(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_generate(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_export(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_import(const ivf_ctx *ctx, const ivf_options *options);

/* Local. What the options of build and plan say; borrows from them. Without the JSON. */
int ivf_cmd_build_config(const ivf_options *options, ivf_build_config *config);

#endif
