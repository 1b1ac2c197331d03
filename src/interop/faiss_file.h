/* A file of FAISS as it is read: a hostile one may say anything, so each number is held against what is left of the
 * file before it is used. */
#ifndef IVF_INTEROP_FAISS_FILE_H
#define IVF_INTEROP_FAISS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "codec/factory.h"
#include "io/publish.h"
#include "io/rawfile.h"

/* What a file of FAISS holds, and where. Plain numbers but for the arrays. */
typedef struct {
    int d_in; /* values of a row as it comes */
    int d;    /* as the lists see it */
    int64_t rows;
    int64_t nprobe;
    ivf_metric metric;   /* L2 or IP */
    ivf_factory factory; /* nlist, codec, rotation */
    bool by_residual;
    bool has_graph; /* over the centroids */
    int64_t code_size;
    int64_t rotation_at;  /* byte of f32[d][d_in]; -1: none */
    int64_t centroids_at; /* of f32[nlist][d] */
    int64_t trained_at;   /* of the codec's numbers; -1: none */
    int64_t trained;      /* how many those are */
    bool on_disk;         /* lists are in `data` */
    char data[IVF_PATH_BYTES];
    int64_t *sizes;    /* [nlist], owned: postings of each list */
    int64_t *codes_at; /* [nlist], owned: bytes of the file that holds the lists */
    int64_t *ids_at;   /* [nlist], owned */
} ivf_faiss_index;

/* Local. Reads all but rows and trained numbers. MPIVF_BAD_INPUT with one line: what FAISS put there that mpivf does
 * not hold, by name; or what is damaged, and where. Memory: 24 bytes a list, the lists' sizes as the file has them. */
int ivf_faiss_read(const ivf_rawfile *file, ivf_faiss_index *index);
void ivf_faiss_free(ivf_faiss_index *index);

#endif
