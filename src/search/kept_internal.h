/* What finding vectors and reading them share. Private to search/. */
#ifndef IVF_SEARCH_KEPT_INTERNAL_H
#define IVF_SEARCH_KEPT_INTERNAL_H

#include "index/layout.h"
#include "io/rawfile.h"
#include "search/kept.h"

enum {
    IVF_KEPT_GAP = 8 << 10,   /* bytes between two pieces, that are read for the sake of one request */
    IVF_KEPT_SPAN = 1 << 20,  /* bytes of vectors read at a time */
    IVF_KEPT_PIECE = 1 << 17, /* ids read at a time */
};

/* A fragment that has postings of the share. */
typedef struct {
    uint64_t *offsets; /* [lists + 1], owned */
    uint64_t *sums;    /* [lists], owned: of each list's vectors */
    int32_t first_list, lists;
    int64_t ids, vectors; /* where they lie in the file */
    int64_t base;         /* place of its first posting */
    uint64_t from, to;    /* postings of it that are the share's */
} ivf_kept_fragment;

struct ivf_kept_share {
    const char *index;            /* borrowed */
    const ivf_manifest *manifest; /* borrowed */
    int64_t first, count;
    ivf_kept_fragment *fragments; /* [count], owned: first, first + 1, ... of the manifest */
};

/* Local. The file of a fragment, which was there when the share was opened, and its path. */
int ivf_kept_internal_open(const ivf_kept_share *share, int64_t fragment, char path[IVF_PATH_BYTES], ivf_rawfile *file);

/* Local. What becomes of a failed read: a file that is gone, or shorter than it was, is MPIVF_CORRUPT. */
int ivf_kept_internal_refuse(int rc, const char *path);

#endif
