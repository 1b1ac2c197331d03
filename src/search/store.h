/* Lists that lie in files, read group by group as they are wanted. */
#ifndef IVF_SEARCH_STORE_H
#define IVF_SEARCH_STORE_H

#include "index/place.h"
#include "index/reader.h"
#include "search/view.h"

typedef struct ivf_store ivf_store;

/* What lists are read from; all borrowed. */
typedef struct {
    const char *index;
    const ivf_manifest *manifest;
    const ivf_model *model;
    const ivf_place *places; /* [to - from] */
    int64_t from, to;        /* fragments */
    const ivf_list *lists;   /* [nlist]: how long each is */
    const float *origin;     /* [d] */
} ivf_store_source;

/* Local. What a list of n postings counts for in a group: as it lies in files or as scans want it, whichever is more.
 */
int64_t ivf_store_weight(const ivf_model *model, int64_t n);

/* Local. Groups of at most `bytes`, and at least the weight of a block; a list that is longer is read in pieces, a
 * group each. `sparse`: the lists that are wanted lie far apart, and are arranged in memory of the store. NULL with a
 * failure recorded. */
ivf_store *ivf_store_open(const ivf_store_source *source, int64_t bytes, bool sparse);
void ivf_store_close(ivf_store *store);

/* Local. Bytes that ivf_store_open takes. */
int64_t ivf_store_memory(const ivf_store_source *source, int64_t bytes, bool sparse);

/* Local. Bytes of a posting in files. */
int64_t ivf_store_posting_bytes(const ivf_store *store);

/* What happens to a group: postings as they were read (ids and codes), of lists or of a piece of one, whole blocks from
 * group->first on but for the last piece. */
typedef int ivf_store_visit(void *arg, ivf_store *store, const ivf_reader_job *group);

/* Local, uses the team; one caller at a time, others wait. Reads lists[count], ascending, none empty, and calls visit
 * with each group of them, while the next one is read. */
int ivf_store_read(ivf_store *store, const int32_t *lists, int32_t count, ivf_store_visit *visit, void *arg);

/* Local, uses the team, for a visit. Arranges the group into views[group->count], whose blocks (zero), terms and ids
 * there is room for; ids are copied. Pieces go to their places in the list's view. */
int ivf_store_place(ivf_store *store, const ivf_reader_job *group, ivf_list *const *views);

/* Local, uses the team, for a visit of a sparse store. The group's lists, or the piece as a list of its own, valid
 * during the visit: views[group->count]. */
int ivf_store_arrange(ivf_store *store, const ivf_reader_job *group, const ivf_list **views);

#endif
