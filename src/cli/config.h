/* The configuration file: a YAML mapping whose keys are the options of the command. */
#ifndef IVF_CLI_CONFIG_H
#define IVF_CLI_CONFIG_H

#include <stddef.h>

#include "base/text.h"
#include "cli/options.h"
#include "comm/context.h"

/* Collective. Reads the file that --config names, if there is one: rank 0 reads, every rank parses its text. */
int ivf_config_load(const ivf_ctx *ctx, ivf_options *options);

/* Local. Takes over what a file's text says; a zero byte follows its `bytes` bytes. MPIVF_USAGE names file, line and
 * key, and the nearest known key. `path` is only for messages. */
int ivf_config_parse(ivf_options *options, const char *path, const char *text, size_t bytes);

/* Local. Finished options as such a file. */
void ivf_config_print(ivf_text *out, const ivf_options *options);

#endif
