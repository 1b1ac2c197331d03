/* The files that a command is to write, looked at before any work is done. */
#ifndef IVF_CLI_TARGETS_H
#define IVF_CLI_TARGETS_H

#include "cli/options.h"
#include "comm/context.h"

/* Collective; rank 0 looks. Whether results may go to `output` (NULL: nowhere). MPIVF_USAGE when its ending is not
 * known, its folder does not exist, there is a folder of that name, or a file that would be written is one that is
 * read: of --input and --queries with folders, patterns and lists expanded, or of --ids. MPIVF_FAILED where no file can
 * be made, here as below. */
int ivf_targets_check_results(const ivf_ctx *ctx, const ivf_options *options, const char *output);

/* Collective; rank 0 looks. Whether mpivf generate may write its rows and its queries (NULL: none). MPIVF_USAGE when a
 * folder does not exist or both go to one file. */
int ivf_targets_check_generated(const ivf_ctx *ctx, const char *rows, const char *queries);

/* Collective; rank 0 looks. Whether the folder that --output `path` goes to exists: MPIVF_USAGE when it does not, or
 * when `path` is itself a folder. */
int ivf_targets_check_file(const ivf_ctx *ctx, const char *path);

/* Collective; rank 0 looks. The same for what mpivf convert writes, which may be no file that it reads. */
int ivf_targets_check_converted(const ivf_ctx *ctx, const ivf_options *options, const char *output);

#endif
