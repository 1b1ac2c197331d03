/* An index for other programs: FAISS's files, the centroids as a table for VectorChord, and the model as .npy files. */
#ifndef IVF_INTEROP_EXPORT_H
#define IVF_INTEROP_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"
#include "index/manifest.h"
#include "index/model.h"
#include "io/publish.h"

typedef enum {
    IVF_EXPORT_FAISS,       /* one file for faiss.read_index, lists included */
    IVF_EXPORT_FAISS_DISK,  /* the same, but the lists in a file beside it, which FAISS maps */
    IVF_EXPORT_VECTORCHORD, /* the centroids as rows for COPY of PostgreSQL, and the SQL in OUTPUT.sql */
    IVF_EXPORT_NPY          /* a folder with the model's arrays and the sizes of the lists */
} ivf_export_format;

typedef struct {
    const char *index;
    const char *output;
    ivf_export_format format;
    int64_t nprobe;    /* FAISS: that the index comes with; at most as many as there are lists; 0: what it was tuned to
                          (ivf_tuning_usual), else 8 */
    const char *table; /* VectorChord: name of the table, as SQL takes it */
    bool as_text;      /* VectorChord: rows as text instead of COPY BINARY */
} ivf_export_config;

typedef struct {
    int64_t version;
    int32_t nlist;
    int64_t postings;
    int64_t bytes;             /* of all files */
    int64_t nodes;             /* VectorChord: rows of the table */
    char data[IVF_PATH_BYTES]; /* the file of the lists, or of the SQL, if there is one of its own; else "" */
    ivf_metric metric;
} ivf_export_report;

/* Collective. Writes the newest version of an index. Files appear whole or not at all, and replace what was there; a
 * folder of .npy files must be new (MPIVF_CONFLICT). MPIVF_CORRUPT: the index is damaged (every list that is copied is
 * held against its checksum). Each rank writes parts of the one file; its bytes do not depend on the ranks. Memory of a
 * rank: the model, 16 bytes a list and what ivf_lists_write says. */
int ivf_export(const ivf_ctx *ctx, const ivf_export_config *config, ivf_export_report *report);

#endif
