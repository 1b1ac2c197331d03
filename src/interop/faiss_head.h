/* A file of FAISS up to its lists: index, trained parts, sizes of the lists. For export. */
#ifndef IVF_INTEROP_FAISS_HEAD_H
#define IVF_INTEROP_FAISS_HEAD_H

#include <stdint.h>

#include "index/manifest.h"
#include "index/model.h"
#include "interop/lists.h"
#include "io/outfile.h"

typedef struct {
    ivf_model *model; /* its contents are read only */
    const ivf_manifest *manifest;
    const ivf_lists *lists;
    int64_t nprobe;
    const char *data; /* the file of the lists (OnDiskInvertedLists); NULL: they follow in the same file */
} ivf_faiss_head;

/* Local. Bytes of the head. */
int64_t ivf_faiss_head_bytes(const ivf_faiss_head *head);

/* Local. Writes it at the beginning of the file. Memory: 1 MiB. */
int ivf_faiss_head_write(const ivf_faiss_head *head, const ivf_outfile *file);

#endif
