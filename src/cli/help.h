/* What the table of options says to people: --help, the manual page, the completion of bash. All go through ivf_text,
 * whose `failed` says when memory ran out. */
#ifndef IVF_CLI_HELP_H
#define IVF_CLI_HELP_H

#include "base/text.h"
#include "cli/options.h"

/* Local. `mpivf --help`. */
void ivf_help_program(ivf_text *out);

/* Local. `mpivf COMMAND --help`. */
void ivf_help_command(ivf_text *out, ivf_command_id command);

/* Local. "mpivf build INDEX --input PATH... [OPTIONS]". */
void ivf_help_usage(ivf_text *out, ivf_command_id command);

/* Local. What a value may be and is by default: "1 to 65536; default 10"; nothing for a plain flag. */
void ivf_help_facts(ivf_text *out, const ivf_option *option);

/* Local. The manual page, in troff with the man macros. */
void ivf_man_page(ivf_text *out);

/* Local. A script for bash, to be sourced or installed as bash-completion/completions/mpivf. */
void ivf_completion_bash(ivf_text *out);

#endif
