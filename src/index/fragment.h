/* A fragment: the postings of a range of rows in all lists, or of all rows in a range of lists, list by list in one
 * file. The unit of work, of recovery and of commit. */
#ifndef IVF_INDEX_FRAGMENT_H
#define IVF_INDEX_FRAGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "index/kept.h"
#include "index/layout.h"
#include "io/h5.h"
#include "math/rows.h"

/* Which of the two the fragments of a version are. */
typedef enum {
    IVF_LAYOUT_ROWS, /* as builds make them: fragments follow each other by rows */
    IVF_LAYOUT_LISTS /* compacted: by lists */
} ivf_layout;

/* Checksums of lists: of what scans need, and of kept vectors, which stand apart. */
enum { IVF_SUMS_LISTS, IVF_SUMS_VECTORS, IVF_SUMS };

/* What a fragment keeps of each posting, dataset by dataset, in the order in which checksums of lists take them. Who
 * merges, copies or checks postings goes through this table. */
typedef struct {
    const char *name; /* of the dataset, static storage */
    ivf_element type;
    int rank;
    int64_t width; /* elements of a posting: the second dimension, where rank is 2 */
    size_t bytes;  /* of a posting */
    int sums;      /* the checksums of lists that it belongs to */
} ivf_column;

/* IVF_COLUMNS are those that scans need; behind them is what a fragment may keep as well. */
enum { IVF_COLUMN_IDS, IVF_COLUMN_CODES, IVF_COLUMNS, IVF_COLUMN_VECTORS = IVF_COLUMNS, IVF_ALL_COLUMNS };

/* Local. Returns how many there are: IVF_COLUMNS, or with kept vectors IVF_ALL_COLUMNS. */
int ivf_fragment_columns(size_t code_size, ivf_keeping kept, ivf_column columns[IVF_ALL_COLUMNS]);

/* Local. The dataset of such checksums, static storage; how many of them there are. */
const char *ivf_fragment_sums_name(int sums);
int ivf_fragment_sums(ivf_keeping kept);

/* In memory: what the file holds. Owned arrays. */
typedef struct {
    int32_t nlist; /* lists that the fragment has, empty ones included */
    size_t code_size;
    int64_t postings;
    uint64_t *offsets;        /* [nlist + 1]: list l is postings offsets[l] .. offsets[l + 1] - 1 */
    uint64_t *ids;            /* [postings]; ascending by input row within a list */
    uint8_t *codes;           /* [postings][code_size] */
    ivf_keeping kept;         /* beside them; none in what was read from a file */
    uint8_t *vectors;         /* [postings][ivf_kept_bytes] */
    int64_t skipped;          /* rows that could not be indexed */
    uint64_t *skipped_rows;   /* [skipped], global, ascending */
    uint64_t *skipped_ids;    /* [skipped] */
    uint8_t *skipped_reasons; /* [skipped], ivf_row_reason */
} ivf_fragment;

/* What the manifest knows about a fragment. Plain bytes: travels between ranks as it is. */
typedef struct {
    char id[IVF_ID_BYTES];
    int64_t number;     /* of the version's fragments */
    int64_t first_row;  /* global; IVF_LAYOUT_LISTS: 0 */
    int64_t rows;       /* read: postings + skipped */
    int32_t first_list; /* IVF_LAYOUT_LISTS: its range; else 0 and 0, which stands for all lists */
    int32_t lists;
    int64_t postings;
    int64_t skipped[IVF_ROW_REASONS]; /* by reason; [IVF_ROW_OK] is 0 */
    uint64_t digest_in;               /* ivf_digest_ids of the ids of all rows read */
    uint64_t digest_out;              /* of the ids in lists and among the skipped */
    int64_t bytes;                    /* of the file */
    uint64_t checksum;                /* XXH3-64 of the file */
} ivf_fragment_record;

/* Local. Rows of a fragment when the user gives none: a 64th of the rows, so that many ranks share small rowss
 * evenly, in whole multiples of 4096; at least 4096 and 4 nlist (offsets stay small beside postings), at most 2^20 and
 * 256 MiB of postings (what a rank holds at a time). */
int64_t ivf_fragment_usual_rows(int64_t rows, int32_t nlist, size_t code_size);

