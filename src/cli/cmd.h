/* The commands. Each is collective, prints its result on rank 0, and returns the same code on every rank. */
#ifndef IVF_CLI_CMD_H
#define IVF_CLI_CMD_H

#include "build/build.h"
#include "build/given.h"
#include "cli/options.h"
#include "comm/context.h"

int ivf_cmd_build(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_train(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_plan(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_search(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_eval(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_tune(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_exact(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_info(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_verify(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_vacuum(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_repair(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_compact(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_generate(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_export(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_import(const ivf_ctx *ctx, const ivf_options *options);
int ivf_cmd_convert(const ivf_ctx *ctx, const ivf_options *options);

/* What the options of build, train and plan say; borrows from them. */
typedef struct {
    ivf_build_config config;
    ivf_given *given; /* owned; NULL: nothing */
    json_t *json;     /* owned; the configuration's */
} ivf_cmd_build_settings;

/* Collective. Reads what was trained elsewhere. Close it either way. */
int ivf_cmd_build_open(const ivf_ctx *ctx, const ivf_options *options, ivf_cmd_build_settings *settings);
void ivf_cmd_build_close(ivf_cmd_build_settings *settings);

#endif
