/* The command line. */
#ifndef IVF_CLI_PARSE_H
#define IVF_CLI_PARSE_H

#include "cli/options.h"

/* What the program was asked to do. */
typedef enum {
    IVF_REQUEST_RUN,
    IVF_REQUEST_HELP,
    IVF_REQUEST_COMMAND_HELP,
    IVF_REQUEST_VERSION,
    IVF_REQUEST_MAN,
    IVF_REQUEST_COMPLETION
} ivf_request;

/* Local, not thread-safe (getopt). Reads argv into `options`, whose command is set as soon as it is known
 * (IVF_COMMAND_COUNT until then), also on failure; free them in any case. Options may stand before or after the
 * arguments; "--" ends them; unambiguous abbreviations are understood. MPIVF_USAGE says what is wrong and names the
 * nearest option or command. */
int ivf_parse(int argc, char *const *argv, ivf_request *request, ivf_options *options);

#endif
