/* What the files of import share. */
#ifndef IVF_INTEROP_IMPORT_INTERNAL_H
#define IVF_INTEROP_IMPORT_INTERNAL_H

#include "index/fragment.h"
#include "index/model.h"
#include "interop/faiss_file.h"
#include "interop/import.h"
#include "io/lock.h"
#include "io/stamps.h"

typedef struct {
    const ivf_import_config *config;
    ivf_faiss_index faiss;   /* the same on every rank */
    ivf_rawfile file, lists; /* the index; the file that its lists are in, which may be the same; fd -1: not open */
    int64_t *starts;         /* [nlist + 1], owned: number of each list's first row */
    ivf_codec *codec;        /* of full rows, to look at their values; NULL for others */
    char file_path[IVF_PATH_BYTES], lists_path[IVF_PATH_BYTES]; /* absolute */
    ivf_stamp stamps[2];
    int stamp_count;
    uint64_t digest; /* of all ids */
    int64_t fragment_rows, fragments;
    int64_t version;
    char build_id[IVF_ID_BYTES];

    ivf_fragment_record *records; /* of this rank's fragments, [record_room], owned */
    int64_t record_count, record_room;

    /* on rank 0 */
    ivf_model *model;
    int64_t model_bytes;
    uint64_t model_checksum;
    bool model_is_new;
    ivf_lock *lock; /* of the build's folder */
    char folder[IVF_PATH_BYTES];
    bool index_is_new;
    bool committed;
    double started;
} ivf_import_state;

/* Local. This rank's share of the ids, one after the other; MPIVF_BAD_INPUT when one is negative. */
int ivf_import_read_ids(const ivf_import_state *s, int64_t first, int64_t n, uint64_t *ids);

/* Local. Rows first to first + n - 1 into fragment, whose lists are those that they are in. */
int ivf_import_read_rows(const ivf_import_state *s, int64_t first, int64_t n, ivf_fragment *fragment);

/* Local. The model, sealed. MPIVF_BAD_INPUT when it holds a value that is not finite. */
int ivf_import_read_model(const ivf_import_state *s, ivf_model **model);

/* Local, rank 0. Decides the version and the build's id, and takes the index for it. */
int ivf_import_claim(ivf_import_state *s);

/* Local, rank 0, after all ranks have ended their work: takes away what was not committed. */
void ivf_import_release(ivf_import_state *s);

#endif
