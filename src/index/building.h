/* Unfinished builds: INDEX/building/<build-id>/ (FORMAT.md), where a build keeps what a later run can use. Readers of
 * an index never look there. The folder's parts:
 *
 *   lock        held by rank 0 while the build runs
 *   plan.json   what is built, from what: written when the build is claimed
 *   train/      checkpoints of training, until there is a model
 *   model.json  which model was published: from then on it is kept
 *   done.*      fragments that were published (index/done.h)
 *
 * Who looks for builds, begins, adopts or publishes a model, or takes files away holds the lock of all of them,
 * INDEX/building/lock, meanwhile. */
#ifndef IVF_INDEX_BUILDING_H
#define IVF_INDEX_BUILDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "index/layout.h"
#include "io/lock.h"

/* Local. Takes the lock of all builds, waiting up to ten minutes, in a folder that is made for it. */
int ivf_building_enter(const char *index, ivf_lock **lock);

/* Local. Lets it go, and removes INDEX/building if nothing is in it. */
void ivf_building_leave(const char *index, ivf_lock *lock);

/* Local. The lock of one build, whose folder is there. MPIVF_CONFLICT when it is running. */
int ivf_building_claim(const char *index, const char *build_id, ivf_lock **lock);

/* Local. A build begins, with the lock of all held: makes its folder, whose path goes into folder[IVF_PATH_BYTES], and
 * claims it. */
int ivf_building_begin(const char *index, const char *build_id, char *folder, ivf_lock **lock);

/* Local. It ends: enters again. Without the lock of all nothing can be taken away: then its own is let go, a warning
 * says that the folder stays, and the result is false. */
bool ivf_building_end(const char *index, const char *folder, ivf_lock **lock, ivf_lock **all);

/* Local. A repair has a folder as builds do, so that vacuum sees that it runs: its name, and whether one is such. */
void ivf_building_name_repair(const char *build_id, char id[IVF_ID_BYTES]);
bool ivf_building_is_repair(const char *id);

/* The builds that have a folder, in ascending order of their ids. */
typedef struct {
    char (*ids)[IVF_ID_BYTES]; /* [count], owned */
    int64_t count;
} ivf_building_list;

/* Local. Free with ivf_free(list->ids). */
int ivf_building_find(const char *index, ivf_building_list *list);

/* Local. plan.json, durable. Reading: *plan is NULL when there is none that is whole. */
int ivf_building_write_plan(const char *index, const char *build_id, json_t *plan);
int ivf_building_read_plan(const char *index, const char *build_id, json_t **plan);

/* The model that a build has published. */
typedef struct {
    char id[IVF_ID_BYTES];
    int64_t bytes; /* of its file */
    uint64_t checksum;
} ivf_building_model;

/* Local. model.json, durable. Reading: *found is false when there is none that is whole. */
int ivf_building_write_model(const char *index, const char *build_id, const ivf_building_model *model);
int ivf_building_read_model(const char *index, const char *build_id, ivf_building_model *model, bool *found);

/* Local. Forgets model and finished fragments, whose files stay. */
int ivf_building_forget(const char *index, const char *build_id);

/* Local. Whether the folder holds anything that a later run can use: a model or checkpoints of training. */
bool ivf_building_holds_work(const char *index, const char *build_id);

/* Local. Removes the temporary files that a killed run of the build has left among the fragments. */
int ivf_building_sweep(const char *index, const char *build_id);

/* Local. Removes a model that a build has published and does not want, unless a committed version or another build
 * names it. */
int ivf_building_discard_model(const char *index, const char *build_id, const char *model_id);

/* Local. Whether the newest version is that build's: what it names stays, also when a commit failed that could not take
 * its manifest's name back. */
bool ivf_building_is_committed(const char *index, const char *build_id);

/* Local. Removes the folder of a build that is committed, or warns that it stays: it is of no use any more, so that is
 * no reason to fail, and vacuum takes it later. */
void ivf_building_finish(const char *folder);

/* Local. Removes the build: its fragments and its model, except what a committed version or another build names, and
 * its folder. Nobody runs it. */
int ivf_building_discard(const char *index, const char *build_id);

#endif
