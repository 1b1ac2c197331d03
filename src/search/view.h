/* Lists as scans want them, made of postings as files have them. */
#ifndef IVF_SEARCH_VIEW_H
#define IVF_SEARCH_VIEW_H

#include <stdint.h>

#include "index/model.h"

/* A list, in the order of the input rows. With r the decoded codes, c the list's centroid (0 unless the codec is
 * residual) and o the origin (codec/scan.h). A view: what it points to belongs to somebody else. */
typedef struct {
    int64_t n;
    uint8_t *blocks; /* [n rounded up to a block]; NULL where n > 0: the list is not in memory */
    float *terms;    /* the same; L2: |r|^2 + 2 <c - o, r>; NULL for inner products */
    uint64_t *ids;   /* [n] */
    float radius;    /* the largest |r| */
    float spread;    /* of a code, at most */
    float shift;     /* |c - o|; 0 for inner products */
} ivf_list;

typedef struct ivf_viewer ivf_viewer;

/* Local. For a model and an origin [d], both borrowed. Memory: 33 rows for each thread of the team. NULL with a failure
 * recorded. */
ivf_viewer *ivf_viewer_new(const ivf_model *model, const float *origin);
void ivf_viewer_free(ivf_viewer *viewer);

/* Local. Makes room for the team's workers, who may be more than when it was made. */
int ivf_viewer_fit(ivf_viewer *viewer);

/* Local. Bytes of the blocks, and of the terms, of n postings; and what ivf_viewer_new takes. */
int64_t ivf_viewer_block_bytes(const ivf_model *model, int64_t n);
int64_t ivf_viewer_term_bytes(const ivf_model *model, int64_t n);
int64_t ivf_viewer_memory(const ivf_model *model);

/* Local, one thread for each worker. Puts codes[n][code_size] of list l, its postings from `first` on (a multiple of
 * IVF_SCAN_BLOCK), into list->blocks, which are zero, and list->terms, and finds the rest but for n and the ids: anew
 * where first is 0, else with what was found of postings before. */
void ivf_viewer_fill(const ivf_viewer *viewer, int32_t l, const uint8_t *codes, int64_t first, int64_t n,
                     ivf_list *list, int worker);

#endif
