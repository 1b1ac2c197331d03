/* What HDF5 says about a dataset of a stranger's file. For io/h5source and io/h5truth. All functions: local, under the
 * lock of io/h5lock.
 */
#ifndef IVF_IO_H5FACTS_H
#define IVF_IO_H5FACTS_H

#include <hdf5.h>
#include <stdbool.h>

#include "io/h5driver.h"
#include "io/source.h"

typedef struct {
    int rank;
    hsize_t dims[H5S_MAX_RANK];
    hsize_t chunk[H5S_MAX_RANK]; /* shape of a chunk, of what is chunked, */
    int filters;                 /* through how many it goes, */
    bool plain_edges;            /* and whether those that reach beyond the rows go through none */
    H5D_layout_t layout;
    bool external; /* its bytes are in other files */
    bool known;    /* elements are of a type that is wanted: `type` */
    bool native;   /* and lie in the file as they do in memory */
    ivf_element type;
    char type_words[64]; /* what the elements are, in words: "4-byte integers" */
    bool written;        /* nothing of it is missing from the file */
    hsize_t stored;      /* bytes in the file */
    bool fits;           /* they are those of the shape, as far as can be told */
    haddr_t offset;      /* of the bytes, of what is contiguous; else HADDR_UNDEF */
} ivf_h5_facts;

/* Opens for reading an HDF5 file whose descriptor and size `disk` holds; negative on failure. */
hid_t ivf_h5_facts_open(const char *path, ivf_h5_disk *disk);

/* Type, shape, layout and storage, in the file of `disk`. Counting the chunks that were written walks their index;
 * where there are hundreds at most, each is looked at. False on failure. */
bool ivf_h5_facts_gather(const ivf_h5_disk *disk, hid_t dataset, ivf_contents contents, ivf_h5_facts *facts);

/* Shape and layout alone. False too when the chunks have not one positive extent for each dimension, which HDF5 opens
 * without complaint. */
bool ivf_h5_facts_gather_form(hid_t dataset, ivf_h5_facts *facts);

/* Storage, of what the form is known of; chunks as above. */
void ivf_h5_facts_gather_storage(const ivf_h5_disk *disk, hid_t dataset, ivf_h5_facts *facts);

/* Bytes of the chunks that hold one row, of what is chunked, or SIZE_MAX beyond that; facts->type is set. */
size_t ivf_h5_facts_chunk_row(const ivf_h5_facts *facts);

#endif
