/* A set of ids: of the files that a version names, or that somebody else has a claim to. */
#ifndef IVF_INDEX_NAMES_H
#define IVF_INDEX_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "index/layout.h"

/* Starts zeroed; 40 bytes for each. */
typedef struct {
    char (*ids)[IVF_ID_BYTES]; /* owned */
    int64_t count;
    int64_t room;
    bool is_sorted;
} ivf_names;

/* Local. An id may be added more than once. */
int ivf_names_add(ivf_names *names, const char *id);
void ivf_names_free(ivf_names *names);

/* Local. Whether the set holds the id; the first question after an addition sorts the set. */
bool ivf_names_has(ivf_names *names, const char *id);

/* Local. The entry that, with a '-' behind it, is how `id` begins: the build of a fragment; NULL when there is none. */
const char *ivf_names_build_of(const ivf_names *builds, const char *id);

#endif