/* Local. Arrays for `postings` postings and `skipped` rows, not filled. */
int ivf_fragment_new(int32_t nlist, size_t code_size, int64_t postings, int64_t skipped, ivf_fragment **fragment);
void ivf_fragment_free(ivf_fragment *fragment);

/* Local. Has it keep vectors as well: room for those of as many postings as it was made for, not filled. */
int ivf_fragment_keep(ivf_fragment *fragment, ivf_keeping kept);

/* Local. Makes it one of at most as many postings as it was made for, offsets zero, the rest not filled. */
int ivf_fragment_reuse(ivf_fragment *fragment, int64_t postings, int64_t skipped);

/* Local. A column's data, [postings], in memory. */
void *ivf_fragment_column(const ivf_fragment *fragment, int column);

/* Local. Bytes that ivf_fragment_new and ivf_fragment_keep take for postings, and for skipped rows. */
int64_t ivf_fragment_memory(int32_t nlist, size_t code_size, ivf_keeping kept, int64_t postings);
int64_t ivf_fragment_skipped_memory(int64_t skipped);

/* Local. Fills the record's postings, skipped and digest_out from the contents. */
void ivf_fragment_account(const ivf_fragment *fragment, ivf_fragment_record *record);

/* Local. The file's size against the record's: MPIVF_CORRUPT when it is missing or of another size. */
int ivf_fragment_check_size(const char *index, const ivf_fragment_record *record);

/* Local. The layout's own attributes of a fragment's file against a record: MPIVF_CORRUPT when they differ. */
int ivf_fragment_check_range(ivf_h5 *file, const char *path, const ivf_fragment_record *record);

/* Where a fragment's datasets lie in its file, in bytes; -1: it is empty. Plain bytes: travels between ranks. */
typedef struct {
    int64_t offsets, checksums[IVF_SUMS]; /* the tables of lists */
    int64_t columns[IVF_ALL_COLUMNS];
    uint64_t skipped; /* digest of the ids that are in no list */
} ivf_place;

/* Local. XXH3-64 of each list, column after column of those that belong to `sums`, into checksums[nlist]. */
int ivf_fragment_hash_lists(const ivf_fragment *fragment, int sums, uint64_t *checksums);

/* Local. A new file at `path` with everything in it but postings and the checksums of lists, for which there is room at
 * the places told: whoever puts them there calls ivf_h5_seal for each of these datasets and closes the file. */
int ivf_fragment_begin(const ivf_fragment *fragment, const ivf_fragment_record *record, const char *path, ivf_h5 **file,
                       ivf_place *place);

/* Local. Publishes fragments/<id>.h5, with a checksum of each list, and fills the record's postings, skipped,
 * digest_out, bytes and checksum. The offsets must be right. Holds 8 bytes a list meanwhile. */
int ivf_fragment_write(const ivf_fragment *fragment, const char *index, ivf_fragment_record *record);

/* Local. The same, but what has not the bytes and checksum that are expected is not published: the record, which then
 * differs, tells. */
int ivf_fragment_rewrite(const ivf_fragment *fragment, const char *index, const ivf_fragment_record *expected,
                         ivf_fragment_record *record);

/* Local. MPIVF_CORRUPT when the file is no fragment, or of another version of the format. */
int ivf_fragment_check_format(ivf_h5 *file, const char *path);

/* Local. Reads a whole fragment and checks its structure: offsets ascending from 0 to postings, shapes as the model
 * says. MPIVF_CORRUPT names file and finding. */
int ivf_fragment_read(const char *index, const char *id, int32_t nlist, size_t code_size, ivf_fragment **fragment);

/* Local. What says where rows went, without postings: offsets and skipped rows; ids and codes are empty. The file has
 * the record's size, and as many postings and skipped rows. MPIVF_CORRUPT when it is missing or not so. */
int ivf_fragment_skim(const char *index, const ivf_fragment_record *record, int32_t nlist, size_t code_size,
                      ivf_fragment **fragment);

/* Local. Reads a whole fragment as ivf_fragment_read does, and holds the contents against the manifest's record:
 * postings, skipped rows, digest of the ids. */
int ivf_fragment_open(const char *index, const ivf_fragment_record *record, int32_t nlist, size_t code_size,
                      ivf_fragment **fragment);

#endif
