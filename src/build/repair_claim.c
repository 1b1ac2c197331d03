#include "build/repair_claim.h"

#include "base/error.h"
#include "index/building.h"

int ivf_repair_take(const char *index, const char *build_id, ivf_repair_claim *claim)
{
    char id[IVF_ID_BYTES];
    ivf_lock *all = NULL;
    ivf_building_name_repair(build_id, id);
    int rc = ivf_building_enter(index, &all);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_building_begin(index, id, claim->folder, &claim->lock);
    ivf_error failure = *ivf_error_last();
    ivf_building_leave(index, all);
    ivf_error_set(&failure);
    return rc;
}

void ivf_repair_release(const char *index, ivf_repair_claim *claim)
{
    ivf_lock *all = NULL;
    if (claim->lock == NULL || !ivf_building_end(index, claim->folder, &claim->lock, &all))
        return;
    ivf_building_finish(claim->folder);
    ivf_lock_release(claim->lock);
    claim->lock = NULL;
    ivf_building_leave(index, all);
}
