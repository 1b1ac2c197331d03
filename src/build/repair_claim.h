/* That an index is being repaired: no second repair begins, and vacuum takes no file that is being made or merged from.
 */
#ifndef IVF_BUILD_REPAIR_CLAIM_H
#define IVF_BUILD_REPAIR_CLAIM_H

#include "io/lock.h"
#include "io/publish.h"

typedef struct {
    char folder[IVF_PATH_BYTES]; /* below building */
    ivf_lock *lock;              /* NULL: nothing is claimed */
} ivf_repair_claim;

/* Local, for rank 0. MPIVF_CONFLICT when the version that this build made is being repaired already. */
int ivf_repair_take(const char *index, const char *build_id, ivf_repair_claim *claim);
void ivf_repair_release(const char *index, ivf_repair_claim *claim);

#endif
