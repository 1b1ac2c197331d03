/* The commands of the program: what `mpivf COMMAND` may be, and how each is described. */
#ifndef IVF_CLI_COMMAND_H
#define IVF_CLI_COMMAND_H

#include "cli/options.h"

typedef struct {
    const char *name;
    const char *summary;     /* one line, for lists */
    const char *description; /* a paragraph, for --help and the manual */
    const char *example;     /* one command line */
} ivf_command;

/* Local. The table, in the order in which users meet the commands. `id` < IVF_COMMAND_COUNT. */
const ivf_command *ivf_command_get(ivf_command_id id);

/* Local. The command of that name; MPIVF_USAGE, naming the nearest one, when there is none. */
int ivf_command_find(const char *name, ivf_command_id *id);

#endif
