/* Inputs as users name them, expanded to an ordered list of files. For io/dataset and io/ids, on rank 0. */
#ifndef IVF_IO_INPUTS_H
#define IVF_IO_INPUTS_H

#include <stdint.h>

typedef struct {
    char **paths; /* absolute, owned */
    int64_t count;
    int64_t capacity;
} ivf_inputs;

/* Local. Expands each input in turn: a file to itself; a folder to its files of known formats, not deeper, without
 * hidden ones; a pattern (glob(7)) that is no file's name to what matches; @LIST to the inputs in a text file, one a
 * line, relative ones relative to its folder, blank lines and lines that begin with # left out. Folders and patterns
 * expand in bytewise order. `files` is to be freed whatever the outcome. MPIVF_BAD_INPUT for an input that yields
 * nothing. */
int ivf_inputs_expand(const char *const *inputs, int count, ivf_inputs *files);
void ivf_inputs_free(ivf_inputs *files);

/* Local. A path as it is found from any folder, as the above make their own: through ivf_new, in *made, which is NULL
 * on failure. */
int ivf_inputs_absolute(const char *path, char **made);

#endif
