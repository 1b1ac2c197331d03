/* Damaged fragments of a compacted version, merged again from the version that it was compacted from. For repair. */
#ifndef IVF_BUILD_REMERGE_H
#define IVF_BUILD_REMERGE_H

#include "comm/context.h"
#include "index/manifest.h"

typedef struct ivf_remerge ivf_remerge;

/* Collective. Finds that version. MPIVF_CORRUPT when it is gone, or is another one now. */
int ivf_remerge_open(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, ivf_remerge **remerge);
void ivf_remerge_close(ivf_remerge *remerge);

/* Collective. Fragments pending[count] by ticket; each is replaced if it comes out as the manifest says, and else left
 * as it is. checksums[fragments], zero before: what each came out as, on every rank. Memory: a fragment of each rank.
 */
int ivf_remerge_run(const ivf_ctx *ctx, const ivf_remerge *remerge, const int64_t *pending, int64_t count,
                    uint64_t *checksums);

#endif
