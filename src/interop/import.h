/* An index that FAISS wrote becomes a version of an index of mpivf: the same lists, trained parts and codes, bit by
 * bit. */
#ifndef IVF_INTEROP_IMPORT_H
#define IVF_INTEROP_IMPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec/factory.h"
#include "comm/context.h"

typedef struct {
    const char *file; /* that FAISS wrote */
    const char *index;
    int64_t fragment_rows; /* 0: by the number of rows */
    bool replace;          /* make the next version of an index that is there */
    json_t *config;        /* the options, for the manifest; borrowed */
} ivf_import_config;

typedef struct {
    int64_t version;
    int64_t rows;
    int64_t fragments;
    int d;
    ivf_metric metric;
    ivf_factory factory;
    int64_t nprobe; /* that the file comes with */
    bool has_graph; /* over the centroids, which is left out */
} ivf_import_report;

/* Collective. Rows are numbered in the order of the lists, a fragment holds a range of them, and ranks draw fragments
 * by ticket; each reads its lists from the file. MPIVF_BAD_INPUT: the file is damaged (each size is held against the
 * file's before it is used), holds what mpivf does not, or changed meanwhile; an id is negative or occurs twice; a
 * value is not finite. MPIVF_CONFLICT as for builds. Nothing is left of an import that failed. Memory of a rank: 40
 * bytes a list, a fragment, and 16 bytes for each id of its share while they are compared. */
int ivf_import(const ivf_ctx *ctx, const ivf_import_config *config, ivf_import_report *report);

#endif
