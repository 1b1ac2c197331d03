/* What reading whole lists and reading pieces of one share. Private to index/. */
#ifndef IVF_INDEX_READER_INTERNAL_H
#define IVF_INDEX_READER_INTERNAL_H

#include "base/hash.h"
#include "index/reader.h"
#include "io/rawfile.h"

enum {
    IVF_READER_PIECES = 512,    /* of one read */
    IVF_READER_BYTES = 4 << 20, /* of one read, at most */
    IVF_READER_GAP = 16 << 10,  /* between two pieces, that is read for the sake of one read */
};

/* A list that is read in pieces: what is behind the last one. */
typedef struct {
    int32_t list;
    int64_t next;     /* posting of the list */
    int64_t fragment; /* that has it */
    int64_t done;     /* postings of the list in that fragment, which have been read */
    uint64_t ids;     /* XXH3-64 of the ids of the list in that fragment */
} ivf_reader_long;

/* A fragment's tables for lists first .. first + n - 1, those that the fragment has. */
typedef struct {
    int32_t first, n;
    const uint64_t *offsets;             /* [n + 1] */
    const uint64_t *checksums[IVF_SUMS]; /* [n] */
} ivf_reader_tables;

struct ivf_reader {
    const char *index;
    const ivf_manifest *manifest;
    const ivf_place *places; /* [to - from] */
    int64_t from, to;
    ivf_column columns[IVF_ALL_COLUMNS];
    int column_count;   /* that are read */
    int sums;           /* checksums of a list */
    ivf_rawfile *files; /* [min(to - from, IVF_READER_FILES)], owned; fd -1: not open */
    uint64_t **held;   /* [to - from]: offsets and then checksums of all lists of the fragment; NULL: not held; owned */
    uint64_t *scratch; /* the same of one job and fragment, owned */
    int64_t scratch_lists;
    int64_t *filled; /* [of the job's lists]: postings of earlier fragments; owned */
    int64_t filled_lists;
    struct iovec pieces[IVF_READER_PIECES];
    uint8_t *gap;       /* [IVF_READER_GAP], owned: what nobody wants */
    ivf_hasher *hasher; /* of a list in a fragment */
    ivf_hasher *again;  /* of ids that are read a second time */
    ivf_reader_long longer;
};

/* Local. A fragment's file, opened if need be; `spare` serves those that are not kept open. And back. */
int ivf_reader_internal_take(ivf_reader *r, int64_t f, ivf_rawfile *spare, ivf_rawfile **file);
void ivf_reader_internal_give(ivf_rawfile *file, const ivf_rawfile *spare);

/* Local. The tables of a fragment for the job's lists; n = 0: it has none of them. */
int ivf_reader_internal_tables(const ivf_reader *r, const ivf_reader_job *job, int64_t f, const ivf_rawfile *file,
                               ivf_reader_tables *t);

/* Local. A run of a file; MPIVF_INTERRUPTED when the run is to stop. */
int ivf_reader_internal_read(ivf_reader *r, const ivf_rawfile *file, int64_t at, void *to, int64_t bytes);

/* Local. MPIVF_CORRUPT where ids[n] of a list of fragment f, which need not be aligned, are none. */
int ivf_reader_internal_check_ids(const ivf_reader *r, int64_t f, int32_t list, const uint8_t *ids, int64_t n);

/* Local. MPIVF_CORRUPT: a list of fragment f has another checksum (of IVF_SUMS), or the fragment has changed since its
 * tables were read. */
int ivf_reader_internal_refuse(const ivf_reader *r, int64_t f, int32_t list, int sums);
int ivf_reader_internal_refuse_change(const ivf_reader *r, int64_t f);

/* Local. A job that is a piece of a list (index/reader_piece.c). */
int ivf_reader_internal_piece(ivf_reader *r, const ivf_reader_job *job);

#endif
