/* A keeper (base/keeper.h) in files: one for each name, in a folder of its own. They appear whole and are replaced
 * whole, but are not made durable: one that a crash tears is noticed by its checksum, and costs time, never a result.
 * FORMAT.md, "Checkpoints". */
#ifndef IVF_IO_CHECKPOINT_H
#define IVF_IO_CHECKPOINT_H

#include <stdint.h>

#include "base/keeper.h"

typedef struct ivf_checkpoints ivf_checkpoints;

/* Local. Keeps files in `folder` once there is something to keep: at the earliest `interval` seconds after the last
 * time, and not before keeping has become less than a fiftieth of the work; interval 0: whenever it is asked. A file
 * that cannot be written is warned of, tried again after a minute or more, and fails nothing. NULL with a failure
 * recorded. */
ivf_checkpoints *ivf_checkpoints_new(const char *folder, double interval);
void ivf_checkpoints_free(ivf_checkpoints *checkpoints);

/* Local. Removes what killed runs left half written, while nobody writes there; returns how many checkpoints there are.
 */
int ivf_checkpoints_clean(const ivf_checkpoints *checkpoints);

/* What was kept so far. */
typedef struct {
    int64_t files;
    int64_t bytes;
    double seconds; /* that the work waited for it, added up over threads */
} ivf_checkpoints_cost;

/* Local. */
ivf_checkpoints_cost ivf_checkpoints_spent(ivf_checkpoints *checkpoints);

/* Local. Valid as long as the checkpoints. Each open reads the file twice: to trust it, and for the caller. A file that
 * is not whole is warned of, and removed. */
const ivf_keeper *ivf_checkpoints_keeper(const ivf_checkpoints *checkpoints);

#endif
