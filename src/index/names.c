#include "index/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"

int ivf_names_add(ivf_names *names, const char *id)
{
    if (names->count == names->room) {
        int64_t room = ivf_max_i64(64, 2 * names->room);
        void *grown = ivf_resize(names->ids, ivf_to_size(room), sizeof *names->ids);
        if (grown == NULL)
            return MPIVF_FAILED;
        names->ids = grown;
        names->room = room;
    }
    (void)snprintf(names->ids[names->count++], IVF_ID_BYTES, "%s", id);
    names->is_sorted = false;
    return MPIVF_OK;
}

void ivf_names_free(ivf_names *names)
{
    ivf_free(names->ids);
    *names = (ivf_names){0};
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool ivf_names_has(ivf_names *names, const char *id)
{
    if (names->count == 0)
        return false;
    if (!names->is_sorted)
        qsort(names->ids, ivf_to_size(names->count), sizeof *names->ids, compare_ids);
    names->is_sorted = true;
    return bsearch(id, names->ids, ivf_to_size(names->count), sizeof *names->ids, compare_ids) != NULL;
}

const char *ivf_names_build_of(const ivf_names *builds, const char *id)
{
    for (int64_t i = 0; i < builds->count; i++) {
        size_t length = strlen(builds->ids[i]);
        if (strncmp(id, builds->ids[i], length) == 0 && id[length] == '-')
            return builds->ids[i];
    }
    return NULL;
}
