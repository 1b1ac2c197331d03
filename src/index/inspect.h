/* What is wrong with a file of an index, as narrowly as it can be told: for a fragment the list, and whether ids or
 * codes; for a model the dataset. For verify and repair. */
#ifndef IVF_INDEX_INSPECT_H
#define IVF_INDEX_INSPECT_H

#include <stdint.h>

#include "base/text.h"
#include "index/manifest.h"

typedef struct {
    ivf_text text; /* one a line */
    int64_t count;
} ivf_findings;

/* Local. Takes a failure that is the index's (MPIVF_CORRUPT, MPIVF_BAD_INPUT; its record is the text) as a finding; one
 * of the system (no memory, an I/O error) stays a failure. `what`: put before, NULL for none. */
int ivf_findings_take(ivf_findings *findings, const char *what, int rc);

/* Local. A fragment against its record: size and checksum of the file, then what it holds. Adds its lists' sizes to
 * list_sizes[nlist] if it is sound, and its file's bytes to *bytes. Reads the file twice, in pieces: memory is 16 bytes
 * a list and 2 MiB. */
int ivf_inspect_fragment(const char *index, const ivf_manifest *manifest, const ivf_fragment_record *record,
                         int64_t *list_sizes, int64_t *bytes, ivf_findings *findings);

/* Local. The model's file against the manifest: size, checksum, contents, shape. */
int ivf_inspect_model(const char *index, const ivf_manifest *manifest, int64_t *bytes, ivf_findings *findings);

/* Local. The file of a manifest that was read: each of its bytes. */
int ivf_inspect_manifest(const char *index, int64_t version, int64_t *bytes, ivf_findings *findings);

#endif
